"""Devices that are full, lost or broken, and several of them: searches go on with right answers, and what happened is told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.device import scan
from nearfield.device.resident import OnDevices
from nearfield.maintain import tiers
from tests.maintain.tiered import DIM, GPU, fill, same


@pytest.fixture(autouse=True)
def preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnDevices, "seconds", lambda self, m: 0.0)
    monkeypatch.setattr(tiers.TierKeeper, "look", lambda self: None)
    monkeypatch.setattr(tiers, "EVERY", 1e6)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6000, DIM)).astype(np.float32)


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*arguments: Any) -> Any:
        raise error

    monkeypatch.setattr(scan.blocks, "maxima", broken)


def test_a_lost_device_is_told_and_searches_go_on(tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c, d = fill(db, x), fill(db, x, "d")
        c.pin("hot")
        d.pin("hot")
        failing(monkeypatch, RuntimeError("CUDA error: an illegal memory access was encountered"))
        assert same(c, x).plan.segments[0].device is None
        report = db.tiers()
        assert "cpu is lost" in report.alarms[0]
        assert report.devices[0].lost
        db._tiers.settle()  # type: ignore[union-attr]
        assert report.segments["d"]["hot"] == 0, "what else was there is searched by the processor too"
        same(d, x)
        c.upsert([nf.Document("new")], vectors=x[:1])
        assert c.search(vector=x[0], k=2, recall=1.0).ids[0] in ("new", "0-0")


def test_a_device_without_room_for_a_search_costs_nothing_but_time(
    tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c = fill(db, x)
        c.pin("hot")
        failing(monkeypatch, RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"))
        assert same(c, x).plan.segments[0].device is None
        assert not db.tiers().alarms
        assert not db.tiers().devices[0].lost
        assert db.tiers().segments["c"] == {"hot": 0, "warm": 1, "cold": 0}
        monkeypatch.undo()
        db._tiers.settle()  # type: ignore[union-attr]
        assert db.tiers().segments["c"]["hot"] == 0, "it is not tried again at once"


def test_an_allocation_that_fails_moves_something_out(tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c, d = fill(db, x), fill(db, x, "d")
        for query in x[:20]:
            c.search(vector=query, k=1)
        db._tiers.settle()  # type: ignore[union-attr]
        real, calls = scan.encode, []

        def full_once(*arguments: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == 1:
                raise MemoryError("the device is full")
            return real(*arguments, **named)

        monkeypatch.setattr(scan, "encode", full_once)
        for query in x[:2000]:
            d.search(vector=query, k=1)
        db._tiers.step()  # type: ignore[union-attr]
        assert len(calls) == 2
        assert d.stats().segments[0].tier == "hot"
        assert c.stats().segments[0].tier == "warm"
        same(c, x)
        same(d, x)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two devices: both are the processor."""
    from nearfield.maintain import budgets

    real = scan.Scan.put.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(budgets, "_every", lambda: (["cpu:0", "cpu:1"], []))
    monkeypatch.setattr(budgets, "_budget", lambda gpu_memory, name: 100_000_000)

    def put(cls: type, vectors: Any, metric: Any, device: str, *arguments: Any, **named: Any) -> Any:
        made = real(cls, vectors, metric, "cpu", *arguments, **named)
        made.device = device
        return made

    monkeypatch.setattr(scan.Scan, "put", classmethod(put))
    return


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("spread", ["shard", "replicate"])
def test_several_devices_answer_as_one(tmp_path: Path, x: np.ndarray, spread: str) -> None:
    with nf.open(tmp_path, gpu_memory="100MB", spread=spread) as db:
        c = fill(db, x, metric="l2")
        c.pin("hot")
        (segment,) = c.stats().segments
        assert segment.device == "cpu:0,cpu:1"
        each = [use.reserved - 12_500_000 for use in db.tiers().devices]
        assert sum(each) == segment.device_bytes
        assert min(each) > 0.9 * max(each)
        same(c, x)
        same(c, x, k=300)
        same(c, x, filter={"odd": 0})
        many = c.search_many(x[:33] + 0.1, k=5, recall=1.0)
        assert [h.ids for h in many] == [c.search(vector=q + 0.1, k=5, exact=True).ids for q in x[:33]]


@pytest.mark.usefixtures("two")
def test_a_replica_that_is_lost_is_left_out(tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with nf.open(tmp_path, gpu_memory="100MB", spread="replicate") as db:
        c = fill(db, x)
        c.pin("hot")
        real = scan.Scan.search

        def search(self: Any, *arguments: Any) -> Any:
            if self.device == "cpu:0":
                raise scan.DeviceLost("it fell off the bus", self.device)
            return real(self, *arguments)

        monkeypatch.setattr(scan.Scan, "search", search)
        held = c.stats().segments[0].device_bytes
        for _ in range(4):
            assert same(c, x).plan.segments[0].device is not None
        first, second = db.tiers().devices
        assert first.lost
        assert first.reserved == 12_500_000
        assert not second.lost
        assert second.reserved == 12_500_000 + held // 2
        assert "cpu:0 is lost" in db.tiers().alarms[0]
        assert c.stats().segments[0].device == "cpu:1"


def test_one_segment_that_cannot_be_moved_holds_up_no_other(
    tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c, d = fill(db, x), fill(db, x[:3000], "d")
        real, tried = scan.encode, []

        def broken(vectors: Any, *arguments: Any, **named: Any) -> Any:
            if len(vectors) == len(x):
                tried.append(1)
                raise OSError("no space left for the kernels' cache")
            return real(vectors, *arguments, **named)

        monkeypatch.setattr(scan, "encode", broken)
        c.pin("hot")
        d.pin("hot")
        for _ in range(5):
            db._tiers.step()  # type: ignore[union-attr]
        assert d.stats().segments[0].tier == "hot"
        assert c.stats().segments[0].tier == "warm"
        assert len(tried) <= 2, "once in each form, then not for a while"
        same(c, x)


def test_a_growth_that_fails_leaves_what_was_there(tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c = fill(db, x)
        real = scan.encode

        def full(vectors: Any, metric: Any, device: str, dtype: str = "float16", **named: Any) -> Any:
            if dtype == "float16":
                raise MemoryError
            return real(vectors, metric, device, dtype, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(scan, "encode", full)
        c.pin("hot")
        db._tiers.settle()  # type: ignore[union-attr]
        assert c.stats().segments[0].device_form == "int8"
        same(c, x)


def test_an_index_found_damaged_when_it_is_used_is_built_again(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, memory="100MB") as db:
        c = fill(db, x, index=nf.Hnsw(links=8))
        c.optimize()
        c.pin("cold")
        (view,) = c._engine.snapshot.segments
        assert view.index is not None
        (path,) = view.segment.directory.glob("*.faiss")
        content = path.read_bytes()
        path.write_bytes(b"\x00" * len(content))
        assert c.search(vector=x[3], k=5).ids == c.search(vector=x[3], k=5, exact=True).ids
        db._tiers.step()  # type: ignore[union-attr]
        assert c.stats().damaged or c._engine.snapshot.segments[0].index is not view.index
        c.optimize()
        c.pin(None)
        assert c.search(vector=x[3], k=5).plan.segments[0].kind == "hnsw"
        assert not c.stats().damaged


def test_a_search_that_fails_while_the_database_closes_leaves_no_lock(
    tmp_path: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = nf.open(tmp_path, **GPU)
    c = fill(db, x, parts=3)
    c.pin("hot")
    real = OnDevices.close

    def failing_meanwhile(self: OnDevices) -> None:
        for view in c._engine.snapshot.segments:
            if view.place.resident is not None:
                view.place.failed(view.place.resident, scan.DeviceLost("gone", "cpu"))
        real(self)

    monkeypatch.setattr(OnDevices, "close", failing_meanwhile)
    db.close()
    nf.open(tmp_path).close()
