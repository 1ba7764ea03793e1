"""Rooflines by hand: the notes' figures, and arithmetic that can be checked on paper."""

import numpy as np
import pytest
from benchmarks.gpu import rooflines
from benchmarks.gpu.rooflines import Roof

H200 = rooflines.KNOWN["H200"]


@pytest.mark.parametrize(
    ("n", "dim", "dtype", "milliseconds"),
    [
        (100_000_000, 128, "float16", 5.95),
        (10_000_000, 768, "float16", 3.6),
        (10_000_000, 128, "float16", 0.6),
        (100_000_000, 128, "int8", 2.98),
    ],
)
def test_the_floor_of_one_query_is_bytes_over_bandwidth(n: int, dim: int, dtype: str, milliseconds: float) -> None:
    assert 1e3 * rooflines.floor_seconds(n, dim, dtype, H200.bandwidth) == pytest.approx(milliseconds, rel=0.01)


def test_padding_is_read_too() -> None:
    assert rooflines.code_bytes(10, 20, "float16") == 10 * 32 * 2


@pytest.mark.parametrize(("n", "dim", "qps"), [(1_000_000, 128, 3.09e6), (10_000_000, 768, 51e3), (100_000_000, 128, 30.9e3)])
def test_large_batches_are_bound_by_products(n: int, dim: int, qps: float) -> None:
    assert rooflines.scan_qps(n, dim, "float16", 4096, H200) == pytest.approx(qps, rel=0.01)


def test_small_batches_are_bound_by_bytes_and_the_turn_is_where_both_are_equal() -> None:
    turn = rooflines.turning_batch("float16", H200)
    assert turn == pytest.approx(184, rel=0.01)
    assert rooflines.scan_qps(10**7, 128, "float16", 1, H200) == pytest.approx(
        1 / rooflines.floor_seconds(10**7, 128, "float16", H200.bandwidth)
    )
    by_bytes = rooflines.floor_seconds(10**7, 128, "float16", H200.bandwidth)
    assert rooflines.product_seconds(10**7, 128, 184, H200.products) == pytest.approx(by_bytes, rel=0.01)


def test_a_product_with_float32_scores_and_topk_is_as_the_notes_say() -> None:
    found = rooflines.torch_qps(10_000_000, 128, "float16", 4096, H200, score_bytes=4)
    assert found == pytest.approx(20_000, rel=0.05)


def test_known_cards_are_asked_for_what_is_known_or_for_more_where_more_was_measured() -> None:
    slow = Roof(1e12, 900e12)
    assert rooflines.roof("NVIDIA H200", slow) == Roof(4.3e12, 900e12)
    assert rooflines.roof("NVIDIA H100 80GB HBM3", slow).bandwidth == 3.0e12
    assert rooflines.roof("another", slow) == slow


def test_lists_are_bound_by_the_bytes_that_a_query_reads() -> None:
    nbytes = rooflines.lists_bytes(np.array([1000, 3000]), 64, refined=100, row=256)
    assert nbytes == 2000 * 64 + 100 * 256
    assert rooflines.lists_qps(nbytes, 4.3e12) == pytest.approx(28e6, rel=0.01)


def test_the_front_is_what_nothing_beats_in_both() -> None:
    rng = np.random.default_rng(0)
    points = [(float(r), float(q)) for r, q in rng.integers(0, 12, (60, 2))]
    kept = [points[i] for i in rooflines.front(points)]
    best = {p for p in points if not any(o[0] >= p[0] and o[1] >= p[1] and o != p for o in points)}
    assert kept == sorted(best)


def test_the_share_of_lists_is_the_least_that_reaches_the_recall() -> None:
    need = np.array([[1, 1, 2, 3], [1, 2, 2, 40]])
    for wanted in (0.5, 0.875, 1.0):
        share = rooflines.needed_share(need, 100, wanted)
        probes = round(100 * share)
        assert (need <= probes).mean() >= wanted
        assert (need <= probes - 1).mean() < wanted
