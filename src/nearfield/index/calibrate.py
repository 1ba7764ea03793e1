"""Measured recall: how good an index is at each effort, and the cheapest effort that keeps a promise.

Recall@k of a query is the share of its true k best that an answer holds, candidates scored again from the raw vectors where the
kind does that; what scores as high as the true k-th counts, so that equal scores do not tell against an index. Under a filter
the truth is among the rows allowed; shares of rows are drawn at random and nested. Bounds are one-sided 95 % bounds of the mean
over queries by bootstrap (Efron & Tibshirani 1993, section 13): queries are what varies, not single hits. No constant here is
fitted to a data set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Vectors
from nearfield.index import exact
from nearfield.index.base import Effort, Index, Kind, depth
from nearfield.index.curve import ENOUGH, GIVEN, Point, frontier

KS = (1, 10, 100, 1000)
"""The numbers of hits that are measured; a search for k uses the next larger."""
SHARES = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1)
"""Shares of rows allowed that are measured; a search uses the next smaller."""
RESAMPLES = 1000
ENOUGH_FILTERED = 0.99
"""The lower bound that ends the measuring of a k under a filter; without one ENOUGH does."""
SLOW = 0.3
"""Seconds that one effort may take over all queries; beyond, fewer queries measure the efforts that remain."""
TIMED = 12
"""Queries that are timed alone at each setting."""
HELD_OUT = "held-out rows"


@dataclass(frozen=True, slots=True)
class Group:
    """Numbers of hits that are measured together: by every `stride`-th query, against the true `depth` best of each."""

    ks: tuple[int, ...]
    stride: int
    depth: int
    width: int


GROUPS = (Group((1, 10), 1, 256, 1024), Group((100,), 4, 1024, 4096), Group((1000,), 8, 2048, 8192))
"""Queries are taken evenly spread, as near rows are alike. Candidates are looked at up to `width` of them."""


@dataclass(slots=True)
class Truth:
    """What is true of some queries: their positions (m, depth) by falling score, and the scores."""

    queries: Vectors
    scores: npt.NDArray[np.float32]
    positions: npt.NDArray[np.int64]
    n: int

    def scores_of(self, found: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """The score of each found position (m, width) where it is among the true ones, else -inf."""
        m = len(found)
        keys = (self.positions + (np.arange(m) * self.n)[:, None]).ravel()
        order = np.argsort(keys)
        wanted = (found + (np.arange(m) * self.n)[:, None]).ravel()
        at = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        there = (keys[order[at]] == wanted) & (found.ravel() >= 0)
        return np.where(there, self.scores.ravel()[order[at]], -np.inf).reshape(found.shape).astype(np.float32)

    def least(self, k: int, lot: npt.NDArray[np.float32], share: float) -> npt.NDArray[np.float32]:
        """The score of each query's k-th best among the positions allowed; NaN where `depth` is not deep enough."""
        allowed = lot[self.positions] < share if share < 1 else np.ones(self.positions.shape, np.bool_)
        rank = np.cumsum(allowed, axis=1)
        at = np.argmax(rank >= k, axis=1)
        found = np.where(rank[:, -1] < k, np.nan, self.scores[np.arange(len(at)), at])
        return np.asarray(found, np.float32)


def held_out(n: int) -> int:
    """How many rows are held out of an index of n: about 1,000, at most 2 %."""
    return max(1, min(1000, n // 50))


def measure(
    index: Index,
    kind: Kind,
    x: Vectors,
    inside: npt.NDArray[np.bool_],
    queries: Vectors,
    metric: Metric,
    source: str,
    seed: int,
    progress: Callable[[float], None],
    only: tuple[int, float] | None = None,
) -> list[Point]:
    """Searches `queries` exactly and at every effort, and compares.

    Args:
        index: holds the rows of `x` that are `inside`, by their positions in x.
        kind: names the efforts.
        x: prepared float32 (n, dim), perhaps memory-mapped.
        inside: bool (n,), which rows the index holds.
        queries: prepared float32 (m, dim), none of them inside.
        metric: which comparison.
        source: what the queries are.
        seed: of the bootstrap and of the shares.
        progress: called with the share done.
        only: (k, recall): only searches for k hits without a filter, up to a setting whose lower bound reaches `recall`.

    Returns:
        For every k and share the settings that none beats in both time and bound, cheapest first.
    """
    n = int(inside.sum())
    rng = np.random.default_rng(seed)
    lot = rng.random(len(x), np.float32)
    groups = _groups(n)
    if only is not None:
        group = next((g for g in groups if g.ks[-1] >= only[0]), groups[-1])
        groups = [replace(group, ks=(next((k for k in group.ks if k >= only[0]), group.ks[-1]),))]
    truths = [_truth(queries[:: g.stride], x, min(g.depth, n), metric, inside) for g in groups]
    todo = {(k, share): ENOUGH if share == 1 else ENOUGH_FILTERED for g in groups for k in g.ks for share in SHARES}
    if only is not None:
        todo = {(groups[0].ks[0], 1.0): only[1]}
    points: list[Point] = []
    weights: dict[int, npt.NDArray[np.float32]] = {}
    efforts, sparser = list(kind.efforts(n)), 1
    for number, effort in enumerate(efforts):
        started = time.perf_counter()
        for group, truth in zip(groups, truths, strict=True):
            if not any(k in group.ks for k, _ in todo) or (effort.efSearch and effort.efSearch < min(group.ks)):
                continue
            some = Truth(truth.queries[::sparser], truth.scores[::sparser], truth.positions[::sparser], len(x))
            m = len(some.queries)
            weights.setdefault(m, resampling(m, rng))
            made = _measured(index, kind, some, group, effort, lot, todo, weights[m], source)
            points += _timed(index, some.queries, made)
        for point in points:
            if point.bound >= todo.get((point.k, point.share), 2):
                del todo[point.k, point.share]
        progress((number + 1) / len(efforts))
        if not todo:
            break
        if time.perf_counter() - started > SLOW * (1 if sparser == 1 else 2):
            sparser = min(8, 2 * sparser)
    return frontier(points)


def _groups(n: int) -> list[Group]:
    """The groups that make sense for n rows."""
    found = [replace(g, ks=tuple(k for k in g.ks if k <= n)) for g in GROUPS]
    return [g for g in found if g.ks] or [Group((n,), 1, n, n)]


def _truth(queries: Vectors, x: Vectors, deep: int, metric: Metric, inside: npt.NDArray[np.bool_]) -> Truth:
    queries = np.ascontiguousarray(queries)
    return Truth(queries, *exact.search(queries, x, deep, metric, None if inside.all() else inside), len(x))


def _measured(
    index: Index,
    kind: Kind,
    truth: Truth,
    group: Group,
    effort: Effort,
    lot: npt.NDArray[np.float32],
    todo: dict[tuple[int, float], float],
    weights: npt.NDArray[np.float32],
    source: str,
) -> list[Point]:
    """One search of a group's queries at one effort, looked at for each k, share and oversampling."""
    width = min(truth.n, effort.efSearch or group.width)
    found = index.candidates(truth.queries, width, effort)
    made: list[Point] = []
    recalls: list[npt.NDArray[np.float32]] = []
    values, lots = truth.scores_of(found), np.where(found >= 0, lot[found], 2)
    for share in SHARES:
        ks = [k for k in group.ks if (k, share) in todo]
        if not ks:
            continue
        allowed = lots < share if share < 1 else found >= 0
        rank = np.cumsum(allowed, axis=1, dtype=np.int32)
        for k in ks:
            least = truth.least(k, lot, share)
            known = ~np.isnan(least)
            if known.mean() < 0.95:
                continue
            good = allowed & (values >= (least - 1e-6 * np.maximum(1, np.abs(least)))[:, None])
            for oversampling in kind.oversamplings:
                setting = replace(effort, oversampling=oversampling)
                deep = depth(k, setting, share, truth.n)
                if deep > width and not effort.efSearch:
                    continue
                hits = (good[:, :deep] & (rank[:, :deep] <= k * oversampling)).sum(1)
                recalls.append(np.where(known, np.minimum(hits, k) / k, 1).astype(np.float32))
                made.append(Point(k, setting, 0, 0, len(hits), source, share))
    if not made:
        return []
    each = np.stack(recalls, axis=1)
    return [
        replace(point, recall=round(float(mean), 6), bound=round(float(bound), 6))
        for point, mean, bound in zip(made, each.mean(0), lower_bound(each, weights), strict=True)
    ]


def _timed(index: Index, queries: Vectors, points: Sequence[Point]) -> list[Point]:
    """The points with the median seconds of single queries, without a filter, at their settings."""
    seconds: dict[tuple[int, Effort], float] = {}
    for key in {(p.k, p.effort) for p in points}:
        took = []
        for i in range(min(TIMED if key[0] < 100 else 4, len(queries))):
            start = time.perf_counter()
            index.search(queries[i : i + 1], key[0], key[1])
            took.append(time.perf_counter() - start)
        seconds[key] = float(np.median(took))
    return [replace(p, seconds=round(seconds[p.k, p.effort], 7)) for p in points]


def resampling(m: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Weights (RESAMPLES, m) of bootstrap samples of m queries: each row says how often each was drawn, over m."""
    return (rng.multinomial(m, np.full(m, 1 / m), size=RESAMPLES) / m).astype(np.float32)


def lower_bound(values: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """One-sided 95 % lower bounds (c,) of the means of per-query recalls (m, c), by bootstrap; never above the mean."""
    means = np.sort(weights @ values, axis=0)
    return np.asarray(np.minimum(values.mean(0), means[int(0.05 * len(means))]), np.float32)


__all__ = ["ENOUGH", "GIVEN", "HELD_OUT", "held_out", "lower_bound", "measure", "resampling"]
