"""Confidence intervals of means over queries, and of differences between two systems. Knows numbers only.

Queries are drawn again, with replacement, as often as there are; the mean of each draw is taken, and the middle part of all
these means is the interval (the percentile bootstrap of Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13). Of two systems the differences are drawn, query by query, so that what is hard for both cancels out (Sakai,
SIGIR 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DRAWS = 10_000
LEVEL = 0.95
_AT_ONCE = 1 << 22
"""Numbers drawn at a time: what bounds memory."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries and its interval.

    Attributes:
        mean: of the queries that there were.
        low, high: the ends of the interval; the mean itself where there is one query.
    """

    mean: float
    low: float
    high: float


def intervals(
    values: npt.NDArray[np.float64], *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[Estimate, ...]:
    """Of each column's mean.

    Args:
        values: float64 (queries, columns): a metric's value, or a difference of two systems' values, for each query.
        level: of confidence, in (0, 1).
        draws: how often the queries are drawn.
        seed: the same seed draws the same queries, for all columns alike.
    """
    count = len(values)
    if not count:
        return tuple(Estimate(float("nan"), float("nan"), float("nan")) for _ in range(values.shape[1]))
    rng = np.random.default_rng(seed)
    means = np.empty((draws, values.shape[1]))
    each = max(1, _AT_ONCE // count)
    for start in range(0, draws, each):
        some = min(each, draws - start)
        times = rng.multinomial(count, np.full(count, 1 / count), size=some)
        means[start : start + some] = times @ values / count
    edge = (1 - level) / 2
    low, high = np.quantile(means, [edge, 1 - edge], axis=0)
    found = values.mean(axis=0)
    return tuple(Estimate(float(m), float(lo), float(hi)) for m, lo, hi in zip(found, low, high, strict=True))
