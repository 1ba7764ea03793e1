"""Segments move between tiers and nothing else changes: answers are those of a collection that never moved, failures included.

The processor stands in for a card: the same code runs on it, and a search is made to prefer it by a time of nothing.
"""

import re
import threading
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
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


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_a_pinned_collection_is_searched_on_the_device(tmp_path: Path, x: np.ndarray, metric: str) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c = fill(db, x, metric=metric)
        assert same(c, x).plan.tiers == ("warm",)
        c.pin("hot")
        hits = same(c, x)
        assert hits.plan.tiers == ("hot",)
        assert hits.plan.segments[0].device == "cpu"
        same(c, x, filter={"odd": 1})
        many = c.search_many(x[:50] + 0.1, k=5, recall=1.0)
        assert [h.ids for h in many] == [c.search(vector=q + 0.1, k=5, exact=True).ids for q in x[:50]]
        (segment,) = c.stats().segments
        assert (segment.tier, segment.device, segment.device_form) == ("hot", "cpu", "float16")
        assert segment.device_bytes == db.tiers().nbytes["c"]["hot"]
        c.delete([hits.ids[0]])
        assert c.search(vector=x[17] + 0.1, k=3, recall=1.0).ids == hits.ids[1:4]
        c.pin("cold")
        assert c.search(vector=x[17] + 0.1, k=3, recall=1.0).plan.tiers == ("cold",)
        assert db.tiers().devices[0].reserved == 50_000_000, "only the workspace is held"


def test_a_restart_goes_on_as_it_was(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, **GPU) as db:
        fill(db, x).pin("hot")
        fill(db, x, "d").pin("cold")
    with nf.open(tmp_path, **GPU) as db:
        c, d = db["c"], db["d"]
        db._tiers.settle()  # type: ignore[union-attr]
        assert c.stats().segments[0].tier == "hot"
        assert c.stats().pin == "hot"
        assert same(d, x).plan.tiers == ("cold",)
    with nf.open(tmp_path) as db:
        assert same(db["c"], x).plan.tiers == ("warm",), "without a budget no device is used"
        with pytest.raises(nf.InvalidInput, match="gpu_memory"):
            db["c"].pin("hot")
    with nf.open(tmp_path, read_only=True) as db:
        same(db["c"], x)
        same(db["d"], x)


def test_what_is_asked_goes_to_the_device_by_itself(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, **GPU) as db:
        c, d = fill(db, x), fill(db, x, "d")
        for query in x[:200]:
            c.search(vector=query, k=1)
        db._tiers.settle()  # type: ignore[union-attr]
        assert c.stats().segments[0].tier == "hot"
        assert d.stats().segments[0].tier == "warm"
        assert db.tiers().moves == {"hot": 1}
        c.pin("warm")
        assert c.stats().segments[0].tier == "warm"


def test_memory_beyond_its_budget_is_left_in_files(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, memory=x.nbytes + x.nbytes // 2) as db:
        names = ["a", "b", "c"]
        for name in names:
            fill(db, x, name)
        for query in x[:100]:
            db["b"].search(vector=query, k=1)
        db._tiers.settle()  # type: ignore[union-attr]
        assert [db[name].stats().segments[0].tier == "warm" for name in names] == [False, True, False]
        report = db.tiers()
        assert report.memory is not None
        assert report.memory_used <= report.memory
        for name in names:
            same(db[name], x)


def resident_of(path: Path) -> int:
    """Bytes of a file that this process has in memory, as the system says."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"^[0-9a-f]+-[0-9a-f]+ ", line):
            inside = line.endswith(str(path))
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


def test_a_cold_segment_takes_no_memory_until_it_is_asked(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, memory="1GB") as db:
        c = fill(db, x, index=nf.Hnsw(links=8))
        c.optimize()
        (view,) = c._engine.snapshot.segments
        path = view.segment.directory / "vectors.bin"
        same(c, x)
        assert resident_of(path) > x.nbytes // 2
        c.pin("cold")
        assert resident_of(path) == 0
        assert not view.index.file.is_open  # type: ignore[union-attr]
        hits = c.search(vector=x[3], k=5)
        assert hits.plan.segments[0].kind == "hnsw"
        assert hits.plan.tiers == ("cold",)
        assert view.index.file.is_open  # type: ignore[union-attr]
        db._tiers.step()  # type: ignore[union-attr]
        assert not view.index.file.is_open, "what was opened for a search is let go again"  # type: ignore[union-attr]
        assert resident_of(path) == 0
        assert c.stats().segments[0].index.resident_bytes > 0  # type: ignore[union-attr]


def test_searches_and_writes_go_on_while_segments_move(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, memory="100MB", **GPU) as db:
        c = fill(db, x, parts=3)
        stop, wrong = threading.Event(), []

        def ask() -> None:
            rng = np.random.default_rng(1)
            while not stop.is_set():
                i = int(rng.integers(len(x)))
                found = c.search(vector=x[i], k=1, recall=1.0)
                if int(found.ids[0].split("-")[1]) != i:
                    wrong.append((i, found.ids[0]))

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for tier in ("hot", "cold", "hot", "warm", None, "hot", "cold"):
            c.pin(tier)
        c.optimize()
        c.pin("hot")
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong
        assert {s.tier for s in c.stats().segments} == {"hot"}
        assert len(c.stats().segments) == 1
        held = sum(s.device_bytes for s in c.stats().segments)
        assert db.tiers().devices[0].reserved == 50_000_000 + held, "merged segments gave their bytes back"


def test_what_is_not_in_memory_keeps_no_index_open(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path, memory="100MB", **GPU) as db:
        c = fill(db, x, index=nf.Hnsw(links=8))
        c.pin("cold")
        c.optimize()
        (view,) = c._engine.snapshot.segments
        assert view.index is not None
        db._tiers.step()  # type: ignore[union-attr]
        assert not view.index.file.is_open, "an index that was just built for a cold segment"
        c.pin("hot")
        c.search(vector=x[0], k=3, effort=nf.Effort(efSearch=32))
        assert view.index.file.is_open
        db._tiers.step()  # type: ignore[union-attr]
        assert not view.index.file.is_open, "one that a search of a hot segment asked for"
        assert db.tiers().memory_used == 0
