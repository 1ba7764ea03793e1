"""Recorded queries: a fair sample, of the right searches, durable, never in a search's way, and gone when they should be."""

import random
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.engine import recording
from nearfield.engine.recording import Recorder
from nearfield.store import catalog, layout, sqlite
from nearfield.store.queries import State

DIM = 4


def collection(db: nf.Database, metric: str = "l2") -> nf.Collection:
    made = db.create("c", embedder=None, dim=DIM, metric=metric)
    made.upsert([nf.Document(f"d{i}", metadata={"n": i}) for i in range(3)], vectors=np.eye(3, DIM))
    return made


def kept(c: nf.Collection) -> set[float]:
    return set(c._engine.recorder.read()[:, 0].tolist())


def ask(c: nf.Collection, numbers: range) -> None:
    for i in numbers:
        c.search(vector=np.array([i, 1, 0, 0], np.float32), k=1)


def test_nothing_is_recorded_unless_asked_for(db: nf.Database) -> None:
    c = collection(db)
    ask(c, range(5))
    assert (c.stats().recording, c.stats().recorded) == (0, 0)
    c._engine.recorder.write(all=True)
    reader = sqlite.connect(c._engine.directory / layout.CATALOG, read_only=True)
    assert list(reader.execute("SELECT name FROM sqlite_master WHERE name = 'queries'")) == []
    reader.close()


def test_the_first_ones_are_all_kept_and_only_searches_without_a_filter_count(db: nf.Database) -> None:
    c = collection(db)
    c.record_queries(100)
    ask(c, range(40))
    c.search(vector=[900.0, 0, 0, 0], filter={"n": 1})
    c.search_many(np.full((2, DIM), 901, np.float32), filter={"n": 1})
    c.search(id="d1")
    c.explain(vector=[902.0, 0, 0, 0], id="d1")
    c.search_many(np.array([[50, 0, 0, 0], [51, 0, 0, 0]], np.float32))
    c.search(vector=[60.0, 0, 0, 0], exact=True)
    assert kept(c) == {*map(float, range(40)), 50.0, 51.0, 60.0}
    assert c._engine.recorder.state == State(100, 43, 43)


def test_prepared_vectors_are_kept(db: nf.Database) -> None:
    c = collection(db, "cosine")
    c.record_queries(100)
    c.search(vector=[3.0, 4.0, 0, 0])
    assert c._engine.recorder.read() == pytest.approx(np.array([[0.6, 0.8, 0, 0]]))


def test_every_search_is_as_likely_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the plain meaning of a uniform sample: over many runs each query is kept equally often."""
    n, capacity, runs = 60, 12, 4000
    queries = np.arange(n, dtype=np.float32)[:, None]
    counts = np.zeros(n)
    recorder = Recorder(State(), 1, lambda operation: None)
    recorder._random = random.Random(7)
    for _ in range(runs):
        recorder._state, recorder._new = State(capacity), {}
        recorder.offer(queries[:20])
        for query in queries[20:]:
            recorder.offer(query[None])
        found = [int(np.frombuffer(v, np.float32)[0]) for v in recorder._new.values()]
        assert len(found) == len(set(found)) == capacity
        counts[found] += 1
    expected = runs * capacity / n
    spread = np.sqrt(runs * (capacity / n) * (1 - capacity / n))
    assert np.abs(counts - expected).max() < 4.5 * spread
    chi_squared = float((((counts - expected) / spread) ** 2).sum() * (1 - 1 / n))
    assert chi_squared < 110  # 59 degrees of freedom: beyond 110 once in 20,000


def test_the_sample_survives_closing_and_goes_on(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = collection(db)
        c.record_queries(100)
        ask(c, range(150))
        before, state = kept(c), c._engine.recorder.state
        ask(c, range(1000, 1003))
        later = c._engine.recorder.state
    with nf.open(tmp_path / "db") as db:
        c = db["c"]
        assert c._engine.recorder.state == later
        assert (state.seen, later.seen) == (150, 153)
        assert len(kept(c)) == c.stats().recorded == 100
        assert len(kept(c) & before) >= 97
        ask(c, range(2000, 4000))
        assert len([v for v in kept(c) if v >= 2000]) > 70
    with nf.open(tmp_path / "db", read_only=True) as db:
        c = db["c"]
        assert (c.stats().recording, c.stats().recorded) == (100, 100)
        ask(c, range(3))
        assert c._engine.recorder.state.seen == 2153
        with pytest.raises(nf.ReadOnly):
            c.record_queries(0)


def test_what_is_new_is_written_in_the_background(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "EVERY", 0.01)
    c = collection(db)
    c.record_queries(100)
    commit = c.commit
    ask(c, range(10))
    reader = sqlite.connect(c._engine.directory / layout.CATALOG, read_only=True)
    for _ in range(500):
        if list(reader.execute("SELECT count(*) FROM queries")) == [(10,)]:
            break
        __import__("time").sleep(0.01)
    else:
        pytest.fail("nothing was written")
    reader.close()
    assert commit < c.commit <= commit + 10


def test_a_search_writes_nothing_itself(db: nf.Database) -> None:
    c = collection(db)
    c.record_queries(100)
    before = c.commit
    ask(c, range(50))
    assert c.commit == before


def test_a_failed_write_loses_nothing_and_is_tried_again(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    c = collection(db)
    c.record_queries(100)
    ask(c, range(10))
    recorder, submit = c._engine.recorder, c._engine.recorder._submit

    def full(operation: object) -> None:
        raise nf.OutOfSpace("full")

    recorder._submit = full
    with pytest.raises(nf.OutOfSpace):
        recorder.write()
    ask(c, range(10, 12))
    recorder._submit = submit
    assert kept(c) == set(map(float, range(12)))


def test_turned_off_it_is_gone_from_the_disk_too(tmp_path: Path) -> None:
    secret = np.array([1.2345678, 8.7654321, 2.3456789, 9.8765432], np.float32)
    with nf.open(tmp_path / "db") as db:
        c = collection(db)
        c.record_queries(100)
        c.search(vector=secret)
        assert len(c._engine.recorder.read()) == 1
        assert holding(tmp_path, secret.tobytes())
        c.record_queries(0)
        c.search(vector=secret)
        assert c.stats().recorded == 0
        assert len(c._engine.recorder.read()) == 0
        assert not holding(tmp_path, secret.tobytes())
    assert not holding(tmp_path, secret.tobytes())
    with nf.open(tmp_path / "db") as db:
        assert db["c"].stats().recording == 0
        assert db["c"].verify().ok


def holding(directory: Path, data: bytes) -> list[Path]:
    return [p for p in directory.rglob("*") if p.is_file() and data in p.read_bytes()]


def test_the_same_number_changes_nothing_and_another_starts_anew(db: nf.Database) -> None:
    c = collection(db)
    c.record_queries(100)
    ask(c, range(30))
    c.record_queries(100)
    assert len(kept(c)) == 30
    c.record_queries(200)
    assert (len(kept(c)), c.stats().recording) == (0, 200)
    ask(c, range(5))
    assert len(kept(c)) == 5


def test_a_copy_and_a_backup_hold_the_sample(db: nf.Database, tmp_path: Path) -> None:
    c = collection(db)
    c.record_queries(100)
    ask(c, range(7))
    c._engine.recorder.write()
    assert kept(db.copy("c", "again")) == kept(c)
    db.backup(tmp_path / "copy")
    nf.restore(tmp_path / "copy", tmp_path / "back")
    with nf.open(tmp_path / "back") as back:
        assert kept(back["c"]) == kept(c)


@pytest.mark.parametrize("n", [-1, 1, 99, 10_001, 1.5, True, "500", None])
def test_bad_numbers_are_named(db: nf.Database, n: object) -> None:
    c = collection(db)
    with pytest.raises(nf.InvalidInput) as caught:
        c.record_queries(n)  # type: ignore[arg-type]
    assert caught.value.field == "n"


def test_an_index_record_of_before_still_opens() -> None:
    """Fields were added with defaults; what was written without them is read."""
    import msgspec

    old = b'{"segment":1,"number":2,"kind":{"kind":"flat"},"curve":{"points":[]},"files":{},"seconds":0.5,"reason":"x"}'
    record = msgspec.json.decode(old, type=catalog.IndexRecord)
    assert (record.created, record.calibrated, record.calibrated_by, record.queries, record.arrived) == (0.0, 0.0, "", 0, 0)
