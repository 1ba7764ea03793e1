"""Codes rank as vectors do; reduced ones keep the axes along which vectors vary; files say which they are."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.errors import Corrupt, InvalidInput
from nearfield.core.metric import Metric
from nearfield.index import codec
from nearfield.index.codec import Codec
from nearfield.planning import reducing


def stretched(n: int, dim: int, kept: int, seed: int = 0) -> np.ndarray:
    """Vectors that vary along `kept` of `dim` axes, turned at random, and hardly along the others."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    lengths = np.where(np.arange(dim) < kept, 1.0, 0.01)
    return ((rng.standard_normal((n, dim)) * lengths) @ axes.T + 3).astype(np.float32)


@given(st.integers(2, 40), st.integers(0, 39), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_one_vector_is_coded_as_many_are(dim: int, dims: int, seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((100, dim)).astype(np.float32)
    made = Codec.fit(x, dims=dims if dims < dim else 0)
    out = np.empty(made.dims, np.float32)
    for row, whole in zip(x[:10], made.encode(x[:10]), strict=True):
        made.encode_one(row, out)
        assert np.abs(out - whole).max() <= 1  # a sum in another order may round to the neighbour
    assert out.min() >= 0
    assert out.max() <= 255


@pytest.mark.parametrize("dims", [0, 1, 7, 23])
def test_a_saved_codec_is_the_same(tmp_path: Path, dims: int) -> None:
    x = stretched(500, 24, 8)
    made = Codec.fit(x, dims=dims)
    made.save(tmp_path / "codec")
    assert (tmp_path / "codec").stat().st_size == codec.nbytes(24, dims)
    found = Codec.open(tmp_path / "codec", 24)
    assert found.dims == made.dims == (dims or 24)
    assert np.array_equal(found.encode(x), made.encode(x))
    for other in (22, 100):
        with pytest.raises(Corrupt):
            Codec.open(tmp_path / "codec", other)


def test_codes_are_as_far_apart_as_their_vectors() -> None:
    x = stretched(2000, 64, 20)
    made = Codec.fit(x, dims=20)
    codes = made.encode(x) / made.scale
    for i, j in np.random.default_rng(1).integers(0, len(x), (100, 2)):
        assert np.isclose(np.linalg.norm(codes[i] - codes[j]), np.linalg.norm(x[i] - x[j]), rtol=0.05, atol=0.1)


def test_the_components_needed_are_counted() -> None:
    assert codec.dims_keeping(stretched(2000, 192, 64), 0.99) == 64
    assert codec.dims_keeping(stretched(2000, 192, 65), 0.999) == 128
    assert codec.dims_keeping(np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32), 0.99) == 64
    assert codec.dims_keeping(np.ones((100, 32), np.float32), 0.9) == 32


def test_only_vectors_that_allow_it_are_reduced() -> None:
    low, even = stretched(3000, 128, 60), np.random.default_rng(0).standard_normal((3000, 128)).astype(np.float32)
    assert reducing.reduced(nf.Hnsw(), low, Metric.L2) == nf.Hnsw(reduce=64, build_effort=200)
    assert reducing.reduced(nf.Hnsw(), even, Metric.L2) is None
    assert reducing.reduced(nf.Hnsw(), low, Metric.IP) is None
    assert reducing.reduced(nf.Hnsw(storage="float32"), low, Metric.L2) is None
    assert reducing.reduced(nf.Hnsw(reduce=16), low, Metric.L2) is None
    assert reducing.reduced(nf.Ivf(), low, Metric.L2) is None
    assert reducing.reduced(nf.Hnsw(), low[:, :96], Metric.L2) is None


def test_a_kind_that_cannot_reduce_so_is_refused() -> None:
    for wrong in ({"reduce": -1}, {"reduce": 2.5}, {"reduce": True}, {"reduce": 8, "storage": "float16"}):
        with pytest.raises(InvalidInput, match="reduce"):
            nf.Hnsw(**wrong)
    for dim, metric in ((16, Metric.L2), (64, Metric.IP)):
        with pytest.raises(InvalidInput, match="reduce"):
            nf.Hnsw(reduce=16).check(dim, metric)


def test_auto_reduces_what_it_may_and_says_so(tmp_path: Path) -> None:
    x = stretched(21_000, 128, 48)
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=128, metric="l2")
        c.load(ids=[str(i) for i in range(len(x))], vectors=x)
        c.optimize()
        index = c.stats().segments[0].index
        assert index is not None
        assert index.kind["reduce"] == 64
        assert "64 principal components of 128" in index.reason
        assert abs(index.nbytes / index.planned_bytes - 1) < 0.05
        found = np.mean([c.search(vector=v, k=1).ids[0] == str(i) for i, v in enumerate(x[:200])])
        assert found >= 0.95
    with nf.open(tmp_path / "db", read_only=True) as db:
        assert db["c"].search(vector=x[7], k=1).plan.segments[0].method == "index"
