"""What a card holds: bytes are those of real layouts, the most that fit is the most, and each refusal says why."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, prepare
from nearfield.device import layout
from nearfield.index.gpu import sizes
from nearfield.index.gpu.limits import Options
from nearfield.planning import gpu, predict
from nearfield.planning.gpu import on_a_card

GB = 10**9
CARD = 24 * GB
PLACES = range(10)


def recipe(found: nf.GpuPlan, name: str) -> nf.GpuRecipe:
    return next(r for r in found.recipes if r.name == name)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", layout.DTYPES)
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (1000, 24), (4096, 130)])
def test_an_exact_scan_takes_what_its_tensors_take(n: int, dim: int, dtype: layout.Dtype, metric: Metric) -> None:
    from nearfield.device.codes import encode

    x = prepare(np.random.default_rng(0).standard_normal((n, dim)).astype(np.float32), metric)[0]
    assert gpu.nbytes(None, dtype, n, dim, metric) == (encode(x, metric, "cpu", dtype).nbytes,) * 2


def test_each_recipe_has_its_number_of_vectors_on_24_gb() -> None:
    """By hand, at 768 dimensions: bytes for each vector, and 24 GB less what searches work in."""
    found = on_a_card(None, 768, Metric.COSINE, CARD, 0.9)
    room = CARD - sizes.TEMPORARY
    scans = CARD - layout.workspace(CARD)
    expected = {
        "exact scan, float16": scans / (2 * 768 + 8 / 32 + 1 / 8),
        "exact scan, int8": scans / (768 + 4 + 8 / 32 + 1 / 8),
        "Flat()": room / (4 * 768 + 4),
        'Cagra(storage="float32")': room / (4 * 768 + 4 * 64),
        'Cagra(storage="float16")': room / (2 * 768 + 4 * 64),
    }
    for name, n in expected.items():
        assert recipe(found, name).n == pytest.approx(n, rel=0.002)
    listed = {
        'Ivf(storage="float32")': 4 * 768 + 4,
        'Ivf(storage="float16")': 2 * 768 + 4,
        'Ivf(storage="int8")': 768 + 4,
        "IvfPq(subvectors=96, bits=8)": 96 + 4,
    }
    for name, each in listed.items():
        got = recipe(found, name)
        assert 0.90 * room / each < got.n < room / each
        assert got.nbytes[0] >= got.n * each


def test_product_codes_take_no_room_for_raw_vectors() -> None:
    found = recipe(on_a_card(10**6, 768, Metric.COSINE, CARD, 0.9), "IvfPq(subvectors=96, bits=8)")
    assert found.raw == gpu.HOST
    assert found.nbytes[1] < 4 * 768 * 10**6 / 25
    assert not found.cuvs
    assert recipe(on_a_card(10**6, 768, Metric.COSINE, CARD, 0.9), "IvfPq(bits=8)").cuvs


def test_what_keeps_float32_needs_no_raw_vectors_beside_it() -> None:
    found = on_a_card(10**6, 128, Metric.L2, CARD, 0.9)
    assert {r.name for r in found.recipes if r.raw == gpu.CARD} == {
        "Flat()",
        'Ivf(storage="float32")',
        'Cagra(storage="float32")',
    }


def test_an_exact_scan_is_proposed_where_it_fits_then_codes() -> None:
    for n, name in [(10**7, "exact scan, float16"), (2 * 10**7, "exact scan, int8"), (10**8, "IvfPq(subvectors=96, bits=8)")]:
        found = on_a_card(n, 768, Metric.COSINE, CARD, 0.95)
        assert found.best is not None
        assert found.best.name == name
        assert found.best.feasible
        assert name in found.reason
    none = on_a_card(10**9, 768, Metric.COSINE, CARD, 0.95)
    assert none.best is None
    assert "IvfPq(subvectors=96, bits=8) needs" in none.reason
    assert "more than there is" in none.reason


def test_recall_one_is_kept_by_exact_recipes_alone() -> None:
    found = on_a_card(10**6, 128, Metric.L2, CARD, 1.0)
    assert {r.name for r in found.recipes if r.feasible} == {"exact scan, float16", "exact scan, int8", "Flat()"}
    none = on_a_card(10**9, 128, Metric.L2, CARD, 1.0)
    assert none.best is None
    assert "exact scan, int8" in none.reason


def test_an_exact_query_reads_its_codes() -> None:
    found = on_a_card(10**8, 128, Metric.L2, 141 * GB, 0.95)
    assert recipe(found, "exact scan, float16").reads == 25_600_000_000
    assert recipe(found, "exact scan, int8").reads == 12_800_000_000
    assert recipe(found, "Flat()").reads == 51_200_000_000
    assert all(r.reads is None for r in found.recipes if r.name.startswith(("Ivf", "Cagra")))


@pytest.mark.parametrize("dim", [1021, 7, 1])
def test_dimensions_without_divisors_are_answered(dim: int) -> None:
    found = on_a_card(None, dim, Metric.COSINE, CARD, 0.9)
    assert found.best is not None
    if dim == 1021:
        assert found.best.name == "exact scan, int8" or found.best.name.startswith("Ivf(")
    assert len({r.name for r in found.recipes}) == len(found.recipes)


def test_a_shape_that_no_card_takes_says_so() -> None:
    found = recipe(on_a_card(10**6, 6144, Metric.IP, CARD, 0.9), 'Ivf(storage="int8")')
    assert not found.feasible
    assert "shared memory" in found.problems[0]
    assert found.nbytes == (0, 0)


def test_nothing_fits_into_nothing() -> None:
    found = on_a_card(None, 768, Metric.COSINE, 10**8, 0.9)
    assert [r.n for r in found.recipes if r.kind is not None] == [0] * 8
    assert all("more than there is" in r.problems[0] for r in found.recipes if r.kind is not None)
    assert on_a_card(None, 768, Metric.COSINE, 0, 0.9).best is None


def test_a_last_segment_too_small_for_a_graph_is_scanned() -> None:
    whole = gpu.nbytes(nf.Cagra(), "float16", predict.SEGMENT_ROWS, 64, Metric.L2)[1]
    more = gpu.nbytes(nf.Cagra(), "float16", predict.SEGMENT_ROWS + 10, 64, Metric.L2)[1]
    assert more == whole + layout.nbytes(10, 64, "float16", Metric.L2)


def test_segments_are_kept_each_by_itself() -> None:
    one = sizes.on_card(nf.Ivf(), predict.SEGMENT_ROWS, 64, Metric.L2, Options())
    assert gpu.nbytes(nf.Ivf(), "float16", 3 * predict.SEGMENT_ROWS, 64, Metric.L2) == (3 * one[0], 3 * one[1])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([2, 7, 32, 96, 128, 384, 768, 1021, 1536]),
    st.sampled_from(list(Metric)),
    st.integers(2 * GB, 200 * GB),
    st.sampled_from(PLACES),
)
def test_the_most_that_fit_is_the_most(dim: int, metric: Metric, memory: int, place: int) -> None:
    recipes = on_a_card(None, dim, metric, memory, 0.5).recipes
    found = recipes[place % len(recipes)]
    if not found.nbytes[1]:
        assert found.problems
        return
    assert found.nbytes[1] + found.work <= memory
    again = on_a_card(found.n, dim, metric, memory, 0.5)
    assert recipe(again, found.name).feasible == found.feasible
    more = on_a_card(found.n + 1, dim, metric, memory, 0.5)
    assert not recipe(more, found.name).feasible


def test_a_plan_is_json_and_bad_memory_is_named() -> None:
    value = json.loads(json.dumps(on_a_card(10**6, 128, Metric.L2, CARD, 0.95).to_dict()))
    assert value["best"]["kind"] is None
    assert value["recipes"][-1]["kind"]["kind"] == "cagra"
    with pytest.raises(InvalidInput) as error:
        nf.plan(10, 8, gpu_memory="a lot")
    assert error.value.field == "gpu_memory"
