"""A plan: what is proposed and why, how many fit, what is said of what does not, and bad input."""

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.metric import Metric
from nearfield.planning import predict, table
from nearfield.planning.candidates import candidates, effort_for, factory, preference, spelled
from nearfield.planning.choose import EXACT_ROWS, choose
from nearfield.planning.machine import Machine
from nearfield.planning.predict import Budget
from tests.planning.conftest import FIXED

GB = 10**9
dims = st.sampled_from([2, 7, 32, 96, 128, 300, 384, 768, 1021, 1536])
counts = st.integers(1, 10**9)
metrics = st.sampled_from(list(Metric))
budgets = st.integers(10**6, 10**13)
places = st.integers(0, 16)


def kind_at(place: int, dim: int) -> Any:
    found = candidates(dim)
    return found[place % len(found)].kind


@pytest.fixture
def usual(machine: Machine) -> nf.Plan:
    return nf.plan(50_000_000, 768, memory="64GB")


def test_a_graph_is_proposed_where_it_fits(machine: Machine) -> None:
    found = nf.plan(1_000_000, 384, memory="16GB")
    assert found.best is not None
    assert found.best.kind == nf.Hnsw()
    assert found.best.feasible
    assert "graph" in found.reason
    assert "raw vectors" in found.reason


def test_short_codes_are_proposed_where_a_graph_does_not_fit(usual: nf.Plan) -> None:
    assert usual.best is not None
    assert usual.best.kind == nf.IvfPq()
    graph = next(r for r in usual.recipes if r.kind == nf.Hnsw())
    assert not graph.feasible
    assert re.search(r"[\d.]+ GB more than 50% of 64.0 GB", graph.problems[0])
    assert spelled(nf.Hnsw()) in usual.reason
    assert "read from disk" in usual.reason


def test_few_rows_are_scanned(machine: Machine) -> None:
    found = nf.plan(EXACT_ROWS, 384, memory="8GB")
    assert found.best is not None
    assert found.best.kind is None
    assert found.best.recall.low == 1


def test_only_an_exact_scan_keeps_recall_one(machine: Machine) -> None:
    found = nf.plan(10**6, 64, memory="8GB", recall=1.0)
    assert found.best is not None
    assert found.best.kind is None
    assert {r.name for r in found.recipes if r.feasible} == {"exact scan", "Flat()"}
    assert nf.plan(10**8, 768, memory="8GB", recall=1.0).best is None


def test_unequal_lengths_get_lists(machine: Machine) -> None:
    found = nf.plan(10**6, 64, metric="ip")
    assert found.best is not None
    assert found.best.kind == nf.Ivf()
    assert all("lists" in r.problems[0] for r in found.recipes if isinstance(r.kind, nf.Hnsw))


def test_a_dimension_without_divisors_gets_no_product_codes(machine: Machine) -> None:
    found = nf.plan(10**8, 1021, memory="64GB")
    assert found.best is not None
    assert isinstance(found.best.kind, nf.Rabitq)
    assert any("no divisor" in r.problems[0] for r in found.recipes if isinstance(r.kind, nf.IvfPq))


def test_latency_rules_out_what_is_slower(machine: Machine) -> None:
    free = nf.plan(10**6, 384)
    assert free.best is not None
    middle = predict.search_seconds(free.best.kind, 10**6, 384, free.best.effort, FIXED)
    assert free.best.latency == (middle / predict.FACTOR, middle * predict.FACTOR)
    enough = nf.plan(10**6, 384, latency=1.01 * middle)
    assert enough.best is not None
    assert enough.best.kind == free.best.kind
    slow = next(r for r in enough.recipes if r.kind is None)
    assert not slow.feasible
    assert "times the" in slow.problems[-1]
    none = nf.plan(10**6, 384, latency="1us")
    assert none.best is None
    assert "ms asked for" in none.reason


def test_recipes_are_listed_by_use_then_by_time(usual: nf.Plan) -> None:
    order = [(not r.feasible, r.latency) for r in usual.recipes]
    assert order == sorted(order)
    assert len({r.kind for r in usual.recipes}) == len(usual.recipes) == 18


def test_recall_names_its_source_and_is_never_called_measured(usual: nf.Plan) -> None:
    for recipe in usual.recipes:
        assert recipe.recall.low <= recipe.recall.high <= 1
        assert re.match("rule of thumb, not measured|by definition", recipe.recall.source)


def test_a_disk_holds_index_and_raw_vectors(machine: Machine) -> None:
    found = nf.plan(10**6, 256, disk=4 * 256 * 10**6)
    assert {r.name for r in found.recipes if r.feasible} == {"exact scan"}


def test_a_card_alone_can_be_filled(machine: Machine) -> None:
    found = nf.plan(dim=768, gpu_memory="24GB")
    assert found.recipes == ()
    assert found.best is None
    assert found.gpu is not None
    assert found.gpu.best is not None
    assert "on a card" in found.table()
    assert "this machine" not in found.table()
    assert nf.plan(1_000_000, 998).gpu is None
    both = nf.plan(1_000_000, 768, memory="64GB", gpu_memory="24GB")
    assert both.best is not None
    assert "For a card: exact scan, float16." in both.table()
    assert json.loads(json.dumps(both.to_dict()))["gpu"]["best"]["name"] == "exact scan, float16"


def test_how_many_fit(machine: Machine) -> None:
    found = nf.plan(dim=768, memory="64GB", disk="10TB")
    budget = Budget(64 * GB, 10_000 * GB)
    for recipe in found.recipes:
        assert predict.fits(recipe.kind, recipe.n, 768, Metric.COSINE, budget)
        assert not predict.fits(recipe.kind, recipe.n + 1, 768, Metric.COSINE, budget)
    assert found.best is not None
    assert found.best.n == max(r.n for r in found.recipes if r.feasible and r.kind in preference(768, Metric.COSINE))
    assert f"{found.best.n:,}" in found.reason
    assert spelled(nf.Hnsw()) in found.reason


def test_nothing_fits_into_nothing(machine: Machine) -> None:
    found = nf.plan(dim=768, memory=0)
    assert found.best is None
    assert all(r.n == 0 and r.problems for r in found.recipes)
    assert "nothing does what was asked" in found.reason


@settings(max_examples=60, deadline=None)
@given(places, dims, metrics, budgets, st.none() | budgets)
def test_the_most_that_fit_is_the_most(place: int, dim: int, metric: Metric, memory: int, disk: int | None) -> None:
    kind, budget = kind_at(place, dim), Budget(memory, disk)
    n = predict.largest(kind, dim, metric, budget)
    assert not n or predict.fits(kind, n, dim, metric, budget)
    assert not predict.fits(kind, n + 1, dim, metric, budget)


@settings(max_examples=150, deadline=None)
@given(places, dims, metrics, counts, counts)
def test_more_vectors_take_more_bytes(place: int, dim: int, metric: Metric, one: int, other: int) -> None:
    kind, few, many = kind_at(place, dim), min(one, other), max(one, other)
    a, b = (predict.sizes(kind, n, dim, metric) for n in (few, many))
    assert a.disk <= b.disk
    assert a.raw <= b.raw
    assert a.building <= b.building
    assert a.resident[0] <= b.resident[0]
    assert a.resident[1] <= b.resident[1]
    assert a.resident[0] <= a.resident[1]


@settings(max_examples=60, deadline=None)
@given(places, dims, metrics, budgets, budgets)
def test_more_memory_holds_more(place: int, dim: int, metric: Metric, one: int, other: int) -> None:
    kind = kind_at(place, dim)
    few, many = (predict.largest(kind, dim, metric, Budget(b)) for b in sorted((one, other)))
    assert few <= many


@settings(max_examples=100, deadline=None)
@given(places, dims, st.integers(40, 10**9), st.floats(0.5, 1), st.floats(0.5, 1))
def test_more_recall_takes_no_less_effort_and_time(place: int, dim: int, n: int, one: float, other: float) -> None:
    kind = kind_at(place, dim)
    assume(kind is not None)
    low, high = sorted((one, other))
    a, b = (effort_for(kind, r, min(n, predict.SEGMENT_ROWS)) for r in (low, high))
    assert a.efSearch <= b.efSearch
    assert a.nprobe <= b.nprobe
    assert predict.search_seconds(kind, n, dim, a, FIXED) <= predict.search_seconds(kind, n, dim, b, FIXED)
    assert predict.build_seconds(kind, n, dim, a, FIXED) > 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(counts, dims, budgets, st.floats(0.5, 1), metrics)
def test_auto_and_plan_agree(machine: Machine, n: int, dim: int, memory: int, recall: float, metric: Metric) -> None:
    choice, found = choose(n, dim, memory, recall, metric), nf.plan(n, dim, memory=memory, recall=recall, metric=metric)
    if found.best is not None:
        assert found.best.kind == choice.kind
        assert found.best.feasible
        assert found.reason.startswith(choice.reason)
    else:
        assert choice.kind is None
    if n <= EXACT_ROWS:
        assert choice.kind is None


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 31, 128, 256, 1021, 4096])
def test_every_kind_that_is_proposed_is_considered(dim: int) -> None:
    known = [candidate.kind for candidate in candidates(dim)]
    assert len(known) == len(set(known))
    for metric in Metric:
        assert set(preference(dim, metric)) <= set(known)


def test_kinds_are_named_as_python_and_as_the_field_does() -> None:
    for candidate in candidates(256):
        if candidate.kind is not None:
            assert eval(f"nf.{spelled(candidate.kind)}", {"nf": nf}) == candidate.kind  # noqa: S307
    assert factory(nf.IvfPq(), 10**6, 384) == "IVF4096,PQ96x4fs"
    assert factory(nf.IvfPq(transform="pca"), 10**6, 384) == "PCA192,IVF4096,PQ96x4fs"
    assert factory(nf.Rabitq(), 10**6, 384) == "RR384,IVF4096,RaBitQfs4"
    assert factory(nf.Hnsw(), 10, 8) == "HNSW32,SQ8"


def test_a_plan_is_frozen_and_json(usual: nf.Plan) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        usual.n = 1  # type: ignore[misc]
    value = json.loads(json.dumps(usual.to_dict()))
    assert value["best"]["kind"] == {"kind": "ivfpq", **dataclasses.asdict(nf.IvfPq())}
    assert value["memory"] == 64 * GB
    assert len(value["recipes"]) == len(usual.recipes)


def test_the_table_is_aligned_and_says_what_is_known(usual: nf.Plan) -> None:
    lines = usual.table().splitlines()
    assert lines[0].startswith("50,000,000 vectors, 768 dimensions, cosine; memory 64.0 GB")
    at = lines[2].index("FAISS calls it")
    assert all(line[at - 2 : at] == "  " and line[at] != " " for line in lines[3 : 3 + len(usual.recipes)])
    assert [line[:1] for line in lines].count("*") == 1
    text = usual.table()
    assert "factor of 3 either way" in text
    assert "rule of thumb" in text
    assert "RaBitQ-Library" in text
    assert usual.reason[10:] in text
    assert max(map(len, table.aligned(("a",), [("b",)], ()))) == 1


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"n": 0, "dim": 8}, "n"),
        ({"n": 1.5, "dim": 8}, "n"),
        ({"n": True, "dim": 8}, "n"),
        ({"n": 10}, "dim"),
        ({"n": 10, "dim": "8"}, "dim"),
        ({"n": 10, "dim": 8, "memory": "much"}, "memory"),
        ({"n": 10, "dim": 8, "disk": -1}, "disk"),
        ({"n": 10, "dim": 8, "gpu_memory": "1 parsec"}, "gpu_memory"),
        ({"n": 10, "dim": 8, "latency": "soon"}, "latency"),
        ({"n": 10, "dim": 8, "recall": 0}, "recall"),
        ({"n": 10, "dim": 8, "recall": 1.1}, "recall"),
        ({"n": 10, "dim": 8, "recall": float("nan")}, "recall"),
        ({"n": 10, "dim": 8, "metric": "manhattan"}, "metric"),
        ({"dim": 8}, "n"),
    ],
)
def test_bad_input_names_the_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(nf.InvalidInput) as error:
        nf.plan(**given)
    assert error.value.field == field
