"""Documents in parts, written: what is refused, reused, kept whole; and what else sees documents where rows are parts."""

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from nearfield.store import catalog

TEXT = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen fifteen."
PASSAGES = nf.Passages(tokens=8, overlap=2)


class Counting(HashEmbedder):
    """Notes the texts that it is given."""

    def __init__(self) -> None:
        super().__init__(16)
        self.seen: list[str] = []

    def encode(self, items: Any, kind: str = "document", progress: Any = None) -> Any:
        self.seen += items
        return super().encode(items, kind, progress)


@pytest.fixture
def db(tmp_path: Path) -> nf.Database:
    return nf.open(tmp_path / "db")


@pytest.fixture
def collection(db: nf.Database) -> nf.Collection:
    return db.create("c", embedder="hash:16", passages=PASSAGES)


def test_an_ordinary_collections_settings_are_as_they_were(db: nf.Database, tmp_path: Path) -> None:
    settings = db.create("plain", embedder="hash:16")._engine.settings
    from nearfield.store import sqlite

    connection = sqlite.connect(next((tmp_path / "db" / "c").iterdir()) / "catalog.sqlite", read_only=True)
    stored = next(connection.execute("SELECT value FROM settings WHERE key = 'collection'"))[0]
    connection.close()
    assert list(json.loads(stored)) == [
        "format", "dim", "metric", "embedder", "index", "recall", "fields", "seed", "fingerprint",
    ]  # fmt: skip
    assert isinstance(settings, catalog.Settings)


def test_only_passages_that_changed_are_embedded(db: nf.Database) -> None:
    embedder = Counting()
    collection = db.create("counted", embedder=embedder, passages=nf.Passages(8, 0))
    collection.upsert(nf.Document("a", TEXT))
    embedder.seen.clear()
    collection.upsert(nf.Document("a", TEXT + " More words here now."))
    assert embedder.seen == ["More words here now."]
    embedder.seen.clear()
    collection.upsert(nf.Document("a", TEXT, {"n": 1}), if_exists="skip")
    assert embedder.seen == []
    assert "n" not in collection.get("a").metadata


def test_a_shorter_text_leaves_no_rows_behind(collection: nf.Collection) -> None:
    collection.upsert(nf.Document("a", TEXT))
    collection.optimize()
    assert collection.stats().rows == 3
    assert collection.upsert(nf.Document("a", "Short.")).replaced == 1
    assert (len(collection), collection.stats().rows) == (1, 1)
    assert collection.search("fourteen", mode="keyword").ids == []


def test_what_parts_take_is_refused_from_users(collection: nf.Collection) -> None:
    with pytest.raises(nf.InvalidInput, match=r"\$part/"):
        collection.upsert(nf.Document("$part/1/a", "text"))
    with pytest.raises(nf.InvalidInput, match=r"begin with '\$'"):
        collection.upsert(nf.Document("a", "text", {"$of": "b"}))
    collection.upsert(nf.Document("a", TEXT))
    with pytest.raises(nf.InvalidInput, match=r"begin with '\$'"):
        collection.update("a", metadata={"$part": 7})
    with pytest.raises(nf.InvalidInput, match=r"begin with '\$'"):
        collection.update("a", remove=["$parts"])
    with pytest.raises(nf.FilterError):
        collection.count({"$part": 1})
    assert collection.get(["$part/1/a"]) == [None]
    assert collection.delete("$part/1/a").deleted == 0
    assert "$part/1/a" not in collection
    assert collection.verify().ok


def test_an_ordinary_collection_takes_such_ids_and_keys(db: nf.Database) -> None:
    plain = db.create("plain", embedder="hash:16")
    plain.upsert(nf.Document("$part/1/a", "text", {"$of": "b"}))
    assert plain.get("$part/1/a").metadata == {"$of": "b"}


def test_nothing_to_embed_is_an_error(collection: nf.Collection) -> None:
    with pytest.raises(nf.InvalidInput, match="nothing of the document is embedded"):
        collection.upsert([nf.Document("a", "text"), nf.Document("b")])
    assert len(collection) == 0
    with pytest.raises(nf.InvalidInput, match="Document\\(parts="):
        collection.upsert(nf.Document("a", "text"), vectors=np.ones((1, 16)))
    with pytest.raises(nf.InvalidInput, match="VectorField\\(image=True\\)"):
        collection.upsert(nf.Document("a", "text", image=b"x"))


def test_parts_that_are_brought_are_taken_as_they_are(collection: nf.Collection) -> None:
    parts = (nf.Part(np.arange(16), start=0, end=3), nf.Part(np.ones(16), start=4, end=7))
    collection.upsert(nf.Document("a", "One two three", parts=parts))
    hits = collection.search(vector=np.ones(16), passages_per_document=5)
    assert [p.text for p in hits[0].passages] == ["two", "One"]
    found = collection.get("a", vectors=True).parts
    np.testing.assert_allclose([p.vector for p in found], [p.vector for p in parts], rtol=1e-5)
    for bad in (nf.Part(np.ones(16), start=5, end=99), nf.Part(np.ones(3)), nf.Part(np.ones(16), "title"), "part"):
        with pytest.raises(nf.InvalidInput):
            collection.upsert(nf.Document("b", "One two three", parts=(bad,)))  # type: ignore[arg-type]


def test_if_exists_is_about_documents(collection: nf.Collection) -> None:
    collection.upsert(nf.Document("a", TEXT))
    with pytest.raises(nf.AlreadyExists):
        collection.upsert([nf.Document("b", TEXT), nf.Document("a", "other")], if_exists="error")
    assert len(collection) == 1
    written = collection.upsert([nf.Document("b", TEXT), nf.Document("a", "other")], if_exists="skip")
    assert (written.added, written.skipped) == (1, 1)
    assert collection.get("a").text == TEXT


@pytest.mark.parametrize("if_exists", ["replace", "skip", "error"])
def test_loads_straight_into_segments_are_of_whole_documents(
    collection: nf.Collection, if_exists: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nearfield import intake

    monkeypatch.setattr(intake, "BULK", 10)
    monkeypatch.setattr(intake, "EMBED_ROWS", 20)
    collection.upsert([nf.Document(f"d{i}", TEXT, {"n": -1}) for i in range(0, 60, 10)])
    collection.optimize()
    collection.upsert([nf.Document(f"d{i}", TEXT, {"n": -1}) for i in range(5, 60, 10)])
    ids = [f"d{i}" for i in range(50)]
    options: dict[str, Any] = {
        "ids": ids,
        "texts": ["Short one." if i % 2 else TEXT for i in range(50)],
        "metadata": {"n": list(range(50))},
    }
    seen: list[int] = []
    if if_exists == "error":
        with pytest.raises(nf.AlreadyExists):
            collection.load(**options, if_exists=if_exists)
        return
    written = collection.load(**options, if_exists=if_exists, progress=lambda done, of: seen.append(done))
    assert seen == [20, 40, 50]
    there = 10
    assert (written.added, written.replaced, written.skipped) == ((40, there, 0) if if_exists == "replace" else (40, 0, there))
    assert len(collection) == 52
    kept = {f"d{i}" for i in range(0, 60, 5)}
    old = {d.id for d in collection.scan(filter={"n": -1})}
    assert old == ({"d50", "d55"} if if_exists == "replace" else kept)
    assert collection.verify().ok
    if if_exists == "replace":
        assert collection.stats().rows == 25 * 3 + 25 + 2 * 3


def test_a_large_upsert_is_one_commit(collection: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfield import intake

    monkeypatch.setattr(intake, "BULK", 10)
    collection.upsert([nf.Document(f"d{i}", TEXT) for i in range(40)])
    commit = collection.commit
    assert collection.upsert([nf.Document(f"d{i}", "Short.") for i in range(50)]).replaced == 40
    assert collection.commit == commit + 1
    assert (len(collection), collection.stats().rows) == (50, 50)
    assert collection.verify().ok


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_documents_go_out_and_come_back_without_being_embedded(db: nf.Database, tmp_path: Path, suffix: str) -> None:
    embedder = Counting()
    fields = {"title": nf.VectorField("title"), "body": nf.VectorField(), "look": nf.VectorField(embedder=None, dim=3)}
    collection = db.create("out", embedder=embedder, passages=PASSAGES, vectors=fields)
    collection.upsert([nf.Document("a", TEXT, {"title": "numbers"}), nf.Document("b", "text")])
    collection.upsert(nf.Document("p", metadata={"n": 1}), vectors={"look": [[1, 2, 3]]})
    assert collection.export(tmp_path / f"out.{suffix}") == 3
    again = db.create("in", embedder=embedder, passages=PASSAGES, vectors=fields)
    embedder.seen.clear()
    assert again.import_(tmp_path / f"out.{suffix}").added == 3
    assert embedder.seen == []
    for before, after in zip(collection.scan(vectors=True), again.scan(vectors=True), strict=True):
        assert before == after
        assert [(p.name, p.start, p.end) for p in before.parts] == [(p.name, p.start, p.end) for p in after.parts]
        for one, other in zip(before.parts, after.parts, strict=True):
            np.testing.assert_allclose(one.vector, other.vector, atol=1e-6)
    assert again.search("seven eight").ids == collection.search("seven eight").ids


def test_fields_and_stats_are_of_documents(collection: nf.Collection) -> None:
    collection.upsert([nf.Document("a", TEXT, {"n": 1}), nf.Document("b", "Short.", {"n": 3, "tag": "x"})])
    for _ in range(2):
        assert {f.name: f.documents for f in collection.fields()} == {"n": 2, "tag": 1}
        stats = collection.stats()
        assert (stats.documents, stats.rows) == (2, 4)
        assert stats.parts == {"passages": {"tokens": 8, "overlap": 2}, "vectors": {}}
        collection.optimize()
    assert collection.verify().documents == 2


def test_verify_names_a_document_that_is_not_whole(collection: nf.Collection) -> None:
    from nearfield.engine import writes

    collection.upsert([nf.Document("a", TEXT), nf.Document("b", TEXT)])
    engine = collection._engine
    engine.submit(lambda t: writes.delete(t, engine.snapshot, ["$part/1/a"]))
    assert [p for p in collection.verify().problems if "'a' has 2 of 3 parts" in p]


def test_searches_see_old_or_new_documents_whole_while_they_are_replaced(collection: nf.Collection) -> None:
    forms = ["Alpha beta gamma delta epsilon zeta. Eta theta iota kappa lambda mu. Nu xi.", "Alpha beta."]
    counts = {len(collection_parts(form)) for form in forms}
    collection.upsert(nf.Document("a", forms[0], {"form": 0}))
    stop = threading.Event()

    def write() -> None:
        i = 0
        while not stop.is_set():
            i += 1
            collection.upsert(nf.Document("a", forms[i % 2], {"form": i % 2}))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            hit = collection.search("alpha", passages_per_document=9)[0]
            form = forms[hit.metadata["form"]]
            assert hit.text == form
            assert len(hit.passages) in counts
            assert all(p.text == form[p.start : p.end] for p in hit.passages)
    finally:
        stop.set()
        writer.join()


def collection_parts(text: str) -> list[Any]:
    from nearfield.parts.split import split, word_starts

    return split(text, word_starts(text), PASSAGES.tokens, PASSAGES.overlap)


def test_words_of_a_passage_find_that_passage(collection: nf.Collection) -> None:
    collection.upsert(nf.Document("a", TEXT))
    for _ in range(2):
        hit = collection.search("thirteen", mode="keyword")[0]
        assert hit.passage is not None
        assert "thirteen" in hit.passage.text.lower()
        assert "One" not in hit.passage.text
        assert len(collection.search("one", mode="keyword")) == 1
        assert collection.search("one", mode="keyword")[0].passage.number == 0  # type: ignore[union-attr]
        assert collection.search("thirteen", mode="hybrid")[0].passage.number == 2  # type: ignore[union-attr]
        collection.rebuild(keyword=True)
        collection.optimize()
    assert collection.verify().ok


def test_more_like_this_leaves_the_document_out(collection: nf.Collection) -> None:
    collection.upsert([nf.Document("a", TEXT), nf.Document("b", TEXT[:40]), nf.Document("c", "moon tide")])
    hits = collection.search(id="a", k=5)
    assert hits.ids == ["b", "c"]
    assert hits[0].passage is not None


def test_a_copy_and_a_backup_hold_the_parts(db: nf.Database, collection: nf.Collection, tmp_path: Path) -> None:
    collection.upsert(nf.Document("a", TEXT))
    copied = db.copy("c", "d")
    assert (len(copied), copied.search("thirteen")[0].passage.number) == (1, 2)  # type: ignore[union-attr]
    db.backup(tmp_path / "backup")
    with nf.open(tmp_path / "backup", read_only=True) as other:
        assert other["c"].search("thirteen")[0].id == "a"
