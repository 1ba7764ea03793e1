"""Whether one document matches a filter: the reference that every other evaluator is held to."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from nearfield.core.filters import And, Compare, Contains, Exists, Filter, In, Not, Or, Path, instant, kind

_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_MISSING = object()


def matches(condition: Filter, metadata: Mapping[str, Any]) -> bool:
    """Whether `metadata` (JSON values) satisfies `condition`, as docs/FILTERS.md says."""
    if isinstance(condition, And):
        return all(matches(part, metadata) for part in condition.parts)
    if isinstance(condition, Or):
        return any(matches(part, metadata) for part in condition.parts)
    if isinstance(condition, Not):
        return not matches(condition.part, metadata)
    value = lookup(metadata, condition.path)
    if isinstance(condition, Exists):
        return value is not _MISSING
    if value is _MISSING:
        return False
    return holds(condition, value)


def holds(condition: Compare | In | Contains, value: Any) -> bool:
    """Whether a value that is there satisfies a leaf; a list does if any of its elements does."""
    if isinstance(condition, Contains):
        if isinstance(value, list):
            return any(_equal(element, condition.value) for element in value)
        return isinstance(value, str) and isinstance(condition.value, str) and condition.value in value
    if isinstance(value, list):
        return any(not isinstance(element, list) and holds(condition, element) for element in value)
    if isinstance(condition, In):
        if condition.instant:
            return (("null", None) if value is None else ("number", _instant(value))) in condition.typed
        return kind(value) != "other" and (kind(value), value) in condition.typed
    if condition.instant:
        found = _instant(value)
        return found is not None and _OPS[condition.op](found, condition.value)
    return kind(value) == kind(condition.value) and _OPS[condition.op](value, condition.value)


def _instant(value: Any) -> int | None:
    return instant(value) if isinstance(value, str) else None


def lookup(metadata: Mapping[str, Any], path: Path) -> Any:
    """The value at a path, or a marker for missing; only objects are descended into."""
    value: Any = metadata
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _equal(value: Any, wanted: Any) -> bool:
    return kind(value) == kind(wanted) and bool(value == wanted)
