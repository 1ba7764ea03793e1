"""Many callers share commits; one failure fails alone; readers never wait and never see half of anything."""

import threading
from pathlib import Path

import apsw
import numpy as np
import pytest

import nearfield as nf
from nearfield.maintain import tasks
from nearfield.store import catalog


@pytest.fixture
def c(db: nf.Database) -> nf.Collection:
    return db.create("c", embedder=None, dim=4, metric="l2")


def test_concurrent_writes_share_commits_and_fail_alone(c: nf.Collection) -> None:
    c.upsert([nf.Document("taken")], vectors=np.ones((1, 4)))
    engine, gate = c._engine, threading.Event()
    holding = threading.Thread(target=lambda: engine.submit(lambda t: gate.wait(10), alone=True))
    holding.start()
    outcomes: dict[int, object] = {}

    def write(i: int) -> None:
        document = nf.Document("taken" if i % 5 == 0 else f"d{i}")
        try:
            outcomes[i] = c.upsert([document], vectors=np.full((1, 4), i), if_exists="error")
        except nf.AlreadyExists as error:
            outcomes[i] = error

    threads = [threading.Thread(target=write, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    while len(engine._committer._queue) < 20:
        pass
    before = c.commit
    gate.set()
    for thread in [holding, *threads]:
        thread.join()
    assert sorted(i for i, o in outcomes.items() if isinstance(o, nf.AlreadyExists)) == [0, 5, 10, 15]
    assert c.commit - before <= 3
    assert len(c) == 17
    assert c.verify().problems == []


def test_searches_during_writes_and_merges_see_whole_batches(c: nf.Collection) -> None:
    """Every batch gives all its documents one number; a search over all sees one number and each document once."""
    ids = [f"d{i}" for i in range(50)]
    stop, wrong = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            hits = c.search(vector=np.zeros(4), k=100)
            if len(hits) != 50 or len(set(hits.ids)) != 50 or len({h.metadata["n"] for h in hits}) != 1:
                wrong.append(hits)
                return

    def write(n: int) -> None:
        c.upsert([nf.Document(i, metadata={"n": n}) for i in ids], vectors=np.random.default_rng(n).random((50, 4)))

    write(0)
    readers = [threading.Thread(target=look) for _ in range(2)]
    for reader in readers:
        reader.start()
    for n in range(1, 30):
        write(n)
        with c._maintainer._busy:
            tasks.seal(c._engine)
            if n % 5 == 0:
                tasks.merge(c._engine, tuple(v.segment.number for v in c._engine.snapshot.segments))
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_after_a_failed_commit_nothing_more_is_written(c: nf.Collection, db: nf.Database, tmp_path: Path) -> None:
    c.upsert([nf.Document("safe")], vectors=np.ones((1, 4)))
    engine = c._engine
    real = engine._committer._connection

    class Failing:
        def __getattr__(self, name: str):
            return getattr(real, name)

        def execute(self, sql: str, *args):
            if sql == "COMMIT":
                raise apsw.IOError("fsync failed")
            return real.execute(sql, *args)

    engine._committer._connection = Failing()
    with pytest.raises(nf.ReadOnly):
        c.upsert([nf.Document("lost")], vectors=np.ones((1, 4)))
    engine._committer._connection = real
    with pytest.raises(nf.ReadOnly, match="reopen"):
        c.upsert([nf.Document("more")], vectors=np.ones((1, 4)))
    assert [d.id for d in c.scan()] == ["safe"]
    db.close()
    with nf.open(db.path) as again:
        assert [d.id for d in again["c"].scan()] == ["safe"]
        again["c"].upsert([nf.Document("more")], vectors=np.ones((1, 4)))


def test_rows_are_never_given_twice(tmp_path: Path) -> None:
    seen: set[int] = set()
    for n in range(3):
        with nf.open(tmp_path / "db") as db:
            c = db.get_or_create("c", embedder=None, dim=4)
            c.upsert([nf.Document("a")], vectors=np.ones((1, 4)))
            rows = {row.row for row in catalog.pending(c._engine._connection)}
            assert not rows & seen, n
            seen |= rows
            c.delete(["a"])
