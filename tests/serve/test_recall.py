"""The monitor's figures against full truth; the controller raises effort when data shifts, and takes back what it added."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.serve import recall
from nearfield.serve.recall import LEAST, STEPS, Monitor, Sample, State, Window, wilson


def collection(db: nf.Database, n: int = 3000, dim: int = 16, seed: int = 0) -> nf.Collection:
    c = db.create("c", embedder=None, dim=dim, metric="l2")
    x = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    c.load(ids=[str(i) for i in range(n)], vectors=x)
    return c


@pytest.mark.parametrize(("hits", "n"), [(50, 50), (45, 50), (480, 500), (0, 60)])
def test_wilsons_interval_covers_what_it_should(hits: int, n: int) -> None:
    mean, low, high = wilson(hits / n, n)
    assert 0 <= low <= mean <= high <= 1
    rng = np.random.default_rng(0)
    for p in (low - 0.05, high + 0.05):
        if 0 <= p <= 1:
            drawn = rng.binomial(n, p, 4000) / n
            far = (drawn >= mean).mean() if p < low else (drawn <= mean).mean()
            assert far < 0.025


def test_the_sample_of_rows_bounds_recall_without_bias(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mean over many draws of the misses estimated, against the rows that really beat the k-th returned."""
    monkeypatch.setattr(recall, "ROWS", 500)
    c = collection(db)
    snapshot, rng = c.snapshot(), np.random.default_rng(1)
    query = rng.standard_normal((1, 16)).astype(np.float32)
    exact = c.search(vector=query[0], k=200, exact=True)
    returned = np.sort(exact.scores[[0, 1, 2, 5, 6, 9, 10, 12, 14, 15]])[::-1]
    better = int(np.count_nonzero(exact.scores > returned[-1])) - 9
    true_recall = 7 / 10
    random_ = random.Random(0)
    bounds = [recall.bounded(snapshot, query, returned, 10, random_) for _ in range(400)]
    assert abs(np.mean(bounds) - max(0.0, 1 - better / 10)) < 0.12  # cut off at 0 from below, so a little above
    assert np.mean(bounds) <= true_recall + 0.05


def test_measured_recall_is_that_of_the_index(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = collection(db)
        monitor = Monitor(1.0, lambda: False, lambda _: None)
        rng = np.random.default_rng(2)
        for _ in range(LEAST):
            query = rng.standard_normal((1, 16)).astype(np.float32)
            monitor._measure(Sample(c, query, c.request(k=10), False))
        told = monitor.report(c)
        assert told.traffic["unfiltered"].samples == LEAST
        assert told.traffic["unfiltered"].recall == 1.0  # searched exactly: too few rows for an index
        assert told.margin == 0
        monitor.close()


def fed(state: State, step: int, value: float, count: int) -> None:
    for _ in range(count):
        state.windows[False].add(step, value)


def test_effort_goes_up_when_recall_falls_and_down_when_less_would_do(db: nf.Database) -> None:
    c = collection(db, n=100)
    asked: list[str] = []
    monitor = Monitor(0.5, lambda: False, lambda found: asked.append(found.name))
    state = monitor._states[c.fixed()] = State()
    fed(state, 0, 0.8, LEAST - 1)
    monitor._steer(c, state)
    assert state.step == 0  # too few samples
    fed(state, 0, 0.8, 30)
    monitor._steer(c, state)
    assert state.step == 1
    assert monitor.target(c) == pytest.approx(c.recall + STEPS[1])
    fed(state, 1, 1.0, 200)
    monitor._steer(c, state)
    assert state.step == 1  # the step below does not hold it
    state.windows[False] = Window()
    fed(state, 0, 0.998, 300)
    fed(state, 1, 1.0, 300)
    monitor._steer(c, state)
    assert state.step == 0
    state.step = len(STEPS) - 1
    fed(state, state.step, 0.5, 300)
    monitor._steer(c, state)
    assert asked == ["c"]
    monitor.close()


def test_a_sample_that_cannot_be_measured_is_told_and_what_was_learned_stays(
    db: nf.Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    c = collection(db, n=100)
    monitor = Monitor(1.0, lambda: False, lambda found: None)
    state = monitor._states[c.fixed()] = State()
    state.step = 2
    tried = threading.Event()

    def broken(sample: object) -> None:
        tried.set()
        raise ZeroDivisionError("once")

    monkeypatch.setattr(monitor, "_measure", broken)
    monitor.offer(c, np.ones((1, c.dim), np.float32), c.request(k=1))
    assert tried.wait(30)
    end = time.monotonic() + 30
    while "was not measured" not in caplog.text and time.monotonic() < end:
        time.sleep(0.005)
    monitor.close()
    assert monitor.target(c) == pytest.approx(c.recall + STEPS[2])
    assert "was not measured" in caplog.text
