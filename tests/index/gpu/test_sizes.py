"""Bytes on a card: FAISS's own layouts, by hand and against the sizes of real lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nearfield as nf
from nearfield.core.metric import Metric
from nearfield.index import coarse
from nearfield.index.gpu.limits import Options, choose
from nearfield.index.gpu.sizes import _lists, building, grown, on_card, temporary

GIB = 1 << 30


@pytest.mark.parametrize(
    ("nbytes", "capacity"),
    [
        *[(0, 0), (1, 2), (2, 4), (3, 4), (15, 16), (16, 32), (17, 32), (4 << 20, 8 << 20), ((4 << 20) + 4, (5 << 20) + 5)],
        *[(128 << 20, 160 << 20), ((128 << 20) + 1, (128 << 20) + 1)],
    ],
)
def test_lists_grow_as_faiss_s_do(nbytes: int, capacity: int) -> None:
    """The examples of utils/StaticUtils.h, and the two limits of utils/DeviceVector.cuh."""
    assert grown(nbytes) == capacity


@pytest.mark.parametrize(("card", "kept"), [(4, 0.5), (4.01, 1), (8, 1), (8.01, 1.5), (24, 1.5), (141, 1.5)])
def test_temporary_memory_depends_on_the_card(card: float, kept: float) -> None:
    assert temporary(int(card * GIB)) == int(kept * GIB)


def test_flat_keeps_vectors_and_lengths() -> None:
    assert on_card(nf.Flat(), 10**6, 768, Metric.L2, Options()) == (3_076_000_000,) * 2
    assert on_card(nf.Flat(), 1, 1, Metric.L2, Options()) == (512, 512)


def test_lists_of_vectors_by_hand() -> None:
    """Two lists of 33 and 1 vectors of 8 floats: 64 and 32 rows, 34 ids, each allocation rounded up."""
    kind, sizes = nf.Ivf(lists=2), np.array([33, 1])
    fixed = 256 + 256 + 3 * 256  # centroids, their lengths, three arrays of (grown to 4) entries
    lists = 64 * 32 + 32 * 32 + 256 + 256
    assert on_card(kind, 34, 8, Metric.L2, Options(), sizes) == (fixed + lists,) * 2
    half = 64 * 16 + 32 * 16 + 256 + 256
    assert on_card(nf.Ivf(2, "float16"), 34, 8, Metric.L2, Options(), sizes) == (fixed + half,) * 2
    bytes_ = 64 * 8 + 256 + 256 + 256
    assert on_card(nf.Ivf(2, "int8"), 34, 8, Metric.L2, Options(), sizes) == (fixed + bytes_,) * 2
    ranged = on_card(nf.Ivf(2, "int8"), 34, 8, Metric.IP, Options(), sizes)[0]
    assert ranged == fixed + bytes_ + 512


def test_product_codes_by_hand() -> None:
    """A million codes of 96 bytes in lists: an empty list takes nothing, codes are not padded, ids take 4 bytes."""
    kind, sizes = nf.IvfPq(lists=4, subvectors=96, bits=8), np.array([500_000, 0, 400_000, 100_000])
    fixed = 4 * 4 * 768 + 256 + 3 * 256 + 2 * 4 * 768 * 256
    found = on_card(kind, 10**6, 768, Metric.L2, Options(useFloat16=True), sizes)
    assert found[0] == found[1]
    assert abs(found[0] - fixed - 100 * 10**6) <= 6 * 256
    wide = on_card(kind, 10**6, 768, Metric.L2, Options(useFloat16=True, id_bytes=8), sizes)
    assert abs(wide[0] - found[0] - 4 * 10**6) <= 6 * 256


def test_a_million_of_768_numbers_under_product_codes_is_a_tenth_of_a_gigabyte_not_three() -> None:
    kind = nf.IvfPq(subvectors=96, bits=8)
    least, most = on_card(kind, 10**6, 768, Metric.L2, Options(useFloat16=True))
    assert 100e6 < least < most < 120e6


def test_a_graph_keeps_vectors_in_padded_rows_and_neighbours() -> None:
    kind = nf.Cagra()
    assert on_card(kind, 10**8, 128, Metric.L2, Options(True))[0] == 10**8 * (512 + 256)
    half = nf.Cagra(storage="float16")
    assert on_card(half, 10**8, 128, Metric.L2, Options(True))[0] == 51_200_000_000  # 25.6 + 25.6 GB
    assert on_card(half, 1000, 9, Metric.L2, Options(True))[0] == 1000 * (32 + 256)
    assert building(half, 10**6, 128, Metric.L2, Options(True)) > 1.3 * 10**6 * (256 + 256 + 512) - 1


def test_cuvs_rounds_lists_to_powers_of_two_then_to_1024() -> None:
    kind = nf.IvfPq(lists=3, subvectors=20, bits=8)
    options = Options(True, False, 8)

    def lists(*sizes: int) -> int:
        return _lists(kind, np.array(sizes), 40, options)

    assert lists(1) == 32 * 32 + 256  # rows of 20 bytes take two chunks of 16
    assert lists(33) == 64 * 32 + 512
    assert lists(1025) == 2048 * 32 + 2048 * 8
    assert lists(3000, 0, 5) == 3072 * 40 + 32 * 32 + 256


KINDS = [nf.Flat(), nf.Ivf(), nf.Ivf(storage="float16"), nf.Ivf(storage="int8"), nf.IvfPq(bits=8, subvectors=16), nf.Cagra()]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.integers(100, 10**6), st.integers(0, 10**6), st.sampled_from(list(Metric)), st.booleans())
def test_however_vectors_are_spread_the_bytes_lie_between(kind, n: int, seed: int, metric: Metric, cuvs: bool) -> None:
    dim = 32
    options = choose(kind, n, dim, metric, True)
    assert isinstance(options, Options)
    if isinstance(kind, nf.IvfPq) and cuvs:
        options = Options(True, False, 8)
    least, most = on_card(kind, n, dim, metric, options)
    assert least <= most <= building(kind, n, dim, metric, options)
    if not isinstance(kind, (nf.Ivf, nf.IvfPq)):
        return
    rng = np.random.default_rng(seed)
    lists = coarse.count(kind.lists, n)
    sizes = rng.multinomial(n, rng.dirichlet(np.full(lists, 10.0 ** rng.integers(-2, 2))))
    assert least <= on_card(kind, n, dim, metric, options, sizes)[0] <= most


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(KINDS), st.integers(100, 10**9), st.integers(100, 10**9))
def test_more_vectors_take_more_bytes(kind, one: int, other: int) -> None:
    options = choose(kind, 1000, 64, Metric.L2, True)
    assert isinstance(options, Options)
    few, many = (on_card(kind, n, 64, Metric.L2, options) for n in sorted((one, other)))
    assert few[0] <= many[0]
    assert few[1] <= many[1]
