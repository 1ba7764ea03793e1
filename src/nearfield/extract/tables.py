"""Rows of CSV, TSV, JSON lines and Parquet as documents. Knows no collection; vectors in rows are left out: texts are embedded.

A row's text is its field "text". Where there is none, it is all fields that are strings, each on a line "name: value".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import msgspec

from nearfield.core.scalars import typed
from nearfield.extract import decoding
from nearfield.extract.needed import missing
from nearfield.extract.results import Contents, Extracted, Limits, Unreadable

TEXT, VECTOR, METADATA = "text", "vector", "metadata"
ROWS = 4096
"""Rows of Parquet decoded at a time."""
MOST_FAILED = 1_000
"""Rows that are named as wrong in one file; beyond, the file is none of its kind."""


def read(kind: str, data: bytes, limits: Limits) -> Contents:
    """A document for each row that has a text; rows that cannot be read are named. Rows without a text are not counted.

    Raises:
        Unreadable: the file is none of its kind, or has more text than may be.
    """
    out = Contents()
    number = size = 0
    rows = {"jsonl": _json_lines, "csv": _csv, "tsv": _tsv, "parquet": _parquet}[kind]
    for found in rows(data):
        made = found if isinstance(found, str) else _row(found, number + 1)
        number += made is not None
        if isinstance(made, str):
            out.failed.append((number, made))
            if len(out.failed) > MOST_FAILED:
                raise Unreadable(f"more than {MOST_FAILED:,} rows are wrong, row {number} at last: {made}")
        elif made is not None:
            out.texts.append(made)
            size += len(made.text) + 20 * len(made.metadata)
            if size > limits.text:
                most = f"more than {limits.text >> 20} MiB of text"
                raise Unreadable(f"it has {most}; add it by itself: nearfield add DIR/COLLECTION FILE")
    return out


def _row(found: dict[str, Any], number: int) -> Extracted | str | None:
    """The document of a row; None for one without text; what is wrong with it."""
    nested = found.pop(METADATA, None)
    if isinstance(nested, str) and nested.startswith("{"):
        try:
            nested = msgspec.json.decode(nested)
        except msgspec.DecodeError:
            return f"{METADATA!r} is not JSON"
    if nested is not None and not isinstance(nested, dict):
        return f"{METADATA!r} is not an object"
    found.pop(VECTOR, None)
    text = found.pop(TEXT, None)
    if text is None:
        text = "\n".join(f"{key}: {value}" for key, value in found.items() if isinstance(value, str) and value.strip())
    if not isinstance(text, str):
        return f"{TEXT!r} is not a string"
    return Extracted(text, {**found, **(nested or {})}, number) if text.strip() else None


def _json_lines(data: bytes) -> Iterator[dict[str, Any] | str]:
    text, _ = decoding.decode(data)
    decoder = msgspec.json.Decoder()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            yield f"not JSON ({error}), line {number}"
            continue
        yield found if isinstance(found, dict) else f"not a JSON object, line {number}"


def _tsv(data: bytes) -> Iterator[dict[str, Any] | str]:
    return _csv(data, "\t")


def _csv(data: bytes, delimiter: str = ",") -> Iterator[dict[str, Any] | str]:
    """Rows below the heading. Quotes that are wrong end the reading: what follows could be anything."""
    text, _ = decoding.decode(data)
    csv.field_size_limit(len(text) + 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    heading: list[str] = []
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            yield f"not CSV from here on ({error}, line {reader.line_num})"
            return
        if values is None:
            return
        if not values:
            continue
        if not heading:
            heading = values
            if len(set(heading)) != len(heading):
                raise Unreadable("a column name occurs twice in its first line")
            continue
        if len(values) != len(heading):
            yield f"it has {len(values)} columns, the first line has {len(heading)}, line {reader.line_num}"
        else:
            yield {k: v if k == TEXT else typed(v) for k, v in zip(heading, values, strict=True) if v != ""}


def _parquet(data: bytes) -> Iterator[dict[str, Any] | str]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing("Parquet", "pyarrow") from None
    pa.set_cpu_count(1)
    number = 0
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as file:
            kept = [name for name in file.schema_arrow.names if name != VECTOR]
            for batch in file.iter_batches(ROWS, columns=kept, use_threads=False):
                for values in batch.to_pylist():
                    number += 1
                    yield {key: _plain(value) for key, value in values.items() if value is not None}
    except (pa.ArrowException, OSError, UnicodeDecodeError, ValueError) as error:
        raise Unreadable(f"this is no Parquet file that can be read ({error}), after row {number}") from None


def _plain(value: Any) -> Any:
    """Dates and times as RFC 3339 text, bytes and other things as text; the rest as it is."""
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
