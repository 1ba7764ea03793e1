"""Damage in an index of unchanged size: it is put aside or passed over, never the collection's end; and odd vectors."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf

X = np.random.default_rng(0).standard_normal((3000, 16)).astype(np.float32)


def made(path: Path, kind: object) -> None:
    with nf.open(path) as db:
        c = db.create("x", embedder=None, dim=16, metric="l2", index=kind)
        c.load(ids=[str(i) for i in range(len(X))], vectors=X)
        c.optimize()
        assert c.stats().indexed == len(X)


def flip(path: Path, suffix: str, at: int, bits: int = 0x80) -> None:
    file = next(path.rglob(f"index-*{suffix}"))
    raw = bytearray(file.read_bytes())
    raw[at] ^= bits
    file.write_bytes(raw)


def exact(c: nf.Collection, query: np.ndarray) -> None:
    truth = np.argsort(((X - query) ** 2).sum(1), kind="stable")[:5]
    assert c.search(vector=query, k=5, recall=0.9).ids == [str(i) for i in truth]


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [(nf.Ivf(), ".order"), (nf.Hnsw(links=8, build_effort=32, storage="int8"), ".codec"), (nf.Flat(), ".order")],
    ids=["order", "codec", "flat"],
)
def test_a_flipped_bit_in_a_small_file_puts_the_index_aside(tmp_path: Path, kind: object, suffix: str) -> None:
    made(tmp_path / "db", kind)
    flip(tmp_path / "db", suffix, 43)
    with nf.open(tmp_path / "db", read_only=True) as db:
        assert db["x"].stats().indexed == 0
        exact(db["x"], X[7] + 0.01)
        assert not db["x"].verify().ok
    with nf.open(tmp_path / "db") as db:
        assert db["x"].repair().ok
        assert db["x"].stats().indexed == len(X)


def test_an_index_that_names_rows_that_are_not_there_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path / "db", nf.Ivf())
    from nearfield.index.wrapper import FaissIndex

    def broken(*_: object) -> None:
        raise IndexError("index 576460752303423674 is out of bounds")

    monkeypatch.setattr(FaissIndex, "search", broken)
    with nf.open(tmp_path / "db", read_only=True) as db:
        exact(db["x"], X[7] + 0.01)
    assert "nearfield repair" in caplog.text


def test_verify_takes_a_swapped_index_for_no_damage(tmp_path: Path) -> None:
    made(tmp_path / "db", nf.Hnsw(links=8, build_effort=32))
    with nf.open(tmp_path / "db") as db, nf.open(tmp_path / "db", read_only=True) as other:
        c = other["x"]
        db["x"].rebuild(nf.Ivf())
        assert c.verify().problems == []


def test_a_build_takes_no_module_of_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit(9)")
    code = (
        "import sys; sys.path[:] = [p for p in sys.path if p]\n"
        "import numpy as np, nearfield as nf\n"
        f"db = nf.open({str(tmp_path / 'db')!r}); c = db.create('x', embedder=None, dim=8, index=nf.Flat())\n"
        "c.load(ids=[str(i) for i in range(2000)], vectors=np.random.default_rng(0).random((2000, 8)).astype('f4'))\n"
        "c.optimize(); print(c.stats().indexed); db.close()\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2000", done.stderr


@pytest.mark.parametrize("metric", ["l2", "ip"])
def test_vectors_whose_distances_overflow_are_refused(tmp_path: Path, metric: str) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=2, metric=metric)
        for huge in ([1e20, 0], [0, 3e38]):
            with pytest.raises(nf.InvalidInput, match="so long"):
                c.upsert([nf.Document("a")], vectors=np.array([huge], np.float32))
        c.upsert([nf.Document(str(i)) for i in range(3)], vectors=np.array([[9e14, 0], [-9e14, 0], [1, 1]], np.float32))
        hits = c.search(vector=np.array([9e14, 1], np.float32), k=3)
        assert hits.ids == (["0", "2", "1"])
        assert np.isfinite(hits.scores).all()
        with pytest.raises(nf.InvalidInput, match="so long"):
            c.search(vector=np.array([1e20, 0], np.float32))
