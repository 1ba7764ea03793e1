"""Metrics equal hand-computed values and a second, literal implementation of trec_eval's definitions."""

from math import log2

import numpy as np
import pytest

from nearfield.evaluate import metrics

JUDGED = {"a": 3.0, "b": 2.0, "c": 1.0, "x": 0.0, "y": -1.0}


@pytest.mark.parametrize(
    ("ranking", "k", "ndcg", "rr", "ap", "recall"),
    [
        (["a", "b", "c"], 3, 1.0, 1.0, 1.0, 1.0),
        (["c", "b", "a"], 3, (1 + 2 / log2(3) + 3 / 2) / (3 + 2 / log2(3) + 1 / 2), 1.0, 1.0, 1.0),
        (["x", "n", "b"], 3, (2 / 2) / (3 + 2 / log2(3) + 1 / 2), 1 / 3, (1 / 3) / 3, 1 / 3),
        (["x", "a", "y", "c"], 2, (3 / log2(3)) / (3 + 2 / log2(3)), 1 / 2, (1 / 2) / 3, 1 / 3),
        (["y", "x", "n"], 3, 0.0, 0.0, 0.0, 0.0),
        ([], 10, 0.0, 0.0, 0.0, 0.0),
        (["a"], 10, 3 / (3 + 2 / log2(3) + 1 / 2), 1.0, 1 / 3, 1 / 3),
    ],
)
def test_values_worked_out_by_hand(ranking: list[str], k: int, ndcg: float, rr: float, ap: float, recall: float) -> None:
    found = [m(ranking, JUDGED, k) for m in (metrics.ndcg, metrics.reciprocal_rank, metrics.average_precision, metrics.recall)]
    assert found == pytest.approx([ndcg, rr, ap, recall], abs=1e-12)


def test_a_query_without_a_relevant_document_is_not_measurable() -> None:
    assert not metrics.measurable({})
    assert not metrics.measurable({"x": 0, "y": -2})
    assert metrics.measurable({"x": 0, "y": 1})
    for metric in (metrics.ndcg, metrics.reciprocal_rank, metrics.average_precision, metrics.recall):
        assert metric(["x"], {"x": 0}, 10) == 0.0


def literal(ranking: list[str], judged: dict[str, float], k: int) -> dict[str, float]:
    """As trec_eval's C code goes: over the ranks one by one, with sums; the ideal from counts of each grade."""
    relevant = sum(1 for g in judged.values() if g >= 1)
    dcg = ap = rr = 0.0
    hits = 0
    for i in range(min(k, len(ranking))):
        grade = judged.get(ranking[i], 0)
        if grade > 0:
            dcg += grade / log2(i + 2)
        if grade >= 1:
            hits += 1
            ap += hits / (i + 1)
            rr = rr or 1 / (i + 1)
    counts = {g: sum(1 for v in judged.values() if v == g) for g in set(judged.values()) if g > 0}
    ideal, rank = 0.0, 0
    for grade in sorted(counts, reverse=True):
        for _ in range(counts[grade]):
            if rank < k:
                ideal += grade / log2(rank + 2)
                rank += 1
    return {
        "ndcg": dcg / ideal if ideal else 0.0, "reciprocal_rank": rr, "average_precision": ap / relevant if relevant else 0.0,
        "recall": hits / relevant if relevant else 0.0,
    }  # fmt: skip


def test_random_rankings_score_as_a_literal_reading_of_the_definitions() -> None:
    rng = np.random.default_rng(5)
    nonzero = 0
    for _ in range(400):
        ids = [f"d{i}" for i in range(40)]
        chosen = rng.choice(ids, rng.integers(0, 30), replace=False)
        judged = {str(one): float(rng.integers(-1, 5)) for one in chosen}
        ranking = [str(one) for one in rng.permutation(ids)[: rng.integers(0, 41)]]
        k = int(rng.integers(1, 45))
        expected = literal(ranking, judged, k)
        for name, value in expected.items():
            assert getattr(metrics, name)(ranking, judged, k) == pytest.approx(value, abs=1e-12)
            nonzero += value > 0
    assert nonzero > 800


def test_the_order_of_the_ranking_decides_between_equal_scores() -> None:
    assert metrics.ndcg(["a", "n"], {"a": 1}, 10) > metrics.ndcg(["n", "a"], {"a": 1}, 10)
