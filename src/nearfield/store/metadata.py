"""Metadata as JSON bytes: how it is checked and written, one document at a time or a whole table at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nearfield.core.errors import InvalidInput
from nearfield.store import tables

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


def encode(values: Any) -> bytes:
    """JSON of a metadata mapping.

    Raises:
        InvalidInput: not a mapping with string keys, a value JSON cannot say (NaN and infinities too), nested deeper than
            32 levels, or more than 1 MiB.
    """
    if not isinstance(values, Mapping):
        raise InvalidInput("not metadata", field="metadata", expected="a dict", received=type(values).__name__)
    checked = {_key(key, "metadata"): _value(value, f"metadata.{key}", 1) for key, value in values.items()}
    try:
        out = _encoder.encode(checked)
    except (TypeError, ValueError, UnicodeEncodeError, OverflowError) as error:
        raise InvalidInput(
            f"not JSON: {error}", field="metadata", expected="strings, numbers, booleans, null, lists and objects"
        ) from None
    if len(out) > MAX_BYTES:
        raise _too_large(len(out))
    return out


def _too_large(size: int) -> InvalidInput:
    expected = f"at most {MAX_BYTES:,} bytes of JSON"
    return InvalidInput("the metadata is too large", field="metadata", expected=expected, received=f"{size:,} bytes")


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise InvalidInput("a key is not a string", field=where, expected="string keys", received=key)
    return key


def _value(value: Any, where: str, depth: int) -> Any:
    """The value if JSON can say it, numpy scalars as Python's; raises InvalidInput with its place."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(
                "JSON has no NaN or infinity; leave it out", field=where, expected="a finite number", received=value
            )
        return value
    if depth > MAX_DEPTH:
        raise InvalidInput("nested too deeply", field=where.split(".")[0], expected=f"at most {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_key(k, where): _value(v, f"{where}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, (str, int)):
        return value
    raise InvalidInput(
        "not a JSON value", field=where, expected="string, number, boolean, null, list or object", received=kind.__name__
    )


def decode(data: bytes) -> dict[str, Any]:
    """The metadata of `encode`."""
    found: dict[str, Any] = _decoder.decode(data)
    return found


def as_table_or_dicts(values: Any, n: int) -> tuple[pa.Table | None, Sequence[Mapping[str, Any]] | None]:
    """What `load` takes as metadata: a table or dict of columns (first), a list of dicts (second), or neither."""
    if values is None:
        return None, None
    if isinstance(values, pa.RecordBatch):
        values = pa.Table.from_batches([values])
    if isinstance(values, Mapping):
        values = _table(values)
    if not isinstance(values, (pa.Table, Sequence)) or isinstance(values, (str, bytes)):
        raise InvalidInput(
            "not metadata",
            field="metadata",
            expected="a table, a dict of columns or a list of dicts",
            received=type(values).__name__,
        )
    count = len(values)
    if count != n:
        raise InvalidInput("not one row of metadata for each id", field="metadata", expected=f"{n} rows", received=count)
    if isinstance(values, pa.Table):
        names = values.column_names
        if len(set(names)) != len(names):
            raise InvalidInput("a column occurs twice", field="metadata", expected="distinct names", received=names)
        return values, None
    return None, values


def _table(columns: Mapping[str, Any]) -> pa.Table:
    try:
        return pa.table({_key(k, "metadata"): v for k, v in columns.items()})
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise InvalidInput(
            f"not columns: {error}", field="metadata", expected="equally long columns of one type each"
        ) from None


def encode_table(table: pa.Table) -> pa.Array:
    """JSON objects of a table's rows (large_binary, n), nulls left out; flat columns without touching rows one by one.

    Raises:
        InvalidInput: NaN or an infinity, values JSON cannot say, or a row of more than 1 MiB.
    """
    if not table.num_columns:
        return pa.array([b"{}"] * len(table), pa.large_binary())
    table = tables.flat(table)
    pieces = [_pieces(name, table.column(name)) for name in table.column_names]
    whole = _join(_text("{"), *pieces, _text("}"))
    out = pc.replace_substring(whole, "{,", "{", max_replacements=1).cast(pa.large_binary())
    longest = pc.max(pc.binary_length(out)).as_py()
    if longest is not None and longest > MAX_BYTES:
        raise _too_large(longest)
    return out


def _join(*parts: Any) -> pa.Array:
    """The parts of each row, one after the other; null where any is."""
    empty = pa.scalar("" if parts[-1].type == pa.large_string() else b"", parts[-1].type)
    return pc.binary_join_element_wise(*parts, empty)


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _pieces(name: str, column: pa.ChunkedArray) -> pa.Array:
    """`,"name":value` for each row, empty where null."""
    values = tables.whole(column)
    if tables.is_flat(values.type):
        text = _json(f"metadata.{name}", values)
    else:
        plain = [_value(v, f"metadata.{name}", 1) for v in tables.values(name, values)]
        text = pa.array([None if v is None else _encoder.encode(v).decode() for v in plain], pa.large_string())
    return pc.fill_null(_join(_text("," + _encoder.encode(name).decode() + ":"), text), "")


def _json(where: str, values: pa.Array) -> pa.Array:
    """The JSON of each value of a flat column (large_string), null where null."""
    kind = values.type
    if pa.types.is_null(kind):
        return values.cast(pa.large_string())
    if pa.types.is_large_list(kind):
        return pc.if_else(values.is_valid(), _lists(where, values), pa.scalar(None, pa.large_string()))
    if pa.types.is_floating(kind):
        if not pc.all(pc.is_finite(values), min_count=0).as_py():
            raise InvalidInput("JSON has no NaN or infinity; use null", field=where, expected="finite numbers")
        text = values.cast(pa.large_string())
        whole = pc.invert(pc.match_substring_regex(text, "[.eEn]"))
        return pc.if_else(whole, _join(text, _text(".0")), text)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return values.cast(pa.large_string())
    return _quoted(values)


def _lists(where: str, values: pa.LargeListArray) -> pa.Array:
    """The JSON of each list; of a null, that of an empty one."""
    inner = pa.concat_arrays([_join(_text(","), pc.fill_null(_json(where, values.values), "null"))])
    if not len(inner):
        return pa.array(["[]"] * len(values), pa.large_string())
    ends = np.frombuffer(inner.buffers()[1], np.int64)[: len(inner) + 1][values.offsets.to_numpy()]
    joined = pa.LargeStringArray.from_buffers(len(values), pa.py_buffer(ends), inner.buffers()[2])
    return pc.replace_substring(_join(_text("["), joined, _text("]")), "[,", "[", max_replacements=1)


def _quoted(values: pa.Array) -> pa.Array:
    """JSON strings; only a column that holds quotes, backslashes or control characters is escaped."""
    if pc.any(pc.match_substring_regex(values, r'["\\\x00-\x1f]'), min_count=0).as_py():
        return pa.array([None if v is None else _encoder.encode(v).decode() for v in values.to_pylist()], pa.large_string())
    return _join(_text('"'), values, _text('"'))
