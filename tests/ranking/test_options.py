"""Search with options against brute force over the same documents."""

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import prepare, scores
from nearfield.ranking import groups
from nearfield.ranking.diversity import CANDIDATES, mmr
from tests.ranking.worlds import DIM, Truth, filled, same

METRICS = ["cosine", "ip", "l2"]


@pytest.fixture
def world(db: nf.Database, rng: np.random.Generator) -> nf.Collection:
    return filled(db, rng)


def query(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=DIM).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_excluded_ids_do_not_come_back_and_others_do(db: nf.Database, rng: np.random.Generator, metric: str) -> None:
    world = filled(db, rng, metric=metric)
    truth = Truth(world)
    for count in (1, 5, 100, len(world) - 3, len(world)):
        asked = query(rng)
        ranked = truth.ranked(asked)
        gone = {one for one, _ in ranked[:count]} | {"never there"}
        found = world.search(vector=asked, k=10, exclude=list(gone))
        same(found, [(i, s) for i, s in ranked if i not in gone][:10])
        assert found.complete
        assert not gone & set(found.ids)


def test_excluding_with_a_filter_and_an_offset(world: nf.Collection, rng: np.random.Generator) -> None:
    truth, asked = Truth(world), query(rng)
    ranked = [(i, s) for i, s in truth.ranked(asked) if truth.metadata[i]["n"] < 150]
    found = world.search(vector=asked, k=5, offset=3, filter={"n": {"$lt": 150}}, exclude=[ranked[0][0], ranked[5][0]])
    same(found, [one for at, one in enumerate(ranked) if at not in (0, 5)][3:8])


@pytest.mark.parametrize("metric", METRICS)
def test_a_threshold_cuts_where_it_says(db: nf.Database, rng: np.random.Generator, metric: str) -> None:
    world = filled(db, rng, metric=metric)
    truth, asked = Truth(world), query(rng)
    ranked = truth.ranked(asked)
    least = (ranked[4][1] + ranked[5][1]) / 2
    found = world.search(vector=asked, k=10, min_score=least)
    same(found, ranked[:5])
    assert found.complete
    assert len(world.search(vector=asked, k=3, min_score=least)) == 3
    assert len(world.search(vector=asked, k=3, min_score=1e9)) == 0


@pytest.mark.parametrize("exact", [True, False])
def test_without_k_all_above_the_threshold_come(world: nf.Collection, rng: np.random.Generator, exact: bool) -> None:
    truth, asked = Truth(world), query(rng)
    ranked = truth.ranked(asked)
    for count in (0, 1, 130, len(ranked)):
        least = 2.0 if count == 0 else ranked[count - 1][1] - 1e-4
        expected = [one for one in ranked if one[1] >= least]
        found = world.search(vector=asked, k=None, min_score=least, exact=exact)
        assert len(found) == len(expected)
        same(found, expected)
        assert found.complete


def test_a_range_comes_in_pages_of_its_stated_maximum(
    world: nf.Collection, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearfield.searching.RANGE", 20)
    asked, ids, token = query(rng), [], None
    while True:
        found = world.search(vector=asked, k=None, min_score=-1, after=token)
        assert found.complete == (len(found) < 20)
        ids += found.ids
        token = found.next
        if token is None:
            break
    assert ids == world.search(vector=asked, k=len(world)).ids


@pytest.mark.parametrize("metric", METRICS)
def test_diversity_is_mmr_over_the_best_candidates(db: nf.Database, rng: np.random.Generator, metric: str) -> None:
    world = filled(db, rng, metric=metric)
    truth = Truth(world)
    for diversity in (0.2, 0.5, 1.0):
        asked = query(rng)
        prepared = prepare(asked[None, :], truth.metric)[0][0]
        pool = world.search(vector=asked, k=CANDIDATES * 8, documents=False).ids
        vectors = truth.vectors[[truth.place[i] for i in pool]]
        chosen = mmr(scores(prepared, vectors, truth.metric), vectors, truth.metric, diversity, 8)
        found = world.search(vector=asked, k=6, offset=2, diversity=diversity)
        assert found.ids == [pool[i] for i in chosen.tolist()][2:]
        assert np.allclose(found.scores, scores(prepared, vectors[chosen[2:]], truth.metric), atol=1e-5)


def test_no_diversity_is_the_plain_search(world: nf.Collection, rng: np.random.Generator) -> None:
    asked = query(rng)
    assert world.search(vector=asked, k=9, diversity=0.0).ids == world.search(vector=asked, k=9).ids


def grouped(ranked: list[str], metadata: dict, field: str, k: int, size: int) -> list[tuple[object, list[str]]]:
    """Groups of a whole ranking, by a plain loop."""
    found = groups.Groups(k, size)
    for number, one in enumerate(ranked):
        found.add(number, groups.keys(metadata[one], tuple(field.split("."))))
    return [(g.value, [ranked[i] for i in g.members]) for g in found.all]


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("k", [1, 4, 40])
@pytest.mark.parametrize("field", ["kind", "in.kind", "n", "absent"])
def test_groups_are_those_of_the_whole_ranking(
    world: nf.Collection, rng: np.random.Generator, field: str, k: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearfield.ranking.stages.GROUP_ROUND", 8)
    truth, asked = Truth(world), query(rng)
    every = world.search(vector=asked, k=len(world), documents=False).ids
    found = world.search(vector=asked, k=k, group_by=field, group_size=size)
    expected = grouped(every, dict(truth.metadata), field, k, size)
    assert found.groups is not None
    assert [(g.value, [h.id for h in g.hits]) for g in found.groups] == expected
    assert found.ids == [one for _, members in expected for one in members], "the hits are those of the groups, in their order"
    assert [h.document.id for h in found if h.document] == found.ids
    assert found.complete


def test_groups_keep_to_filters_thresholds_and_exclusions(world: nf.Collection, rng: np.random.Generator) -> None:
    truth, asked = Truth(world), query(rng)
    ranked = truth.ranked(asked)
    least, gone = ranked[120][1] - 1e-4, [one for one, _ in ranked[:3]]
    every = world.search(vector=asked, k=len(world), documents=False, filter={"n": {"$gte": 40}})
    allowed = [i for i, s in zip(every.ids, every.scores.tolist(), strict=True) if s >= least and i not in gone]
    found = world.search(
        vector=asked, k=6, group_by="kind", group_size=2, filter={"n": {"$gte": 40}}, min_score=least, exclude=gone
    )
    expected = grouped(allowed, dict(truth.metadata), "kind", 6, 2)
    assert [(g.value, [h.id for h in g.hits]) for g in found.groups or []] == expected


def test_leading_groups_are_left_out_by_offset(world: nf.Collection, rng: np.random.Generator) -> None:
    asked = query(rng)
    whole = world.search(vector=asked, k=6, group_by="kind", group_size=2).groups or []
    rest = world.search(vector=asked, k=4, offset=2, group_by="kind", group_size=2).groups or []
    assert [[h.id for h in g.hits] for g in rest] == [[h.id for h in g.hits] for g in whole[2:]]


def test_groups_of_diverse_hits_are_of_the_candidates(world: nf.Collection, rng: np.random.Generator) -> None:
    found = world.search(vector=query(rng), k=3, group_by="in.kind", group_size=2, diversity=0.5)
    assert found.groups is not None
    assert len(found.groups) == 3
    assert len({g.value for g in found.groups}) == 3


def test_more_like_this_takes_options(world: nf.Collection) -> None:
    found = world.search(id="d5", k=5, exclude=["d9"], percentiles=True)
    assert "d5" not in found.ids
    assert len(found) == 5
    assert found[0].percentile is not None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"k": None}, "k"),
        ({"k": None, "min_score": 0.1, "diversity": 0.5}, "k"),
        ({"k": None, "min_score": 0.1, "group_by": "kind"}, "k"),
        ({"diversity": 1.5}, "diversity"),
        ({"diversity": "much"}, "diversity"),
        ({"diversity": True}, "diversity"),
        ({"group_size": 2}, "group_size"),
        ({"group_by": "a..b"}, "group_by"),
        ({"group_by": "kind", "group_size": 0}, "group_size"),
        ({"min_score": "high"}, "min_score"),
        ({"min_score": float("nan")}, "min_score"),
        ({"min_percentile": 101}, "min_percentile"),
        ({"min_percentile": 99.9999999}, "min_percentile"),
        ({"exclude": [1]}, "exclude[0]"),
        ({"exclude": ["a"] * 100_001}, "exclude"),
        ({"rerank": "overlap"}, "rerank"),
        ({"rerank": 7}, "rerank"),
        ({"rerank_depth": 5, "rerank": "overlap"}, "rerank_depth"),
        ({"rerank_depth": 5_000, "rerank": "overlap"}, "rerank_depth"),
        ({"after": "nonsense"}, "after"),
        ({"after": "x", "offset": 3}, "offset"),
        ({"after": "x", "diversity": 0.3}, "after"),
        ({"diversity": 0.3, "k": 2000}, "k"),
    ],
)
def test_what_is_wrong_is_named(world: nf.Collection, options: dict, field: str) -> None:
    with pytest.raises(nf.InvalidInput) as refused:
        world.search(vector=np.ones(DIM, np.float32), **options)
    assert refused.value.field == field


def test_a_plain_search_is_left_alone(world: nf.Collection, rng: np.random.Generator) -> None:
    found = world.search(vector=query(rng))
    assert found.groups is None
    assert found.percentile(0) is None
    assert found[0].percentile is None
    assert found.plan.rerank is None


def test_the_time_given_holds_for_all_stages(world: nf.Collection, rng: np.random.Generator) -> None:
    for options in ({"diversity": 0.5}, {"group_by": "kind"}, {"exclude": ["d1"]}):
        with pytest.raises(nf.DeadlineExceeded):
            world.search(vector=query(rng), timeout=1e-9, **options)
