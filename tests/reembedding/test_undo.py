"""The way back: what was written since comes along, and what is kept goes when its time is up."""

import time
from pathlib import Path

import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from tests.reembedding.worlds import NEW, OLD, check_vectors, documents, embedded, shelf, state

__all__ = ["embedded", "shelf"]


# -- the way back


def test_going_back_keeps_what_was_written_since(
    db: nf.Database, shelf: nf.Collection, embedded: list[tuple[int, str]]
) -> None:
    db.reembed("shelf", NEW)
    shelf.upsert([*documents(5, 300), nf.Document("d7", "rewritten since")])
    shelf.delete(["d1", "d301"])
    shelf.update("d2", metadata={"touched": 1})
    shelf.delete(filter={"n": {"$gte": 290, "$lt": 300}})
    shelf.load(ids=["l0", "l1"], texts=["loaded since", "and this"])
    before = state(shelf)
    embedded.clear()
    report = db.undo_reembed("shelf")
    assert report.switched
    assert (shelf.embedder, shelf.dim) == (OLD, 32)
    assert state(shelf) == before
    assert len([t for dim, t in embedded if dim == 32]) == 5 + 2  # what has another text than when it was switched
    check_vectors(shelf, HashEmbedder(32))
    assert [k["model"] for k in db.generations("shelf")] == [NEW]


def test_going_back_and_forth(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW)
    for turn in range(4):
        shelf.upsert(nf.Document(f"turn{turn}", f"turn number {turn}"))
        before = state(shelf)
        db.undo_reembed("shelf")
        assert state(shelf) == before
        assert shelf.dim == (32, 48)[turn % 2]
        check_vectors(shelf, HashEmbedder(shelf.dim))
        assert len(db.generations("shelf")) == 1


def test_going_back_after_a_restart(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW)
    shelf.upsert(nf.Document("since", "since then"))
    before = state(shelf)
    db.close()
    with nf.open(db.path) as again:
        again.undo_reembed("shelf")
        assert (state(again["shelf"]), again["shelf"].embedder) == (before, OLD)
        check_vectors(again["shelf"], HashEmbedder(32))


def test_going_back_to_an_embedder_that_was_an_object(db: nf.Database) -> None:
    given = HashEmbedder(20, "own")
    made = db.create("own", embedder=given)
    made.upsert(documents(10))
    db.reembed("own", NEW)
    made.upsert(nf.Document("since", "since then"))
    db.undo_reembed("own")
    check_vectors(made, given)
    assert made.search("since then", k=1).ids == ["since"]


def test_there_is_nothing_to_go_back_to(db: nf.Database, shelf: nf.Collection) -> None:
    with pytest.raises(nf.NotFound, match="no earlier generation"):
        db.undo_reembed("shelf")
    db.reembed("shelf", NEW, switch=False)
    with pytest.raises(nf.NotFound, match="no earlier generation"):
        db.undo_reembed("shelf")


def test_the_third_model_leaves_one_way_back(db: nf.Database, shelf: nf.Collection) -> None:
    first = db.reembed("shelf", NEW)
    db.reembed("shelf", "hash:16")
    assert [k["model"] for k in db.generations("shelf")] == [NEW]
    assert not Path(first.kept).exists()
    assert len(list((db.path / "c").iterdir())) == 2


def test_when_its_time_is_up_it_is_removed_while_the_database_is_open(db: nf.Database, shelf: nf.Collection) -> None:
    report = db.reembed("shelf", NEW, undo_window=0.5)
    end = time.monotonic() + 20
    while Path(report.kept).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert db.generations("shelf") == ()
    with pytest.raises(nf.NotFound):
        db.undo_reembed("shelf")
    assert shelf.search("moon", k=1)


def test_when_its_time_is_up_it_is_removed_at_the_next_opening(db: nf.Database, shelf: nf.Collection) -> None:
    report = db.reembed("shelf", NEW, undo_window=0.2)
    before = state(shelf)
    db.close()
    time.sleep(0.25)
    with nf.open(db.path) as again:
        assert not Path(report.kept).exists()
        assert again.generations("shelf") == ()
        assert state(again["shelf"]) == before


@pytest.mark.parametrize("window", ["soon", -1, None])
def test_a_bad_window_is_named(db: nf.Database, shelf: nf.Collection, window: object) -> None:
    with pytest.raises(nf.InvalidInput, match="undo_window"):
        db.reembed("shelf", NEW, undo_window=window)
