"""What users hold: search by text, vector and id, paging, metadata, read-only openers, and every kind of bad input."""

import os
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf

X = np.eye(4, dtype=np.float32)


def test_search_by_text_finds_shared_words(books: nf.Collection) -> None:
    hits = books.search("moon tides", k=2)
    assert hits.ids[0] == "moon"
    assert hits[0].text == "the moon and the tides"
    assert hits.scores[0] >= hits.scores[1]
    assert hits.complete
    assert hits.plan.segments[0].method == "exact"


def test_more_like_this_leaves_the_document_out(books: nf.Collection) -> None:
    hits = books.search(id="sea", k=2)
    assert "sea" not in hits.ids
    assert len(hits) == 2


def test_filters_search_count_scan_and_delete_alike(books: nf.Collection) -> None:
    condition = {"year": {"$gte": 2005}}
    assert set(books.search("moon", filter=condition).ids) == {"moon", "bread"}
    assert books.count(condition) == 2
    assert {d.id for d in books.scan(filter=condition)} == {"moon", "bread"}
    assert books.count({"day": {"$lt": "2026-01-01T01:00:00+01:00"}}) == 0
    assert books.count({"day": {"$lte": "2026-01-01T01:00:00+01:00"}}) == 1
    assert books.delete(filter=condition).deleted == 2
    assert len(books) == 1


def test_only_changed_text_is_embedded_again(books: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded = []
    original = books._embedder.encode
    monkeypatch.setattr(books._embedder, "encode", lambda texts, kind: embedded.extend(texts) or original(texts, kind))
    books.upsert([nf.Document("sea", "the sea moves with the moon", {"year": 1}), nf.Document("moon", "another text")])
    assert embedded == ["another text"]
    assert books.get("sea").metadata == {"year": 1}
    books.update("sea", metadata={"year": 2}, remove=["none"])
    assert embedded == ["another text"]


def test_vectors_come_back_as_they_were(mine: nf.Collection) -> None:
    assert np.allclose(mine.get("v1", vectors=True).vector, 3 * X[1], atol=1e-6)
    assert mine.get("v1").vector is None
    assert mine.search(vector=X[1], k=1, vectors=True)[0].document.vector is not None


def test_offset_pages_through_the_same_order(mine: nf.Collection) -> None:
    query = np.array([4, 3, 2, 1], np.float32)
    whole = mine.search(vector=query, k=4).ids
    assert mine.search(vector=query, k=2, offset=2).ids == whole[2:]
    assert mine.search(vector=query, k=10).ids == whole
    assert mine.search(vector=query, k=10).complete


def test_ties_go_by_order_of_writing(db: nf.Database) -> None:
    same = db.create("same", embedder=None, dim=2, metric="ip")
    same.upsert([nf.Document(i) for i in "cab"], vectors=np.ones((3, 2)))
    assert same.search(vector=[1, 1], k=3).ids == ["c", "a", "b"]


def test_search_many_is_each_search_alone(mine: nf.Collection, rng: np.random.Generator) -> None:
    queries = rng.standard_normal((20, 4)).astype(np.float32)
    for query, hits in zip(queries, mine.search_many(queries, k=3), strict=True):
        alone = mine.search(vector=query, k=3)
        assert (hits.ids, hits.scores.tolist()) == (alone.ids, alone.scores.tolist())


def test_fields_and_missing_documents(books: nf.Collection) -> None:
    assert books.get("bread", fields=["year"]).metadata == {"year": 2020}
    assert books.get(["bread", "none"])[1] is None
    assert "bread" in books
    assert "none" not in books
    hit = books.search("bread", k=1, fields=["tags"])[0]
    assert hit.metadata == {"tags": ["food"]}
    assert books.search("bread", k=1, documents=False)[0].document is None


def test_a_reader_sees_one_snapshot_until_it_refreshes(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=4)
        c.upsert([nf.Document("a")], vectors=X[:1])
        with nf.open(tmp_path / "db", read_only=True) as reader:
            seen = reader["c"]
            c.upsert([nf.Document("b"), nf.Document("a", "new")], vectors=X[:2])
            c.delete(["none"])
            assert len(seen) == 1
            seen.refresh()
            assert {d.id: d.text for d in seen.scan()} == {"a": "new", "b": None}
            c.optimize()
            seen.refresh()
            assert {d.id: d.text for d in seen.scan()} == {"a": "new", "b": None}
            with pytest.raises(nf.ReadOnly, match="read_only"):
                seen.upsert([nf.Document("x")], vectors=X[:1])
            with pytest.raises(nf.ReadOnly):
                reader.create("more", embedder=None, dim=4)


def test_the_second_writer_is_told_who_holds_it(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db"), pytest.raises(nf.Locked, match=f"process {os.getpid()}"):
        nf.open(tmp_path / "db")
    nf.open(tmp_path / "db").close()


def test_use_after_close_and_after_fork(tmp_path: Path) -> None:
    db = nf.open(tmp_path / "db")
    c = db.create("c", embedder=None, dim=4)
    pid = os.fork()
    if pid == 0:
        try:
            len(c.search(vector=X[0]))
        except nf.Closed:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    db.close()
    with pytest.raises(nf.Closed):
        c.search(vector=X[0])
    with pytest.raises(nf.Closed):
        db.list()


def test_names_aliases_and_copies(db: nf.Database, mine: nf.Collection) -> None:
    db.alias("live", "mine")
    assert db["LIVE"].search(vector=X[0], k=1).ids == ["v0"]
    with pytest.raises(nf.AlreadyExists):
        db.create("Mine", embedder=None, dim=4)
    copy = db.copy("mine", "copy")
    mine.delete(["v0"])
    assert len(copy) == 4
    db.rename("copy", "other")
    assert db.list() == ["mine", "other"]
    db.drop("mine")
    assert db.aliases() == {}
    with pytest.raises(nf.NotFound, match="other"):
        db["mine"]
    with pytest.raises(nf.Closed):
        mine.search(vector=X[0])


def test_backup_restores_and_damage_is_noticed(db: nf.Database, mine: nf.Collection, tmp_path: Path) -> None:
    mine.optimize()
    db.backup(tmp_path / "copy")
    mine.delete(["v0"])
    nf.restore(tmp_path / "copy", tmp_path / "back")
    with nf.open(tmp_path / "back") as again:
        assert len(again["mine"]) == 4
        assert again["mine"].verify().ok
    with pytest.raises(nf.AlreadyExists):
        nf.restore(tmp_path / "copy", tmp_path / "back")
    victim = next((tmp_path / "copy").rglob("vectors.bin"))
    data = bytearray(victim.read_bytes())
    data[5] ^= 1
    victim.write_bytes(data)
    with pytest.raises(nf.Corrupt):
        nf.restore(tmp_path / "copy", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_every_flipped_byte_is_found_by_verify(db: nf.Database, mine: nf.Collection) -> None:
    mine.optimize()
    assert mine.verify().ok
    directory = mine._engine.snapshot.segments[0].segment.directory
    for path in sorted(directory.iterdir()):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert any(path.name in problem for problem in mine.verify().problems)
        path.write_bytes(data)
    assert mine.verify().ok


def test_a_damaged_index_is_searched_exactly_and_repaired(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal((300, 8)).astype(np.float32)
    from nearfield.maintain import policy

    before, policy.SMALLEST_TIER = policy.SMALLEST_TIER, 100
    try:
        with nf.open(tmp_path / "db") as db:
            c = db.create("c", embedder=None, dim=8, index=nf.Hnsw(links=4, build_effort=16))
            c.upsert([nf.Document(f"d{i}") for i in range(300)], vectors=x)
            c.optimize()
            path = next((tmp_path / "db").rglob("*.faiss"))
        path.write_bytes(path.read_bytes()[:-100])
        with nf.open(tmp_path / "db", read_only=True) as db:
            c = db["c"]
            assert c.stats().damaged
            assert c.search(vector=x[3], k=1).ids == ["d3"]
            assert not c.verify().ok
        with nf.open(tmp_path / "db") as db:
            report = db["c"].repair()
            assert report.ok
            assert db["c"].stats().segments[0].index is not None
    finally:
        policy.SMALLEST_TIER = before


def test_purged_bytes_are_gone(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=4)
        c.upsert([nf.Document("keep", "kept words"), nf.Document("gone", "SECRET-WORDS")], vectors=X[:2])
        c.optimize()
        c.upsert([nf.Document("waiting", "SECRET-WORDS again")], vectors=X[:1])
        c.delete(["gone", "waiting"])
        c.optimize(purge=True)
        assert [d.id for d in c.scan()] == ["keep"]
    left = [p for p in (tmp_path / "db").rglob("*") if p.is_file() and b"SECRET-WORDS" in p.read_bytes()]
    assert left == []


def test_exported_documents_come_back(db: nf.Database, books: nf.Collection, tmp_path: Path) -> None:
    for suffix in ("jsonl", "parquet"):
        assert books.export(tmp_path / f"out.{suffix}") == 3
        other = db.create(f"from-{suffix}", embedder="hash:64")
        other.import_(tmp_path / f"out.{suffix}")
        assert {d.id: d for d in other.scan()} == {d.id: d for d in books.scan()}
        assert np.allclose(other.get("sea", vectors=True).vector, books.get("sea", vectors=True).vector, atol=1e-6)
        with pytest.raises(nf.AlreadyExists):
            books.export(tmp_path / f"out.{suffix}")
