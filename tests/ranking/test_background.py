"""Percentiles against counting."""

import numpy as np
import pytest

from nearfield.core.errors import InvalidInput
from nearfield.ranking.background import Background


def made(sample: np.ndarray) -> Background:
    return Background.of(sample.astype(np.float32), "documents", 1, len(sample), len(sample), 1, 0)


@pytest.mark.parametrize("n", [50, 5_000, 400_000])
def test_percentiles_are_the_share_below(n: int, rng: np.random.Generator) -> None:
    sample = rng.normal(size=n).astype(np.float32)
    background = made(sample)
    asked = np.concatenate([rng.normal(size=200), [-9, 9, sample.min(), sample.max()]]).astype(np.float32)
    counted = np.minimum(100 * np.array([(sample < one).mean() for one in asked]), background.most)
    step = 100 * (1 / n + 1 / 4096) * 1.01
    found = background.percentiles(asked)
    assert np.abs(found - counted).max() <= step
    high = asked > np.quantile(sample, 0.985)
    assert np.allclose(found[high], counted[high], atol=1e-9), "the tail is counted, not interpolated"


def test_beyond_the_sample_is_a_bound(rng: np.random.Generator) -> None:
    background = made(rng.normal(size=10_000))
    assert background.most == pytest.approx(100 * (1 - 3 / 10_000))
    assert background.percentiles([100.0])[0] == background.most
    assert background.percentiles([-100.0])[0] == 0
    with pytest.raises(InvalidInput, match="cannot tell"):
        background.score(99.999)


@pytest.mark.parametrize("percent", [0.0, 0.5, 25.0, 50.0, 90.0, 97.9, 98.1, 99.0, 99.9, 99.99])
def test_the_score_of_a_percentile_has_it(percent: float, rng: np.random.Generator) -> None:
    sample = rng.normal(size=300_000).astype(np.float32)
    background = made(sample)
    assert (sample < background.score(percent)).mean() == pytest.approx(percent / 100, abs=3e-4)
    assert background.percentiles([background.score(percent)])[0] == pytest.approx(percent, abs=0.03)


def test_percentiles_never_fall(rng: np.random.Generator) -> None:
    background = made(rng.gamma(2.0, size=100_000))
    found = background.percentiles(np.linspace(-1, 20, 50_000))
    assert (np.diff(found) >= 0).all()


def test_equal_scores_are_not_below_each_other() -> None:
    background = made(np.full(1000, 0.5))
    assert background.percentiles([0.5, 0.4, 0.6]).tolist() == [0, 0, pytest.approx(99.7)]


@pytest.mark.parametrize("percent", [-1, 101, float("nan"), "99", True, None])
def test_what_is_no_percentile_is_refused(percent: object) -> None:
    with pytest.raises(InvalidInput):
        made(np.arange(100)).score(percent)  # type: ignore[arg-type]


def test_it_speaks_json(rng: np.random.Generator) -> None:
    told = made(rng.normal(size=10_000)).to_dict()
    assert told["source"] == "documents"
    assert set(told["quantiles"]) == {"1", "5", "25", "50", "75", "95", "99", "99.9"}
