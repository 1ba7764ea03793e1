"""Built without a switch, interrupted, refused: what is there is gone on with, and the live one is never touched."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from tests.reembedding.worlds import NEW, OLD, check_vectors, documents, embedded, shelf, state, text_of

__all__ = ["embedded", "shelf"]


# -- building without a switch, going on


def test_without_a_switch_the_live_one_stays(db: nf.Database, shelf: nf.Collection, embedded: list[tuple[int, str]]) -> None:
    report = db.reembed("shelf", NEW, switch=False)
    assert not report.switched
    assert shelf.embedder == OLD
    (kept,) = db.generations("shelf")
    assert (kept["state"], kept["model"], kept["path"]) == ("building", NEW, report.kept)
    assert kept["nbytes"] > 0
    shelf.upsert(nf.Document("late", "a late star"))
    embedded.clear()
    again = db.reembed("shelf", NEW)
    assert again.switched
    assert [t for dim, t in embedded if dim == 48] == ["a late star"]
    assert shelf.search("a late star", k=1).ids == ["late"]


def test_another_model_does_not_go_on_with_what_was_built(db: nf.Database, shelf: nf.Collection) -> None:
    first = db.reembed("shelf", NEW, switch=False)
    report = db.reembed("shelf", "hash:16")
    assert report.embedded == 300
    assert not Path(first.kept).exists()
    check_vectors(shelf, HashEmbedder(16))


def test_what_was_built_goes_on_after_a_restart(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW, switch=False)
    shelf.delete(["d1", "d2"])
    shelf.update("d3", metadata={"n": True})  # 3 before; True == 1 in Python, not in JSON
    shelf.upsert(nf.Document("d4", "other words"))
    before = state(shelf)
    db.close()
    with nf.open(db.path) as again:
        report = again.reembed("shelf", NEW)
        assert (report.embedded, report.removed) == (1, 2)
        assert state(again["shelf"]) == before
        assert again["shelf"].get("d3").metadata["n"] is True
        check_vectors(again["shelf"], HashEmbedder(48))


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_it_changes_nothing_and_goes_on(
    db: nf.Database, shelf: nf.Collection, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    from nearfield.reembedding import copying

    monkeypatch.setattr(copying, "BATCH", 50)
    before = state(shelf)
    encode, calls = HashEmbedder.encode, [0]

    def failing(self: HashEmbedder, items, kind="document", progress=None):
        if self.dim == 48 and len(items) == 50:
            calls[0] += 1
            if calls[0] == 3:
                raise error("in the middle")
        return encode(self, items, kind, progress)

    monkeypatch.setattr(HashEmbedder, "encode", failing)
    with pytest.raises(error):
        db.reembed("shelf", NEW)
    assert (shelf.embedder, state(shelf)) == (OLD, before)
    shelf.upsert(nf.Document("more", "it still takes writes"))
    assert db.generations("shelf")[0]["state"] == "building"
    report = db.reembed("shelf", NEW)
    assert report.embedded == 301 - 100
    assert state(shelf) == {**before, "more": ("it still takes writes", {})}
    check_vectors(shelf, HashEmbedder(48))


def test_a_full_disk_stops_it_and_leaves_the_live_one(
    db: nf.Database, shelf: nf.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nearfield.engine import writes
    from nearfield.reembedding import copying

    monkeypatch.setattr(copying, "BATCH", 50)
    put = writes.put

    def full(transaction, snapshot, records, if_exists):
        if records.vectors.shape[1] == 48 and len(snapshot) >= 100:
            raise nf.OutOfSpace("the disk is full")
        return put(transaction, snapshot, records, if_exists)

    monkeypatch.setattr(writes, "put", full)
    with pytest.raises(nf.OutOfSpace, match="what was built is kept"):
        db.reembed("shelf", NEW)
    monkeypatch.undo()
    assert shelf.embedder == OLD
    shelf.upsert(nf.Document("more", "it still takes writes"))
    assert db.forget_generation("shelf")
    assert db.generations("shelf") == ()
    assert db.reembed("shelf", NEW).embedded == 301


def test_a_disk_too_small_is_refused_before_anything_is_built(
    db: nf.Database, shelf: nf.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 30, 1 << 30, 1000))
    with pytest.raises(nf.OutOfSpace, match="nothing was built"):
        db.reembed("shelf", NEW)
    assert db.generations("shelf") == ()


# -- what cannot be embedded


def test_documents_without_text_are_refused_before_anything_is_built(db: nf.Database) -> None:
    made = db.create("mixed", embedder=OLD)
    made.upsert(documents(5))
    made.upsert([nf.Document(f"bare{i}") for i in range(3)], vectors=np.ones((3, 32), np.float32))
    with pytest.raises(nf.InvalidInput, match="3 documents have no text") as caught:
        db.reembed("mixed", NEW)
    assert caught.value.field == "text of 'bare0'"
    assert db.generations("mixed") == ()
    assert len(list((db.path / "c").iterdir())) == 1


def test_one_that_comes_while_it_is_built_is_named(db: nf.Database, shelf: nf.Collection) -> None:
    said: list[str] = []

    def progress(line: str) -> None:
        if not said:
            shelf.upsert([nf.Document("bare")], vectors=np.ones((1, 32), np.float32))
        said.append(line)

    with pytest.raises(nf.InvalidInput, match="1 document has no text"):
        db.reembed("shelf", NEW, progress=progress)
    assert shelf.embedder == OLD
    shelf.delete("bare")
    assert db.reembed("shelf", NEW).switched


@pytest.mark.parametrize("embedder", [OLD, HashEmbedder(32)])
def test_the_same_model_is_refused(db: nf.Database, shelf: nf.Collection, embedder: object) -> None:
    with pytest.raises(nf.InvalidInput, match="made the vectors"):
        db.reembed("shelf", embedder)


def test_another_model_of_the_same_name_is_not_the_same(db: nf.Database, shelf: nf.Collection) -> None:
    renamed = HashEmbedder(32, "other weights")
    renamed.name = OLD
    report = db.reembed("shelf", renamed)
    assert report.embedded == 300
    check_vectors(shelf, renamed)


def test_an_index_that_cannot_hold_the_new_vectors_is_refused(db: nf.Database) -> None:
    made = db.create("pq", embedder="hash:32", index=nf.IvfPq(subvectors=16))
    made.upsert(documents(3))
    with pytest.raises(nf.InvalidInput, match="rebuild"):
        db.reembed("pq", "hash:33")
    assert db.generations("pq") == ()


def test_a_collection_of_brought_vectors_with_texts_gets_a_model(db: nf.Database) -> None:
    made = db.create("brought", embedder=None, dim=4)
    made.upsert(documents(10), vectors=np.ones((10, 4), np.float32))
    report = db.reembed("brought", NEW)
    assert report.overlap is None
    assert any("brought" in note for note in report.notes)
    assert made.search(text_of(3), k=1).ids == ["d3"]
    made.upsert(nf.Document("since", "since then"))
    with pytest.raises(nf.InvalidInput, match="embedder=None"):
        db.undo_reembed("brought")
    assert made.embedder == NEW
    made.delete("since")
    assert db.undo_reembed("brought").switched
    assert (made.embedder, made.dim, len(made)) == (None, 4, 10)


def test_an_empty_collection(db: nf.Database) -> None:
    made = db.create("empty", embedder=OLD)
    report = db.reembed("empty", NEW)
    assert (report.documents, report.overlap) == (0, None)
    made.upsert(nf.Document("a", "first"))
    assert made.search("first", k=1).ids == ["a"]


def test_read_only_says_so(db: nf.Database, shelf: nf.Collection) -> None:
    db.close()
    with nf.open(db.path, read_only=True) as reader, pytest.raises(nf.ReadOnly):
        reader.reembed("shelf", NEW)
