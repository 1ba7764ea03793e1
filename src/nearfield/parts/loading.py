"""Loads of documents in parts: columns become rows chunk by chunk. Part of the collection layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfield import intake
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import prepare
from nearfield.core.types import Document, Written
from nearfield.intake import Chunk, Columnar, Progress
from nearfield.parts.intake import rows_of
from nearfield.parts.parted import Parted
from nearfield.store import documents as arrow
from nearfield.store import metadata as encoding
from nearfield.store.columns import Columns


def load(
    parted: Parted,
    ids: Any,
    vectors: Any,
    texts: Any,
    metadata: Any,
    if_exists: str,
    progress: Progress | None,
) -> Written:
    """Writes columns of documents; see Collection.load. `vectors`: (n, dim) by name, or None."""
    if vectors is not None and not (parted.spec.fields and isinstance(vectors, Mapping)):
        raise InvalidInput(
            "documents in parts bring a vector for each part",
            field="vectors",
            expected="a dict of (n, dim) by name" if parted.spec.fields else "upsert with Document(parts=...) in its place",
            received=type(vectors).__name__,
        )
    brought = {parted.checked(name, "vectors"): found for name, found in (vectors or {}).items()}
    for name, found in brought.items():
        if len(found) != len(ids):
            expected = f"{len(ids)} rows"
            raise InvalidInput("not one vector for each id", field=f"vectors[{name!r}]", expected=expected, received=len(found))
    source = _columns(ids, texts, metadata)

    def made(start: int, stop: int) -> Chunk:
        return _chunk(parted, source, brought, start, stop, if_exists)

    return intake.load(parted.engine, parted.own, source, if_exists, progress, made)


def _columns(ids: Any, texts: Any, metadata: Any) -> Columnar:
    n = len(ids)
    if texts is not None and len(texts) != n:
        raise InvalidInput("not one text for each id", field="texts", expected=f"{n}", received=len(texts))
    table, dicts = encoding.as_table_or_dicts(metadata, n)
    return Columnar(ids, None, texts, table, dicts, n)


def _chunk(parted: Parted, source: Columnar, brought: Mapping[str, Any], start: int, stop: int, if_exists: str) -> Chunk:
    """The rows of documents `start` to `stop`."""
    ids = arrow.as_list(source.ids[start:stop], "ids")
    texts = [None] * len(ids) if source.texts is None else arrow.as_list(source.texts[start:stop], "texts")
    if source.table is not None:
        found = [encoding.decode(row) for row in encoding.encode_table(source.table.slice(start, stop - start)).to_pylist()]
    else:
        found = [{} for _ in ids] if source.dicts is None else [dict(row) for row in source.dicts[start:stop]]
    documents = [Document(*row) for row in zip(ids, texts, found, strict=True)]
    own = {name: vectors[start:stop] for name, vectors in brought.items()}
    rows = rows_of(parted, documents, intake.check(documents), own, if_exists)
    vectors, norms = prepare(rows.vectors, parted.engine.metric)
    batch = arrow.batch(rows.checked.ids, rows.checked.texts, rows.checked.metadata)
    columns = Columns.build([encoding.decode(encoded) for encoded in rows.checked.metadata])
    return Chunk(batch, columns, vectors, norms, rows.documents, rows.skipped)
