"""One row of input: id, text, metadata, vector, and where it came from. Knows no file format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Names:
    """Which fields of a row are its id, text, metadata and vector; all others are metadata too.

    Attributes:
        hash_ids: a row without an id gets one from a hash of its text, so that the same text is the same document.
        optional: a row needs no id (for metadata that stands beside an array).
    """

    id: str = "id"
    text: str = "text"
    vector: str = "vector"
    metadata: str = "metadata"
    hash_ids: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One document to be.

    Attributes:
        where: file and line, for errors.
        at: how far the source is read, in the units of its total.
        vector: float32 (dim,), or None.
    """

    id: str
    text: str | None
    metadata: Mapping[str, Any]
    vector: Vector | None
    where: str
    at: int

    @property
    def nbytes(self) -> int:
        """Roughly its bytes in memory."""
        size = 500 + len(self.text or "") + 60 * len(self.metadata)
        return size if self.vector is None else size + self.vector.nbytes


def make_row(found: dict[str, Any], names: Names, where: str, at: int) -> Row:
    """A row from the fields of a line; raises InvalidInput naming `where`."""
    text = found.pop(names.text, None)
    if text is not None and not isinstance(text, str):
        raise InvalidInput(f"{names.text!r} is not a string", field=where, received=text)
    vector = found.pop(names.vector, None)
    document_id = _id(found, text, names, where)
    nested = found.pop(names.metadata, None)
    if nested is not None and not isinstance(nested, dict):
        raise InvalidInput(f"{names.metadata!r} is not an object", field=where, received=nested)
    return Row(document_id, text, {**found, **(nested or {})}, as_vector(vector, where), where, at)


def _id(found: dict[str, Any], text: str | None, names: Names, where: str) -> str:
    value = found.pop(names.id, None)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value:
        return value
    if value is None and names.hash_ids and text is not None:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    if value is None and names.optional:
        return ""
    raise InvalidInput(
        f"no {names.id!r}; name the field with --id-field, or make ids from the texts with --hash-ids"
        if value in (None, "")
        else f"{names.id!r} is no id",
        field=where,
        expected="a string or a whole number",
        received=value,
    )


def as_vector(value: Any, where: str) -> Vector | None:
    """float32 (dim,) of a list of numbers; raises InvalidInput naming `where`."""
    if value is None:
        return None
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "fiu" or raw.ndim != 1:
            raise TypeError
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(raw, np.float32)
    except (TypeError, ValueError):
        raise InvalidInput("the vector is not a list of numbers", field=where, received=value) from None


def batches(rows: Iterable[Row], most_rows: int, most_bytes: int) -> Iterator[list[Row]]:
    """Rows in lists of at most `most_rows` and about `most_bytes`, no id twice in one; rows with and without vectors apart."""
    batch: list[Row] = []
    ids: set[str] = set()
    size = 0
    for row in rows:
        full = len(batch) >= most_rows or size >= most_bytes or row.id in ids
        if batch and (full or (row.vector is None) != (batch[0].vector is None)):
            yield batch
            batch, ids, size = [], set(), 0
        batch.append(row)
        ids.add(row.id)
        size += row.nbytes
    if batch:
        yield batch
