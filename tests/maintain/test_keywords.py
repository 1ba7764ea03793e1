"""The keyword index made anew beside the one that is searched: while writes go on, after an interruption, after a kill."""

import threading
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import Closed
from nearfield.maintain import keywords
from nearfield.store import keyword, sqlite


def state_of(root: Path) -> keyword.State:
    connection = sqlite.connect(root / "c" / "00000001" / "catalog.sqlite", read_only=True)
    try:
        found = keyword.state(connection)
        assert found is not None
        return found
    finally:
        connection.close()


def filled(db: nf.Database, n: int = 300) -> nf.Collection:
    collection = db.create("c", embedder=None, dim=2, keyword="plain")
    texts = [f"common tides word{i}" for i in range(n)]
    collection.load(ids=[str(i) for i in range(n)], vectors=np.ones((n, 2), np.float32), texts=texts)
    return collection


def test_it_takes_over_with_other_options(tmp_path: Path) -> None:
    with nf.open(tmp_path) as db:
        collection = filled(db)
        assert len(collection.search("tide", mode="keyword")) == 0
        said: list[str] = []
        collection.rebuild(keyword="english", progress=said.append)
        assert len(collection.search("tide", mode="keyword", k=1000)) == 300
        assert said[-1] == "keyword index: 300 of 300 documents"
        collection.rebuild(keyword=True)
        assert len(collection.search("tide", mode="keyword", k=1000)) == 300
        assert state_of(tmp_path).building is None


def test_writes_meanwhile_are_in_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords, "STEP", 50)
    with nf.open(tmp_path) as db:
        collection = filled(db)
        collection.optimize()
        turn = iter(range(100))

        def meanwhile(_: str) -> None:
            i = next(turn)
            collection.upsert(nf.Document(f"new{i}", f"tides fresh{i}"), vectors=[[1, 1]])
            collection.delete(str(299 - i))
            collection.upsert(nf.Document(str(100 + i), f"moons moved{i}"), vectors=[[1, 1]])
            collection.update(str(200 + i), metadata={"seen": True})
            if i == 2:
                collection.optimize()

        collection.rebuild(keyword="english", progress=meanwhile)
        rounds = next(turn)
        assert rounds >= 6
        kept = {d.id for d in collection.scan() if d.text is not None and "tides" in d.text}
        assert set(collection.search("tide", mode="keyword", k=1000).ids) == kept
        moved = {str(100 + i) for i in range(rounds)} & {d.id for d in collection.scan()}
        assert set(collection.search("moon", mode="keyword", k=1000).ids) == moved
        assert collection.verify().ok


def test_interrupted_it_goes_on_and_a_killed_one_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keywords, "STEP", 50)
    with nf.open(tmp_path) as db:
        collection = filled(db)
        engine = collection._engine

        def stop(line: str) -> None:
            if line.startswith("keyword index: 100"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            collection.rebuild(keyword="english", progress=stop)
        first = state_of(tmp_path)
        assert first.building is not None
        assert len(collection.search("tides", mode="keyword", k=1000)) == 300
        cancelled = threading.Event()
        cancelled.set()
        with pytest.raises(Closed):
            keywords.rebuild(engine, keyword.Options(), cancelled, None)
        assert state_of(tmp_path).building == first.building
        collection.rebuild(keyword="english")
        assert state_of(tmp_path).table == first.building
        with pytest.raises(KeyboardInterrupt):
            collection.rebuild(keyword="plain", progress=stop)
        assert state_of(tmp_path).building is not None
    with nf.open(tmp_path) as db:
        assert len(db["c"].search("tide", mode="keyword", k=1000)) == 300
        assert state_of(tmp_path).building is None


def test_an_index_of_another_version_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nf.open(tmp_path) as db:
        collection = filled(db, 20)
        monkeypatch.setattr(keyword, "VERSION", 2)
        with pytest.raises(nf.InvalidInput, match="another version"):
            collection.search("tides", mode="keyword")
        collection.rebuild(keyword=True)
        assert len(collection.search("tides", mode="keyword", k=100)) == 20


def test_rows_that_are_missing_or_too_many_are_found_and_repaired(tmp_path: Path) -> None:
    with nf.open(tmp_path) as db:
        collection = filled(db, 20)
        collection.optimize()
        collection.upsert(nf.Document("fresh", "tides"), vectors=[[1, 1]])
        assert collection.verify().ok
        row = int(collection._engine.snapshot.segments[0].segment.rows[3])
        collection._engine.submit(lambda t: keyword.remove(t.connection, "keyword_1", [row]))
        collection._engine.submit(lambda t: keyword.add(t.connection, "keyword_1", [(999, "tides")]))
        problems = collection.verify().problems
        assert len(problems) == 2
        assert problems[0].startswith("1 documents are missing in the keyword index")
        report = collection.repair()
        assert report.ok
        assert len(report.repaired) == 1
        assert len(collection.search("tides", mode="keyword", k=100)) == 21
