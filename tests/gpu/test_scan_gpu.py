"""On a card: the kernels answer exactly, stay within the bytes that were planned, and leave a card as they found it."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, prepare
from nearfield.device import _torch, blocks, cards, kernel, layout, scan
from nearfield.device.codes import ask, encode
from nearfield.device.scan import Scan
from nearfield.index import exact
from nearfield.maintain import tasks

pytestmark = pytest.mark.gpu


def data(n: int, dim: int, metric: Metric, seed: int = 0) -> np.ndarray:
    return prepare(np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32), metric)[0]


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("dtype", layout.DTYPES)
@pytest.mark.parametrize(
    ("n", "dim", "k", "m"), [(37, 3, 40, 2), (50_000, 96, 10, 1), (200_000, 128, 100, 300), (9001, 768, 2048, 5)]
)
def test_the_answer_is_the_exact_one(metric: Metric, dtype: layout.Dtype, n: int, dim: int, k: int, m: int) -> None:
    x, queries = data(n, dim, metric), data(m, dim, metric, 1)
    made = Scan.put(x, metric, "cuda:0", dtype)
    assert scan.passes_for("cuda:0") is kernel, "the kernels run here"
    for allow in (None, np.random.default_rng(2).random(n) < 0.3):
        found = made.search(queries, k, None if allow is None else np.packbits(allow, bitorder="little"))
        wanted = exact.search(queries, x, k, metric, allow)
        np.testing.assert_array_equal(found[1], wanted[1])
        np.testing.assert_array_equal(found[0], wanted[0])


@pytest.mark.parametrize("dtype", layout.DTYPES)
@pytest.mark.parametrize("batch", [1, 16, 17, 64, 65, 1024])
@pytest.mark.parametrize("group", [layout.GROUP, layout.TILE])
def test_the_kernels_agree_with_plain_pytorch(dtype: layout.Dtype, batch: int, group: int) -> None:
    torch = _torch.torch()
    x, queries = data(5000, 80, Metric.L2), data(batch, 80, Metric.L2, 1)
    codes = encode(x, Metric.L2, "cuda:0", dtype)
    asked = ask(queries, codes)
    bits = torch.from_numpy(np.packbits(np.random.default_rng(3).random(codes.rows) < 0.5, bitorder="little")).cuda()
    one, other = (passes.maxima(codes, asked, bits, group) for passes in (kernel, blocks))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-2)
    groups = torch.randint(0, codes.rows // group, (batch, 4), device="cuda:0")
    one, other = (passes.rows_of(codes, asked, bits, groups, group) for passes in (kernel, blocks))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("dtype", layout.DTYPES)
def test_the_bytes_on_the_card_are_those_planned(dtype: layout.Dtype) -> None:
    torch = _torch.torch()
    n, dim = 500_000, 100
    x = data(n, dim, Metric.COSINE)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    made = Scan.put(x, Metric.COSINE, "cuda:0", dtype)
    held = torch.cuda.memory_allocated() - before
    planned = layout.nbytes(n, dim, dtype, Metric.COSINE)
    assert held <= planned <= held + n, "the bitmaps are planned for, and made when a filter comes"
    torch.cuda.reset_peak_memory_stats()
    made.search(data(1000, dim, Metric.COSINE, 1), 100)
    assert torch.cuda.max_memory_allocated() - before <= planned + (512 << 20)
    made.close()
    assert torch.cuda.memory_allocated() - before < 1 << 20


def test_without_the_host_the_same_rows_are_found() -> None:
    x, queries = data(300_000, 64, Metric.L2), data(500, 64, Metric.L2, 1)
    _, where = Scan.put(x, Metric.L2, "cuda:0", raw=True).nearest(queries, 10)
    wanted = exact.search(queries, x, 10, Metric.L2)[1]
    assert np.mean(where.cpu().numpy() == wanted) > 0.9999, "up to ties of float32"


def test_a_collection_is_searched_on_the_card(tmp_path: Path) -> None:
    x = data(100_000, 64, Metric.COSINE)
    with nf.open(tmp_path, gpu_memory="2GB") as db:
        c = db.create("c", embedder=None, dim=64)
        c.load(ids=[str(i) for i in range(len(x))], vectors=x)
        tasks.seal(c._engine)
        c.pin("hot")
        assert {s.tier for s in c.stats().segments} == {"hot"}
        many = c.search_many(x[:200], k=5, recall=1.0)
        assert [h.ids[0] for h in many] == [str(i) for i in range(200)]
        assert many[0].plan.segments[0].device == cards.visible()[0].name
