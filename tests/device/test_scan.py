"""A scan on a device answers as an exact scan on the host does: metrics, types of codes, filters, ties, odd shapes."""

import numpy as np
import pytest

from nearfield.core.metric import Metric, prepare
from nearfield.device import blocks, layout, scan
from nearfield.device.codes import ask, encode
from nearfield.device.scan import Scan
from nearfield.index import exact


def data(n: int, dim: int, metric: Metric, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    x = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32) * np.float32(scale)
    return prepare(x, metric)[0]


def same(made: Scan, x: np.ndarray, queries: np.ndarray, k: int, allow: np.ndarray | None = None) -> None:
    bits = None if allow is None else np.packbits(allow, bitorder="little")
    found = made.search(queries, k, bits)
    wanted = exact.search(queries, x, k, made.metric, allow)
    np.testing.assert_array_equal(found[1], wanted[1])
    np.testing.assert_array_equal(found[0], wanted[0])


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", layout.DTYPES)
@pytest.mark.parametrize(
    ("n", "dim", "k", "m"), [(1, 1, 1, 1), (37, 3, 40, 2), (1000, 17, 10, 5), (5000, 64, 100, 33), (9001, 20, 2048, 3)]
)
def test_the_answer_is_the_exact_one(metric: Metric, dtype: layout.Dtype, n: int, dim: int, k: int, m: int) -> None:
    x = data(n, dim, metric)
    queries = data(m, dim, metric, 1)
    made = Scan.put(x, metric, "cpu", dtype)
    assert made.nbytes == layout.nbytes(n, dim, dtype, metric)
    same(made, x, queries, k)
    allow = np.random.default_rng(2).random(n) < 0.3
    same(made, x, queries, k, allow)
    same(made, x, queries, k, np.zeros(n, np.bool_))


@pytest.mark.parametrize("metric", [Metric.IP, Metric.L2])
@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e4, 1e13])
@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_large_and_small_numbers_are_no_exception(metric: Metric, scale: float, dtype: layout.Dtype) -> None:
    x = data(2000, 24, metric, scale=scale)
    x[::7] *= np.float32(1e-3)
    x[5] = 0
    same(Scan.put(x, metric, "cpu", dtype), x, data(9, 24, metric, 1, scale), 10)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_equal_rows_come_in_order_however_many_there_are(metric: Metric, dtype: layout.Dtype) -> None:
    x = np.repeat(data(20, 16, metric), 300, axis=0)
    made = Scan.put(x, metric, "cpu", dtype)
    same(made, x, x[::2000], 50)
    assert made.widened, "the survivors cannot prove an answer among so many equal rows"


def test_rows_that_differ_less_than_codes_tell_are_told_apart() -> None:
    base = data(1, 32, Metric.L2)
    x = base + np.random.default_rng(3).standard_normal((4000, 32)).astype(np.float32) * np.float32(1e-5)
    for dtype in layout.DTYPES:
        same(Scan.put(x, Metric.L2, "cpu", dtype), x, base, 10)


def test_a_small_workspace_changes_nothing() -> None:
    x, queries = data(3000, 16, Metric.COSINE), data(70, 16, Metric.COSINE, 1)
    same(Scan.put(x, Metric.COSINE, "cpu", workspace=100_000), x, queries, 10)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_without_the_host_the_same_rows_are_found(metric: Metric, dtype: layout.Dtype) -> None:
    x, queries = data(4000, 32, metric), data(20, 32, metric, 1)
    made = Scan.put(x, metric, "cpu", dtype, raw=True)
    assert made.nbytes == layout.nbytes(4000, 32, dtype, metric, raw=True)
    values, where = made.nearest(queries, 10)
    wanted = exact.search(queries, x, 10, metric)
    np.testing.assert_array_equal(where.numpy(), wanted[1])
    np.testing.assert_allclose(values.numpy(), wanted[0], rtol=1e-4, atol=1e-5)
    import torch

    again = made.nearest(torch.from_numpy(queries), 10)
    assert torch.equal(again[1], where)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_no_score_is_above_its_bound(metric: Metric, dtype: layout.Dtype) -> None:
    x, queries = data(1000, 40, metric, scale=3), data(8, 40, metric, 1)
    codes = encode(x, metric, "cpu", dtype)
    asked = ask(queries, codes)
    groups = np.arange(codes.rows // layout.GROUP)[None].repeat(8, 0)
    import torch

    bounds = blocks.rows_of(codes, asked, None, torch.from_numpy(groups), layout.GROUP)
    bounds = (bounds + asked.base[:, None]).numpy()
    true = np.stack([np.stack(exact.search(q[None], x, len(x), metric)) for q in queries], 1)
    for i in range(len(queries)):
        values, where = true[0, i, 0], true[1, i, 0].astype(int)
        assert (bounds[i, where] >= values).all()
        spread = np.abs(values).max() * (0.002 if dtype == "float16" else 0.2)
        assert (bounds[i, where] - values).max() < spread, "a bound that is far off proves nothing"
    assert np.isneginf(bounds[:, len(x) :]).all()


def test_kernels_that_do_not_compile_leave_the_work_to_plain_pytorch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable.")

    monkeypatch.setattr(scan.kernel, "usable", lambda device: True)
    monkeypatch.setattr(scan.kernel, "maxima", broken)
    scan.passes_for.cache_clear()
    try:
        x = data(500, 16, Metric.IP)
        same(Scan.put(x, Metric.IP, "cpu"), x, x[:3], 5)
    finally:
        scan.passes_for.cache_clear()
    assert "C compiler" in caplog.text


@pytest.mark.parametrize("metric", list(Metric))
def test_queries_are_prepared_alike_by_the_host_and_by_the_device(metric: Metric) -> None:
    import torch

    codes = encode(data(300, 20, metric), metric, "cpu")
    queries = data(5, 20, metric, 1, 1e6)
    queries[2] = 0 if metric is not Metric.COSINE else queries[1]
    host, device = ask(queries, codes), ask(torch.from_numpy(queries), codes)
    for name in ("q", "m", "u", "v", "base", "exact"):
        torch.testing.assert_close(getattr(host, name), getattr(device, name), rtol=2e-3, atol=1e-6, msg=name)


def test_batches_are_even_and_of_whole_tiles() -> None:
    made = Scan.put(data(20_000, 16, Metric.L2), Metric.L2, "cpu", workspace=40 << 20)
    codes = made._held()
    most = made._at_once(codes, 32, 4096)
    assert most % layout.TILE == 0
    assert made._at_once(codes, 32, 1) == 1
    assert made._at_once(codes, 32, most + 1) == most // 2 // layout.TILE * layout.TILE + layout.TILE


def test_vectors_of_a_device_need_no_host() -> None:
    import torch

    x, queries = data(900, 32, Metric.COSINE), data(4, 32, Metric.COSINE, 1)
    made = Scan.put(torch.from_numpy(x), Metric.COSINE, "cpu", raw=True)
    np.testing.assert_array_equal(made.nearest(torch.from_numpy(queries), 7)[1], exact.search(queries, x, 7, Metric.COSINE)[1])
    with pytest.raises(ValueError, match="nearest"):
        made.search(queries, 7)


@pytest.mark.parametrize("metric", [Metric.IP, Metric.L2])
@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_a_query_of_zeros_is_answered_like_any_other(metric: Metric, dtype: layout.Dtype) -> None:
    x = data(3000, 40, metric)
    same(Scan.put(x, metric, "cpu", dtype), x, np.zeros((2, 40), np.float32), 10)


@pytest.mark.parametrize("metric", [Metric.IP, Metric.L2])
@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_one_huge_row_among_tiny_ones_hides_nothing(metric: Metric, dtype: layout.Dtype) -> None:
    x = data(1000, 24, metric, scale=1e-12)
    x[17] *= np.float32(1e25)
    made = Scan.put(x, metric, "cpu", dtype)
    for scale in (1e-12, 1.0, 1e13):
        same(made, x, data(3, 24, metric, 1, scale), 10)
    tiny = data(1000, 24, metric, scale=1e-31)
    same(Scan.put(tiny, metric, "cpu", dtype), tiny, data(3, 24, metric, 1), 10)


def test_a_callers_autocast_halves_nothing() -> None:
    import torch

    base = data(1, 384, Metric.L2)
    x = base + np.random.default_rng(3).standard_normal((2000, 384)).astype(np.float32) * np.float32(1e-2)
    with torch.autocast("cpu", torch.bfloat16):
        same(Scan.put(x, Metric.L2, "cpu"), x, x[:20] + np.float32(1e-3), 10)


def test_plain_pytorch_keeps_within_its_room() -> None:
    x, queries = data(20_000, 64, Metric.L2), data(64, 64, Metric.L2, 1)
    small, large = (Scan.put(x, Metric.L2, "cpu", workspace=size) for size in (1 << 20, 64 << 20))
    steps = []
    real = blocks._bounds

    def spy(*arguments: object) -> object:
        steps.append(arguments[-1] - arguments[-2])  # type: ignore[operator]
        return real(*arguments)  # type: ignore[arg-type]

    blocks._bounds = spy  # type: ignore[assignment]
    try:
        first = small.search(queries, 10)
        least, steps[:] = max(steps), []
        second = large.search(queries, 10)
    finally:
        blocks._bounds = real
    np.testing.assert_array_equal(first[1], second[1])
    assert least * 64 * 8 <= 1 << 20
    assert max(steps) > 4 * least


@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_sums_of_many_numbers_round_and_the_answer_holds(dtype: layout.Dtype) -> None:
    """Rows of one length, in many dimensions: what tells them apart from zeros is how their squares are added up."""
    x = data(120, 20_000, Metric.L2)
    x *= np.float32(140) / np.sqrt(np.einsum("ij,ij->i", x, x, dtype=np.float64)).astype(np.float32)[:, None]
    made = Scan.put(x, Metric.L2, "cpu", dtype)
    same(made, x, np.zeros((1, 20_000), np.float32), 10)
    same(made, x, data(2, 20_000, Metric.L2, 1), 10)
