"""Another model for a collection that is there: what is carried over, what is reported, what documents have besides."""

from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from nearfield.index import encode_kind
from nearfield.reembedding import comparing
from tests.reembedding.worlds import NEW, OLD, check_vectors, documents, shelf, state, text_of

__all__ = ["shelf"]


def test_the_new_generation_has_all_documents_by_the_new_model(db: nf.Database, shelf: nf.Collection) -> None:
    before = state(shelf)
    said: list[str] = []
    report = db.reembed("shelf", NEW, progress=said.append)
    assert state(shelf) == before
    assert (shelf.dim, shelf.embedder) == (48, NEW)
    check_vectors(shelf, HashEmbedder(48))
    assert shelf.search(text_of(7), k=1).ids == ["d7"]
    assert (report.documents, report.embedded, report.switched) == (300, 300, True)
    assert (report.before, report.model) == (OLD, NEW)
    assert said


def test_settings_are_carried_over(db: nf.Database, shelf: nf.Collection) -> None:
    shelf.pin("cold")
    shelf.rebuild(nf.Flat())
    shelf.record_queries(100)
    shelf.search("moon")
    db.alias("library", "shelf")
    db.reembed("shelf", NEW)
    stats = shelf.stats()
    assert (shelf.metric.value, shelf.recall) == ("ip", 0.9)
    assert shelf._engine.settings.fields == {"day": "timestamp"}
    assert shelf._engine.settings.index == encode_kind(nf.Flat())
    assert stats.pin == "cold"
    assert (stats.recording, stats.recorded) == (100, 0)
    assert db.aliases() == {"library": "shelf"}
    assert db["library"] is shelf


def test_settings_changed_meanwhile_are_carried_over(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW, switch=False)
    shelf.pin("cold")
    shelf.rebuild(nf.Flat())
    db.reembed("shelf", NEW)
    assert shelf.stats().pin == "cold"
    assert shelf._engine.settings.index["kind"] == "flat"
    assert shelf._engine.pin == "cold"


def test_whoever_holds_the_collection_goes_on_with_the_new_one(db: nf.Database, shelf: nf.Collection) -> None:
    other = db.get("shelf", embedder=HashEmbedder(32))
    db.reembed("shelf", NEW)
    assert shelf.dim == other.dim == db["shelf"].dim == 48
    other.upsert(nf.Document("new", "a new star"))
    assert shelf.search("a new star", k=1).ids == ["new"]


def test_it_is_there_after_a_restart(db: nf.Database, shelf: nf.Collection) -> None:
    db.reembed("shelf", NEW)
    before = state(shelf)
    db.close()
    with nf.open(db.path) as again:
        assert again.list() == ["shelf"]
        assert state(again["shelf"]) == before
        assert again["shelf"].embedder == NEW
        (kept,) = again["shelf"].stats().generations
        assert (kept["state"], kept["model"]) == ("old", OLD)
        assert again["shelf"].verify().problems == []


def test_commit_numbers_go_on(db: nf.Database, shelf: nf.Collection) -> None:
    for i in range(40):
        shelf.upsert(nf.Document("again", f"again {i}"))
    before = shelf.commit
    db.reembed("shelf", NEW)
    assert shelf.commit > before
    assert shelf.delete("again").commit > before + 1


# -- what is reported


def test_overlap_is_that_of_exact_searches_by_both(db: nf.Database, shelf: nf.Collection) -> None:
    queries = ["the moon at night", "red apple", "bread and salt", "river stone"]
    old = [set(shelf.search(q, k=5, exact=True).ids) for q in queries]
    report = db.reembed("shelf", NEW, queries=queries, k=5)
    new = [set(shelf.search(q, k=5, exact=True).ids) for q in queries]
    truth = np.mean([len(a & b) / 5 for a, b in zip(old, new, strict=True)])
    assert report.overlap is not None
    assert report.overlap.mean == pytest.approx(truth)
    assert report.overlap.low <= truth <= report.overlap.high
    assert (report.overlap.queries, report.overlap.source, report.overlap.k) == (4, "given queries", 5)


def test_without_queries_documents_are_asked_and_left_out_of_their_own_hits(db: nf.Database) -> None:
    made = db.create("two", embedder=OLD)
    made.upsert([nf.Document("a", "one text"), nf.Document("b", "another text")])
    report = db.reembed("two", NEW, k=1)
    assert report.overlap is not None
    assert report.overlap.mean == 1.0  # each has one neighbour, the other
    assert report.overlap.source == "documents' texts"


def test_judgements_decide_between_the_two(db: nf.Database, shelf: nf.Collection) -> None:
    queries = {f"q{i}": text_of(i) for i in range(20)}
    qrels = {f"q{i}": {f"d{i}": 1} for i in range(20)}
    report = db.reembed("shelf", NEW, queries=queries, qrels=qrels)
    assert report.evaluation is not None
    told = report.to_dict()["evaluation"]
    assert set(report.evaluation.names) == {f"old: {OLD}", f"new: {NEW}"}
    assert report.evaluation.estimate(f"new: {NEW}", "nDCG@10").mean > 0.9
    assert told
    assert "overlap@10" in report.text()


def test_judgements_without_queries_are_refused(db: nf.Database, shelf: nf.Collection) -> None:
    with pytest.raises(nf.InvalidInput, match="queries"):
        db.reembed("shelf", NEW, qrels={"q": {"d1": 1}})
    assert db.generations("shelf") == ()


# -- what documents have besides a text


def test_passages_are_cut_and_embedded_anew(db: nf.Database) -> None:
    made = db.create("long", embedder=OLD, passages=nf.Passages(tokens=16, overlap=4))
    texts = {f"d{i}": ". ".join(text_of(100 * i + j) for j in range(8)) + "." for i in range(20)}
    made.upsert([nf.Document(i, text, {"n": 1}) for i, text in texts.items()])
    before = state(made)
    db.reembed("long", NEW, switch=False)
    made.upsert(nf.Document("d3", "a short one now"))
    made.delete("d4")
    made.update("d5", metadata={"touched": True})
    db.reembed("long", NEW)
    assert made.dim == 48
    before["d3"] = ("a short one now", {})
    before["d5"] = (before["d5"][0], {"n": 1, "touched": True})
    del before["d4"]
    assert state(made) == before
    for found in made.scan(vectors=True):
        for part in found.parts:
            assert np.allclose(part.vector, HashEmbedder(48).encode([found.text[part.start : part.end]])[0], atol=1e-5)
    assert len(made.get("d7", vectors=True).parts) > 1
    assert made.search("a short one now", k=1).ids == ["d3"]
    db.undo_reembed("long")
    assert (state(made), made.dim) == (before, 32)
    assert made.search("a short one now", k=1).ids == ["d3"]


def test_several_vectors_a_document_are_refused(db: nf.Database) -> None:
    made = db.create("named", embedder=OLD, vectors={"title": nf.VectorField("title")})
    made.upsert(nf.Document("a", "text", {"title": "a title"}))
    with pytest.raises(nf.InvalidInput, match="several vectors"):
        db.reembed("named", NEW)


def test_words_are_found_in_the_new_generation(db: nf.Database) -> None:
    made = db.create("plain", embedder=OLD, keyword="plain")
    made.upsert([nf.Document("a", "the tides rise"), nf.Document("b", "bread and salt")])
    db.reembed("plain", NEW)
    assert made.search("tides", mode="keyword").ids == ["a"]
    assert made.search("tide", mode="keyword").ids == []  # not stemmed, as before
    made.rebuild(keyword="english")
    db.undo_reembed("plain")
    assert made.search("tide", mode="keyword").ids == ["a"]


def test_words_that_are_indexed_while_the_two_are_compared_are_carried_over(
    db: nf.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = db.create("bare", embedder=OLD, keyword=None)
    made.upsert(documents(30))
    compare = comparing.overlap

    def meanwhile(*rest: Any) -> Any:
        made.rebuild(keyword="plain")
        return compare(*rest)

    monkeypatch.setattr(comparing, "overlap", meanwhile)
    assert db.reembed("bare", NEW).switched
    assert made.search(text_of(3), mode="keyword", k=1).ids == ["d3"]
    assert made.verify().problems == []


@pytest.mark.parametrize("sealed", [False, True])
def test_ids_that_look_like_parts_are_documents_where_there_are_none(db: nf.Database, sealed: bool) -> None:
    made = db.create("odd", embedder=OLD)
    made.upsert([nf.Document("$part/1/x", "the sea"), nf.Document("x", "the moon"), nf.Document("$part/2/gone", "a star")])
    if sealed:
        made.optimize()
    db.reembed("odd", NEW, switch=False)
    made.delete("$part/2/gone")
    db.reembed("odd", NEW)
    assert set(state(made)) == {"$part/1/x", "x"}


@pytest.mark.parametrize("sealed", [False, True])
def test_a_document_in_parts_without_a_text_is_named_before_anything_is_built(db: nf.Database, sealed: bool) -> None:
    made = db.create("cut", embedder=OLD, passages=nf.Passages(8, 0))
    made.upsert([*documents(20), nf.Document("bare", parts=(nf.Part(np.ones(32, np.float32)),))])
    if sealed:
        made.optimize()
    with pytest.raises(nf.InvalidInput, match=r"1 document has no text.*"):
        db.reembed("cut", NEW)
    assert db.generations("cut") == ()
    made.delete("bare")
    assert db.reembed("cut", NEW).documents == 20


def test_a_purge_says_that_a_kept_generation_has_what_was_deleted(db: nf.Database, shelf: nf.Collection) -> None:
    said: list[str] = []
    shelf.optimize(purge=True, progress=said.append)
    assert not any("generation" in line for line in said)
    db.reembed("shelf", NEW)
    shelf.optimize(purge=True, progress=said.append)
    assert "forget_generation" in said[-1]
