"""Parquet files of documents: id, text, metadata as JSON, vector as a fixed-size list. Used by export and import."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nearfield.core.errors import InvalidInput
from nearfield.store import files, metadata
from nearfield.store.arrow import Sink

_PART = pa.struct([("name", pa.string()), ("start", pa.int64()), ("end", pa.int64()), ("vector", pa.list_(pa.float32()))])


def write(writer: files.Writer, rows: Iterator[dict[str, Any]], dim: int, batch: int, *, parts: bool = False) -> int:
    """Writes rows in groups of `batch`; returns how many. With `parts` they have several vectors each in place of one."""
    schema = pa.schema(
        [("id", pa.string()), ("text", pa.string()), ("metadata", pa.string())]
        + ([("parts", pa.list_(_PART))] if parts else [("vector", pa.list_(pa.float32(), dim))])
    )
    count = 0
    with pq.ParquetWriter(Sink(writer), schema) as out:
        while some := list(islice(rows, batch)):
            encoded = [{**row, "metadata": metadata.encode(row["metadata"]).decode()} for row in some]
            out.write_table(pa.Table.from_pylist(encoded, schema))
            count += len(some)
    return count


def read(path: Path, batch: int) -> Iterator[dict[str, Any]]:
    """Rows of a file of `write`'s form; raises InvalidInput for another."""
    try:
        file = pq.ParquetFile(path)
        if "id" not in file.schema_arrow.names:
            raise InvalidInput("the file has no id column", field=str(path), expected="id, text, metadata, vector")
        for group in file.iter_batches(batch):
            for row in group.to_pylist():
                found = row.get("metadata")
                row["metadata"] = metadata.decode(found.encode()) if isinstance(found, str) else found or {}
                yield row
    except pa.ArrowException as error:
        raise InvalidInput(f"not a Parquet file ({error})", field=str(path)) from None
