"""A task that would not fit is not begun, and says what is missing; searches go on exactly."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nearfield as nf
from nearfield.index.build import AFTER, IDLE
from nearfield.maintain import tasks

X = np.random.default_rng(0).standard_normal((3000, 8)).astype(np.float32)


def indexed(db: nf.Database) -> nf.Collection:
    """A collection of X under the ids "0", "1", and so on, with its index."""
    c = db.create("c", embedder=None, dim=8, index=nf.Hnsw(links=8, build_effort=32))
    c.load(ids=[str(i) for i in range(len(X))], vectors=X)
    c.optimize()
    return c


def test_a_build_that_memory_cannot_hold_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = X
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=8, metric="l2", index=nf.Hnsw(links=8, build_effort=16))
        monkeypatch.setattr(tasks.psutil, "virtual_memory", lambda: SimpleNamespace(total=1 << 34, available=1 << 20))
        monkeypatch.setattr(tasks, "run_build", lambda *_, **__: pytest.fail("it was begun"))
        c.load(ids=[f"d{i}" for i in range(3000)], vectors=x)
        with pytest.raises(nf.OutOfSpace, match="memory"):
            c.optimize()
        assert c.stats().indexed == 0
        assert c.search(vector=x[7], k=1).ids == ["d7"]
        monkeypatch.undo()
        c.optimize()
        assert c.stats().indexed == 3000


def test_a_rewrite_brings_its_index_so_that_no_search_is_exact_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n, x = len(X), X
    with nf.open(tmp_path / "db") as db:
        c = indexed(db)
        seen, build = [], tasks.run_build

        def beside(*args, **named):
            if not seen:
                c.delete("2999")
                c.upsert(nf.Document("2998"), vectors=-x[2998:2999])
            hits = c.search(vector=x[2997], k=1)
            seen.append((hits.ids[0], {s.method for s in hits.plan.segments if s.rows > 1000}))
            return build(*args, **named)

        monkeypatch.setattr(tasks, "run_build", beside)
        c.delete([str(i) for i in range(1500)])
        c.optimize()
        assert seen
        assert all(found == ("2997", {"index"}) for found in seen)
        stats = c.stats()
        assert stats.documents == len(c) == n - 1501
        assert all(s.index is not None for s in stats.segments if s.rows > 1000)
        assert "2999" not in c
        assert c.search(vector=-x[2998], k=1).ids == ["2998"]
        assert "2998" not in c.search(vector=x[2998], k=3, exact=True).ids
        assert c.verify().ok
    with nf.open(tmp_path / "db", read_only=True) as db:
        hits = db["c"].search(vector=x[2997], k=1)
        assert hits.ids == ["2997"]
        assert "index" in {s.method for s in hits.plan.segments}


def test_a_rewrite_whose_index_cannot_be_built_goes_on_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nf.open(tmp_path / "db") as db:
        c = indexed(db)
        c.delete([str(i) for i in range(1500)])
        build, failed = tasks.run_build, []

        def once(*args, **named):
            if not failed:
                failed.append(1)
                raise nf.OutOfSpace("no room")
            return build(*args, **named)

        monkeypatch.setattr(tasks, "run_build", once)
        c.optimize()
        assert failed
        assert [s.live for s in c.stats().segments] == [1500]
        assert c.stats().segments[0].index is not None, "built after the swap"
        assert not list((tmp_path / "db").rglob("tmp-*"))


def test_builds_beside_a_server_take_the_threads_given_and_nothing_that_others_want(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, build = [], tasks.run_build

    def noted(*args, **named):
        asked.append((named["threads"], named["nice"]))
        return build(*args, **named)

    monkeypatch.setattr(tasks, "run_build", noted)
    for name, threads in (("a", None), ("b", 1)):
        with nf.open(tmp_path / name, build_threads=threads) as db:
            indexed(db)
    assert asked == [(None, AFTER), (1, IDLE)]
    with pytest.raises(nf.InvalidInput, match="build_threads"):
        nf.open(tmp_path / "c", build_threads=0)
    assert not (tmp_path / "c").exists()
    code = (
        "import os; from nearfield.index.child import _step_back; _step_back(19); print(os.nice(0), os.sched_getscheduler(0))"
    )
    if hasattr(os, "SCHED_IDLE"):
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert int(told[0]) >= IDLE
        assert int(told[1]) == os.SCHED_IDLE
