"""What happens between a caller's documents and a commit: checks, embedding, chunks. Part of the collection layer.

Knows the engine's two ways in: pending rows for a few documents, segments for many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """Vectors (n, dim) for a batch of texts; a text that is stored unchanged keeps its vector."""
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
    fresh = []
    for i, old in enumerate(stored):
        if old is not None and old.vector is not None and (old.text == checked.texts[i] or if_exists == "skip"):
            out[i] = old.vector
        else:
            fresh.append(i)
    if fresh:
        out[fresh] = _sized(engine, embedder.encode([checked.texts[i] or "" for i in fresh], "document"))
    return out


def _sized(engine: LocalEngine, vectors: Vectors) -> Vectors:
    return inputs.vectors(vectors, engine.dim, field="embedder")


def write(engine: LocalEngine, checked: Checked, vectors: Vectors, norms: Norms, if_exists: str) -> Written:
    """Writes a checked batch, all or nothing: as pending rows, or as segments where it is large."""
    n = len(checked.ids)
    if n < BULK:
        return engine.put(Records(checked.ids, checked.texts, checked.metadata, vectors, norms), if_exists)
    step = _chunk_rows(engine.dim)
    segments: list[Segment] = []
    try:
        for start in range(0, n, step):
            part = slice(start, start + step)
            batch = arrow.batch(checked.ids[part], checked.texts[part], checked.metadata[part])
            columns = Columns.build([encoding.decode(m) for m in checked.metadata[part]])
            segments.append(making.from_chunk(engine, batch, columns, vectors[part], None if norms is None else norms[part]))
        return engine.adopt(segments, if_exists, frozenset())
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


def load(engine: LocalEngine, embedder: BoundEmbedder, source: Columnar, if_exists: str, progress: Progress | None) -> Written:
    """Writes columns chunk by chunk; each chunk is files first, then one transaction."""
    step = _chunk_rows(engine.dim) if source.vectors is not None else EMBED_ROWS
    total = Written()
    done: frozenset[int] = frozenset()
    start = 0
    engine.loading += 1
    try:
        while start < source.n:
            stop = min(start + step, source.n)
            written, number = _load_chunk(engine, embedder, source, start, stop, if_exists, done)
            done |= number
            total = Written(
                total.added + written.added,
                total.replaced + written.replaced,
                total.skipped + written.skipped,
                commit=written.commit,
            )
            start = stop
            if progress is not None:
                progress(stop, source.n)
    except NearfieldError as error:
        error.committed = start
        raise
    finally:
        engine.loading -= 1
        engine.changed()
    return total


def _load_chunk(
    engine: LocalEngine,
    embedder: BoundEmbedder,
    source: Columnar,
    start: int,
    stop: int,
    if_exists: str,
    done: frozenset[int],
) -> tuple[Written, frozenset[int]]:
    ids = inputs.ids(arrow.as_list(source.ids[start:stop], "ids"))
    texts = _texts(source, start, stop)
    if source.table is not None:
        table = source.table.slice(start, stop - start)
        encoded, columns = encoding.encode_table(table), Columns.from_table(table)
    else:
        rows = [{}] * (stop - start) if source.dicts is None else source.dicts[start:stop]
        encoded = [_encoded(row, document_id) for row, document_id in zip(rows, ids, strict=True)]
        columns = Columns.build(list(rows))
    if source.vectors is not None:
        raw = inputs.vectors(source.vectors[start:stop], engine.dim, stop - start)
    else:
        checked = Checked(ids, texts or [], [])
        raw = embed(engine, embedder, checked, if_exists)
    vectors, norms = prepare(raw, engine.metric)
    if stop - start < BULK and not done:
        plain = [bytes(m) for m in (encoded.to_pylist() if source.table is not None else encoded)]
        records = Records(ids, texts or [None] * len(ids), plain, vectors, norms)
        return engine.put(records, if_exists), frozenset()
    segment = making.from_chunk(engine, arrow.batch(ids, texts, encoded), columns, vectors, norms)
    try:
        return engine.adopt([segment], if_exists, done), frozenset([segment.number])
    except BaseException:
        making.discard(engine, [segment])
        raise


def _texts(source: Columnar, start: int, stop: int) -> list[str | None] | None:
    if source.texts is None:
        return None
    found = arrow.as_list(source.texts[start:stop], "texts")
    for i, text in enumerate(found):
        if text is not None:
            inputs.text(text, f"texts[{start + i}]")
    return found
