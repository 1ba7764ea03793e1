"""Hybrid search against both sides computed by brute force and fused by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.fuse import fused

WORDS = ["tide", "moon", "sea", "river", "bank", "loan", "money", "water", "boat", "sail", "wind", "storm", "calm", "deep"]


@pytest.fixture
def collection(tmp_path: Path) -> Any:
    rng = np.random.default_rng(4)
    with nf.open(tmp_path) as db:
        made = db.create("c", embedder=None, dim=8, keyword="plain")
        texts = [" ".join(rng.choice(WORDS, 6)) for _ in range(400)]
        made.load(
            ids=[str(i) for i in range(400)], vectors=rng.standard_normal((400, 8)).astype(np.float32), texts=texts,
            metadata=[{"n": int(i % 5)} for i in range(400)],
        )  # fmt: skip
        made.optimize()
        made.upsert([nf.Document(f"p{i}", "sea storm", {"n": i % 5}) for i in range(30)], vectors=rng.standard_normal((30, 8)))
        made.delete([str(i) for i in range(0, 400, 7)])
        yield made


def by_hand(collection: nf.Collection, vector: Any, query: str, by: nf.Fusion, k: int, keep: Any, depth: int) -> list[str]:
    everything = [d.id for d in collection.scan() if keep(d)]
    order = {i: n for n, i in enumerate(d.id for d in collection.scan())}
    dense = dict(zip(*_pair(collection.search(vector=vector, k=1000, exact=True)), strict=True))
    words = dict(zip(*_pair(collection.search(query, mode="keyword", k=1000)), strict=True))
    near = sorted(everything, key=lambda i: (-dense[i], order[i]))[:depth]
    told = sorted((i for i in everything if i in words), key=lambda i: (-words[i], order[i]))[:depth]
    union = sorted({*near, *told}, key=order.__getitem__)
    scores = fused(np.array([dense[i] for i in union], np.float32), np.array([words.get(i, 0) for i in union], np.float32), by)
    return [union[i] for i in np.argsort(-scores, kind="stable")[:k]]


def _pair(hits: nf.Hits) -> tuple[list[str], list[float]]:
    return hits.ids, hits.scores.tolist()


@pytest.mark.parametrize("by", [nf.Fusion(), nf.Fusion("ranks", 0.3, 20, 10), nf.Fusion("scores", 0.8, 5)])
@pytest.mark.parametrize("where", [None, {"n": {"$lt": 2}}])
def test_it_is_what_both_sides_give_fused(collection: nf.Collection, by: nf.Fusion, where: Any) -> None:
    rng = np.random.default_rng(9)
    for _ in range(10):
        vector, query = rng.standard_normal(8).astype(np.float32), " ".join(rng.choice(WORDS, 2))
        keep = (lambda d: True) if where is None else (lambda d: d.metadata["n"] < 2)
        hits = collection.search(query, vector=vector, mode="hybrid", fusion=by, filter=where, k=12)
        assert hits.ids == by_hand(collection, vector, query, by, 12, keep, max(by.depth, 24))
        assert hits.mode == "hybrid"
        assert hits.complete
        assert hits.plan.keyword is not None
        assert (hits.plan.keyword.fusion, hits.plan.keyword.weight) == (by.method, by.weight)
        for hit in hits:
            exact = collection.search(vector=vector, k=1000, exact=True, filter=where)
            assert hit.parts["dense"] == pytest.approx(dict(zip(*_pair(exact), strict=True))[hit.id], abs=1e-6)


def test_pages_of_one_ranking(collection: nf.Collection) -> None:
    vector = np.ones(8, np.float32)
    whole = collection.search("sea storm", vector=vector, mode="hybrid", k=20)
    part = collection.search("sea storm", vector=vector, mode="hybrid", k=10, offset=10, fusion=nf.Fusion(depth=100))
    assert part.ids == whole.ids[10:]


def test_words_that_nothing_has_leave_the_dense_order(collection: nf.Collection) -> None:
    vector = np.ones(8, np.float32)
    hits = collection.search("zzz", vector=vector, mode="hybrid", k=20)
    assert hits.ids == collection.search(vector=vector, k=20).ids


def test_k_hits_or_all_there_are(collection: nf.Collection) -> None:
    vector = np.ones(8, np.float32)
    assert len(collection.search("sea", vector=vector, mode="hybrid", k=1000)) == len(collection)
    assert len(collection.search("sea", vector=vector, mode="hybrid", k=1000, filter={"n": 9})) == 0


def test_many_are_the_same_as_each_alone(tmp_path: Path) -> None:
    with nf.open(tmp_path / "other") as db:
        collection = db.create("c", embedder="hash:32")
        collection.upsert([nf.Document(str(i), f"{WORDS[i % 14]} {WORDS[i % 5]}") for i in range(60)])
        for mode in ("keyword", "hybrid"):
            many = collection.search_many(["sea boat", "tide"], mode=mode, k=7)
            assert [h.ids for h in many] == [collection.search(q, mode=mode, k=7).ids for q in ("sea boat", "tide")]


def test_the_promise_is_for_the_hits_not_for_every_candidate(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    x = rng.standard_normal((3000, 24)).astype(np.float32)
    with nf.open(tmp_path / "indexed") as db:
        collection = db.create("c", embedder=None, dim=24, index=nf.Hnsw(links=8))
        collection.load(ids=[str(i) for i in range(3000)], vectors=x, texts=[WORDS[i % 14] for i in range(3000)])
        collection.optimize()
        both = collection.search("sea", vector=x[5], mode="hybrid", k=10)
        alone = collection.search(vector=x[5], k=10)
        deep = collection.search(vector=x[5], k=100)
        (step,), (near,), (far,) = both.plan.segments, alone.plan.segments, deep.plan.segments
        assert step.kind is not None
        assert step.effort == near.effort != far.effort
        assert step.bound is not None
        assert step.bound >= 0.95
        assert set(alone.ids[:3]) <= set(collection.search("zzz", vector=x[5], mode="hybrid", k=10).ids)
