"""Filters: Mongo operators in, frozen dataclasses out. Parsed once; docs/FILTERS.md is normative.

Knows nothing of how they are evaluated: `matching` does it for one document, `store.column_masks` for columns.
"""

from __future__ import annotations

import datetime
import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from nearfield.core.errors import FilterError

MAX_DEPTH = 32
MAX_VALUES = 100_000
Path = tuple[str, ...]
Scalar = None | bool | int | float | str


def kind(value: Any) -> str:
    """The types that compare with each other: null, bool, number, string; all else is "other". Bool is not a number."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "other"


@dataclass(frozen=True, slots=True)
class Compare:
    """`path` op `value`, op one of eq, gt, gte, lt, lte. `instant`: both sides are RFC 3339 instants (value: ns)."""

    path: Path
    op: str
    value: Scalar
    instant: bool = False


@dataclass(frozen=True, slots=True)
class In:
    """`path` equals one of `values`, which its repr names by a digest: they may be many."""

    path: Path
    values: tuple[Scalar, ...] = field(repr=False)
    instant: bool = False
    digest: str = field(init=False, compare=False)
    _typed: frozenset[tuple[str, Scalar]] | None = field(init=False, compare=False, repr=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", hashlib.blake2b(_spelled(self.values), digest_size=16).hexdigest())

    @property
    def typed(self) -> frozenset[tuple[str, Scalar]]:
        """The values as a set, each with its kind, so that True is not 1; made when first asked for."""
        if self._typed is None:
            object.__setattr__(self, "_typed", frozenset((kind(value), value) for value in self.values))
        return self._typed or frozenset()


@dataclass(frozen=True, slots=True)
class Contains:
    """`path` is a list with an element equal to `value`, or a string that has `value` inside, case counting."""

    path: Path
    value: Scalar


@dataclass(frozen=True, slots=True)
class Exists:
    """`path` is there, null included."""

    path: Path


@dataclass(frozen=True, slots=True)
class And:
    """All of `parts`; true if there are none."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of `parts`."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not `part`."""

    part: Filter


Filter = Compare | In | Contains | Exists | And | Or | Not

OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$contains", "$exists", "$not")
LOGICAL = ("$and", "$or", "$not")
_ORDER = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}


def parse(value: Any, fields: Mapping[str, str] | None = None) -> Filter:
    """Parses a filter.

    Args:
        value: a dict of conditions, all of which must hold; `{}` matches everything.
        fields: declared types; {"day": "timestamp"} compares `day` as an instant.

    Raises:
        FilterError: naming the operator or path, what was expected and what came.
    """
    return _Parser(dict(fields or {})).every(value, 0)


class _Parser:
    """Walks the dicts; holds the declared fields."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def every(self, value: Any, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise FilterError("the filter is nested too deeply", field="filter", expected=f"at most {MAX_DEPTH} levels")
        if not isinstance(value, Mapping):
            raise FilterError("not a filter", field="filter", expected="a dict", received=value)
        parts: list[Filter] = []
        for key, condition in value.items():
            if not isinstance(key, str):
                raise FilterError("a key is not a string", field="filter", received=key)
            if key.startswith("$"):
                parts.append(self._logical(key, condition, depth))
            else:
                parts.append(self._field(key, condition, depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _logical(self, key: str, condition: Any, depth: int) -> Filter:
        if key == "$not":
            return Not(self.every(condition, depth + 1))
        if key not in LOGICAL:
            raise _unknown(key, LOGICAL, "filter")
        if not isinstance(condition, Sequence) or isinstance(condition, str) or not condition:
            raise FilterError("wrong operand", field=key, expected="a list of at least one filter", received=condition)
        parts = tuple(self.every(part, depth + 1) for part in condition)
        return And(parts) if key == "$and" else _either(parts)

    def _field(self, key: str, condition: Any, depth: int) -> Filter:
        path = tuple(_text(key, "filter").split("."))
        if not all(path):
            raise FilterError("a path has an empty part", field=key, expected="names joined by single dots")
        if not isinstance(condition, Mapping):
            return self._equal(key, path, condition)
        if not condition:
            raise FilterError("no operator", field=key, expected="one of " + ", ".join(OPERATORS), received=condition)
        parts = tuple(self._operator(key, path, op, operand, depth) for op, operand in condition.items())
        return parts[0] if len(parts) == 1 else And(parts)

    def _operator(self, key: str, path: Path, op: Any, operand: Any, depth: int) -> Filter:
        if op in ("$eq", "$ne"):
            equal = self._equal(key, path, operand)
            return equal if op == "$eq" else Not(equal)
        if op in _ORDER:
            return self._ordered(key, path, op, operand)
        if op in ("$in", "$nin"):
            found = self._in(key, path, op, operand)
            return found if op == "$in" else Not(found)
        if op == "$contains":
            return Contains(path, _scalar(key, op, operand))
        if op == "$exists":
            if not isinstance(operand, bool):
                raise FilterError("wrong operand", field=f"{key}: $exists", expected="true or false", received=operand)
            return Exists(path) if operand else Not(Exists(path))
        if op == "$not":
            if depth > MAX_DEPTH or not isinstance(operand, Mapping):
                raise FilterError("wrong operand", field=f"{key}: $not", expected="a dict of operators", received=operand)
            return Not(self._field(key, operand, depth + 1))
        raise _unknown(op, OPERATORS, key)

    def _equal(self, key: str, path: Path, operand: Any) -> Filter:
        value = _scalar(key, "$eq", operand)
        if self._instant(key) and value is not None:
            return Compare(path, "eq", _operand_instant(key, value), instant=True)
        return Compare(path, "eq", value)

    def _ordered(self, key: str, path: Path, op: str, operand: Any) -> Filter:
        value = _scalar(key, op, operand)
        if value is None or isinstance(value, bool):
            raise FilterError("wrong operand", field=f"{key}: {op}", expected="a number or a string", received=operand)
        if self._instant(key):
            return Compare(path, _ORDER[op], _operand_instant(key, value), instant=True)
        return Compare(path, _ORDER[op], value)

    def _in(self, key: str, path: Path, op: str, operand: Any) -> Filter:
        if hasattr(operand, "tolist"):
            operand = operand.tolist()
        if not isinstance(operand, (list, tuple, set, frozenset)) or len(operand) > MAX_VALUES:
            raise FilterError(
                "wrong operand", field=f"{key}: {op}", expected=f"a list of at most {MAX_VALUES:,} values", received=operand
            )
        values = _plain(operand) or tuple(_scalar(key, op, value) for value in operand)
        if self._instant(key):
            return In(path, tuple(v if v is None else _operand_instant(key, v) for v in values), instant=True)
        return In(path, values)

    def _instant(self, key: str) -> bool:
        return self._fields.get(key) == "timestamp"


def _either(parts: tuple[Filter, ...]) -> Or:
    """An Or of `parts`; what compares one path with several values is one In, which is evaluated once."""
    equal: dict[tuple[Path, bool], list[Scalar]] = {}
    for part in parts:
        if isinstance(part, Compare) and part.op == "eq":
            equal.setdefault((part.path, part.instant), []).append(part.value)
    several = {where: tuple(values) for where, values in equal.items() if len(values) > 1}
    others = [p for p in parts if not (isinstance(p, Compare) and p.op == "eq" and (p.path, p.instant) in several)]
    return Or((*others, *(In(path, values, instant) for (path, instant), values in several.items())))


def _unknown(op: Any, known: Sequence[str], field: str) -> FilterError:
    near = difflib.get_close_matches(str(op), known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return FilterError(f"unknown operator{hint}", field=field, expected="one of " + ", ".join(known), received=op)


def _scalar(key: str, op: str, value: Any) -> Scalar:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value != value:
        raise FilterError("NaN compares with nothing", field=f"{key}: {op}", expected="a number", received="nan")
    if isinstance(value, str):
        return _text(value, f"{key}: {op}")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise FilterError("wrong operand", field=f"{key}: {op}", expected="a string, number, true, false or null", received=value)


def _spelled(values: tuple[Scalar, ...]) -> bytes:
    """Bytes that differ where values or their types do."""
    try:
        return msgspec.msgpack.encode(values)
    except OverflowError:
        return repr(values).encode()


def _plain(values: Sequence[Any] | set[Any] | frozenset[Any]) -> tuple[Scalar, ...] | None:
    """The values if all are valid strings, or all are int or bool or null: seen at once; None: look at each."""
    types = set(map(type, values))
    if types == {str}:
        try:
            "".join(values).encode()
        except UnicodeEncodeError:
            return None
        return tuple(values)
    return tuple(values) if types <= {int, bool, type(None)} else None


def _text(value: str, where: str) -> str:
    """The string, if it is one that UTF-8 can say (no lone surrogates)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FilterError("not text", field=ascii(where), expected="valid Unicode", received=ascii(value)) from None
    return value


_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)


def instant(text: str) -> int | None:
    """Nanoseconds since 1970 UTC of an RFC 3339 timestamp (https://www.rfc-editor.org/rfc/rfc3339), or None."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        moment = datetime.datetime(year, month, day, hour, minute, min(second, 59), tzinfo=datetime.UTC)
    except ValueError:
        return None
    if second > 60 or (found[10] and (int(found[10]) > 23 or int(found[11]) > 59)):
        return None
    days = moment.toordinal() - 719_163
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second
    if found[9]:
        seconds -= (1 if found[9] == "+" else -1) * (int(found[10]) * 3600 + int(found[11]) * 60)
    return seconds * 1_000_000_000 + int((found[7] or "").ljust(9, "0"))


def _operand_instant(key: str, value: Any) -> int:
    found = instant(value) if isinstance(value, str) else None
    if found is None:
        raise FilterError(
            "this field is declared a timestamp", field=key, expected="RFC 3339, such as 2026-01-31T09:30:00Z", received=value
        )
    return found
