"""Generations and what else a database can do: drop, rename, copy, back up, be read by others."""

import threading
import time
from pathlib import Path

import pytest

import nearfield as nf
from tests.reembedding.worlds import NEW, OLD, shelf, state, text_of

__all__ = ["shelf"]


# -- with what else a database can do


def test_a_drop_takes_all_generations(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW)
    db.reembed("shelf", "hash:16", switch=False)
    assert len(list((db.path / "c").iterdir())) == 3
    db.drop("shelf")
    assert list((db.path / "c").iterdir()) == []
    made = db.create("shelf", embedder=OLD)
    assert db.generations("shelf") == ()
    assert len(made) == 0


def test_a_drop_while_it_is_built_stops_it(db: nf.Database, shelf: nf.Collection) -> None:
    thread: list[threading.Thread] = []

    def progress(line: str) -> None:
        if not thread:
            thread.append(threading.Thread(target=db.drop, args=("shelf",)))
            thread[0].start()
            time.sleep(0.1)

    with pytest.raises((nf.Closed, nf.NotFound)):
        db.reembed("shelf", NEW, progress=progress)
    thread[0].join(30)
    assert db.list() == []
    assert list((db.path / "c").iterdir()) == []


def test_it_cannot_run_twice_at_once(db: nf.Database, shelf: nf.Collection) -> None:
    caught: list[nf.Overloaded] = []

    def progress(line: str) -> None:
        if not caught:
            with pytest.raises(nf.Overloaded) as again:
                db.reembed("shelf", "hash:16")
            caught.append(again.value)

    assert db.reembed("shelf", NEW, progress=progress).switched
    assert caught


def test_renamed_and_copied(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW)
    db.rename("shelf", "case")
    copied = db.copy("case", "second")
    assert copied.dim == 48
    assert db.generations("second") == ()
    db.undo_reembed("case")
    assert (shelf.name, shelf.dim) == ("case", 32)
    assert copied.dim == 48


def test_a_backup_holds_the_live_one(db: nf.Database, shelf: nf.Collection, tmp_path: Path) -> None:
    db.reembed("shelf", NEW)
    before = state(shelf)
    db.backup(tmp_path / "backup")
    nf.restore(tmp_path / "backup", tmp_path / "restored")
    with nf.open(tmp_path / "restored") as restored:
        assert state(restored["shelf"]) == before
        assert restored.generations("shelf") == ()
        with pytest.raises(nf.NotFound):
            restored.undo_reembed("shelf")


def test_an_open_reader_sees_it_at_a_refresh(db: nf.Database, shelf: nf.Collection) -> None:
    with nf.open(db.path, read_only=True) as reader:
        held = reader["shelf"]
        held.refresh()
        db.reembed("shelf", NEW)
        shelf.upsert(nf.Document("since", "since then"))
        assert held.dim == 32
        assert held.search(text_of(3), k=1).ids == ["d3"]  # as before, until it looks
        assert held.refresh() == shelf.commit
        assert held.dim == 48
        assert held.search("since then", k=1).ids == ["since"]
        assert reader["shelf"] is held
        assert reader.generations("shelf")[0]["model"] == OLD
        db.undo_reembed("shelf")
        found = reader["shelf"]  # looking the name up does it too
        assert found is held
        assert held.dim == 32
        assert held.search("since then", k=1).ids == ["since"]


def test_a_reader_that_slept_through_two_switches(db: nf.Database, shelf: nf.Collection) -> None:
    with nf.open(db.path, read_only=True) as reader:
        held = reader["shelf"]
        db.reembed("shelf", NEW, undo_window=0)
        db.reembed("shelf", "hash:16", undo_window=0)
        assert held.search(text_of(3), k=1).ids == ["d3"]
        held.refresh()
        assert held.dim == 16
        assert state(held) == state(shelf)
