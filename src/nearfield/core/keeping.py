"""What a caller may ask for: thresholds by metric, and which document of a group stays. Checked here.

Knows nothing of rows or of how groups are found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric

FIRST, NEWEST = "first", "newest"
ORDERS = ("max", "min")


@dataclass(frozen=True, slots=True)
class KeepBy:
    """Keeps the document of a group whose metadata field is greatest or least.

    Numbers come before strings, and strings before documents without either; equal values: the one written first.

    Attributes:
        field: the field's dotted path, as filters name it.
        order: "max" or "min".
    """

    field: str
    order: str = "max"

    def __post_init__(self) -> None:
        if not isinstance(self.field, str) or not self.field:
            raise InvalidInput("not a field", field="keep.field", expected="a field's name", received=self.field)
        inputs.choice(self.order, ORDERS, "keep.order")


Keep = str | Mapping[str, Any] | KeepBy
"""What callers give: "first", "newest", KeepBy(...), or {"field": ..., "order": "max" or "min"}."""


def keep(value: Keep) -> str | KeepBy:
    """Which document stays, checked; raises InvalidInput."""
    if isinstance(value, KeepBy):
        return value
    if isinstance(value, str) and value in (FIRST, NEWEST):
        return value
    if isinstance(value, Mapping) and "field" in value and not set(value) - {"field", "order"}:
        return KeepBy(**value)
    expected = "'first', 'newest', or {'field': NAME, 'order': 'max' or 'min'}"
    raise InvalidInput("not a way to choose which document stays", field="keep", expected=expected, received=value)


def keep_from_text(text: str) -> str | KeepBy:
    """The same from a command line: "first", "newest", "field:NAME" (the greatest) or "field:NAME:min"."""
    if not text.startswith("field:"):
        return keep(text)
    name, colon, order = text.removeprefix("field:").rpartition(":")
    return KeepBy(name, order) if colon and order in ORDERS else KeepBy(text.removeprefix("field:"))


def above(value: Any, metric: Metric, field: str = "above") -> float:
    """A threshold: the least score of two near-duplicates, by the metric's own scale; raises InvalidInput.

    cosine: -1 to 1. ip: any number. l2: at most 0, for a score is minus the squared distance: vectors at most 0.2 apart
    score at least -0.04.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number and not hasattr(value, "__float__"):
        raise InvalidInput("not a threshold", field=field, expected="a number", received=value)
    if isinstance(value, (bool, str)) or not math.isfinite(found := float(value)):
        raise InvalidInput("not a threshold", field=field, expected="a finite number", received=value)
    if metric is Metric.COSINE and not -1 <= found <= 1:
        raise InvalidInput("no cosine is so", field=field, expected="a number from -1 to 1", received=value)
    if metric is Metric.L2 and found > 0:
        expected = "0 or less: minus the squared distance"
        raise InvalidInput("scores under l2 are never above 0", field=field, expected=expected, received=value)
    return found


def recall(value: Any) -> float:
    """The share of pairs to find; 1 means all of them."""
    return inputs.recall(value)
