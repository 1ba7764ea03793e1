"""What calibration says of an index is what searches then do; the choice it allows is the cheapest that keeps the promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.metric import Metric, prepare
from nearfield.index import calibrate, exact
from nearfield.index.base import Allow, Effort
from nearfield.index.curve import GIVEN, Curve, Point, frontier

N, DIM, M = 6000, 16, 200


@pytest.mark.parametrize(
    "kind", [nf.Hnsw(links=8, build_effort=16), nf.Ivf(lists=40), nf.IvfPq(lists=40)], ids=lambda k: k.name
)
@pytest.mark.parametrize("metric", [Metric.COSINE, Metric.L2])
def test_measured_recall_is_what_searches_then_have(kind, metric: Metric) -> None:
    rng = np.random.default_rng(4)
    centres = rng.standard_normal((50, DIM))
    raw = (centres[rng.integers(0, 50, N + M)] + 0.6 * rng.standard_normal((N + M, DIM))).astype(np.float32)
    x = prepare(raw, metric)[0]
    inside = np.arange(N + M) < N
    building = kind.start(x[:N], N, metric, 1)
    building.add(x[:N])
    index = building.index(x, np.arange(N, dtype=np.int32))
    queries = np.ascontiguousarray(x[N:])
    points = calibrate.measure(index, kind, x, inside, queries, metric, calibrate.HELD_OUT, 7, lambda share: None)
    assert {p.k for p in points} == {1, 10, 100, 1000}
    assert {p.share for p in points if p.k == 10} == set(calibrate.SHARES)
    lot = np.random.default_rng(7).random(N + M, np.float32)
    checked = 0
    for point in [p for p in points if p.k in (1, 10) and p.queries == M][:40]:
        mask = inside & (lot < point.share)
        allow = None if point.share == 1 else Allow(np.packbits(mask, bitorder="little"), point.share)
        found = index.search(queries, point.k, point.effort, allow).positions
        _, true = exact.search(queries, x, point.k, metric, mask)
        recall = np.mean([len(set(a) & set(b)) / point.k for a, b in zip(found, true, strict=True)])
        assert abs(recall - point.recall) < 0.016  # fast-scan breaks ties of its coarse distances by how many are asked for
        checked += 1
    assert checked >= 4
    for k, at in ((10, 10), (5, 10), (60, 100), (5000, 1000)):
        only = calibrate.measure(
            index, kind, x, inside, queries, metric, calibrate.HELD_OUT, 7, lambda share: None, only=(k, 0.9)
        )
        assert {(p.k, p.share) for p in only} == {(at, 1.0)}
        full = {p.effort: p.recall for p in points if (p.k, p.share) == (at, 1.0)}
        assert all(abs(full[p.effort] - p.recall) < 0.016 for p in only if p.effort in full)
        assert only[-1].bound >= min(0.9, max(p.bound for p in points if (p.k, p.share) == (at, 1.0)) - 0.02)


def test_bounds_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    weights = calibrate.resampling(200, rng)
    values = rng.beta(9, 1, (200, 400)).astype(np.float32)
    bounds = calibrate.lower_bound(values, weights)
    assert (bounds <= values.mean(0)).all()
    assert 0.90 <= np.mean(bounds <= 0.9) <= 0.99


points = st.builds(
    Point,
    k=st.sampled_from([1, 10, 100]),
    effort=st.builds(Effort, nprobe=st.integers(1, 50)),
    recall=st.floats(0.5, 1),
    bound=st.sampled_from([0.8, 0.9, 0.95, 0.99]),
    queries=st.just(100),
    source=st.sampled_from([calibrate.HELD_OUT, GIVEN]),
    share=st.sampled_from([1.0, 0.5, 0.1]),
    seconds=st.sampled_from([1e-5, 2e-5, 4e-5, 8e-5]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(points, max_size=25), st.sampled_from([0.8, 0.9, 0.97]), st.sampled_from([1, 5, 10, 100]), st.floats(0.05, 1))
def test_the_choice_is_the_cheapest_that_keeps_the_promise(made: list[Point], recall: float, k: int, share: float) -> None:
    curve = Curve(tuple(frontier(made)))
    assert Curve.from_dict(curve.to_dict()) == curve
    source = GIVEN if any(p.source == GIVEN for p in made) else calibrate.HELD_OUT
    fitting = [p for p in made if p.source == source and p.k >= k and p.share <= 1.02 * share]
    fitting = [p for p in fitting if p.k == min(q.k for q in fitting)]
    fitting = [p for p in fitting if p.share == max(q.share for q in fitting)]
    good = [p for p in fitting if p.bound >= recall]
    chosen = curve.effort_for(recall, k, share)
    if not good:
        assert chosen is None
    else:
        assert chosen is not None
        assert chosen in good
        assert chosen.seconds == min(p.seconds for p in good)
