"""Two rankings into one: by weighted ranks, or by scores brought to one scale. Knows numbers, not documents.

Ranks: reciprocal rank fusion, sum of weight / (constant + rank) (Cormack, Clarke and Buettcher, SIGIR 2009). Scores: a
weighted sum of scores that were brought to a common scale by what the candidates of this query look like (Bruch, Gai and
Ingber, TOIS 2023, compare such scales, and find the sum the better where the weight is not far off).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput

Scores = npt.NDArray[np.float32]
METHODS = ("scores", "ranks")
MOST_DEPTH = 10_000


@dataclass(frozen=True, slots=True)
class Fusion:
    """How a hybrid search puts its two sides together.

    Attributes:
        method: "scores": a weighted sum of scores, each side's scaled by its candidates; "ranks": reciprocal rank fusion,
            which looks at no score.
        weight: of the dense side, in [0, 1]; the keyword side has the rest.
        depth: how many candidates each side gives, at least; both scores are known for every one of them.
        constant: of reciprocal rank fusion; the larger, the less the first ranks matter.
    """

    method: str = "scores"
    weight: float = 0.6
    depth: int = 100
    constant: float = 60.0

    def __post_init__(self) -> None:
        """Raises InvalidInput naming the attribute that is wrong."""
        if self.method not in METHODS:
            raise InvalidInput("not a way to fuse", field="fusion.method", expected="'scores' or 'ranks'", received=self.method)
        number = isinstance(self.weight, (int, float)) and not isinstance(self.weight, bool)
        if not number or not 0 <= self.weight <= 1:
            raise InvalidInput("not a weight", field="fusion.weight", expected="a number in [0, 1]", received=self.weight)
        if isinstance(self.depth, bool) or not isinstance(self.depth, int) or not 1 <= self.depth <= MOST_DEPTH:
            raise InvalidInput("not a depth", field="fusion.depth", expected=f"1 to {MOST_DEPTH:,}", received=self.depth)
        if not isinstance(self.constant, (int, float)) or not 0 < self.constant < 1e9:
            raise InvalidInput("not a constant", field="fusion.constant", expected="a number above 0", received=self.constant)


def fused(dense: Scores, keyword: Scores, by: Fusion) -> Scores:
    """The fused scores of n candidates, higher is better.

    Args:
        dense: (n,) scores of the dense side, for every candidate.
        keyword: (n,) scores of the keyword side; 0 where nothing matches.
        by: how.
    """
    if by.method == "ranks":
        found = by.weight / (by.constant + _ranks(dense)) + (1 - by.weight) * np.where(
            keyword > 0, 1 / (by.constant + _ranks(keyword)), 0
        )
        return found.astype(np.float32)
    return (by.weight * scaled(dense) + (1 - by.weight) * scaled(keyword)).astype(np.float32)


def scaled(values: Scores) -> npt.NDArray[np.float64]:
    """Scores with the candidates' least at 0 and best at 1; all 0 where they are equal."""
    if not len(values):
        return np.empty(0)
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return np.zeros(len(values))
    return (values.astype(np.float64) - low) / (high - low)


def _ranks(values: Scores) -> npt.NDArray[np.int64]:
    """1 for the best; equal scores share the best of their ranks."""
    ordered = np.sort(-values)
    return np.searchsorted(ordered, -values, side="left") + 1
