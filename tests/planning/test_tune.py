"""Tuning: the front against brute force, what was measured is not measured again, a stopped run goes on, reports, applying."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.metric import Metric
from nearfield.index import encode_kind
from nearfield.planning import tune as tuning
from nearfield.planning.front import Goal, Measured, choose, undominated
from nearfield.planning.tune import Data, Journal

N, DIM = 21_000, 16
KINDS = (nf.Hnsw(links=8, build_effort=16), nf.Ivf(lists=32), nf.Rabitq(lists=32))


def vectors(n: int = N) -> np.ndarray:
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((80, DIM))
    return (centres[rng.integers(0, 80, n)] + 0.5 * rng.standard_normal((n, DIM))).astype(np.float32)


def measured(kind, seconds: float, resident: int, *, whole: bool = True, effort: bool = True) -> Measured:
    return Measured(
        encode_kind(kind), N, whole, {"nprobe": 1} if effort else None, 0.96, 0.95, 100, "held-out rows", seconds, resident,
        resident, 1.0, [(0.96, 0.95, seconds)], p50=seconds, p99=2 * seconds, qps=1 / seconds,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=12))
def test_the_front_is_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    found = [measured(nf.Ivf(lists=i + 1), s / 1000, r) for i, (s, r) in enumerate(pairs)]
    front = undominated(found, lambda m: m.resident)
    best = {(m.seconds, m.resident) for m in found} - {
        (m.seconds, m.resident)
        for m in found
        for o in found
        if o.seconds <= m.seconds and o.resident <= m.resident and (o.seconds, o.resident) != (m.seconds, m.resident)
    }
    assert {(m.seconds, m.resident) for m in front} == best


def test_the_choice_is_the_quickest_that_reaches_the_goal() -> None:
    quick, small, sampled = (
        measured(nf.Hnsw(), 1e-4, 900),
        measured(nf.Ivf(), 3e-4, 100),
        measured(nf.Flat(), 1e-5, 1, whole=False),
    )
    missing = measured(nf.Rabitq(), 1e-6, 1, effort=False)
    every = [quick, small, sampled, missing]
    assert choose(every, Goal(0.95)).measured is quick
    assert choose(every, Goal(0.95, memory=500)).measured is small
    assert choose(every, Goal(0.95, latency=3e-4)).measured is quick
    nothing = choose(every, Goal(0.95, memory=50))
    assert nothing.kind is None
    assert "memory" in nothing.reason


def test_a_journal_passes_over_a_line_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.put("a", measured(nf.Ivf(), 1e-4, 5))
    journal.put("b", measured(nf.Hnsw(), 2e-4, 5))
    path.write_bytes(path.read_bytes()[:-40])
    again = Journal(path)
    assert again.get("a") == journal.get("a")
    assert again.get("b") is None
    again.put("c", measured(nf.Flat(), 3e-4, 5))
    assert Journal(path).get("c") == again.get("c")
    assert Journal(path).get("a") == journal.get("a")


@pytest.fixture
def data(tmp_path: Path) -> Data:
    vectors().tofile(tmp_path / "x")
    return Data(tmp_path / "x", N, DIM, Metric.L2, "1")


@pytest.mark.slow
def test_what_was_measured_is_not_built_again(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    front = tuning.tune(data, Goal(0.95), tmp_path, kinds=KINDS, progress=said.append)
    assert front.finished
    assert front.best.measured in front.measured
    assert front.best.measured.bound >= 0.95
    assert any("best so far" in line for line in said)
    assert not list(tmp_path.glob("tmp-*"))
    monkeypatch.setattr(tuning, "run_build", lambda *_, **__: pytest.fail("built again"))
    again = tuning.tune(data, Goal(0.95), tmp_path, kinds=KINDS)
    assert again.measured == front.measured
    assert again.best == front.best


def test_ctrl_c_and_the_time_limit_leave_what_was_measured(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build, calls = tuning.run_build, []

    def stopped(*args, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return build(*args, **named)

    monkeypatch.setattr(tuning, "run_build", stopped)
    front = tuning.tune(data, Goal(0.95), tmp_path, kinds=KINDS)
    assert not front.finished
    assert [m.kind for m in front.measured] == [encode_kind(KINDS[0])]
    monkeypatch.setattr(tuning, "run_build", build)
    late = tuning.tune(data, Goal(0.95), tmp_path, kinds=KINDS, minutes=1e-4)
    assert not late.finished
    assert [m.kind for m in late.measured] == [encode_kind(KINDS[0])]


def opened(path: Path) -> nf.Database:
    """The database of a process that was killed: a child that it was just starting holds its lock for a moment longer."""
    for _ in range(100):
        try:
            return nf.open(path)
        except nf.Locked:
            time.sleep(0.1)
    return nf.open(path)


@pytest.mark.slow
def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    code = (
        "import sys, nearfield as nf\n"
        "with nf.open(sys.argv[1]) as db:\n"
        "    print(db['c'].tune(progress=lambda line: print(line, flush=True)).best.reason, flush=True)\n"
    )
    with nf.open(tmp_path / "db") as db:
        db.create("c", embedder=None, dim=DIM, metric="l2").load(ids=[f"d{i}" for i in range(N)], vectors=vectors())
    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "db")], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    lines = [run.stdout.readline() for _ in range(3)]
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert all(line.startswith("10,500 of") or "of 21,000 rows" in line for line in lines)
    journal = next((tmp_path / "db").rglob("journal.jsonl"))
    known = Journal(journal)._known
    assert len(known) >= 2
    with opened(tmp_path / "db") as db:
        c = db["c"]
        began = time.time()
        front = c.tune()
        assert front.finished
        after = Journal(journal)._known
        assert {key: after[key] for key in known} == known
        page = journal.parent / "front.html"
        assert page.stat().st_mtime >= began - 1
        text = page.read_text()
        assert not re.findall(r'(?:src|href)="(?!data:)', text)
        assert "data:image/png;base64," in text
        assert json.loads((journal.parent / "front.json").read_text())["finished"]
        assert (journal.parent / "front.png").read_bytes().startswith(b"\x89PNG")
        assert not list(journal.parent.glob("tmp-*"))
        c.rebuild(front.best)
        stats = c.stats()
        assert stats.indexed == N
        assert stats.segments[0].index.kind == encode_kind(front.best.kind)
        assert c.verify().ok


def test_a_candidate_that_fails_is_named_and_others_go_on(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tuning.run_build

    def failing(vectors, rows, dim, kind, *args, **named):
        if isinstance(kind, nf.Ivf):
            raise nf.OutOfSpace("no room for this one")
        return build(vectors, rows, dim, kind, *args, **named)

    monkeypatch.setattr(tuning, "run_build", failing)
    front = tuning.tune(data, Goal(0.9), tmp_path, kinds=KINDS[:2])
    assert front.finished
    assert isinstance(front.best.kind, nf.Hnsw)
    assert "could not be built: no room for this one" in front.table()


def test_what_exceeds_memory_is_named(data: Data, tmp_path: Path) -> None:
    front = tuning.tune(data, Goal(0.95, memory=1000), tmp_path, kinds=KINDS)
    assert front.finished
    assert len(front.excluded) == len(KINDS)
    assert front.best.kind is None
    assert "memory" in front.best.reason
    assert all(text in front.table() for text in front.excluded)


def test_a_best_without_a_kind_changes_nothing(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=DIM, metric="l2", index=nf.Ivf(lists=16))
        c.load(ids=[f"d{i}" for i in range(N)], vectors=vectors())
        c.optimize()
        before = c.stats().segments[0].index
        front = c.tune(memory="1kB")
        assert front.best.kind is None
        with pytest.raises(nf.InvalidInput, match="nothing to build"):
            c.rebuild(front.best)
        assert c.stats().segments[0].index == before
        assert c.tune(recall=0.999).best.kind is None


@pytest.mark.slow
def test_measurements_outlive_commits_that_change_no_row(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=DIM, metric="l2")
        c.load(ids=[f"d{i}" for i in range(N)], vectors=vectors())
        c.record_queries(100)
        front = c.tune(minutes=0.15)
        for v in vectors()[:150]:
            c.search(vector=v)
    with nf.open(tmp_path / "db") as db:
        c = db["c"]
        journal = next((tmp_path / "db").rglob("journal.jsonl"))
        known = Journal(journal)._known
        assert len(known) >= len(front.measured) > 0
        assert c.tune(minutes=1e-3).measured, "what is known counts at once"
        assert Journal(journal)._known == known
        c.delete("d0")
        assert not c.tune(minutes=1e-3).measured, "what was measured of other rows counted"


def test_few_rows_are_scanned_and_bad_input_is_named(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=DIM, metric="l2")
        c.load(ids=[f"d{i}" for i in range(500)], vectors=vectors(500))
        front = c.tune()
        assert front.best.kind is None
        assert "exact" in front.best.reason
        c.rebuild(front.best)
        for bad, field in (
            ({"recall": 2}, "recall"),
            ({"latency": "fast"}, "latency"),
            ({"memory": "much"}, "memory"),
            ({"minutes": 0}, "minutes"),
            ({"minutes": "1"}, "minutes"),
            ({"k": 0}, "k"),
            ({"queries": np.zeros((30, DIM + 1), np.float32)}, "queries"),
            ({"queries": vectors(3)}, "queries"),
        ):
            with pytest.raises(nf.InvalidInput, match=field):
                c.tune(**bad)
        with pytest.raises(nf.InvalidInput, match="png"):
            front.plot(tmp_path / "front.bmp")
