"""Arrow columns as what JSON can say: flat columns without touching rows one by one, the others row by row.

Knows neither filters nor how metadata is kept. Timestamps become RFC 3339 texts in UTC (one without a zone is taken to be
UTC), dates and times ISO 8601 texts, categories their values.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nearfield.core.errors import InvalidInput

_UNITS = ("s", "ms", "us", "ns")
_YEARS = (-62_135_596_800, 253_402_300_799)


def flat(table: pa.Table) -> pa.Table:
    """The table with every column that can be made so as int64, float64, bool, large_string, null or a large_list of one.

    Raises:
        InvalidInput: a timestamp outside the years 1 to 9999.
    """
    columns = {field.name: _flat(field.name, whole(table.column(field.name))) for field in table.schema}
    return pa.table(columns) if columns else table


def is_flat(kind: pa.DataType) -> bool:
    """Whether `flat` made the column: its rows need not be touched one by one."""
    return _is_scalar(kind) or (pa.types.is_large_list(kind) and _is_scalar(kind.value_type))


def _is_scalar(kind: pa.DataType) -> bool:
    return kind in (pa.int64(), pa.float64(), pa.bool_(), pa.large_string(), pa.null())


def values(name: str, column: pa.Array) -> list[Any]:
    """A column that is not flat as JSON values, row by row; nulls in structs are left out, those in lists stay.

    Raises:
        InvalidInput: a value Python cannot hold, such as a timestamp between two microseconds inside a struct.
    """
    try:
        return [_plain(value) for value in column.to_pylist()]
    except (pa.ArrowException, ValueError, OverflowError) as error:
        raise InvalidInput(f"not metadata: {error}", field=f"metadata.{name}", expected="values that JSON can say") from None


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece."""
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _flat(name: str, values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
        kind = values.type
    if pa.types.is_integer(kind):
        return _integers(values)
    if pa.types.is_floating(kind):
        return values.cast(pa.float64())
    if pa.types.is_timestamp(kind):
        return _timestamps(name, values)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _lists(name, values)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind) or pa.types.is_date(kind):
        return (values.cast(pa.date32()) if pa.types.is_date(kind) else values).cast(pa.large_string())
    return values


def _integers(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.int64())
    except pa.ArrowInvalid:
        return values


def _lists(name: str, values: pa.Array) -> pa.Array:
    elements = _flat(name, values.flatten())
    if not _is_scalar(elements.type):
        return values
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
    return pa.LargeListArray.from_arrays(offsets, elements, mask=values.is_null())


def _timestamps(name: str, values: pa.Array) -> pa.Array:
    """Texts such as 2026-01-31T09:30:00Z, with as many digits of a second as the column needs."""
    for unit in _UNITS:
        try:
            short = values.cast(pa.timestamp(unit))
            break
        except pa.ArrowInvalid:
            continue
    seconds = pc.min_max(values.cast(pa.timestamp("s"), safe=False).cast(pa.int64())).as_py()
    if seconds["min"] is not None and not (_YEARS[0] <= seconds["min"] and seconds["max"] <= _YEARS[1]):
        raise InvalidInput("a timestamp RFC 3339 cannot say", field=f"metadata.{name}", expected="years 1 to 9999")
    text = pc.replace_substring(short.cast(pa.large_string()), " ", "T")
    return pc.binary_join_element_wise(text, pa.scalar("Z", pa.large_string()), pa.scalar("", pa.large_string()))


def _plain(value: Any) -> Any:
    """A value of `to_pylist` as JSON has it."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        utc = value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value.astimezone(datetime.UTC)
        return utc.isoformat().replace("+00:00", "Z")
    if isinstance(value, np.generic):
        return value.item()
    return value.isoformat() if hasattr(value, "isoformat") else value
