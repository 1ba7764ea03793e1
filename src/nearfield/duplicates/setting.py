"""How a join is set: how short sketches may be, how many cells, how far to look beyond borders, or no cells at all.

Knows vectors by a way to take them. Every choice is measured on a sample and comes with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Vectors
from nearfield.duplicates.geometry import DIMS, Centroids, Reach, Space
from nearfield.duplicates.margins import Tuned
from nearfield.duplicates.sampling import interval, join
from nearfield.duplicates.sketch import LET_THROUGH, SAMPLE, Axes
from nearfield.duplicates.tile import Take, Test
from nearfield.index import cells

FEW = 8192
"""Vectors up to which all are compared with all: k-means and samples would take about as long."""
ROUNDS, TRAINED = 4, 24
"""Of k-means, and training vectors for each cell: cells need not be good, only small."""
SET_BY, STEP, PAIRS = 384, 512, 1000
"""Rows by which the margin is set; rows measured at a time; measured pairs that are enough."""
SHARE = 1 / 128
"""Of all rows, the most that are measured."""
MOST = 8192
"""Rows that are measured at most."""
SPARE = 0.5
"""Of the pairs that may be missed, the share that the margin is set for: the rest is for what the sample does not show."""
SURE_FOR = 2.0
"""An exact join is preferred to one by measured recall where it is estimated to take at most so many times as long."""
WIDER = 1.3
NO_GAIN = 0.6
"""Cells are used where they take at most this share of what comparing all with all does."""
READ = 10
"""Multiplications that thresholding one product takes the time of."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What was chosen.

    Attributes:
        axes: None where whole vectors are compared; dims: of them, how many make a sketch.
        centroids: the cells; None: compare all with all.
        margin: how far to look beyond borders.
        exact: whether no pair can be missed.
        reason: in words.
        recall, low, high, sampled, sampled_pairs: as in Join.
    """

    axes: Axes | None
    dims: int
    centroids: Centroids | None
    margin: float
    exact: bool
    reason: str
    recall: float | None = None
    low: float | None = None
    high: float | None = None
    sampled: int = 0
    sampled_pairs: int = 0

    def sketch(self, x: Vectors) -> Vectors:
        """Whole vectors, or sketches of them."""
        return x if self.axes is None else self.axes.sketch(x, self.dims)


def begin(take: Take, n: int, test: Test, random: np.random.Generator) -> Setting:
    """All with all; by sketches where they are short enough to help."""
    plain = Setting(None, 0, None, 0.0, True, f"{n:,} vectors: all are compared with all")
    if n <= FEW:
        return plain
    axes = Axes.of(take(draw(random, n, SAMPLE)), test.metric)
    a, b = take(draw(random, n, 256)), take(draw(random, n, SAMPLE))
    true = float(test.mask(a, b).mean())
    for dims in axes.widths():
        through = float(test.mask(axes.sketch(a, dims), axes.sketch(b, dims)).mean())
        if through - true <= max(LET_THROUGH, true):
            return replace(plain, axes=axes, dims=dims, reason="all are compared with all, by sketches first")
    return replace(plain, reason="all are compared with all: sketches would rule out few")


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells that may be used: centroids, the vectors they were found among as cells see them, and how far pairs reach."""

    centroids: Centroids
    trained: Vectors
    reach: Reach


def divide(take: Take, n: int, test: Test, plain: Setting, random: np.random.Generator) -> Cells | None:
    """Finds cells for n vectors; None where they are too few, or where cells are of no use."""
    reach = Reach.of(test)
    if n <= FEW or reach is None:
        return None
    k = count(n)
    axes = plain.axes or Axes.of(take(draw(random, n, SAMPLE)), test.metric)
    space = Space(axes, min(DIMS, axes.basis.shape[1]), test.metric)
    trained = _taken(take, space, draw(random, n, TRAINED * k))
    scale = 1.0 if reach.cosine is not None else 2 * test.longest
    found = cells.train(trained, k, int(random.integers(1 << 30)), ROUNDS)
    return Cells(Centroids(found, space, scale), trained, reach)


def choose(
    sketches: Vectors,
    take: Take,
    test: Test,
    plain: Setting,
    divided: Cells | None,
    recall: float,
    random: np.random.Generator,
    pool: ThreadPoolExecutor,
) -> Setting:
    """Chooses how to join n vectors so that the share `recall` of pairs is found; 1 means all."""
    n = len(sketches)
    if divided is None:
        return plain if n <= FEW else replace(plain, reason="an inner product at or below 0 says nothing about where a pair is")
    centroids, reach, k = divided.centroids, divided.reach, divided.centroids.k
    rows = draw(random, n, SET_BY)
    tuned = Tuned(sketches, take, test, reach, centroids, divided.trained, join(sketches, take, rows, test, pool))
    each, whole = sketches.shape[1] + READ, 0.5 * n * n * (sketches.shape[1] + READ)
    base = float((n + TRAINED * k * ROUNDS) * k * (centroids.space.dims + READ) + (SET_BY + min(MOST, SHARE * n)) * n * each)
    widest = reach.radius / 2
    exactly = base + tuned.work(widest) * n * n * each
    if recall >= 1:
        if exactly > NO_GAIN * whole:
            return plain
        return replace(plain, centroids=centroids, margin=widest, reason="all pairs were asked for: no border hides one")
    margin = min(widest, tuned.margin(1 - SPARE * (1 - recall)))
    nearly = base + tuned.work(margin) * n * n * each
    if exactly <= NO_GAIN * whole and (margin >= widest or exactly <= SURE_FOR * nearly):
        return replace(plain, centroids=centroids, margin=widest, reason="pairs are so near that no border hides one")
    if nearly > NO_GAIN * whole:
        return plain
    started = replace(plain, centroids=centroids, margin=margin, exact=False)
    return _measured(tuned, random, started, widest, recall, pool)


def count(n: int) -> int:
    """Cells for n vectors: 2 sqrt(n), where finding cells costs about what comparing within them does."""
    return max(16, min(n // 39, round(2 * math.sqrt(n))))


def draw(random: np.random.Generator, n: int, count: int, but: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
    """Rows drawn evenly, ascending, none of `but`."""
    if but is None or not len(but):
        return np.sort(random.choice(n, min(n, count), replace=False))
    chosen = random.choice(n, min(n, count + len(but)), replace=False)
    return np.sort(chosen[~np.isin(chosen, but)][:count])


def _taken(take: Take, space: Space, rows: npt.NDArray[np.int64]) -> Vectors:
    """Rows as cells see them."""
    return np.concatenate([space.of(space.unit(take(rows[some]))) for some in blocks(len(rows), 8192)])


def _measured(
    tuned: Tuned, random: np.random.Generator, setting: Setting, widest: float, recall: float, pool: ThreadPoolExecutor
) -> Setting:
    """Measures a margin with rows that did not set it, and widens it until the recall is held."""
    n, margin = len(tuned.sketches), setting.margin
    while margin < widest:
        needs: list[npt.NDArray[np.float32]] = []
        counts: list[npt.NDArray[np.int64]] = []
        rows = np.empty(0, np.int64)
        most = min(MOST, max(2 * STEP, int(SHARE * n)))
        while len(rows) < most and sum(len(need) for need in needs) < PAIRS:
            some = draw(random, n, min(STEP, most - len(rows)), rows)
            seen = join(tuned.sketches, tuned.take, some, tuned.test, pool)
            needs.append(tuned.needs(seen))
            counts.append(np.bincount(seen.mine, minlength=len(some)))
            rows = np.concatenate([rows, some])
        need, pairs = np.concatenate(needs), np.concatenate(counts)
        found = int((need <= margin).sum())
        if not len(need):
            reason = "no sampled document has a pair: recall could not be measured"
            return replace(setting, margin=margin, reason=reason, low=0.0, high=1.0, sampled=len(rows))
        if found >= recall * len(need):
            low, high = interval(found, pairs)
            reason = f"borders are looked beyond by {margin / widest:.0%} of what would find all"
            setting = replace(setting, margin=margin, reason=reason, recall=found / len(need), low=low, high=high)
            return replace(setting, sampled=len(rows), sampled_pairs=len(need))
        margin = min(widest, WIDER * margin)
    return replace(setting, margin=widest, exact=True, reason="only the widest margin holds the recall")


def test_of(take: Take, n: int, metric: Metric, above: float, dim: int) -> Test:
    """The test for n vectors: their greatest length counts for rounding and, under ip, for directions."""
    longest = 1.0
    if metric is not Metric.COSINE:
        squares = [float(np.einsum("ij,ij->i", x, x).max()) for x in map(take, blocks(n, 8192))]
        longest = float(np.sqrt(max(squares, default=0.0))) * (1 + 1e-6)
    return Test(metric, above, longest, dim)


def blocks(n: int, size: int) -> Iterator[slice]:
    """Slices that cover n rows."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))
