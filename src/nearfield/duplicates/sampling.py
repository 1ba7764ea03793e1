"""A sample of rows compared with all others: what pairs there are, and who the near neighbours are.

Knows vectors, sketches and a test. Its pairs are the truth by which the join by cells is set and measured.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Vectors, pair_scores
from nearfield.duplicates.tile import Places, Take, Test, halves, hits

BLOCK = 4096
MOST = 1 << 16
"""Pairs of a sample that are looked at; of more, every second, fourth, ... one."""
Z = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Sampled rows and what is near them.

    Attributes:
        rows: int64 (s,), which rows.
        mine, other: int64 (p,): places in `rows`, and rows that are pairs with them; an even part of them where there are many.
    """

    rows: npt.NDArray[np.int64]
    mine: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]


def join(sketches: Vectors, take: Take, rows: npt.NDArray[np.int64], test: Test, pool: ThreadPoolExecutor) -> Sample:
    """Compares `rows` with all: `sketches` (n, d) propose, the vectors decide."""
    queries = sketches[rows]
    half = halves(queries)
    found = np.empty((2, 0), np.int64)
    every = 1

    def proposed(start: int) -> tuple[Places, Places]:
        mask = test.mask(queries, sketches[start : start + BLOCK], half)
        here = np.flatnonzero((rows >= start) & (rows < start + mask.shape[1]))
        mask[here, rows[here] - start] = False
        i, j = hits(mask)
        return i, j + start

    for i, j in pool.map(proposed, range(0, len(sketches), BLOCK)):
        found = np.concatenate([found, np.stack([i[::every], j[::every]])], axis=1)
        while found.shape[1] > MOST:
            found, every = found[:, ::2], 2 * every
    keep = test.passing(take, rows[found[0]], found[1])[0]
    return Sample(rows, found[0][keep], found[1][keep])


def neighbours(sketches: Vectors, rows: npt.NDArray[np.int64], metric: Metric, blocks: int) -> npt.NDArray[np.int64]:
    """One near neighbour of each row from each of a few blocks, by sketches: int64 (s, blocks), -1 where there is none."""
    queries = sketches[rows]
    step = max(1, min(BLOCK, len(sketches) // blocks))
    out = []
    for start in range(0, step * blocks, step):
        product = queries @ sketches[start : start + step].T
        if metric is Metric.L2:
            product -= halves(sketches[start : start + step])
        here = np.flatnonzero((rows >= start) & (rows < start + product.shape[1]))
        product[here, rows[here] - start] = -np.inf
        best = product.argmax(axis=1)
        out.append(np.where(np.isfinite(product[np.arange(len(rows)), best]), best + start, -1))
    return np.stack(out, axis=1).astype(np.int64)


def nearest(take: Take, n: int, rows: npt.NDArray[np.int64], metric: Metric) -> npt.NDArray[np.float32]:
    """The score of each row's nearest other row, float32 (s,); -inf where there is no other."""
    queries = take(rows)
    best = np.full(len(rows), -np.inf, np.float32)
    for start in range(0, n, BLOCK):
        block = take(slice(start, min(start + BLOCK, n)))
        product = queries @ block.T
        if metric is Metric.L2:
            product -= halves(block)
        here = np.flatnonzero((rows >= start) & (rows < start + len(block)))
        product[here, rows[here] - start] = -np.inf
        which = product.argmax(axis=1)
        found = np.isfinite(product[np.arange(len(rows)), which])
        scores = pair_scores(queries[found], block[which[found]], metric)
        best[found] = np.maximum(best[found], scores)
    return best


def interval(hits: float, pairs: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of pairs.

    Args:
        hits: pairs found.
        pairs: pairs of each sampled row. Pairs of one row may be found or missed together, so that they count for as many
            independent ones as (sum p)^2 / sum p^2: the design effect of clusters that agree entirely.
    """
    total = float(pairs.sum())
    if total == 0:
        return 0.0, 1.0
    share = hits / total
    worth = total**2 / float(np.square(pairs, dtype=np.float64).sum())
    middle = (share + Z * Z / (2 * worth)) / (1 + Z * Z / worth)
    half = Z / (1 + Z * Z / worth) * math.sqrt(share * (1 - share) / worth + Z * Z / (4 * worth * worth))
    return (middle - half if share > 0 else 0.0), (middle + half if share < 1 else 1.0)
