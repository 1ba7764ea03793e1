"""The innermost step: which pairs of two blocks may score at least a threshold, and which of them do.

A product of sketches (or of whole vectors) proposes, with all that rounding could have kept below; `metric.pair_scores` of the
vectors themselves decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Scores, Vectors, pair_scores

SCORED = 2048
"""Pairs scored at a time."""
UNIT = 2.0**-24

Places = npt.NDArray[np.int64]
Take = Callable[[npt.NDArray[np.integer] | slice], Vectors]
"""Prepared vectors float32 (r, dim) of rows."""
Pairs = tuple[Places, Places, Scores]
"""(rows, rows, scores) of pairs: int64 (r,) twice, and float32 (r,)."""


@dataclass(frozen=True, slots=True)
class Test:
    """What is looked for: `above`, by `metric`, among vectors of `dim` numbers no longer than `longest`."""

    metric: Metric
    above: float
    longest: float
    dim: int

    @property
    def slack(self) -> float:
        """A bound of how far rounding moves a product of sketches: gamma_dim x |a| x |b| (Higham 2002, section 3.1).

        For the rotation, the rest and the product.
        """
        return 32 * (self.dim + 2) * UNIT * max(self.longest**2, abs(self.above))

    def mask(self, a: Vectors, b: Vectors, half_a: Scores | None = None) -> npt.NDArray[np.bool_]:
        """Which pairs of a block a (m, d) and a block b (r, d) may reach the threshold, bool (m, r)."""
        product = a @ b.T
        if self.metric is not Metric.L2:
            return np.asarray(product >= np.float32(self.above - self.slack), np.bool_)
        product -= halves(b)
        low = halves(a) if half_a is None else half_a
        return np.asarray(product >= (low + np.float32(0.5 * (self.above - self.slack)))[:, None], np.bool_)

    def passing(self, take: Take, first: Places, second: Places) -> tuple[npt.NDArray[np.bool_], Scores]:
        """Which of proposed pairs of rows are at least `above`, bool (r,), and the scores of all, float32 (r,)."""
        out = np.empty(len(first), np.float32)
        for start in range(0, len(first), SCORED):
            some = slice(start, start + SCORED)
            out[some] = pair_scores(take(first[some]), take(second[some]), self.metric)
        return out >= self.above, out

    def sure(self, take: Take, first: Places, second: Places) -> Pairs:
        """Of proposed pairs of rows those that are at least `above`."""
        keep, scores = self.passing(take, first, second)
        return first[keep], second[keep], scores[keep]


def hits(mask: npt.NDArray[np.bool_]) -> tuple[Places, Places]:
    """Rows and columns of what is True, int64."""
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def halves(x: Vectors) -> npt.NDArray[np.float32]:
    """Half the squared length of each row, float32 (n,)."""
    return np.asarray(0.5 * np.einsum("ij,ij->i", x, x), np.float32)
