"""Every kind keeps the contract; exact search is brute force; promises hold on data nobody tuned for."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.errors import Closed, NearfieldError
from nearfield.core.metric import Metric, prepare, scores
from nearfield.index import exact
from nearfield.index.base import Allow
from nearfield.index.build import run_build
from nearfield.index.hnsw import Hnsw
from nearfield.index.wrapper import FaissIndex
from nearfield.testing import KindContract


class TestFlat(KindContract):
    kind = nf.Flat()


class TestHnsw(KindContract):
    kind = nf.Hnsw(links=12, build_effort=40)


class TestHnswInFloats(KindContract):
    kind = nf.Hnsw(links=12, build_effort=40, storage="float32")


class TestHnswInHalves(KindContract):
    kind = nf.Hnsw(links=12, build_effort=40, storage="float16")


class TestHnswReduced(KindContract):
    kind = nf.Hnsw(links=12, build_effort=40, reduce=22)
    metrics = (Metric.COSINE, Metric.L2)


class TestIvf(KindContract):
    kind = nf.Ivf(lists=32)


class TestIvfInHalves(KindContract):
    kind = nf.Ivf(lists=32, storage="float16")


class TestIvfInBytes(KindContract):
    kind = nf.Ivf(lists=32, storage="int8")


class TestIvfPq(KindContract):
    kind = nf.IvfPq(lists=32)


@pytest.mark.slow
class TestIvfPqInBytes(KindContract):
    kind = nf.IvfPq(lists=32, bits=8, transform="rotation")


@pytest.mark.slow
class TestIvfPqBehindOpq(KindContract):
    kind = nf.IvfPq(lists=32, transform="opq")


@pytest.mark.slow
class TestIvfPqBehindPca(KindContract):
    kind = nf.IvfPq(lists=32, transform="pca")


@pytest.mark.slow
class TestRabitqOneBit(KindContract):
    kind = nf.Rabitq(lists=32, bits=1)


class TestUsearch(KindContract):
    kind = nf.Usearch(links=12, build_effort=40)
    metrics = (Metric.COSINE, Metric.L2)


class TestRabitq(KindContract):
    kind = nf.Rabitq(lists=32)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 12), st.integers(0, 10_000), st.sampled_from(list(Metric)), st.booleans())
def test_exact_search_is_brute_force(n: int, k: int, seed: int, metric: Metric, filtered: bool) -> None:
    rng = np.random.default_rng(seed)
    raw = rng.integers(-2, 3, (n + 4, 6)).astype(np.float32) * 10.0 ** rng.integers(-3, 4)
    raw[np.linalg.norm(raw, axis=1) == 0] = 1
    x, queries = prepare(raw[:n], metric)[0], prepare(raw[n:], metric)[0]
    allow = rng.random(n) < 0.4 if filtered else None
    found_scores, found = exact.search(queries, x, k, metric, allow)
    for i, query in enumerate(queries):
        final = scores(query, x, metric)
        order = [p for p in np.lexsort((np.arange(n), -final)) if allow is None or allow[p]][:k]
        assert found[i][: len(order)].tolist() == order
        assert found_scores[i][: len(order)].tolist() == final[order].tolist()
        assert (found[i][len(order) :] == -1).all()


def test_an_order_is_applied_to_answers_and_bitmaps(rng: np.random.Generator) -> None:
    from nearfield.index._faiss import faiss

    x = rng.standard_normal((500, 8)).astype(np.float32)
    order = rng.permutation(500).astype(np.int32)
    inner = faiss.IndexFlatL2(8)
    inner.add(x[order])
    index = FaissIndex(inner, nf.Flat(), Metric.L2, x, order)
    effort = nf.Flat().efforts(500)[0]
    assert index.search(x, 1, effort).positions[:, 0].tolist() == list(range(500))
    allow = rng.random(500) < 0.5
    found = index.search(x, 3, effort, Allow(np.packbits(allow, bitorder="little"), 0.5)).positions
    assert allow[found].all()
    assert found[allow, 0].tolist() == np.flatnonzero(allow).tolist()


def test_a_failing_build_says_why_and_a_cancelled_one_ends(tmp_path: Path) -> None:
    with pytest.raises(NearfieldError, match="building the index failed"):
        run_build(tmp_path / "missing", 100, 8, Hnsw(), Metric.L2, tmp_path)
    np.random.default_rng(0).standard_normal((60_000, 64)).astype(np.float32).tofile(tmp_path / "x")
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    with pytest.raises(Closed):
        run_build(tmp_path / "x", 60_000, 64, Hnsw(64, 512), Metric.L2, tmp_path, cancelled=cancelled)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Hnsw(), nf.Ivf()], ids=lambda k: k.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_promise_holds_on_fresh_data(tmp_path: Path, kind, seed: int) -> None:
    rng = np.random.default_rng([seed, 99])
    centres = rng.standard_normal((300, 32))

    def draw(n: int) -> np.ndarray:
        return (centres[rng.integers(0, 300, n)] + 0.6 * rng.standard_normal((n, 32))).astype(np.float32)

    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=32, metric="cosine", index=kind)
        x, queries = draw(24_000), draw(500)
        c.load(ids=[f"d{i}" for i in range(len(x))], vectors=x)
        c.optimize()
        assert c.stats().indexed == len(x)
        truth = c.search_many(queries, k=10, exact=True, documents=False)
        for promise in (0.90, 0.95, 0.99):
            found = c.search_many(queries, k=10, recall=promise, documents=False)
            recall = np.mean([len(set(a.ids) & set(b.ids)) / 10 for a, b in zip(found, truth, strict=True)])
            assert recall >= promise - 0.01
            assert found[0].plan.segments[0].method.startswith("index") or recall == 1
        filtered = c.search_many(queries[:50], k=10, filter={"none": 1}, documents=False)
        assert all(len(h) == 0 and h.complete for h in filtered)


@pytest.mark.slow
def test_deletes_do_not_shorten_answers(tmp_path: Path, rng: np.random.Generator) -> None:
    x = rng.standard_normal((22_000, 16)).astype(np.float32)
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=16, metric="l2", index=nf.Hnsw(links=8, build_effort=16))
        c.load(ids=[f"d{i}" for i in range(len(x))], vectors=x, metadata={"n": list(range(len(x)))})
        c.optimize()
        nearest = c.search(vector=x[0], k=300, recall=0.9).ids
        c.delete(nearest)
        hits = c.search(vector=x[0], k=50, recall=0.9)
        assert len(hits) == 50
        assert not set(hits.ids) & set(nearest)
        assert hits.plan.segments[0].method.startswith("index")
