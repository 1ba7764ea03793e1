"""Pairs in, the best links out: a maximum spanning forest, kept small while pairs go on coming.

Knows numbers only. Whatever order the pairs come in, the forest is the same: pairs are ordered by descending score, then by
their rows. The forest of what was kept and what is new is the forest of all (a pair left out is the weakest of a circle), so
memory is bounded by the buffer, however many pairs there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Positions, Scores
from nearfield.duplicates.tile import Pairs

BUFFER = 1 << 21
"""Pairs that are kept before they are reduced to their forest."""


class Forest:
    """Gathers pairs over n rows."""

    def __init__(self, n: int, buffer: int = BUFFER) -> None:
        self._n, self._buffer = n, buffer
        self._kept: list[Pairs] = []
        self._waiting = 0
        self.pairs = 0

    def add(self, first: Positions, second: Positions, scores: Scores) -> None:
        """Takes distinct pairs (first < second)."""
        if not len(first):
            return
        self.pairs += len(first)
        self._kept.append((first, second, scores))
        self._waiting += len(first)
        if self._waiting > max(self._buffer, 2 * self._n):
            self.links()

    def links(self) -> Pairs:
        """The forest's edges, best first."""
        if len(self._kept) != 1 or self._waiting:
            none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
            first, second, scores = (np.concatenate(c) for c in zip(none, *self._kept, strict=True))
            order = np.lexsort((second, first, -scores))
            first, second, scores = first[order], second[order], scores[order]
            chosen = spanning(first, second, self._n)
            self._kept, self._waiting = [(first[chosen], second[chosen], scores[chosen])], 0
        return self._kept[0]

    def labels(self) -> Positions:
        """For each row the lowest row of its group, int64 (n,)."""
        first, second, _ = self.links()
        return components(first, second, self._n)


def components(first: Positions, second: Positions, n: int) -> Positions:
    """For each of n rows the lowest row that edges connect it with: int64 (n,)."""
    labels = np.arange(n, dtype=np.int64)
    while len(first):
        a, b = labels[first], labels[second]
        apart = a != b
        if not apart.any():
            break
        first, second, a, b = first[apart], second[apart], a[apart], b[apart]
        np.minimum.at(labels, np.maximum(a, b), np.minimum(a, b))
        labels = _flat(labels)
    return labels


def spanning(first: Positions, second: Positions, n: int) -> npt.NDArray[np.int64]:
    """Which edges, given best first, make the best spanning forest: ascending places. Borůvka's rounds, each all at once."""
    labels = np.arange(n, dtype=np.int64)
    alive = np.arange(len(first), dtype=np.int64)
    chosen: list[npt.NDArray[np.int64]] = []
    while len(alive):
        a, b = labels[first[alive]], labels[second[alive]]
        apart = a != b
        alive, a, b = alive[apart], a[apart], b[apart]
        if not len(alive):
            break
        best = np.full(n, len(first), np.int64)
        best[a[::-1]] = alive[::-1]
        np.minimum.at(best, b, alive)
        found = np.unique(best[best < len(first)])
        chosen.append(found)
        x, y = labels[first[found]], labels[second[found]]
        labels = components(x, y, n)[labels]
    return np.sort(np.unique(np.concatenate(chosen))) if chosen else np.empty(0, np.int64)


def _flat(labels: Positions) -> Positions:
    while True:
        higher = labels[labels]
        if np.array_equal(higher, labels):
            return labels
        labels = higher
