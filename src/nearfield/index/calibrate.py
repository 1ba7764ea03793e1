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
SLOW = 0.6
"""Seconds that one effort may take over all queries; beyond, each SPARSE-th measures the efforts that remain."""
SPARSE, DEEP = 4, 8
"""Each fourth query measures slow efforts, each eighth more than 100 hits: spread evenly, as near rows are alike."""
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
    truth = {
        k: least for stride in (1, DEEP) for k, least in _truth(queries[::stride], base, _deep(ks, stride), metric).items()
    }
    rng = np.random.default_rng(seed)
    weights: dict[int, npt.NDArray[np.float64]] = {}
    open_ks, points, shallow = list(ks), [], 1
    efforts = list(kind.efforts(n))
    for number, effort in enumerate(efforts):
        reach = [k for k in open_ks if not effort.efSearch or effort.efSearch >= k or number == len(efforts) - 1]
        started = time.perf_counter()
        for stride, many in ((shallow, _deep(reach, 1)), (DEEP, _deep(reach, DEEP))):
            if not many:
                continue
            some = np.ascontiguousarray(queries[::stride])
            m = len(some)
            weights.setdefault(m, resampling(m, rng))
            _, found = index.search(some, max(many), effort, None)
            for k in many:
                least = truth[k][::stride] if len(truth[k]) > m else truth[k]
                hit = _recalls(some, base, found[:, :k], least, metric)
                bound = lower_bound(hit, weights[m])
                points.append(Point(k, effort, round(float(hit.mean()), 6), round(bound, 6), m, source))
                if bound >= ENOUGH:
                    open_ks.remove(k)
        progress((number + 1) / len(efforts))
        if not open_ks:
            break
        if time.perf_counter() - started > SLOW:
            shallow = SPARSE
    return points


def _deep(ks: list[int], stride: int) -> list[int]:
    """Of some numbers of hits those beyond 100 (`stride` DEEP), which fewer queries measure, or the others."""
    return [k for k in ks if (k > 100) == (stride == DEEP)]


def _truth(queries: Vectors, base: Vectors, ks: list[int], metric: Metric) -> dict[int, Scores]:
    """For each k the true k-th best score of each query."""
    if not ks:
        return {}
    values, _ = exact.search(np.ascontiguousarray(queries), base, max(ks), metric)
    return {k: np.ascontiguousarray(values[:, k - 1]) for k in ks}


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


def resampling(m: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Weights (RESAMPLES, m) of bootstrap samples of m queries: each row says how often each was drawn, over m."""
    return rng.multinomial(m, np.full(m, 1 / m), size=RESAMPLES) / m


def lower_bound(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """One-sided 95 % lower bound of the mean of per-query recalls (m,), by bootstrap; never above the mean."""
    means = np.sort(weights @ values)
    return float(min(values.mean(), means[int(0.05 * len(means))]))
