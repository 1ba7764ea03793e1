"""Evaluates a filter leaf on a column, all entries at once; held equal to core.matching, the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from nearfield.core.filters import Compare, Contains, Exists, In, instant
from nearfield.core.matching import holds
from nearfield.store.column import BOOL, FLOAT, INT, MISSING, NULL, STRING, Column

Mask = npt.NDArray[np.bool_]
_COMPARE = {"eq": np.equal, "gt": np.greater, "gte": np.greater_equal, "lt": np.less, "lte": np.less_equal}
# RFC 3339 as Arrow reads it, within the years that nanoseconds in 64 bits can say.
_PLAIN_INSTANT = (
    r"^(16[89][0-9]|1[7-9][0-9][0-9]|2[01][0-9][0-9]|22[0-5][0-9])-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_WORDS = {"eq": pc.equal, "gt": pc.greater, "gte": pc.greater_equal, "lt": pc.less, "lte": pc.less_equal}


def mask(column: Column, leaf: Compare | In | Contains | Exists) -> Mask:
    """Bool (n,): which entries satisfy a leaf."""
    if isinstance(leaf, Exists):
        return np.asarray(column.kinds != MISSING)
    out = _inside_strings(column, leaf) if isinstance(leaf, Contains) else _scalars(column, leaf)
    if column.child is not None and column.starts is not None:
        inner: Compare | In = Compare(leaf.path, "eq", leaf.value) if isinstance(leaf, Contains) else leaf
        out |= _any(_scalars(column.child, inner), column.starts)
    return out


def _any(elements: Mask, starts: npt.NDArray[np.int64]) -> Mask:
    """For each list whether any element is true."""
    counted = np.concatenate([[0], np.cumsum(elements)])
    return np.asarray(counted[starts[1:]] > counted[starts[:-1]])


def _scalars(column: Column, leaf: Compare | In) -> Mask:
    out = np.zeros(len(column), np.bool_)
    if isinstance(leaf, In):
        _in(column, leaf, out)
    elif leaf.instant:
        _strings(column, _instants(column, leaf), out)
    else:
        _compare(column, leaf, out)
    if column.odd_at is not None and column.odd is not None:
        if "odd" not in column.memo:
            column.memo["odd"] = [msgspec.json.decode(v) for v in column.odd.to_pylist()]
        values = column.memo["odd"]
        out[column.odd_at] = [holds(leaf, v) for v in values]
    return out


def _compare(column: Column, leaf: Compare, out: Mask) -> None:
    value = leaf.value
    if value is None:
        out |= column.kinds == NULL
    elif isinstance(value, bool):
        if column.ints is not None:
            out |= _of_kind(column, BOOL, column.ints == int(value))
    elif isinstance(value, str):
        if column.words is not None:
            _strings(column, _to_numpy(_WORDS[leaf.op](column.words, pa.scalar(value, pa.large_string()))), out)
    else:
        if column.ints is not None:
            out |= _of_kind(column, INT, _compare_ints(column.ints, leaf.op, value))
        if column.floats is not None:
            out |= _of_kind(column, FLOAT, _compare_floats(column.floats, leaf.op, value))


def _of_kind(column: Column, kind: int, found: Mask) -> Mask:
    """What was found among the entries of a kind; where all are of it, that is remembered and they are not looked at again."""
    if "kind" not in column.memo:
        first = int(column.kinds[0]) if len(column) else kind
        column.memo["kind"] = first if bool((column.kinds == first).all()) else None
    return found if column.memo["kind"] == kind else (column.kinds == kind) & found


def _compare_ints(ints: npt.NDArray[np.int64], op: str, value: float) -> Mask:
    """int64 against any number, exactly: a bound that is no int64 is moved to the nearest that decides the same."""
    if isinstance(value, float):
        if math.isinf(value):
            value = 1 << 64 if value > 0 else -(1 << 64)
        elif value != math.floor(value):
            if op == "eq":
                return np.zeros(len(ints), np.bool_)
            value = math.ceil(value) if op in ("gte", "lt") else math.floor(value)
        else:
            value = int(value)
    if -(1 << 63) <= value < 1 << 63:
        return np.asarray(_COMPARE[op](ints, np.int64(value)))
    above = value > 0
    return np.full(len(ints), op in (("lt", "lte") if above else ("gt", "gte")))


def _compare_floats(floats: npt.NDArray[np.float64], op: str, value: float) -> Mask:
    """float64 against any number, exactly: an integer that is no float64 is moved to a neighbour that decides the same."""
    if isinstance(value, int):
        try:
            near = float(value)
        except OverflowError:
            return np.full(len(floats), op in (("lt", "lte") if value > 0 else ("gt", "gte")))
        if math.isinf(near) or int(near) != value:
            if op == "eq":
                return np.zeros(len(floats), np.bool_)
            too_low = not math.isinf(near) and int(near) < value
            op = (
                {"gt": "gt", "gte": "gt", "lt": "lte", "lte": "lte"}[op]
                if too_low
                else {"gt": "gte", "gte": "gte", "lt": "lt", "lte": "lt"}[op]
            )
        value = near
    return np.asarray(_COMPARE[op](floats, np.float64(value)))


def _strings(column: Column, by_word: Mask | None, out: Mask) -> None:
    """Adds the string entries whose word is true."""
    if by_word is not None and column.codes is not None and len(by_word):
        out |= _of_kind(column, STRING, by_word[column.codes])


def _instants(column: Column, leaf: Compare | In) -> Mask | None:
    """Which words are instants that satisfy a leaf; None if there are no words."""
    if column.words is None:
        return None
    if "instants" not in column.memo:
        column.memo["instants"] = _parsed(column.words)
    values, valid, others = column.memo["instants"]
    if isinstance(leaf, Compare):
        out = valid & _compare_ints(values, leaf.op, int(leaf.value or 0))
    else:
        out = valid & _among_ints(values, [v for v in leaf.values if v is not None])
    for at, value in others.items():
        out[at] = holds(leaf, value)
    return np.asarray(out)


def _parsed(words: pa.LargeStringArray) -> tuple[npt.NDArray[np.int64], Mask, dict[int, str]]:
    """Nanoseconds of each word, which of those are meant, and the rare words that only the reference reads, by place."""
    plain = _to_numpy(pc.match_substring_regex(words, _PLAIN_INSTANT))
    values = np.zeros(len(words), np.int64)
    try:
        parsed = words.filter(pa.array(plain)).cast(pa.timestamp("ns", "UTC"))
        values[plain] = parsed.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        plain = np.zeros(len(words), np.bool_)
    places = np.flatnonzero(~plain)
    read = words.take(pa.array(places)).to_pylist()
    others = {at: word for at, word in zip(places.tolist(), read, strict=True) if instant(word) is not None}
    return values, plain, others


def _in(column: Column, leaf: In, out: Mask) -> None:
    values = leaf.values
    if any(v is None for v in values):
        out |= column.kinds == NULL
    if leaf.instant:
        _strings(column, _instants(column, leaf), out)
        return
    words = [v for v in values if isinstance(v, str)]
    if words and column.words is not None:
        _strings(column, _to_numpy(pc.is_in(column.words, pa.array(words, pa.large_string()))), out)
    for flag in {v for v in values if isinstance(v, bool)}:
        _compare(column, Compare(leaf.path, "eq", flag), out)
    numbers = {v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)}
    if not numbers:
        return
    if column.ints is not None:
        out |= _of_kind(column, INT, _among_ints(column.ints, numbers))
    if column.floats is not None:
        exact = [float(v) for v in numbers if _is_float(v)]
        out |= _of_kind(column, FLOAT, np.isin(column.floats, np.array(exact, np.float64)))


def _among_ints(ints: npt.NDArray[np.int64], numbers: Iterable[Any]) -> Mask:
    """int64 in a set of any numbers, exactly."""
    whole = [int(v) for v in numbers if -(1 << 63) <= v < 1 << 63 and v == int(v)]
    return np.isin(ints, np.array(whole, np.int64))


def _is_float(value: Any) -> bool:
    try:
        return bool(float(value) == value)
    except OverflowError:
        return False


def _inside_strings(column: Column, leaf: Contains) -> Mask:
    out = np.zeros(len(column), np.bool_)
    if isinstance(leaf.value, str) and column.words is not None:
        _strings(column, _to_numpy(pc.match_substring(column.words, leaf.value)), out)
    return out


def _to_numpy(values: Any) -> Mask:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.bool_)
