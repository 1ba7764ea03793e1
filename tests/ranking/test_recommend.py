"""Recommendations against brute force."""

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import prepare
from nearfield.ranking.recommend import average, best
from tests.ranking.worlds import DIM, Truth, filled, same

METRICS = ["cosine", "ip", "l2"]


def expected_best(truth: Truth, likes: np.ndarray, dislikes: np.ndarray, without: set[str]) -> list[tuple[str, float]]:
    found = best(truth.vectors, likes, dislikes, truth.metric)
    order = np.lexsort((np.arange(len(found)), -found))
    return [(truth.ids[i], float(found[i])) for i in order.tolist() if truth.ids[i] not in without]


def prepared(truth: Truth, ids: list[str], more: np.ndarray | None = None) -> np.ndarray:
    out = truth.vectors[[truth.place[i] for i in ids]]
    return out if more is None else np.concatenate([out, prepare(more, truth.metric)[0]])


@pytest.mark.parametrize("metric", METRICS)
def test_average_is_the_nearest_of_the_formula(db: nf.Database, rng: np.random.Generator, metric: str) -> None:
    world = filled(db, rng, metric=metric)
    truth = Truth(world)
    extra = rng.normal(size=(1, DIM)).astype(np.float32)
    query = average(prepared(truth, ["d1", "d2"], extra), prepared(truth, ["d3"]), truth.metric)[0]
    found = world.recommend(like=["d1", "d2", extra[0]], unlike=["d3"], k=12)
    same(found, [(i, s) for i, s in truth.ranked(query) if i not in ("d1", "d2", "d3")][:12])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("like", "unlike"), [(["d1"], []), (["d1", "d2"], ["d3", "d4"]), ([], ["d5", "d6"])])
def test_best_is_the_formula_over_all(
    db: nf.Database, rng: np.random.Generator, metric: str, like: list[str], unlike: list[str]
) -> None:
    world = filled(db, rng, metric=metric)
    truth = Truth(world)
    ranked = expected_best(truth, prepared(truth, like), prepared(truth, unlike), {*like, *unlike})
    for k in (1, 20, 1000):
        same(world.recommend(like=like, unlike=unlike, strategy="best", k=k), ranked[:k])


@pytest.mark.parametrize("k", [1, 10, 60])
def test_searches_around_the_likes_find_what_looking_at_all_finds(
    db: nf.Database, rng: np.random.Generator, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = filled(db, rng, 2000)
    options = {"like": ["d1", "d2", rng.normal(size=DIM)], "unlike": ["d3", "d4"], "strategy": "best", "k": k}
    every = world.recommend(**options)
    looked = []
    monkeypatch.setattr("nearfield.ranking.best.SCANNED", 0)
    monkeypatch.setattr("nearfield.ranking.best.Best._every", lambda *_: looked.append(1))
    if k < 60:
        near = world.recommend(**options)
        assert near.ids == every.ids
        assert np.array_equal(near.scores, every.scores)
        assert not looked
    else:
        with pytest.raises(TypeError):
            world.recommend(**options)
        assert looked, "where searches may have missed some, every document is looked at"


@pytest.mark.parametrize("strategy", ["average", "best"])
def test_k_come_back_whatever_was_seen(db: nf.Database, rng: np.random.Generator, strategy: str) -> None:
    world = filled(db, rng)
    seen: set[str] = set()
    while True:
        found = world.recommend(like=["d1", "d2"], unlike=["d3"], strategy=strategy, k=40, exclude=sorted(seen))
        assert not set(found.ids) & (seen | {"d1", "d2", "d3"})
        assert len(found) == min(40, len(world) - 3 - len(seen))
        assert found.complete
        if not len(found):
            break
        seen |= set(found.ids)
    assert len(seen) == len(world) - 3


def test_filters_thresholds_groups_and_diversity_apply(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng)
    for strategy in ("average", "best"):
        options = {"like": ["d1"], "unlike": ["d3"], "strategy": strategy}
        whole = world.recommend(**options, k=1000, filter={"n": {"$lt": 100}})
        assert all(hit.metadata["n"] < 100 for hit in whole)
        assert world.recommend(**options, k=5, offset=5, filter={"n": {"$lt": 100}}).ids == whole.ids[5:10]
        least = float(whole.scores[7])
        assert world.recommend(**options, k=None, min_score=least, filter={"n": {"$lt": 100}}).ids == whole.ids[:8]
        found = world.recommend(**options, k=3, group_by="in.kind", group_size=2, filter={"n": {"$lt": 100}})
        first: dict[str, list[str]] = {}
        for hit in whole:
            first.setdefault(hit.metadata["in"]["kind"], []).append(hit.id)
        assert [[h.id for h in g.hits] for g in found.groups or []] == [ids[:2] for ids in list(first.values())[:3]]
        assert len(world.recommend(**options, k=4, diversity=0.6)) == 4


def test_texts_are_embedded_as_queries(books: nf.Collection) -> None:
    one = books.recommend(like=[nf.Text("moon tides")], k=3)
    other = books.search("moon tides", k=3)
    assert one.ids == other.ids
    assert np.allclose(one.scores, other.scores, atol=1e-6)


def test_one_like_is_more_like_this(books: nf.Collection) -> None:
    assert books.recommend(like="moon", k=2).ids == books.search(id="moon", k=2).ids


def test_disliked_comes_last(books: nf.Collection) -> None:
    found = books.recommend(like=["sea"], unlike=[nf.Text("flour water and salt make bread")], strategy="best", k=2)
    assert found.ids == ["moon", "bread"]
    assert found.scores[1] < 0 < found.scores[0]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "like"),
        ({"unlike": ["sea"]}, "like"),
        ({"like": [], "strategy": "best"}, "like"),
        ({"like": ["sea"], "unlike": ["sea"]}, "unlike"),
        ({"like": ["sea"], "strategy": "worst"}, "strategy"),
        ({"like": [1.0] * 64}, "like"),
        ({"like": ["sea"], "strategy": "best", "percentiles": True}, "percentiles"),
        ({"like": ["sea"], "k": 0}, "k"),
    ],
)
def test_what_is_wrong_is_named(books: nf.Collection, options: dict, field: str) -> None:
    with pytest.raises(nf.InvalidInput) as refused:
        books.recommend(**options)
    assert refused.value.field == field


def test_an_id_that_is_not_there_is_named(books: nf.Collection) -> None:
    with pytest.raises(nf.NotFound) as refused:
        books.recommend(like=["sea", "sky"])
    assert (refused.value.field, refused.value.received) == ("like", "sky")
