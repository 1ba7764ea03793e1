"""Collections out to files and back: .jsonl and .parquet, with vectors, in bounded memory.

The form is plain: id, text, metadata (an object; in Parquet its JSON) and vector, so that other tools read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nearfield.core.errors import AlreadyExists, InvalidInput
from nearfield.core.parts import Part
from nearfield.core.types import Document, Written
from nearfield.store import files, parquet

if TYPE_CHECKING:
    from nearfield.collection import Collection

BATCH = 4096
Row = dict[str, Any]


def _suffix(path: Path) -> str:
    if path.suffix not in (".jsonl", ".parquet"):
        raise InvalidInput(
            "unknown kind of file", field="path", expected="a name ending in .jsonl or .parquet", received=path.name
        )
    return path.suffix


def export(collection: Collection, path: str | os.PathLike[str], *, vectors: bool = True) -> int:
    """Writes every document of one snapshot; the file appears under its name only when it is whole.

    Raises:
        AlreadyExists: the file is there; nothing is overwritten.
    """
    target = Path(path)
    suffix = _suffix(target)
    if target.exists():
        raise AlreadyExists("the file exists; name a new one", field="path", received=str(target))
    aside = target.with_name(f"{target.name}.partial-{os.getpid()}")
    aside.unlink(missing_ok=True)
    writer = files.Writer(aside)
    try:
        rows = _rows(collection, vectors)
        count = _write_parquet(collection, writer, rows, vectors) if suffix == ".parquet" else _write_lines(writer, rows)
        writer.commit()
        files.rename(aside, target)
        files.sync_directory(target.parent)
    except BaseException:
        writer.abort()
        raise
    return count


def _rows(collection: Collection, vectors: bool) -> Iterator[Row]:
    for document in collection.scan(vectors=vectors, batch=BATCH):
        row: Row = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
        if document.vector is not None:
            row["vector"] = document.vector.tolist()
        if document.parts:
            row["parts"] = [
                {"name": p.name, "start": p.start, "end": p.end, "vector": p.vector.tolist()} for p in document.parts
            ]
        yield row


def _write_parquet(collection: Collection, writer: files.Writer, rows: Iterator[Row], vectors: bool) -> int:
    in_parts = vectors and collection.stats().parts is not None
    return parquet.write(writer, rows, collection.dim, BATCH, parts=in_parts)


def _write_lines(writer: files.Writer, rows: Iterator[Row]) -> int:
    count = 0
    while some := list(islice(rows, BATCH)):
        writer.write(b"".join(msgspec.json.encode(row) + b"\n" for row in some))
        count += len(some)
    return count


def import_(collection: Collection, path: str | os.PathLike[str]) -> Written:
    """Upserts what `export` wrote, batch by batch; vectors are taken as they are, texts without one are embedded.

    Raises:
        InvalidInput: a line or row is not of the form; `.committed` tells how many before it are safe.
    """
    source = Path(path)
    if not source.is_file():
        raise InvalidInput("there is no such file", field="path", received=str(source))
    rows = parquet.read(source, BATCH) if _suffix(source) == ".parquet" else _read_lines(source)
    total, done = Written(), 0
    try:
        while some := list(islice(rows, BATCH)):
            written = _upsert(collection, some)
            total = Written(total.added + written.added, total.replaced + written.replaced, commit=written.commit)
            done += len(some)
    except InvalidInput as error:
        error.committed = done
        raise
    return total


def _read_lines(source: Path) -> Iterator[Row]:
    with open(source, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = msgspec.json.decode(line)
                if not isinstance(row, dict):
                    raise TypeError("not an object")
            except (msgspec.DecodeError, TypeError, UnicodeDecodeError) as error:
                raise InvalidInput(f"line {number} is not a JSON object ({error})", field=str(source)) from None
            yield row


def _upsert(collection: Collection, rows: list[Row]) -> Written:
    documents = [Document(r.get("id", ""), r.get("text"), r.get("metadata") or {}, parts=_parts(r)) for r in rows]
    vectors = [r.get("vector") for r in rows]
    if all(v is None for v in vectors):
        return collection.upsert(documents)
    if any(v is None for v in vectors):
        missing = vectors.index(None)
        raise InvalidInput("some rows have vectors and some have none", field=f"vector of {documents[missing].id!r}")
    return collection.upsert(documents, vectors=np.array(vectors, np.float32))


def _parts(row: Row) -> tuple[Part, ...]:
    """The parts of a row of `export`."""
    try:
        return tuple(Part(np.array(p["vector"], np.float32), p["name"], p["start"], p["end"]) for p in row.get("parts") or ())
    except (KeyError, TypeError, ValueError) as error:
        field = f"parts of {row.get('id')!r}"
        raise InvalidInput("not parts", field=field, expected="name, start, end, vector of each", received=error) from None
