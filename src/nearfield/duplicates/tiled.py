"""The exact join: every block with itself and with every later one.

Knows vectors or sketches of them, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nearfield.core.metric import Vectors
from nearfield.duplicates.tile import Pairs, Places, Take, Test, hits

TILE = 1024

Task = Callable[[], Pairs]


def tasks(sketches: Callable[[slice], Vectors], take: Take, n: int, test: Test) -> Iterator[tuple[int, Task, Places, Places]]:
    """The steps of the join: rows finished, the step, and the rows it compares. Run in any order, they give every pair once.

    Args:
        sketches: of rows: the vectors themselves, or what bounds their products.
        take: the vectors themselves.
        n: how many.
        test: what a pair must reach.
    """
    for start in range(0, n, TILE):
        a = sketches(slice(start, min(start + TILE, n)))
        for other in range(start, n, TILE):
            b = a if other == start else sketches(slice(other, min(other + TILE, n)))

            def step(a: Vectors = a, b: Vectors = b, start: int = start, other: int = other) -> Pairs:
                i, j = hits(test.mask(a, b))
                if start == other:
                    upper = i < j
                    i, j = i[upper], j[upper]
                return test.sure(take, i + start, j + other)

            queries, members = np.arange(start, start + len(a)), np.arange(other, other + len(b))
            yield len(a) if other + TILE >= n else 0, step, queries, members


def all_pairs(take: Take, n: int, test: Test) -> Pairs:
    """All pairs at once, by comparing all with all: for few vectors."""
    found = [step() for _, step, _, _ in tasks(take, take, n, test)]
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    first, second, scores = (np.concatenate(column) for column in zip(none, *found, strict=True))
    return first, second, scores
