"""MMR against its definition, written out."""

import numpy as np
import pytest

from nearfield.core.metric import Metric, prepare, scores
from nearfield.ranking.diversity import mmr, scaled


def by_definition(relevance, vectors, metric, diversity, count):
    """Each step looks at every candidate and every chosen one again."""
    chosen: list[int] = []
    while len(chosen) < min(count, len(relevance)):
        values = {}
        for i in range(len(relevance)):
            if i in chosen:
                continue
            value = (1 - diversity) * float(relevance[i])
            if chosen:
                value -= diversity * max(float(scores(vectors[j], vectors[i : i + 1], metric)[0]) for j in chosen)
            else:
                value = float(relevance[i])
            values[i] = value
        best = max(values.values())
        chosen.append(min(i for i, value in values.items() if value == best))
    return chosen


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
def test_it_chooses_what_the_definition_chooses(metric: Metric, diversity: float, rng: np.random.Generator) -> None:
    vectors, _ = prepare(rng.normal(size=(40, 6)).astype(np.float32), metric)
    query = prepare(rng.normal(size=(1, 6)).astype(np.float32), metric)[0][0]
    relevance = np.sort(scores(query, vectors, metric))[::-1].copy()
    assert mmr(relevance, vectors, metric, diversity, 15).tolist() == by_definition(relevance, vectors, metric, diversity, 15)


def test_without_diversity_the_order_stays(rng: np.random.Generator) -> None:
    vectors, _ = prepare(rng.normal(size=(9, 4)).astype(np.float32), Metric.COSINE)
    relevance = np.array([9, 8, 7, 7, 7, 3, 2, 1, 1], np.float32)
    assert mmr(relevance, vectors, Metric.COSINE, 0.0, 20).tolist() == list(range(9))


def test_copies_come_after_what_is_new() -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    relevance = np.array([0.9, 0.9, 0.9, 0.5], np.float32)
    assert mmr(relevance, vectors, Metric.COSINE, 0.5, 2).tolist() == [0, 3]


def test_nothing_in_nothing_out() -> None:
    assert len(mmr(np.empty(0, np.float32), np.empty((0, 3), np.float32), Metric.L2, 0.5, 5)) == 0


def test_other_scales_are_made_comparable_with_cosines(rng: np.random.Generator) -> None:
    vectors = 7 * rng.normal(size=(5, 3)).astype(np.float32)
    relevance, unit = scaled(np.array([30, 20, 10, 10, -10], np.float32), vectors)
    assert np.allclose(relevance, [1, 0.75, 0.5, 0.5, 0])
    assert np.allclose(np.linalg.norm(unit, axis=1), 1)
    assert scaled(np.full(3, 4, np.float32), vectors[:3])[0].tolist() == [1, 1, 1]
