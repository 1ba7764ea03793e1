"""Diversity: of what is relevant, what is not said yet. Knows scores and vectors; nothing of where they come from.

Maximal marginal relevance: J. Carbonell and J. Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents
and Producing Summaries", SIGIR 1998. Greedy, exact in float32, and deterministic: of equal values the earlier candidate wins.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Scores, Vectors, norms, scores

CANDIDATES = 5
"""Candidates that are looked at for each hit that is wanted."""


def mmr(
    relevance: Scores, vectors: Vectors, metric: Metric, diversity: float, count: int, check: Callable[[], None] | None = None
) -> npt.NDArray[np.int64]:
    """Which candidates to show, in order: each is the one of highest (1 - diversity) x relevance - diversity x likeness.

    Likeness is the greatest score of the candidate against those already chosen; the first is the most relevant.

    Args:
        relevance: float32 (n,), on the scale of `metric` (see `scaled` for others).
        vectors: float32 (n, dim), prepared.
        metric: how two candidates are compared.
        diversity: 0, by relevance alone, to 1, by difference alone.
        count: how many, at most n are given.
        check: called before each choice; it may raise.

    Returns:
        int64 (min(n, count),), positions of candidates.
    """
    n = len(relevance)
    chosen = np.empty(min(n, count), np.int64)
    if not len(chosen):
        return chosen
    weighed = (1 - diversity) * relevance.astype(np.float64)
    nearest = np.full(n, -np.inf)
    left = np.ones(n, np.bool_)
    at = int(np.argmax(relevance))
    for i in range(len(chosen)):
        if check is not None:
            check()
        if i:
            at = int(np.argmax(np.where(left, weighed - diversity * nearest, -np.inf)))
        chosen[i], left[at] = at, False
        np.maximum(nearest, scores(vectors[at], vectors, metric), out=nearest)
    return chosen


def scaled(relevance: Scores, vectors: Vectors) -> tuple[Scores, Vectors]:
    """Relevance on a scale of its own (BM25, fused, a reranker's) made comparable with cosines.

    Args:
        relevance: float32 (n,).
        vectors: float32 (n, dim).

    Returns:
        The relevance from 0, the least, to 1, the highest (1 if all are equal), and the vectors at unit length, for mmr with
        Metric.COSINE.
    """
    low, high = (float(relevance.min()), float(relevance.max())) if len(relevance) else (0.0, 0.0)
    even = np.ones(len(relevance), np.float32)
    unit = np.asarray(vectors / np.maximum(norms(vectors), np.float32(1e-30))[:, None], np.float32)
    return (np.asarray((relevance - low) / (high - low), np.float32) if high > low else even), unit
