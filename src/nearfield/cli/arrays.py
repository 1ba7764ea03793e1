"""Reads documents from Parquet files and .npy arrays, in bounded memory. Knows no collection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.cli.rows import Names, Row, Vector, make_row
from nearfield.core.errors import InvalidInput

ROWS = 4096
"""Rows decoded at a time."""


def _open_parquet(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise InvalidInput(f"not a Parquet file ({error})", field=str(path)) from None


def parquet_rows(path: Path) -> int:
    """Rows in a Parquet file; raises InvalidInput if it is not one."""
    with _open_parquet(path) as file:
        return int(file.metadata.num_rows)


def read_parquet(path: Path, names: Names) -> Iterator[Row]:
    """One row for each row; metadata is the other columns, or the JSON or struct in the metadata column."""
    import msgspec
    import pyarrow as pa

    with _open_parquet(path) as file:
        number = 0
        try:
            for batch in file.iter_batches(ROWS):
                vectors = _vectors(batch, names.vector)
                if vectors is not None:
                    batch = batch.drop_columns([names.vector])
                for i, values in enumerate(batch.to_pylist()):
                    number += 1
                    where = f"{path}, row {number}"
                    found = {key: _plain(value) for key, value in values.items() if value is not None}
                    nested = found.get(names.metadata)
                    if isinstance(nested, str):
                        try:
                            found[names.metadata] = msgspec.json.decode(nested)
                        except msgspec.DecodeError as error:
                            raise InvalidInput(f"{names.metadata!r} is not JSON ({error})", field=where) from None
                    if vectors is not None:
                        found[names.vector] = vectors[i]
                    yield make_row(found, names, where, number)
        except pa.ArrowException as error:
            raise InvalidInput(f"the Parquet file is damaged after row {number} ({error})", field=str(path)) from None
        except UnicodeDecodeError as error:
            raise InvalidInput(f"invalid UTF-8 after row {number} ({error.reason})", field=str(path)) from None


def _vectors(batch: Any, name: str) -> Any:
    """(n, dim) of a list column whose rows are all there and of one length, else None: then rows are read one by one."""
    import pyarrow as pa

    if name not in batch.schema.names:
        return None
    column = batch.column(name)
    lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    if not lists or column.null_count or not len(column):
        return None
    flat = column.flatten()
    if flat.null_count or len(flat) % len(column) or not pa.types.is_floating(flat.type):
        return None
    if not pa.types.is_fixed_size_list(column.type) and len(set(column.value_lengths().to_pylist())) != 1:
        return None
    return flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)


def _plain(value: Any) -> Any:
    """Dates and times as RFC 3339 text; the rest as it is."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def open_npy(path: Path) -> Vector:
    """A memory-mapped (n, dim) array of numbers; raises InvalidInput for another."""
    try:
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InvalidInput(f"not an array ({error})", field=str(path), expected="a .npy file of numbers") from None
    if found.ndim != 2 or found.dtype.kind not in "fiu":
        shape = f"{found.dtype} {found.shape}"
        raise InvalidInput("not vectors", field=str(path), expected="a two-dimensional array of numbers", received=shape)
    return found  # type: ignore[no-any-return]


def read_npy(path: Path, vectors: Vector, ids: Iterator[str] | None, beside: Iterator[Row] | None) -> Iterator[Row]:
    """One row for each vector; ids and metadata must have as many. Without ids, the row's number is the id.

    The row beside a vector may carry the id and the text as well.
    """
    end = object()
    for number in range(len(vectors)):
        where = f"{path}, row {number + 1}"
        other: Any = next(beside, end) if beside is not None else None
        name: Any = next(ids, end) if ids is not None else (other.id if isinstance(other, Row) and other.id else str(number))
        if name is end or other is end:
            short = "ids" if name is end else "metadata"
            raise InvalidInput(
                f"the {short} end before the vectors", field=where, expected=f"{len(vectors):,} rows", received=number
            )
        with np.errstate(over="ignore"):
            vector = np.array(vectors[number], np.float32)
        yield Row(name, other.text if other else None, other.metadata if other else {}, vector, where, number + 1)
    for left, what in ((ids, "ids"), (beside, "metadata")):
        if left is not None and next(left, end) is not end:
            raise InvalidInput(f"there are more {what} than vectors", field=str(path), expected=f"{len(vectors):,} rows")
