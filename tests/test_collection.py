"""What users hold: search by text, vector and id, paging, metadata, read-only openers, and every kind of bad input."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import shorten

X = np.eye(4, dtype=np.float32)


@pytest.fixture
def books(db: nf.Database) -> nf.Collection:
    made = db.create("books", embedder="hash:64", fields={"day": "timestamp"})
    made.upsert(
        [
            nf.Document("sea", "the sea moves with the moon", {"year": 1999, "day": "2026-01-01T00:00:00Z"}),
            nf.Document("moon", "the moon and the tides", {"year": 2005}),
            nf.Document("bread", "flour water and salt make bread", {"year": 2020, "tags": ["food"]}),
        ]
    )
    return made


@pytest.fixture
def mine(db: nf.Database) -> nf.Collection:
    made = db.create("mine", embedder=None, dim=4, metric="cosine")
    made.upsert([nf.Document(f"v{i}") for i in range(4)], vectors=3 * X)
    return made


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


BAD_DOCUMENTS = [
    ([nf.Document("", "x")], None, nf.InvalidInput, "id"),
    ([nf.Document("a" * 513, "x")], None, nf.InvalidInput, "513 bytes"),
    ([nf.Document("\ud800", "x")], None, nf.InvalidInput, "Unicode"),
    ([nf.Document("a", "x"), nf.Document("a", "y")], None, nf.InvalidInput, "twice"),
    ([nf.Document("ok", "fine"), nf.Document("a", "")], None, nf.InvalidInput, "empty"),
    ([nf.Document("a", "  \n")], None, nf.InvalidInput, "empty"),
    ([nf.Document("a", "x" * 10_000_000)], None, nf.InvalidInput, "10,000,000 bytes"),
    ([nf.Document("a", "\udcff")], None, nf.InvalidInput, "Unicode"),
    ([nf.Document("a", 5)], None, nf.InvalidInput, "text"),
    ([nf.Document(7, "x")], None, nf.InvalidInput, "id"),
    ([{"id": "a"}], None, nf.InvalidInput, "nearfield.Document"),
    ([nf.Document("a", "x", {"n": float("nan")})], None, nf.InvalidInput, "metadata.n of 'a'"),
    ([nf.Document("a", "x", {"n": object()})], None, nf.InvalidInput, "object"),
    ([nf.Document("a", "x", {1: 2})], None, nf.InvalidInput, "key"),
    ([nf.Document("a", "x", "text")], None, nf.InvalidInput, "dict"),
    ([nf.Document("a")], None, nf.InvalidInput, "needs a vector"),
    ([nf.Document("a")], np.full((1, 64), np.nan), nf.InvalidInput, "NaN"),
    ([nf.Document("a")], np.full((1, 64), np.inf), nf.InvalidInput, "infinite"),
    ([nf.Document("a")], np.full((1, 64), 1e300), nf.InvalidInput, "too large"),
    ([nf.Document("a")], np.zeros((1, 64)), nf.InvalidInput, "cosine"),
    ([nf.Document("a")], np.ones((1, 63)), nf.DimensionMismatch, r"\(n, 64\)"),
    ([nf.Document("a")], np.ones((2, 64)), nf.InvalidInput, "1 rows"),
    ([nf.Document("a")], np.ones(64), nf.InvalidInput, "two-dimensional"),
    ([nf.Document("a")], [["x"] * 64], nf.InvalidInput, "numbers"),
    ([nf.Document("a")], [[1.0], [1.0, 2.0]], nf.InvalidInput, "numbers"),
]


@pytest.mark.parametrize(("documents", "vectors", "error", "words"), BAD_DOCUMENTS)
def test_bad_documents_are_refused_whole(books: nf.Collection, documents, vectors, error, words: str) -> None:
    before, commit = {d.id for d in books.scan()}, books.commit
    with pytest.raises(error, match=words) as caught:
        books.upsert(documents, vectors=vectors)
    assert caught.value.field is not None
    assert {d.id for d in books.scan()} == before
    assert books.commit == commit
    books.upsert([nf.Document("still", "works")])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32, ">f4"])
def test_other_arrays_are_converted_once(db: nf.Database, dtype) -> None:
    c = db.create("c", embedder=None, dim=3)
    wide = np.arange(1, 13).reshape(2, 6).astype(dtype)[:, ::2]
    c.upsert([nf.Document("a"), nf.Document("b")], vectors=wide)
    assert np.allclose(c.get("b", vectors=True).vector, wide[1].astype(np.float32))


BAD_SEARCHES = [
    ({}, nf.InvalidInput, "exactly one"),
    ({"query": "x", "id": "sea"}, nf.InvalidInput, "exactly one"),
    ({"query": ""}, nf.InvalidInput, "query"),
    ({"query": "x", "k": 0}, nf.InvalidInput, "k: "),
    ({"query": "x", "k": True}, nf.InvalidInput, "k: "),
    ({"query": "x", "k": 10**7}, nf.InvalidInput, "1,000,000"),
    ({"query": "x", "offset": -1}, nf.InvalidInput, "offset"),
    ({"query": "x", "recall": 1.5}, nf.InvalidInput, "recall"),
    ({"query": "x", "filter": {"a": {"$gte": None}}}, nf.FilterError, r"\$gte"),
    ({"query": "x", "filter": {"a": {"$near": 1}}}, nf.FilterError, r"\$near"),
    ({"query": "x", "filter": {"$nor": []}}, nf.FilterError, r"\$nor"),
    ({"query": "x", "filter": {"day": "yesterday"}}, nf.FilterError, "RFC 3339"),
    ({"query": "x", "filter": []}, nf.FilterError, "dict"),
    ({"vector": np.ones(63)}, nf.DimensionMismatch, "64"),
    ({"vector": np.full(64, np.nan)}, nf.InvalidInput, "NaN"),
    ({"vector": np.zeros(64)}, nf.InvalidInput, "cosine"),
    ({"vector": "text"}, nf.InvalidInput, "numbers"),
    ({"id": "none"}, nf.NotFound, "none"),
    ({"query": "x", "timeout": "soon"}, nf.InvalidInput, "timeout"),
    ({"query": "x", "timeout": 0}, nf.DeadlineExceeded, "time"),
]


@pytest.mark.parametrize(("arguments", "error", "words"), BAD_SEARCHES)
def test_bad_searches_are_refused(books: nf.Collection, arguments, error, words: str) -> None:
    with pytest.raises(error, match=words):
        books.search(**arguments)
    with pytest.raises(TypeError, match="limit"):
        books.search("x", limit=3)
    assert books.search("bread", k=1).ids == ["bread"]


BAD_COLLECTIONS = [
    ({"name": "a/b"}, "name"),
    ({"name": ""}, "name"),
    ({"name": "x" * 129}, "name"),
    ({"embedder": None}, "dim"),
    ({"embedder": None, "dim": 0}, "dim"),
    ({"embedder": None, "dim": 40_000}, "dim"),
    ({"embedder": None, "dim": 4, "metric": "hamming"}, "metric"),
    ({"embedder": None, "dim": 4, "recall": 0}, "recall"),
    ({"embedder": None, "dim": 4, "index": "hnsw"}, "index"),
    ({"embedder": None, "dim": 4, "index": 5}, "index"),
    ({"embedder": None, "dim": 4, "fields": {"a": "int"}}, "fields"),
    ({"embedder": "hash:64", "dim": 4}, "dim"),
    ({"embedder": "hash:x"}, "embedder"),
]


@pytest.mark.parametrize(("options", "field"), BAD_COLLECTIONS)
def test_bad_collections_are_refused(db: nf.Database, options: dict, field: str) -> None:
    with pytest.raises(nf.InvalidInput, match=field):
        db.create(**{"name": "new", **options})
    assert db.list() == []
    assert list((db.path / "c").iterdir()) == []


def test_directories_that_are_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(nf.InvalidInput, match=r"notes\.txt"):
        nf.open(tmp_path)
    with pytest.raises(nf.InvalidInput, match="directory"):
        nf.open(tmp_path / "notes.txt")
    with pytest.raises(nf.NotFound):
        nf.open(tmp_path / "none", read_only=True)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "nearfield.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(nf.Corrupt):
        nf.open(tmp_path / "old")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    nf.open(tmp_path / "db").close()
    import apsw

    connection = apsw.Connection(str(tmp_path / "db" / "nearfield.sqlite"))
    connection.execute("UPDATE format SET version = 99")
    connection.close()
    for read_only in (False, True):
        with pytest.raises(nf.InvalidInput, match="99"):
            nf.open(tmp_path / "db", read_only=read_only)


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A writer under a file size limit is refused in the middle; what was acknowledged is there afterwards."""
    script = """
import resource, signal, sys, numpy as np, nearfield as nf
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
db = nf.open(sys.argv[1])
c = db.create("c", embedder=None, dim=64)
c.upsert([nf.Document("before", "x")], vectors=np.ones((1, 64)))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    for i in range(200):
        c.upsert([nf.Document(f"d{i}-{j}", "y" * 500) for j in range(20)], vectors=np.ones((20, 64)))
        print(i, flush=True)
except nf.NearfieldError as error:
    print("refused", type(error).__name__, flush=True)
assert c.search(vector=np.ones(64), k=1).ids == ["before"]
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "db")], capture_output=True, text=True, check=False)
    lines = done.stdout.split()
    assert "refused" in lines, done.stderr
    acknowledged = [int(n) for n in lines[: lines.index("refused")]]
    assert done.returncode == 0, done.stderr
    with nf.open(tmp_path / "db") as db:
        assert len(db["c"]) == 1 + 20 * len(acknowledged)
        assert db["c"].verify().ok


def test_shorten_keeps_errors_on_one_line() -> None:
    assert shorten("a\n b") == "a b"
    assert len(shorten("x" * 10_000)) == 120
