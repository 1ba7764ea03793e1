"""Every kind of bad input: refused with an error that names it, nothing written, and the collection goes on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import shorten

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
