"""Calibrated scores: against all pairs, and carried from one embedder to another."""

import zlib

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores
from nearfield.ranking import sampling
from tests.ranking.worlds import DIM, Truth, filled

METRICS = ["cosine", "ip", "l2"]


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_are_scored_as_searches_score(metric: str, rng: np.random.Generator) -> None:
    kind = Metric(metric)
    one, other = (prepare(rng.normal(size=(n, 6)).astype(np.float32), kind)[0] for n in (5, 9))
    found = sampling.pairs(one, other, kind).reshape(5, 9)
    for i in range(5):
        assert np.allclose(found[i], scores(one[i], other, kind), atol=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_in_a_small_collection_every_pair_counts(db: nf.Database, rng: np.random.Generator, metric: str) -> None:
    world = filled(db, rng, metric=metric)
    truth, background = Truth(world), world.background()
    n = len(world)
    assert (background.source, background.pairs, background.size) == ("documents", n * (n - 1) // 2, n)
    every = np.concatenate([scores(truth.vectors[i], truth.vectors[i + 1 :], truth.metric) for i in range(n - 1)])
    found = world.search(vector=rng.normal(size=DIM).astype(np.float32), k=20, percentiles=True)
    counted = [min(100 * float((every < hit.score).mean()), background.most) for hit in found]
    assert np.allclose([hit.percentile for hit in found], counted, atol=0.06)
    assert [found.percentile(i) for i in range(20)] == [hit.percentile for hit in found]


def test_samples_of_larger_collections_are_near_all_pairs(
    db: nf.Database, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SIDE", 300)
    made = db.create("larger", embedder=None, dim=6)
    vectors = rng.normal(size=(1500, 6)).astype(np.float32)
    made.upsert([nf.Document(str(i)) for i in range(1500)], vectors=vectors)
    unit = prepare(vectors, Metric.COSINE)[0]
    every = (unit @ unit.T)[np.triu_indices(1500, 1)]
    background = made.background()
    assert background.pairs == 90_000
    for percent, score in background.quantiles().items():
        assert (every < score).mean() == pytest.approx(percent / 100, abs=0.02)
    assert made.background() is background, "kept"


def test_a_percentile_is_a_threshold(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng)
    query = rng.normal(size=DIM).astype(np.float32)
    least = world.background().score(80.0)
    found = world.search(vector=query, k=None, min_percentile=80.0)
    assert found.ids == world.search(vector=query, k=None, min_score=least).ids
    assert 0 < len(found) < len(world)
    assert world.search(vector=query, k=2, min_percentile=80.0).ids == found.ids[:2]


def test_it_is_drawn_again_once_a_tenth_changed(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng)
    first = world.background()
    size = len(world)
    world.delete(["d1"])
    assert world.background() is first
    world.upsert([nf.Document(f"x{i}") for i in range(size // 10 + 1)], vectors=rng.normal(size=(size // 10 + 1, DIM)))
    second = world.background()
    assert second is not first
    world.delete([f"d{i}" for i in range(2, 60)])
    assert world.background() is not second


def test_recorded_queries_are_the_better_source(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng)
    assert world.background().source == "documents"
    world.record_queries(100)
    for query in rng.normal(size=(120, DIM)).astype(np.float32):
        world.search(vector=query)
    world.upsert([nf.Document("one more")], vectors=rng.normal(size=(1, DIM)))
    background = world.background()
    assert (background.source, background.queries, background.documents) == ("recorded queries", 100, len(world))


class Scaled:
    """An embedder whose cosines are squeezed into a narrow band: random directions beside a large constant part."""

    def __init__(self, name: str, shift: float) -> None:
        self.name, self._shift = name, shift
        self.dim = 33

    def declared(self) -> dict:
        return {"name": self.name, "shift": self._shift}

    def encode(self, items, kind="document", progress=None):  # type: ignore[no-untyped-def]
        out = np.empty((len(items), 33), np.float32)
        for i, item in enumerate(items):
            out[i, :32] = np.random.default_rng(zlib.crc32(item.encode())).normal(size=32)
        out[:, 32] = self._shift
        return out


def test_a_threshold_carries_over_between_models(db: nf.Database) -> None:
    """The same percentile keeps about the same share under two embedders; the same score keeps all or nothing."""
    kept, by_score = {}, {}
    for name, shift in (("wide", 0.0), ("narrow", 20.0)):
        made = db.create(name, embedder=Scaled(name, shift))
        made.upsert([nf.Document(str(i), f"document number {i}") for i in range(1200)])
        queries = [f"question number {i}" for i in range(20)]
        kept[name] = sum(len(made.search(q, k=None, min_percentile=95.0, documents=False)) for q in queries) / (20 * 1200)
        by_score[name] = sum(len(made.search(q, k=None, min_score=0.5, documents=False)) for q in queries) / (20 * 1200)
    assert kept["wide"] == pytest.approx(0.05, abs=0.02)
    assert kept["narrow"] == pytest.approx(0.05, abs=0.02)
    assert by_score["wide"] < 0.01
    assert by_score["narrow"] > 0.9


def test_too_few_documents_are_said(mine: nf.Collection) -> None:
    with pytest.raises(nf.InvalidInput, match="too few"):
        mine.background()
    with pytest.raises(nf.InvalidInput, match="min_score"):
        mine.search(vector=[1, 0, 0, 0], min_percentile=90)


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
def test_other_scores_have_no_percentile(books: nf.Collection, mode: str) -> None:
    for options in ({"percentiles": True}, {"min_percentile": 50}):
        with pytest.raises(nf.InvalidInput, match="dense"):
            books.search("the moon", mode=mode, **options)
