"""Which rows of a segment a filter allows, remembered: a filter that is asked for again is not evaluated again.

Knows masks and vectors; no documents, no snapshot. What is remembered belongs to one view of a segment, so it is never
stale: a view whose rows died is another view.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Vectors
from nearfield.index.base import Allow
from nearfield.index.block import Block

TRIES, AGAIN = 4, 64
"""Tries of the index under a filter after which their outcome decides, and every which search tries again then."""
REMEMBERED = 64
"""Filters remembered for each segment."""
BUDGET_SHARE, LEAST_BUDGET, MOST_BUDGET = 0.125, 8 << 20, 256 << 20
"""Bytes that masks and blocks of a segment may take: a share of its vectors' bytes, within bounds."""


_makers = ThreadPoolExecutor(1, "nearfield-filters")
"""Makes blocks, one at a time; its thread starts with the first."""


class Allowed:
    """The rows of a segment that are alive and match: `mask` is bool (n,), None if all; `count` of `n` are."""

    def __init__(self, mask: npt.NDArray[np.bool_] | None, n: int) -> None:
        self.mask, self.n = mask, n
        self.count = n if mask is None else int(np.count_nonzero(mask))
        self.uses = 0
        self.tried = self.failed = self.spared = 0
        self.block: Block | None = None
        self._lock = threading.Lock()
        self._making: Future[None] | None = None

    @property
    def share(self) -> float:
        """Of the segment's rows."""
        return self.count / self.n if self.n else 0.0

    @cached_property
    def allow(self) -> Allow | None:
        """What an index is told."""
        return None if self.mask is None else Allow(np.packbits(self.mask, bitorder="little"), self.share)

    @cached_property
    def positions(self) -> Positions:
        """int64, ascending."""
        return np.arange(self.n) if self.mask is None else np.flatnonzero(self.mask)

    def in_vain(self) -> bool:
        """Whether to spare the index: most tries under this filter ended in a scan, as it rules out what is near the queries.

        False now and then all the same, as other queries may come.
        """
        if self.tried < TRIES or 2 * self.failed <= self.tried:
            return False
        self.spared += 1
        return self.spared % AGAIN != 0

    def tried_index(self, queries: int, failed: int) -> None:
        """Notes how many queries asked the index, and how many of them had to be scanned after all."""
        if self.tried > 16 * AGAIN:
            self.tried, self.failed = self.tried // 2, self.failed // 2
        self.tried += queries
        self.failed += failed

    @property
    def nbytes(self) -> int:
        """Bytes it takes: mask, bitmap, positions, block."""
        return self.n + self.n // 8 + 8 * self.count + (self.block.nbytes if self.block else 0)

    def coded(self, x: Vectors, metric: Metric) -> Block | None:
        """The allowed rows as a block, begun when first asked for; None until it is made: no search waits for it."""
        if self.block is None and self._making is None:
            with self._lock:
                if self._making is None:
                    self._making = _makers.submit(self._make, x, metric)
        return self.block

    def _make(self, x: Vectors, metric: Metric) -> None:
        self.block = Block(x, self.positions, metric)


class Matches:
    """What was asked of one view of a segment, most recent last."""

    def __init__(self) -> None:
        self._found: OrderedDict[str, Allowed] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: str, evaluate: Callable[[], npt.NDArray[np.bool_] | None], n: int) -> Allowed:
        """The rows for `key`, evaluated if it is new. Keys name types too: True and 1 are different filters."""
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
                found.uses += 1
                return found
        made = Allowed(evaluate(), n)
        with self._lock:
            return self._found.setdefault(key, made)

    def trim(self, vector_bytes: int) -> None:
        """Forgets the oldest until all take no more than their share; called after something was added."""
        budget = min(MOST_BUDGET, max(LEAST_BUDGET, int(BUDGET_SHARE * vector_bytes)))
        with self._lock:
            total = sum(found.nbytes for found in self._found.values())
            while len(self._found) > 1 and (len(self._found) > REMEMBERED or total > budget):
                total -= self._found.popitem(last=False)[1].nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of all that is remembered."""
        with self._lock:
            return sum(found.nbytes for found in self._found.values())
