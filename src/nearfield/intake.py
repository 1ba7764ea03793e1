"""What happens between a caller's documents and a commit: checks, embedding, chunks. Part of the collection layer.

Knows the engine's two ways in: pending rows for a few documents, segments for many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, NearfieldError
from nearfield.core.metric import Vectors, prepare
from nearfield.core.types import Document, Written
from nearfield.embedding import BoundEmbedder
from nearfield.engine import making
from nearfield.engine.local import LocalEngine
from nearfield.engine.writes import Records
from nearfield.store import documents as arrow
from nearfield.store import metadata as encoding
from nearfield.store.columns import Columns
from nearfield.store.segment import Segment

BULK = 10_000
"""Documents in one call from which they go straight into a segment."""
CHUNK_ROWS = 131_072
CHUNK_BYTES = 256 << 20
"""A load's chunk: rows, or bytes of vectors, whichever is fewer."""
EMBED_ROWS = 4096
"""Texts embedded and committed at a time by a load that embeds."""

Norms = npt.NDArray[np.float32] | None
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class Checked:
    """Documents that passed every check: parallel lists."""

    ids: list[str]
    texts: list[str | None]
    metadata: list[bytes]


def check(documents: Sequence[Document]) -> Checked:
    """Checks ids, texts and metadata of a batch; raises InvalidInput naming the first that is wrong."""
    for i, document in enumerate(documents):
        if not isinstance(document, Document):
            raise InvalidInput(
                "not a document", field=f"documents[{i}]", expected="nearfield.Document", received=type(document).__name__
            )
    found = inputs.ids([d.id for d in documents], "id")
    texts = [None if d.text is None else inputs.text(d.text, f"text of {d.id!r}") for d in documents]
    return Checked(found, texts, [_encoded(d.metadata, d.id) for d in documents])


def _encoded(values: Any, document_id: str) -> bytes:
    try:
        return encoding.encode(values)
    except InvalidInput as error:
        error.field = f"{error.field or 'metadata'} of {document_id!r}"
        raise


def embed(engine: LocalEngine, embedder: BoundEmbedder, checked: Checked, if_exists: str) -> Vectors:
    """Vectors (n, dim) for a batch of texts; a text that is stored unchanged keeps its vector, unless a picture made it."""
    if embedder.name is None:
        raise InvalidInput(
            "this collection was created with embedder=None", field="vectors", expected="one vector for each document"
        )
    missing = [i for i, text in enumerate(checked.texts) if text is None]
    if missing:
        raise InvalidInput(
            "a document without a text needs a vector", field=f"text of {checked.ids[missing[0]]!r}", expected="a text"
        )
    out = np.empty((len(checked.ids), engine.dim), np.float32)
    stored = engine.get(checked.ids, vectors=True)
    same = [old.id for i, old in enumerate(stored) if old is not None and old.text == checked.texts[i]]
    unchanged = set(same) - (engine.thumbnails.having(engine.snapshot, same) if same else set())
    fresh = []
    for i, old in enumerate(stored):
        if old is not None and old.vector is not None and (old.id in unchanged or if_exists == "skip"):
            out[i] = old.vector
        else:
            fresh.append(i)
    if fresh:
        out[fresh] = _sized(engine, embedder.encode([checked.texts[i] or "" for i in fresh], "document"))
    return out


def _sized(engine: LocalEngine, vectors: Vectors) -> Vectors:
    return inputs.vectors(vectors, engine.dim, field="embedder")


def write(
    engine: LocalEngine,
    checked: Checked,
    vectors: Vectors,
    norms: Norms,
    if_exists: str,
    thumbnails: Sequence[bytes | None] | None = None,
) -> Written:
    """Writes a checked batch, all or nothing: as pending rows, or as segments where it is large."""
    n = len(checked.ids)
    if n < BULK:
        return engine.put(Records(checked.ids, checked.texts, checked.metadata, vectors, norms, thumbnails), if_exists)
    step = _chunk_rows(engine.dim)
    segments: list[Segment] = []
    images: dict[int, bytes] = {}
    try:
        for start in range(0, n, step):
            part = slice(start, start + step)
            batch = arrow.batch(checked.ids[part], checked.texts[part], checked.metadata[part])
            columns = Columns.build([encoding.decode(m) for m in checked.metadata[part]])
            segments.append(making.from_chunk(engine, batch, columns, vectors[part], None if norms is None else norms[part]))
            rows = zip(segments[-1].rows.tolist(), (thumbnails or ())[part], strict=False)
            images.update((row, image) for row, image in rows if image is not None)
        return engine.adopt(segments, if_exists, frozenset(), *([images] if images else []))
    except BaseException:
        making.discard(engine, segments)
        raise


def _chunk_rows(dim: int) -> int:
    return max(1024, min(CHUNK_ROWS, CHUNK_BYTES // (4 * dim)))


@dataclass(frozen=True, slots=True)
class Columnar:
    """The input of a load: parallel columns of n rows, checked for shape, not yet for content."""

    ids: Any
    vectors: Any
    texts: Any
    table: Any
    dicts: Sequence[Mapping[str, Any]] | None
    n: int

    @classmethod
    def of(cls, ids: Any, vectors: Any, texts: Any, metadata: Any, dim: int) -> Columnar:
        """Takes what `Collection.load` takes."""
        n = len(ids)
        if vectors is None and texts is None:
            raise InvalidInput("give vectors, or texts to embed", field="vectors", expected=f"({n}, {dim})")
        if vectors is not None:
            inputs.vectors(vectors[:1], dim)
            if len(vectors) != n:
                raise InvalidInput("not one vector for each id", field="vectors", expected=f"{n} rows", received=len(vectors))
        if texts is not None and len(texts) != n:
            raise InvalidInput("not one text for each id", field="texts", expected=f"{n}", received=len(texts))
        table, dicts = encoding.as_table_or_dicts(metadata, n)
        return cls(ids, vectors, texts, table, dicts, n)


def load(
    engine: LocalEngine,
    embedder: BoundEmbedder,
    source: Columnar,
    if_exists: str,
    progress: Progress | None,
    prepare: Callable[[int, int], Chunk] | None = None,
) -> Written:
    """Writes columns chunk by chunk; each chunk is files first, then one transaction.

    A chunk is checked and encoded while the one before it is written, so two chunks are in memory at a time. `prepare` makes
    the chunk of some documents where these are more than a row each.
    """
    plain = source.vectors is not None and prepare is None
    step = _chunk_rows(engine.dim) if plain else EMBED_ROWS
    loading = _Loading(engine, if_exists, source.n, progress)
    engine.loading += 1
    if source.n > step:
        engine.in_chunks.add(id(loading))
    try:
        with ThreadPoolExecutor(1, "nearfield-load") as writer:
            before: Future[None] | None = None
            try:
                for start in range(0, source.n, step):
                    stop = min(start + step, source.n)
                    made = prepare(start, stop) if prepare else _prepare(engine, embedder, source, start, stop, if_exists)
                    if before is not None:
                        before.result()
                    before = writer.submit(loading.write, made)
            finally:
                if before is not None:
                    before.result()
    except NearfieldError as error:
        error.committed = loading.rows
        raise
    finally:
        engine.in_chunks.discard(id(loading))
        engine.loading -= 1
        engine.loaded_at = time.monotonic()
        engine.changed()
    return loading.total


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows ready to be written, and of how many documents they are; `skipped` more are there already, and stay."""

    batch: Any
    columns: Columns
    vectors: Vectors
    norms: Norms
    documents: int
    skipped: int = 0


class _Loading:
    """What a load has written so far."""

    def __init__(self, engine: LocalEngine, if_exists: str, n: int, progress: Progress | None) -> None:
        self._engine, self._if_exists, self._n, self._progress = engine, if_exists, n, progress
        self._segments: frozenset[int] = frozenset()
        self.total, self.rows = Written(), 0

    def write(self, chunk: Chunk) -> None:
        """Writes one chunk and commits it."""
        n = len(chunk.batch)
        if n == 0:
            written = Written(commit=self._engine.snapshot.commit)
        elif n < BULK and self._n < BULK:
            columns = [chunk.batch.column(i).to_pylist() for i in range(3)]
            ids, texts, encoded = columns
            written = self._engine.put(Records(ids, texts, encoded, chunk.vectors, chunk.norms), self._if_exists)
        else:
            segment = making.from_chunk(self._engine, chunk.batch, chunk.columns, chunk.vectors, chunk.norms)
            try:
                written = self._engine.adopt([segment], self._if_exists, self._segments)
            except BaseException:
                making.discard(self._engine, [segment])
                raise
            self._segments |= {segment.number}
        self.rows += chunk.documents + chunk.skipped
        self.total = Written(
            self.total.added + written.added,
            self.total.replaced + written.replaced,
            self.total.skipped + written.skipped + chunk.skipped,
            commit=written.commit,
        )
        if self._progress is not None:
            self._progress(self.rows, self._n)


def _prepare(engine: LocalEngine, embedder: BoundEmbedder, source: Columnar, start: int, stop: int, if_exists: str) -> Chunk:
    """Checks, embeds and encodes rows `start` to `stop`."""
    ids = inputs.ids(arrow.as_list(source.ids[start:stop], "ids"))
    texts = _texts(source, start, stop)
    encoded: Any
    if source.table is not None:
        table = source.table.slice(start, stop - start)
        encoded, columns = encoding.encode_table(table), Columns.from_table(table)
    else:
        rows = [{}] * (stop - start) if source.dicts is None else source.dicts[start:stop]
        encoded = [_encoded(row, document_id) for row, document_id in zip(rows, ids, strict=True)]
        columns = Columns.build([encoding.decode(row) for row in encoded])
    if source.vectors is not None:
        raw = inputs.vectors(source.vectors[start:stop], engine.dim, stop - start)
    else:
        raw = embed(engine, embedder, Checked(ids, texts or [], []), if_exists)
    vectors, norms = prepare(raw, engine.metric)
    return Chunk(arrow.batch(ids, texts, encoded), columns, vectors, norms, len(ids))


def _texts(source: Columnar, start: int, stop: int) -> list[str | None] | None:
    if source.texts is None:
        return None
    found = arrow.as_list(source.texts[start:stop], "texts")
    for i, text in enumerate(found):
        if text is not None:
            inputs.text(text, f"texts[{start + i}]")
    return found
