"""What a card can keep and be asked: every rule at its edges, both by FAISS's own kernels and by cuVS."""

import itertools
from dataclasses import replace

import pytest

import nearfield as nf
from nearfield.core.metric import Metric
from nearfield.index import KINDS, coarse
from nearfield.index.base import Effort
from nearfield.index.gpu import limits
from nearfield.index.gpu.limits import Options

NATIVE = {1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96}


def test_product_codes_natively_are_of_8_bits_and_of_known_lengths() -> None:
    for parts, bits in itertools.product(range(1, 130), range(1, 13)):
        said = limits.parts_problem(parts, bits, 4 * parts, use_cuvs=False)
        assert (said == "") == (parts in NATIVE and bits == 8), (parts, bits)
        assert not said or str(bits) in said or str(parts) in said


def test_product_codes_by_cuvs_are_whole_bytes_of_4_to_8_bits() -> None:
    for parts, bits in itertools.product(range(1, 130), range(1, 13)):
        said = limits.parts_problem(parts, bits, 4 * parts, use_cuvs=True)
        assert (said == "") == (4 <= bits <= 8 and parts * bits % 8 == 0), (parts, bits)


@pytest.mark.parametrize("use_cuvs", [False, True])
def test_subvectors_divide_the_dimension(use_cuvs: bool) -> None:
    for dim in range(1, 65):
        for parts in range(1, dim + 1):
            said = limits.parts_problem(parts, 8, dim, use_cuvs)
            assert ("do not divide" in said) == bool(dim % parts), (dim, parts)


@pytest.mark.parametrize("parts", sorted(NATIVE))
def test_tables_fit_into_shared_memory_whole_up_to_48_parts_in_half_up_to_96(parts: int) -> None:
    half = limits.tables_in_half(parts)
    assert half == (parts > 48)
    assert parts * 256 * (2 if half else 4) <= 48 * 1024
    found = limits.choose(nf.IvfPq(subvectors=parts, bits=8), 10**6, 4 * parts, Metric.L2, cuvs=False)
    assert found == Options(useFloat16=half)


@pytest.mark.parametrize("cuvs", [False, True])
@pytest.mark.parametrize("metric", list(Metric))
def test_floats_and_lists_go_to_a_card_by_its_own_kernels(metric: Metric, cuvs: bool) -> None:
    for kind in (nf.Flat(), nf.Ivf(), nf.Ivf(storage="float16"), nf.Ivf(storage="int8")):
        assert limits.choose(kind, 10**5, 384, metric, cuvs) == Options()
    assert limits.problem(nf.Ivf(), 1000, 8, metric, use_cuvs=True) == ""
    assert limits.problem(nf.Flat(), 1000, 8, metric, use_cuvs=True) == ""
    for storage in ("float16", "int8"):
        assert "cuVS clones no lists" in limits.problem(nf.Ivf(storage=storage), 1000, 8, metric, use_cuvs=True)


@pytest.mark.parametrize(("dim", "good"), [(6143, True), (6144, False), (9000, False)])
def test_ranges_of_one_byte_codes_fit_into_shared_memory(dim: int, good: bool) -> None:
    kind = nf.Ivf(storage="int8")
    assert (limits.problem(kind, 1000, dim, Metric.IP, use_cuvs=False) == "") == good
    assert limits.problem(kind, 1000, dim, Metric.L2, use_cuvs=False) == ""  # direct codes have no ranges


@pytest.mark.parametrize("cuvs", [False, True])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (nf.Hnsw(), "Cagra()"),
        (nf.Rabitq(), "RaBitQ"),
        (nf.Usearch(), "USearch"),
        (nf.IvfPq(), "IvfPq(bits=8) goes to a card"),
    ],
)
def test_what_no_card_has_is_refused_with_what_to_take_instead(kind, said: str, cuvs: bool) -> None:
    found = limits.choose(kind, 10**5, 384, Metric.COSINE, cuvs)
    assert isinstance(found, str)
    assert said in found
    assert "pip" not in found


def test_what_only_cuvs_can_names_the_wheel() -> None:
    kind = nf.IvfPq(bits=8)
    assert kind.parts(768) == 192
    assert "faiss-gpu-cuvs" in str(limits.choose(kind, 10**6, 768, Metric.L2, cuvs=False))
    assert limits.choose(kind, 10**6, 768, Metric.L2, cuvs=True) == Options(use_cuvs=True, id_bytes=8)
    assert limits.choose(nf.Cagra(), 10**6, 768, Metric.L2, cuvs=True) == Options(use_cuvs=True, id_bytes=8)
    assert "faiss-gpu-cuvs" in str(limits.choose(nf.Cagra(), 10**6, 768, Metric.L2, cuvs=False))


@pytest.mark.parametrize("n", [64, 65])
def test_a_graph_needs_more_vectors_than_neighbours(n: int) -> None:
    assert isinstance(limits.choose(nf.Cagra(), n, 8, Metric.L2, cuvs=True), Options) == (n > 64)


@pytest.mark.parametrize("kind", [nf.Ivf(), nf.IvfPq(bits=8, subvectors=32)], ids=str)
@pytest.mark.parametrize("lists", [coarse.GRAPH_FROM - 1, coarse.GRAPH_FROM])
def test_centroids_behind_a_graph_are_laid_flat(kind, lists: int) -> None:
    found = limits.choose(replace(kind, lists=lists), 10**7, 128, Metric.L2, cuvs=False)
    assert isinstance(found, Options)
    assert found.flat_centroids == (lists >= coarse.GRAPH_FROM)


def test_ids_fit_into_32_bits() -> None:
    assert limits.problem(nf.Flat(), (1 << 31) - 1, 1, Metric.L2, use_cuvs=False) == ""
    assert "2,147,483,647" in limits.problem(nf.Flat(), 1 << 31, 1, Metric.L2, use_cuvs=False)


@pytest.mark.parametrize(("use_cuvs", "most"), [(False, 2048), (True, 16_384)])
def test_candidates_and_lists_have_a_most(use_cuvs: bool, most: int) -> None:
    for kind in (nf.Flat(), nf.Ivf(), nf.IvfPq(bits=8)):
        assert limits.search_problem(kind, most, Effort(nprobe=most), use_cuvs) == ""
        assert "candidates" in limits.search_problem(kind, most + 1, Effort(nprobe=1), use_cuvs)
    assert "lists" in limits.search_problem(nf.Ivf(), 10, Effort(nprobe=most + 1), use_cuvs)
    assert limits.search_problem(nf.Flat(), 10, Effort(nprobe=most + 1), use_cuvs) == ""


def test_a_graph_has_a_widest_search() -> None:
    for width, effort, good in [(10, 1024, True), (1024, 16, True), (10, 1025, False), (1025, 16, False)]:
        assert (limits.search_problem(nf.Cagra(), width, Effort(efSearch=effort), True) == "") == good


@pytest.mark.parametrize("kind", [kind() for kind in KINDS.values()], ids=lambda k: k.name)
@pytest.mark.parametrize("cuvs", [False, True])
def test_every_kind_has_options_or_a_reason(kind, cuvs: bool) -> None:
    assert limits.choose(kind, 10**6, 128, Metric.L2, cuvs)
