"""Measured recall: how good an index is at each effort, and the least effort that keeps a promise.

Recall@k of a query is the share of its true k best whose place an answer fills with something as near: compared by score, so
that equal scores do not count against an index. Bounds are one-sided 95 % bounds of the mean over queries by bootstrap
(Efron & Tibshirani 1993, section 13): queries are what varies, not single hits. No constant here is fitted to a data set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Scores, Vectors, scores
from nearfield.index import exact
from nearfield.index.base import Effort, Index, Kind

KS = (1, 10, 100, 1000)
"""The numbers of hits that are measured; a search for k uses the next larger."""
RESAMPLES = 1000
ENOUGH = 0.9985
"""A lower bound that ends the measuring of a k; promises above it are kept by exact search."""
SLOW = 0.25
"""Seconds that one effort may take over all queries; beyond, a quarter of them measures the efforts that remain."""
HELD_OUT = "held-out rows"
GIVEN = "given queries"


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: at `effort`, for `k` hits, the mean recall and its lower bound over `queries` queries."""

    k: int
    effort: Effort
    recall: float
    bound: float
    queries: int
    source: str


@dataclass(frozen=True, slots=True)
class Curve:
    """All measurements of one index, for each k in order of rising effort."""

    points: tuple[Point, ...]

    def effort_for(self, recall: float, k: int) -> Point | None:
        """The least effort whose lower bound reaches `recall` at `k` hits; None: no measured effort does.

        Given queries decide where there are any: they are what users ask.
        """
        measured = sorted({p.k for p in self.points})
        at = next((m for m in measured if m >= k), None)
        if at is None:
            return None
        sources = {p.source for p in self.points}
        source = GIVEN if GIVEN in sources else HELD_OUT
        for point in self.points:
            if point.k == at and point.source == source and point.bound >= recall:
                return point
        return None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"points": [{**asdict(p), "effort": p.effort.to_dict()} for p in self.points]}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Curve:
        """The curve of `to_dict`."""
        return cls(tuple(Point(**{**p, "effort": Effort(**p["effort"])}) for p in value["points"]))


def held_out(n: int) -> int:
    """How many rows are held out of an index of n: about 1,000, at most 2 %."""
    return max(1, min(1000, n // 50))


def measure(
    index: Index,
    kind: Kind,
    base: Vectors,
    queries: Vectors,
    metric: Metric,
    source: str,
    seed: int,
    progress: Callable[[float], None],
) -> list[Point]:
    """Searches `queries` exactly and at every effort, and compares.

    Args:
        index: holds exactly `base`, position i being row i.
        kind: names the efforts.
        base: prepared float32 (n, dim).
        queries: prepared float32 (m, dim), none of them in `base`.
        metric: which comparison.
        source: what the queries are.
        seed: of the bootstrap.
        progress: called with the share done.

    Returns:
        Points for every k <= n, by rising effort, up to the first effort that is good enough for all.
    """
    n = len(base)
    ks = [k for k in KS if k <= n] or [n]
    few = np.ascontiguousarray(queries[::4])
    rng = np.random.default_rng(seed)
    truth = _truth(queries, few, base, ks, metric)
    open_ks = list(ks)
    points: list[Point] = []
    efforts = list(kind.efforts(n))
    some, sample = queries, len(queries)
    for number, effort in enumerate(efforts):
        reach = [k for k in open_ks if not effort.efSearch or effort.efSearch >= k or number == len(efforts) - 1]
        started = time.perf_counter()
        for group, many in ((some, [k for k in reach if k <= 100]), (few, [k for k in reach if k > 100])):
            if not many:
                continue
            _, found = index.search(group, max(many), effort, None)
            for k in many:
                least = truth[k] if len(truth[k]) == len(group) else truth[k][::4]
                hit = _recalls(group, base, found[:, :k], least, metric)
                bound = lower_bound(hit, rng)
                points.append(Point(k, effort, round(float(hit.mean()), 6), round(bound, 6), len(group), source))
                if bound >= ENOUGH:
                    open_ks.remove(k)
        progress((number + 1) / len(efforts))
        if not open_ks:
            break
        if sample > len(few) and time.perf_counter() - started > SLOW:
            some, sample = few, len(few)
    return points


def _truth(queries: Vectors, few: Vectors, base: Vectors, ks: list[int], metric: Metric) -> dict[int, Scores]:
    """For each k the true k-th best score of each query; beyond 100 hits of the few queries only."""
    out: dict[int, Scores] = {}
    for group, many in ((queries, [k for k in ks if k <= 100]), (few, [k for k in ks if k > 100])):
        if many:
            values, _ = exact.search(group, base, max(many), metric)
            out |= {k: np.ascontiguousarray(values[:, k - 1]) for k in many}
    return out


def _recalls(
    queries: Vectors, base: Vectors, found: npt.NDArray[np.int64], least: Scores, metric: Metric
) -> npt.NDArray[np.float64]:
    """For each query the share of its k answers that are at least as near as the true k-th."""
    k = found.shape[1]
    out = np.zeros(len(queries))
    for i, query in enumerate(queries):
        positions = found[i][found[i] >= 0]
        tolerance = 1e-6 * max(1.0, abs(float(least[i])))
        out[i] = np.count_nonzero(scores(query, base[positions], metric) >= least[i] - tolerance) / k
    return out


def lower_bound(values: npt.NDArray[np.float64], rng: np.random.Generator, resamples: int = RESAMPLES) -> float:
    """One-sided 95 % lower bound of the mean of per-query recalls, by bootstrap; never above the mean."""
    m = len(values)
    if m == 0:
        return 0.0
    counts = rng.multinomial(m, np.full(m, 1 / m), size=resamples)
    means = np.sort(counts @ values / m)
    return float(min(values.mean(), means[int(0.05 * resamples)]))
