"""The join by cells: each vector with those of its own cell, and of cells whose border is near.

Knows sketches and a setting. Every comparison is a matrix product: sketches are laid out cell by cell, and for each cell those
of others that look into it are gathered.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.duplicates.room import room
from nearfield.duplicates.setting import Setting, blocks
from nearfield.duplicates.tile import Pairs, Places, Take, Test, hits
from nearfield.duplicates.tiled import Task

BLOCK = 4096
ROWS, MEMBERS = 1024, 1024
"""Most rows and columns of one matrix product."""


@dataclass(frozen=True, slots=True)
class Layout:
    """n sketches laid out cell by cell.

    Attributes:
        sketches: float32 (n, d), those of cell c from starts[c] to starts[c + 1].
        order: int64 (n,), which row each is.
        cell: int32 (n,), ascending: the cell of each.
        starts: int64 (k + 1,).
        looks: int64 (p,), ascending: cell x n + place, for each place that looks into a cell that is not its own.
    """

    sketches: Vectors
    order: Places
    cell: npt.NDArray[np.int32]
    starts: Places
    looks: Places

    def compared(self) -> float:
        """Comparisons of sketches, as a share of all pairs."""
        n, sizes = float(len(self.order)), np.diff(self.starts).astype(np.float64)
        looked = np.bincount(self.looks // len(self.order), minlength=len(sizes)) @ sizes
        return float((0.5 * sizes @ sizes + looked) / (0.5 * n * n))


def lay_out(sketches: Vectors, take: Take, setting: Setting, pool: ThreadPoolExecutor) -> Layout:
    """Finds each row's cell and those it looks into, and copies the sketches cell by cell."""
    n, centroids = len(sketches), setting.centroids
    assert centroids is not None
    space = centroids.space

    def assign(some: slice) -> tuple[Places, Places, Places]:
        nearness = centroids.nearness(space.of(space.unit(take(some))))
        home = nearness.argmax(axis=1).astype(np.int64)
        row, cell = hits(centroids.near(nearness, home, setting.margin))
        return home, row + some.start, cell

    pieces = list(pool.map(assign, blocks(n, BLOCK)))
    home = np.concatenate([p[0] for p in pieces])
    order = np.argsort(home, kind="stable")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    looks = np.concatenate([p[2] * n + place[p[1]] for p in pieces])
    looks.sort()
    starts = np.searchsorted(home[order], np.arange(centroids.k + 1))
    laid = room(n, sketches.shape[1])
    for some in blocks(n, BLOCK):
        laid[some] = sketches[order[some]]
    return Layout(laid, order, home[order].astype(np.int32), starts, looks)


def tasks(layout: Layout, take: Take, test: Test) -> Iterator[tuple[int, Task, Places, Places]]:
    """The steps of the join: rows finished, the step, and the rows it compares (queries, members).

    Run in any order, they give every pair that shares a cell or looks across a near border, once.
    """
    n = len(layout.order)
    for cell in range(len(layout.starts) - 1):
        start, stop = int(layout.starts[cell]), int(layout.starts[cell + 1])
        if start == stop:
            continue
        low, high = np.searchsorted(layout.looks, [cell * n, (cell + 1) * n])
        queries = np.concatenate([np.arange(start, stop), layout.looks[low:high] - cell * n])
        for first in range(start, stop, MEMBERS):
            members = np.arange(first, min(first + MEMBERS, stop))
            for at in range(0, len(queries), ROWS):
                some = queries[at : at + ROWS]
                last = at + ROWS >= len(queries)

                def step(some: Places = some, members: Places = members, cell: int = cell) -> Pairs:
                    return _pairs(layout, take, test, some, members, cell)

                yield len(members) if last else 0, step, layout.order[some], layout.order[members]


def _pairs(layout: Layout, take: Take, test: Test, queries: Places, members: Places, cell: int) -> Pairs:
    n = len(layout.order)
    i, j = hits(test.mask(layout.sketches[queries], layout.sketches[members[0] : members[-1] + 1]))
    x, y = queries[i], members[j]
    home = layout.cell[x]
    once = np.where(home == cell, x < y, True)
    across = np.flatnonzero(home > cell)
    if len(across) and len(layout.looks):
        wanted = home[across].astype(np.int64) * n + y[across]
        at = np.minimum(np.searchsorted(layout.looks, wanted), len(layout.looks) - 1)
        once[across] = layout.looks[at] != wanted
    first, second = layout.order[x[once]], layout.order[y[once]]
    return test.sure(take, np.minimum(first, second), np.maximum(first, second))
