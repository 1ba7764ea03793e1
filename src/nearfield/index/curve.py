"""What was measured of an index, and the choice it allows: the cheapest setting whose lower bound keeps a promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nearfield.index.base import Effort

GIVEN = "real queries"
"""Recorded or given ones, as against rows held out."""


ENOUGH = 0.9985
"""Recall above which an index promises nothing, whatever was measured: some hundred queries cannot tell; searches are exact."""
_EARLIER = {"given queries": GIVEN}


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        k: how many hits.
        effort: the setting.
        recall: the mean recall@k.
        bound: its one-sided 95 % lower bound.
        queries: over how many queries.
        source: which queries: "held-out rows" or "real queries".
        share: of rows that were allowed, in (0, 1]; 1 without a filter.
        seconds: the median of single queries without a filter, where the index was built.
    """

    k: int
    effort: Effort
    recall: float
    bound: float
    queries: int
    source: str
    share: float = 1.0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Curve:
    """All measurements of one index."""

    points: tuple[Point, ...]

    def effort_for(self, recall: float, k: int, share: float = 1.0) -> Point | None:
        """The cheapest setting whose lower bound reaches `recall` at `k` hits among a `share` of rows; None: none does.

        Real queries decide where there are any: they are what users ask.
        """
        if recall > ENOUGH:
            return None
        source = GIVEN if any(p.source == GIVEN for p in self.points) else None
        fitting = [p for p in self.points if p.k >= k and (source is None or p.source == source)]
        fitting = [p for p in fitting if p.share <= 1.02 * share]
        if not fitting:
            return None
        at = min(p.k for p in fitting)
        nearest = max(p.share for p in fitting if p.k == at)
        good = [p for p in fitting if p.k == at and p.share == nearest and p.bound >= recall]
        return min(good, key=lambda p: p.seconds, default=None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"points": [_to_dict(p) for p in self.points]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Curve:
        """The curve of `to_dict`; real queries were called "given queries" once."""
        points = []
        for p in value["points"]:
            source = _EARLIER.get(p["source"], p["source"])
            points.append(Point(**{**p, "effort": Effort(**p["effort"]), "source": source}))
        return cls(tuple(points))


def _to_dict(point: Point) -> dict[str, Any]:
    return {
        "k": point.k,
        "effort": point.effort.to_dict(),
        "recall": point.recall,
        "bound": point.bound,
        "queries": point.queries,
        "source": point.source,
        "share": point.share,
        "seconds": point.seconds,
    }


def frontier(points: Sequence[Point]) -> list[Point]:
    """For each source, k and share the points that none beats in both seconds and bound, cheapest first."""
    out: list[Point] = []
    for key in sorted({(p.source, p.k, -p.share) for p in points}):
        best = -1.0
        for point in sorted((p for p in points if (p.source, p.k, -p.share) == key), key=lambda p: (p.seconds, -p.bound)):
            if point.bound > best:
                out.append(point)
                best = point.bound
    return out
