"""A collection's evaluation is what its searches say, worked out apart; filters, rerankers and passages included."""

from math import log2

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed.rerank import OverlapReranker

WORDS = [
    "moon",
    "sea",
    "tide",
    "bread",
    "flour",
    "salt",
    "train",
    "rail",
    "star",
    "night",
    "wind",
    "wave",
    "bird",
    "song",
    "stone",
    "river",
]
MODES = ("dense", "keyword", "hybrid")


@pytest.fixture
def judged(db: nf.Database, rng: np.random.Generator) -> tuple[nf.Collection, dict[str, str], dict[str, dict[str, float]]]:
    made = db.create("judged", embedder="hash:64")
    texts = [" ".join(rng.choice(WORDS, 6)) for _ in range(150)]
    made.upsert([nf.Document(f"d{i}", text, {"odd": bool(i % 2)}) for i, text in enumerate(texts)])
    queries = {f"q{i}": " ".join(rng.choice(WORDS, 3)) for i in range(40)}
    qrels = {
        key: {f"d{i}": float(rng.integers(0, 4)) for i in rng.choice(150, 12, replace=False)} for key in list(queries)[:35]
    }
    return made, queries, qrels


def apart(ids: list[str], grades: dict[str, float]) -> float:
    best = sorted((max(g, 0) for g in grades.values()), reverse=True)[:10]
    gained = sum(max(grades.get(one, 0), 0) / log2(i + 2) for i, one in enumerate(ids[:10]))
    return gained / sum(g / log2(i + 2) for i, g in enumerate(best))


@pytest.mark.parametrize("filter", [None, {"odd": True}])
def test_every_mode_scores_what_its_own_searches_give(judged, filter) -> None:
    collection, queries, qrels = judged
    found = collection.evaluate(queries, qrels, filter=filter)
    assert found.names == MODES
    assert found.left_out == 5
    for mode in MODES:
        values = found.per_query(mode)
        for key in values:
            ids = collection.search(queries[key], mode=mode, k=100, filter=filter).ids
            assert values[key] == pytest.approx(apart(ids, qrels[key]), abs=1e-12)
    assert found.about == {"collection": "judged", "embedder": "hash:64"}


def test_a_reranked_run_is_the_search_reranked_with_the_rest_behind(judged) -> None:
    collection, queries, qrels = judged
    found = collection.evaluate(queries, qrels, modes=["dense"], rerank="overlap", rerank_depth=5)
    assert found.names == ("dense", "dense + rerank")
    for key, value in found.per_query("dense + rerank").items():
        ids = collection.search(queries[key], k=10).ids
        scores = OverlapReranker().score(queries[key], [document.text or "" for document in collection.get(ids[:5])])
        order = [ids[i] for i in np.argsort(-scores, kind="stable")] + ids[5:]
        assert value == pytest.approx(apart(order, qrels[key]), abs=1e-12)
    assert found.about["rerank"] == "overlap"


def test_another_fusion_can_be_measured(judged) -> None:
    collection, queries, qrels = judged
    dense = collection.evaluate(queries, qrels, modes=["dense"])
    found = collection.evaluate(queries, qrels, modes=["hybrid"], fusion=nf.Fusion(weight=1.0))
    assert found.estimate("hybrid", "MRR@10").mean == pytest.approx(dense.estimate("dense", "MRR@10").mean, abs=0.02)


def test_passages_that_the_collection_cut_count_as_their_documents(db: nf.Database) -> None:
    made = db.create("long", embedder="hash:64", passages=nf.Passages(tokens=8, overlap=0))
    made.upsert(
        [
            nf.Document("a", "Moon and sea and tide. " * 6 + "Bread is flour and salt. " * 6),
            nf.Document("b", "Trains run on rails. " * 12),
        ]
    )
    found = made.evaluate({"q": "bread flour salt"}, {"q": {"a": 1}}, modes=["dense"], k=2, depth=2)
    assert found.estimate("dense", "MRR@2").mean == 1
