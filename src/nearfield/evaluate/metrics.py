"""nDCG, MRR, MAP and Recall at k of one ranking against graded judgements. Pure; knows ids and grades, no collection.

They are trec_eval's (ndcg_cut, recip_rank cut at k, map_cut, recall): the grade is the gain, undoubled (no 2^grade - 1); a
document without a judgement, or with a grade of 0 or less, gains nothing; one with a positive grade is relevant. The order of
the ranking counts, also among equal scores (trec_eval orders those by id, from z to a).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

Judged = Mapping[str, float]
"""The judgements of one query: a grade for each document's id; the higher, the better."""
Metric = Callable[[Sequence[str], Judged, int], float]
"""Of a ranking (ids, best first, none twice), the query's judgements and k: 0 to 1; 0 where nothing is relevant."""


def ndcg(ranking: Sequence[str], judged: Judged, k: int) -> float:
    """Normalised discounted cumulative gain at k.

    The sum of grade / log2(1 + rank) over the first k, divided by that of the best order of all judged documents cut at k
    (Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002; discounted from rank 2 on, as trec_eval).
    """
    gains = [max(0.0, judged.get(found, 0.0)) for found in ranking[:k]]
    best = sorted((grade for grade in judged.values() if grade > 0), reverse=True)[:k]
    ideal = _discounted(best)
    return _discounted(gains) / ideal if ideal > 0 else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def reciprocal_rank(ranking: Sequence[str], judged: Judged, k: int) -> float:
    """1 / the rank of the first relevant document, 0 where the first k have none; its mean is MRR (Voorhees, TREC-8, 1999)."""
    return next((1 / rank for rank, found in enumerate(ranking[:k], 1) if judged.get(found, 0) > 0), 0.0)


def average_precision(ranking: Sequence[str], judged: Judged, k: int) -> float:
    """The sum of the precisions at the ranks of relevant documents among the first k, divided by all relevant ones; mean: MAP.

    Divided by all of them, as trec_eval's map_cut, not by min(k, relevant): the best possible may be below 1.
    """
    found, total = 0, 0.0
    for rank, one in enumerate(ranking[:k], 1):
        if judged.get(one, 0) > 0:
            found += 1
            total += found / rank
    relevant = _relevant(judged)
    return total / relevant if relevant else 0.0


def recall(ranking: Sequence[str], judged: Judged, k: int) -> float:
    """The share of the relevant documents that are among the first k."""
    relevant = _relevant(judged)
    return sum(judged.get(found, 0) > 0 for found in ranking[:k]) / relevant if relevant else 0.0


def _relevant(judged: Judged) -> int:
    return sum(grade > 0 for grade in judged.values())


def measurable(judged: Judged) -> bool:
    """Whether a query has a relevant document at all: without one no ranking is better than another, and it is left out."""
    return any(grade > 0 for grade in judged.values())
