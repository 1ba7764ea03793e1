"""Each background swap is held open while documents are deleted and replaced: the later commit wins."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield import intake
from nearfield.engine import making
from nearfield.maintain import tasks

DIM = 8


@pytest.fixture
def books(tmp_path: Path) -> Iterator[nf.Collection]:
    with nf.open(tmp_path / "db") as db:
        yield db.create("books", embedder=None, dim=DIM, metric="l2")


def write(books: nf.Collection, ids: list[str], word: str) -> None:
    vectors = np.array([[int(i[1:])] * DIM for i in ids], np.float32)
    books.upsert([nf.Document(i, f"{i} {word}") for i in ids], vectors=vectors)


def meanwhile(books: nf.Collection) -> None:
    """What happens while a swap is held open."""
    books.delete(["d1", "d2"])
    write(books, ["d3", "d4", "d30"], "later")
    books.update("d5", metadata={"seen": True})
    books.delete(["d30"])
    books.delete(filter={"seen": True})


def check(books: nf.Collection, ids: list[str]) -> None:
    expected = {i: f"{i} first" for i in ids} | {"d3": "d3 later", "d4": "d4 later"}
    for gone in ("d1", "d2", "d5"):
        del expected[gone]
    assert {d.id: d.text for d in books.scan()} == expected
    assert len(books) == len(expected)
    for i, text in expected.items():
        assert books.get(i).text == text
    hits = books.search(vector=np.zeros(DIM, np.float32), k=100)
    assert {h.id: h.text for h in hits} == expected
    assert books.verify().problems == []


def hold(monkeypatch: pytest.MonkeyPatch, module: object, name: str, action: Callable[[], None]) -> None:
    """`name` does its work, and `action` runs before it returns: files are made, nothing is swapped yet."""
    original = getattr(module, name)

    def held(*args, **kwargs):
        made = original(*args, **kwargs)
        monkeypatch.setattr(module, name, original)
        action()
        return made

    monkeypatch.setattr(module, name, held)


IDS = [f"d{i}" for i in range(10)]


def test_a_seal_held_open(books: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    write(books, IDS, "first")
    hold(monkeypatch, making, "from_pending", lambda: meanwhile(books))
    tasks.seal(books._engine)
    check(books, IDS)


def test_a_merge_held_open(books: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    write(books, IDS[:5], "first")
    tasks.seal(books._engine)
    write(books, IDS[5:], "first")
    tasks.seal(books._engine)
    hold(monkeypatch, making, "merged", lambda: meanwhile(books))
    tasks.merge(books._engine, tuple(v.segment.number for v in books._engine.snapshot.segments))
    assert len(books._engine.snapshot.segments) == 1
    check(books, IDS)


def test_a_load_held_open(books: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The load commits last, so it wins over what was written while its files were made."""
    monkeypatch.setattr(intake, "BULK", 1)
    write(books, ["d1", "d2", "d50"], "older")
    hold(monkeypatch, making, "from_chunk", lambda: write(books, ["d3", "d60"], "meanwhile"))
    vectors = np.array([[i] * DIM for i in range(10)], np.float32)
    books.load(ids=IDS, vectors=vectors, texts=[f"{i} first" for i in IDS])
    expected = {i: f"{i} first" for i in IDS} | {"d50": "d50 older", "d60": "d60 meanwhile"}
    assert {d.id: d.text for d in books.scan()} == expected
    assert books.verify().problems == []


def test_a_load_that_skips_leaves_what_was_there(books: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BULK", 1)
    write(books, ["d1", "d2"], "older")
    hold(monkeypatch, making, "from_chunk", lambda: write(books, ["d3"], "meanwhile"))
    vectors = np.array([[i] * DIM for i in range(10)], np.float32)
    written = books.load(ids=IDS, vectors=vectors, texts=[f"{i} first" for i in IDS], if_exists="skip")
    assert (written.added, written.skipped) == (7, 3)
    found = {d.id: d.text for d in books.scan()}
    assert (found["d1"], found["d3"], found["d4"]) == ("d1 older", "d3 meanwhile", "d4 first")
    with pytest.raises(nf.AlreadyExists):
        books.load(ids=["new", "d1"], vectors=vectors[:2], if_exists="error")
    assert "new" not in books
    assert books.verify().problems == []


def test_an_index_held_open(books: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    write(books, IDS, "first")
    tasks.seal(books._engine)
    books._engine.write_settings(
        __import__("msgspec").structs.replace(books._engine.settings, index={"kind": "hnsw", "links": 4, "build_effort": 8})
    )
    hold(monkeypatch, tasks, "run_build", lambda: meanwhile(books))
    tasks.build(books._engine, tasks.Build(1), books._maintainer._cancelled)
    assert books._engine.snapshot.segments[0].index is not None
    check(books, IDS)
