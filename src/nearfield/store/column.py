"""One metadata path of many documents, split by type: what a filter is evaluated on. Knows no filter.

Entry i has a kind and, by kind, a value: ints and bools in `ints`, floats in `floats`, strings as codes into a dictionary,
lists as a stretch of a child column. An integer beyond 64 bits is kept aside as JSON ("odd"). A path that few documents have
holds entries for those alone (`at`), so that a million rare paths cost what they hold. All arrays are plain, so that a file
of them can be memory-mapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

MISSING, NULL, BOOL, INT, FLOAT, STRING, LIST, OBJECT, ODD = range(9)
SPARSE = 16
"""A column keeps entries only for the documents that have its path if at most one in so many does."""
Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """n entries of one path; an array that no entry needs is None.

    Attributes:
        at: int64 (n,), ascending: the document of each entry; None where entry i is document i.
        kinds: uint8 (n,).
        ints: int64 (n,): integers, and bools as 0 and 1.
        floats: float64 (n,).
        codes: int32 (n,): positions in `words`.
        words: the distinct strings, as an Arrow large_string array.
        starts: int64 (n + 1,): entry i's elements are starts[i] to starts[i + 1] of `child`.
        child: the elements of all lists.
        odd_at: int64 (m,), ascending: the entries kept aside.
        odd: their values as JSON, an Arrow large_string array.
        memo: what evaluation works out once and keeps, such as the instants of `words`.
    """

    kinds: Array
    ints: Array | None = None
    floats: Array | None = None
    codes: Array | None = None
    words: pa.LargeStringArray | None = None
    starts: Array | None = None
    child: Column | None = None
    odd_at: Array | None = None
    odd: pa.LargeStringArray | None = None
    at: Array | None = None
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.kinds)


def kind_of(value: Any) -> int:
    """The kind of a JSON value."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT if -(1 << 63) <= value < 1 << 63 else ODD
    if isinstance(value, float):
        return FLOAT
    if isinstance(value, str):
        return STRING
    return LIST if isinstance(value, (list, tuple)) else OBJECT


def build(n: int, at: Sequence[int], values: Sequence[Any]) -> Column:
    """A column of `n` documents of which those `at` (ascending) hold `values`; the others are missing."""
    where = np.asarray(at, dtype=np.int64)
    if len(at) * SPARSE < n:
        return replace(build(len(at), range(len(at)), values), at=where)
    found = np.fromiter((kind_of(v) for v in values), np.uint8, len(values))
    kinds = np.zeros(n, np.uint8)
    kinds[where] = found
    present = set(found.tolist())

    def chosen(*wanted: int) -> tuple[Array, list[Any]]:
        if present.isdisjoint(wanted):
            return where[:0], []
        if present.issubset(wanted):
            return where, list(values)
        mask = np.isin(found, wanted)
        return where[mask], [v for v, keep in zip(values, mask.tolist(), strict=True) if keep]

    ints = floats = codes = words = starts = child = odd_at = odd = None
    place, some = chosen(INT, BOOL)
    if some:
        ints = np.zeros(n, np.int64)
        ints[place] = np.array(some, dtype=np.int64)
    place, some = chosen(FLOAT)
    if some:
        floats = np.zeros(n, np.float64)
        floats[place] = some
    place, some = chosen(STRING)
    if some:
        encoded = pa.array(some, pa.large_string()).dictionary_encode()
        codes = np.zeros(n, np.int32)
        codes[place] = encoded.indices.to_numpy()
        words = encoded.dictionary
    place, some = chosen(LIST)
    if some:
        lengths = np.zeros(n, np.int64)
        lengths[place] = [len(v) for v in some]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        elements = [e for v in some for e in v]
        child = build(len(elements), range(len(elements)), [[] if isinstance(e, list) else e for e in elements])
    place, some = chosen(ODD)
    if some:
        odd_at, odd = place, pa.array([msgspec.json.encode(v).decode() for v in some], pa.large_string())
    return Column(kinds, ints, floats, codes, words, starts, child, odd_at, odd)


def from_arrow(values: pa.Array) -> Column:
    """A column of a flat Arrow array (see tables.is_flat), nulls missing, without touching entries one by one."""
    n = len(values)
    valid = np.asarray(values.is_valid().to_numpy(zero_copy_only=False))
    if pa.types.is_null(values.type):
        return Column(np.zeros(n, np.uint8))
    if pa.types.is_large_list(values.type):
        child = from_arrow(values.values)
        child = replace(child, kinds=np.where(child.kinds == MISSING, NULL, child.kinds).astype(np.uint8))
        return Column(np.where(valid, LIST, MISSING).astype(np.uint8), starts=values.offsets.to_numpy(), child=child)
    if pa.types.is_boolean(values.type):
        ints = values.fill_null(False).cast(pa.int8()).to_numpy(zero_copy_only=False).astype(np.int64)
        return Column(np.where(valid, BOOL, MISSING).astype(np.uint8), ints=ints)
    if pa.types.is_integer(values.type):
        ints = values.fill_null(0).to_numpy(zero_copy_only=False)
        return Column(np.where(valid, INT, MISSING).astype(np.uint8), ints=ints)
    if pa.types.is_floating(values.type):
        floats = values.fill_null(0.0).to_numpy(zero_copy_only=False)
        return Column(np.where(valid, FLOAT, MISSING).astype(np.uint8), floats=floats)
    encoded = values.dictionary_encode()
    codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
    return Column(np.where(valid, STRING, MISSING).astype(np.uint8), codes=codes, words=encoded.dictionary)


def gather(parts: Sequence[tuple[Column | None, Array]]) -> Column | None:
    """The documents at the positions of each part, one part after the other; None if no document has the path.

    A part without a column has the path nowhere.
    """
    pieces, rows, total = [], [], 0
    for column, positions in parts:
        if column is not None and column.at is None:
            pieces.append(_take(column, positions))
            rows.append(np.arange(total, total + len(positions)))
        elif column is not None and len(column):
            entries, hit = _find(column.at, positions)
            pieces.append(_take(column, entries))
            rows.append(hit + total)
        total += len(positions)
    if not pieces:
        return None
    whole, at = _concatenate(pieces), np.concatenate(rows).astype(np.int64)
    there = np.flatnonzero(whole.kinds)
    if not len(there):
        return None
    if len(there) * SPARSE < total:
        return replace(_concatenate([_take(whole, there)]), at=at[there])
    return whole if len(whole) == total else _spread(whole, at, total)


def _find(sorted_values: Any, wanted: Array) -> tuple[Array, Array]:
    """Where `wanted` occurs in ascending values: (its places there, the places in `wanted` that occur)."""
    found = np.minimum(np.searchsorted(sorted_values, wanted), len(sorted_values) - 1)
    hit = np.flatnonzero(sorted_values[found] == wanted)
    return found[hit], hit


def _spread(column: Column, at: Array, n: int) -> Column:
    """A column of `n` entries, those `at` being the given ones and the others missing."""

    def spread(values: Array) -> Array:
        out = np.zeros(n, values.dtype)
        out[at] = values
        return out

    starts = None
    if column.starts is not None:
        starts = np.concatenate([[0], np.cumsum(spread(np.diff(column.starts)))]).astype(np.int64)
    odd_at = None if column.odd_at is None else at[column.odd_at]
    return Column(
        spread(column.kinds),
        None if column.ints is None else spread(column.ints),
        None if column.floats is None else spread(column.floats),
        None if column.codes is None else spread(column.codes),
        column.words,
        starts,
        column.child,
        odd_at,
        column.odd,
    )


def _take(column: Column, positions: Array) -> Column:
    """The entries at `positions`, in that order."""
    starts = child = odd_at = odd = None
    if column.starts is not None and column.child is not None:
        first = column.starts[:-1][positions]
        lengths = column.starts[1:][positions] - first
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths) + np.repeat(first, lengths)
        child = _take(column.child, inside)
    if column.odd_at is not None and column.odd is not None:
        found, hit = _find(column.odd_at, positions)
        if len(hit):
            odd_at, odd = hit, column.odd.take(pa.array(found))
    return Column(
        column.kinds[positions],
        None if column.ints is None else column.ints[positions],
        None if column.floats is None else column.floats[positions],
        None if column.codes is None else column.codes[positions],
        column.words,
        starts,
        child,
        odd_at,
        odd,
    )


def _concatenate(parts: Sequence[Column]) -> Column:
    """The entries of all parts, one after the other; unused strings are let go."""
    sizes = [len(p) for p in parts]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    kinds = np.concatenate([p.kinds for p in parts])
    ints = _joined([p.ints for p in parts], sizes, np.int64)
    floats = _joined([p.floats for p in parts], sizes, np.float64)
    codes, words = _joined_words(parts, sizes, kinds)
    starts = child = odd_at = odd = None
    if any(p.child is not None for p in parts):
        lengths = [np.zeros(len(p), np.int64) if p.starts is None else np.diff(p.starts) for p in parts]
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        child = _concatenate([p.child for p in parts if p.child is not None])
    kept = [(p, o) for p, o in zip(parts, offsets.tolist(), strict=False) if p.odd_at is not None]
    if kept:
        odd_at = np.concatenate([p.odd_at + o for p, o in kept if p.odd_at is not None])
        odd = pa.concat_arrays([p.odd for p, _ in kept])
    return Column(kinds, ints, floats, codes, words, starts, child, odd_at, odd)


def _joined(arrays: Sequence[Array | None], sizes: Sequence[int], dtype: Any) -> Array | None:
    if all(a is None for a in arrays):
        return None
    return np.concatenate([np.zeros(n, dtype) if a is None else a for a, n in zip(arrays, sizes, strict=True)])


def _joined_words(
    parts: Sequence[Column], sizes: Sequence[int], kinds: Array
) -> tuple[Array | None, pa.LargeStringArray | None]:
    if all(p.words is None for p in parts):
        return None, None
    words, codes, base = [], [], 0
    for part, n in zip(parts, sizes, strict=True):
        if part.words is None or part.codes is None:
            codes.append(np.zeros(n, np.int64))
            continue
        words.append(part.words)
        codes.append(part.codes.astype(np.int64) + base)
        base += len(part.words)
    everything = pa.concat_arrays(words).dictionary_encode()
    canonical = everything.indices.to_numpy()
    joined = canonical[np.concatenate(codes)] if base else np.concatenate(codes)
    strings = kinds == STRING
    used, again = np.unique(joined[strings], return_inverse=True)
    out = np.zeros(len(kinds), np.int32)
    out[strings] = again
    return out, everything.dictionary.take(pa.array(used))
