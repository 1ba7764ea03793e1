"""Intervals: the same seed, the same interval; they hold the truth as often as they say; paired ones are narrower."""

from dataclasses import astuple

import numpy as np
import pytest

from nearfield.evaluate import bootstrap
from nearfield.evaluate.bootstrap import intervals


def test_a_seed_decides_all_columns_alike_and_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).random((50, 3))
    whole = intervals(values, draws=500, seed=7)
    assert whole == intervals(values, draws=500, seed=7)
    assert whole != intervals(values, draws=500, seed=8)
    assert astuple(intervals(values[:, :1], draws=500, seed=7)[0]) == pytest.approx(astuple(whole[0]), abs=1e-12)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 50 * 7)
    for a, b in zip(intervals(values, draws=500, seed=7), whole, strict=True):
        assert astuple(a) == pytest.approx(astuple(b), abs=1e-12)


def test_an_interval_is_that_of_drawing_query_by_query() -> None:
    values = np.random.default_rng(2).exponential(size=40)
    rng = np.random.default_rng(99)
    means = [values[rng.integers(0, 40, 40)].mean() for _ in range(20_000)]
    found = intervals(values[:, None], draws=20_000)[0]
    assert found.mean == pytest.approx(values.mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.02)


def test_it_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for i in range(300):
        found = intervals(rng.normal(0.4, 0.3, 60)[:, None], draws=400, seed=i)[0]
        inside += found.low <= 0.4 <= found.high
    assert 0.90 <= inside / 300 <= 0.98


def test_differences_of_the_same_queries_are_narrower_than_what_both_do_apart() -> None:
    rng = np.random.default_rng(4)
    hardness = rng.random(200)
    a, b = hardness + rng.normal(0, 0.02, 200), hardness + 0.03 + rng.normal(0, 0.02, 200)
    alone, _, difference = intervals(np.stack([a, b, b - a], axis=1))
    assert difference.high - difference.low < (alone.high - alone.low) / 4
    assert 0 < difference.low < 0.03 < difference.high + 0.01


def test_one_query_and_none() -> None:
    (one,) = intervals(np.array([[0.5]]))
    assert (one.mean, one.low, one.high) == (0.5, 0.5, 0.5)
    (none,) = intervals(np.empty((0, 1)))
    assert np.isnan(none.mean)
