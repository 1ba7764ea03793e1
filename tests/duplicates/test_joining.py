import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nearfield.core.metric import Metric, pair_scores, scores
from nearfield.duplicates import joining, setting, tiled
from nearfield.duplicates.forest import components
from nearfield.duplicates.sampling import interval
from tests.duplicates import brute

METRICS = [Metric.COSINE, Metric.IP, Metric.L2]
ABOVE = {Metric.COSINE: 0.97, Metric.IP: 0.97, Metric.L2: -0.5}


def found_groups(linked: joining.Linked, n: int) -> list[tuple[int, ...]]:
    labels = components(linked.first, linked.second, n)
    return [g for g in (tuple(np.flatnonzero(labels == v).tolist()) for v in np.unique(labels)) if len(g) > 1]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [3, 16, 127, 384])
def test_scores_of_pairs_are_to_the_bit_those_of_a_search(metric: Metric, dim: int) -> None:
    random = np.random.default_rng(dim)
    a, b = random.standard_normal((2, 200, dim)).astype(np.float32)
    assert pair_scores(a, b, metric).tolist() == [float(scores(a[i], b[i : i + 1], metric)[0]) for i in range(200)]


@given(
    st.sampled_from(METRICS),
    arrays(np.float32, st.tuples(st.integers(2, 40), st.just(3)), elements=st.sampled_from([-1.0, 0.5, 1.0, 2.0])),
    st.sampled_from([-1.0, 0.0, 0.5, 0.9, 0.99, 1.0]),
)
@settings(max_examples=150, deadline=None)
def test_groups_and_scores_are_those_of_comparing_every_pair(metric: Metric, x: np.ndarray, level: float) -> None:
    above = level if metric is not Metric.L2 else -3 * (1 - level)
    rows = brute.rows(x, metric)
    wanted = brute.pairs(rows, above)
    linked = joining.link(rows, above, 0.99)
    assert linked.join.exact
    assert found_groups(linked, len(x)) == brute.groups(len(x), list(wanted))
    for a, b, score in zip(linked.first.tolist(), linked.second.tolist(), linked.scores.tolist(), strict=True):
        assert wanted[a, b] == score


@pytest.mark.parametrize("metric", METRICS)
def test_all_pairs_of_several_tiles_are_found_once(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled, "TILE", 64)
    rows = brute.rows(brute.planted(500, 12, 100, 0.3), metric)
    above = {Metric.COSINE: 0.98, Metric.IP: 60.0, Metric.L2: -2.0}[metric]
    test = setting.test_of(rows.take, len(rows), metric, above, rows.dim)
    first, second, found = tiled.all_pairs(rows.take, len(rows), test)
    wanted = brute.pairs(rows, above)
    assert len(wanted) > 30
    assert sorted(zip(first.tolist(), second.tolist(), found.tolist(), strict=True)) == sorted(
        (a, b, score) for (a, b), score in wanted.items()
    )


def many(metric: Metric, n: int = 3000, dim: int = 48) -> np.ndarray:
    x = brute.planted(n, dim, n // 4, 0.6, seed=1)
    if metric is Metric.IP:
        x *= np.random.default_rng(2).uniform(0.95, 1.05, (n, 1)).astype(np.float32) / np.linalg.norm(x, axis=1, keepdims=True)
    return x


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells from few vectors on."""
    monkeypatch.setattr(setting, "FEW", 1000)


LEVELS = {Metric.COSINE: 0.93, Metric.IP: 0.93, Metric.L2: -60.0}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("metric", METRICS)
def test_cells_hold_the_promised_recall_and_measure_it(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "SURE_FOR", 0.0)
    monkeypatch.setattr(setting, "NO_GAIN", 1e9)
    rows = brute.rows(many(metric), metric)
    wanted = brute.pairs(rows, LEVELS[metric])
    assert len(wanted) > 300
    linked = joining.link(rows, LEVELS[metric], 0.9)
    join = linked.join
    assert join.method == "cells"
    assert not join.exact
    assert join.recall is not None
    assert join.low is not None
    assert join.high is not None
    assert 0.9 <= join.pairs / len(wanted) <= 1
    assert join.low <= join.pairs / len(wanted) <= join.high
    assert join.compared < 1
    made = {(a, b) for a, b in zip(linked.first.tolist(), linked.second.tolist(), strict=True)}
    assert made <= set(wanted)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("metric", METRICS)
def test_cells_that_are_said_to_be_exact_find_every_pair(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "NO_GAIN", 1e9)
    rows = brute.rows(many(metric), metric)
    wanted = brute.pairs(rows, LEVELS[metric])
    linked = joining.link(rows, LEVELS[metric], 1.0)
    assert (linked.join.method, linked.join.exact) == ("cells", True)
    assert linked.join.pairs == len(wanted)
    assert found_groups(linked, len(rows)) == brute.groups(len(rows), list(wanted))


@pytest.mark.usefixtures("few")
def test_tiles_of_sketches_find_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "NO_GAIN", 0.0)
    rows = brute.rows(many(Metric.COSINE), Metric.COSINE)
    linked = joining.link(rows, 0.93, 1.0)
    assert (linked.join.method, linked.join.exact) == ("tiles", True)
    assert linked.join.pairs == len(brute.pairs(rows, 0.93))


@pytest.mark.usefixtures("few")
def test_a_narrow_margin_is_widened_until_fresh_rows_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfield.duplicates.margins import Tuned

    monkeypatch.setattr(setting, "SURE_FOR", 0.0)
    monkeypatch.setattr(setting, "NO_GAIN", 1e9)
    monkeypatch.setattr(Tuned, "margin", lambda self, share: 1e-4)
    rows = brute.rows(many(Metric.COSINE), Metric.COSINE)
    join = joining.link(rows, 0.93, 0.99).join
    assert join.pairs / len(brute.pairs(rows, 0.93)) > 0.97


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("above", [0.0, -5.0])
def test_inner_products_without_a_direction_are_compared_all_with_all(above: float) -> None:
    rows = brute.rows(0.1 * many(Metric.IP, 1200), Metric.IP)
    linked = joining.link(rows, above / 1000, 0.99)
    assert linked.join.method == "tiles"
    assert linked.join.pairs == len(brute.pairs(rows, above / 1000))


@pytest.mark.parametrize("metric", METRICS)
def test_copies_are_one_vector(metric: Metric) -> None:
    x = np.tile(np.array([[3.0, 4.0]], np.float32), (30_000, 1))
    linked = joining.link(brute.rows(x, metric), {Metric.COSINE: 1.0, Metric.IP: 25.0, Metric.L2: 0.0}[metric], 0.99)
    assert (linked.join.copies, linked.join.pairs) == (29_999, 0)
    assert found_groups(linked, len(x)) == [tuple(range(30_000))]
    assert len(linked.first) == 29_999


def test_copies_whose_product_is_below_the_threshold_are_no_pairs() -> None:
    x = np.array([[1, 0], [1, 0], [5, 0], [0.1, 0]], np.float32)
    linked = joining.link(brute.rows(x, Metric.IP), 3.0, 0.99)
    assert list(zip(linked.first.tolist(), linked.second.tolist(), strict=True)) == [(0, 2), (1, 2)]


def test_zero_vectors_have_their_place_where_a_metric_takes_them() -> None:
    x = np.array([[0, 0], [0, 0], [1, 0], [0.9, 0]], np.float32)
    assert found_groups(joining.link(brute.rows(x, Metric.L2), -0.02, 0.99), 4) == [(0, 1), (2, 3)]
    assert found_groups(joining.link(brute.rows(x, Metric.IP), 0.5, 0.99), 4) == [(2, 3)]
    assert found_groups(joining.link(brute.rows(x, Metric.IP), 0.0, 0.99), 4) == [(0, 1, 2, 3)]


def test_a_chain_is_one_group_with_its_best_links() -> None:
    angle = np.arange(2000) * 0.003
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
    linked = joining.link(brute.rows(x[np.random.default_rng(0).permutation(2000)], Metric.COSINE), 0.99999, 0.99)
    assert found_groups(linked, 2000) == [tuple(range(2000))]
    assert len(linked.first) == 1999


@pytest.mark.usefixtures("few")
def test_a_crowd_is_not_compared_within_itself() -> None:
    random = np.random.default_rng(0)
    x = np.concatenate([1 + 1e-3 * random.standard_normal((1200, 8)), random.standard_normal((100, 8))]).astype(np.float32)
    rows = brute.rows(x, Metric.COSINE)
    linked = joining.link(rows, 0.999, 1.0, crowd=10_000)
    full = joining.link(rows, 0.999, 1.0)
    assert full.join.counted
    assert found_groups(linked, len(x)) == found_groups(full, len(x))


def test_a_crowd_is_not_compared_within_itself_by_tiles_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled, "TILE", 16)
    random = np.random.default_rng(0)
    x = np.concatenate([1 + 1e-3 * random.standard_normal((800, 8)), random.standard_normal((100, 8))]).astype(np.float32)
    rows = brute.rows(x, Metric.COSINE)
    linked, full = joining.link(rows, 0.999, 1.0, crowd=10_000), joining.link(rows, 0.999, 1.0)
    assert full.join.method == "tiles"
    assert full.join.counted
    assert not linked.join.counted
    assert linked.join.pairs < 0.5 * full.join.pairs
    assert found_groups(linked, len(x)) == found_groups(full, len(x))


@pytest.mark.usefixtures("few")
def test_the_same_rows_give_the_same_links() -> None:
    rows = brute.rows(many(Metric.COSINE), Metric.COSINE)
    one, two = (joining.link(rows, 0.95, 0.95) for _ in range(2))
    assert one.first.tolist() == two.first.tolist()
    assert one.second.tolist() == two.second.tolist()
    assert one.join.pairs == two.join.pairs


def test_what_progress_raises_ends_the_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled, "TILE", 16)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        joining.link(brute.rows(brute.planted(400, 8, 10, 0.1), Metric.COSINE), 0.9, 0.99, progress=stop)


def test_progress_ends_at_the_total() -> None:
    told: list[tuple[int, int]] = []
    joining.link(brute.rows(brute.planted(400, 8, 0, 0.1), Metric.COSINE), 0.9, 0.99, progress=lambda a, b: told.append((a, b)))
    assert told[-1] == (400, 400)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        pairs = random.poisson(0.5, 800)
        low, high = interval(float(random.binomial(pairs.sum(), 0.98)), pairs)
        covered += low <= 0.98 <= high
    assert covered >= 0.93 * 400
    assert interval(0, np.zeros(5, np.int64)) == (0.0, 1.0)
