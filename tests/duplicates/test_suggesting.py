import numpy as np
import pytest

from nearfield.core.metric import Metric
from nearfield.duplicates.suggesting import suggest
from tests.duplicates import brute


def vectors(n: int, twins: int, noise: float) -> np.ndarray:
    random = np.random.default_rng(1)
    x = random.standard_normal((n, 24)).astype(np.float32)
    x[:twins] = x[twins : 2 * twins] + noise * random.standard_normal((twins, 24)).astype(np.float32)
    return x


@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_valley_lies_between_the_copies_and_the_others(metric: Metric, noise: float) -> None:
    n, twins = 2000, 100
    rows = brute.rows(vectors(n, twins, noise), metric)
    found = suggest(rows, 2000)
    assert found.above is not None
    assert found.share == pytest.approx(2 * twins / n, abs=0.005)
    pairs = brute.pairs(rows, found.above)
    assert {(a, b) for a, b in pairs} == {(i, i + twins) for i in range(twins)}
    assert "valley" in found.reason
    assert found.quantiles[0.01] > found.quantiles[0.5]
    assert sum(count for _, _, count in found.histogram) == found.sampled == 2000


@pytest.mark.parametrize("metric", list(Metric))
def test_where_there_is_no_valley_none_is_suggested(metric: Metric) -> None:
    found = suggest(brute.rows(vectors(2000, 0, 0), metric), 1000)
    assert (found.above, found.share) == (None, 0.0)
    assert "no" in found.reason
    assert found.sampled == 1000


def test_few_documents_are_not_judged() -> None:
    found = suggest(brute.rows(vectors(50, 0, 0), Metric.COSINE), 1000)
    assert found.above is None
    assert "few" in found.reason


def test_documents_that_are_all_the_same_have_no_valley() -> None:
    assert suggest(brute.rows(np.ones((500, 4), np.float32), Metric.COSINE), 300).above is None


def test_the_same_rows_give_the_same_suggestion() -> None:
    rows = brute.rows(vectors(1500, 60, 0.02), Metric.COSINE)
    assert suggest(rows, 800) == suggest(rows, 800)
