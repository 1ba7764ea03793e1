"""k-means on a card: as on the processor, within its memory, and as FAISS's for an index."""

import numpy as np
import pytest
import torch

import nearfield as nf
from nearfield.core.metric import Metric, prepare
from nearfield.device import cards, kmeans
from nearfield.device.kmeans import kmeans as run
from nearfield.index import centroids, exact
from nearfield.index.base import Effort

pytestmark = pytest.mark.gpu


def rows(n: int, dim: int, seed: int, metric: Metric = Metric.L2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    strength = 1 / np.sqrt(1 + np.arange(dim))
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))[0]
    return prepare((rng.standard_normal((n, dim)) * strength @ axes + 0.2).astype(np.float32), metric)[0]


@pytest.mark.parametrize(("by_product", "spherical"), [(False, False), (True, True), (True, False)])
@pytest.mark.parametrize("workspace", [kmeans.WORKSPACE, 1 << 20])
def test_a_few_rounds_are_those_of_the_processor(by_product: bool, spherical: bool, workspace: int) -> None:
    """Few: where two centroids are equally near, rounding decides, and what follows from it differs."""
    x = rows(20_000, 64, 1, Metric.COSINE if spherical else Metric.L2)
    options = {"rounds": 2, "by_product": by_product, "spherical": spherical, "initial": x[:100].copy()}
    wanted = run(x, 100, **options)
    found = run(x, 100, device="cuda:0", workspace=workspace, **options)
    assert np.allclose(found.objective, wanted.objective, rtol=1e-4)
    assert np.abs(found.centroids - wanted.centroids).mean() < 1e-3


@pytest.mark.parametrize("where", ["host", "card"])
def test_rows_may_be_on_either_side_and_ten_rounds_are_as_good(where: str) -> None:
    x = rows(50_000, 48, 2)
    given = x if where == "host" else torch.from_numpy(x).to("cuda:0")
    wanted = run(x, 256, seed=1).objective[-1]
    found = run(given, 256, seed=1, device="cuda:0")
    assert found.centroids.shape == (256, 48)
    assert found.objective[-1] <= 1.01 * wanted
    assert list(found.objective) == sorted(found.objective, reverse=True)


def test_rows_that_do_not_fit_are_sent_in_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    x = rows(50_000, 48, 3)
    wanted = run(x, 128, seed=1, rounds=3, device="cuda:0")
    monkeypatch.setattr(cards, "free_bytes", lambda name: 0)
    torch.cuda.reset_peak_memory_stats(0)
    found = run(x, 128, seed=1, rounds=3, device="cuda:0", workspace=1 << 20)
    assert torch.cuda.max_memory_allocated(0) < x.nbytes
    assert np.allclose(found.objective, wanted.objective, rtol=1e-3)


def test_memory_that_is_short_makes_tiles_small() -> None:
    """With memory really short: PyTorch is allowed no more than what it holds and a little."""
    x = rows(100_000, 32, 4)
    wanted = run(x, 4096, seed=1, rounds=2, device="cuda:0")
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    allowed = torch.cuda.memory_reserved(0) + x.nbytes + (64 << 20)
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowed / total), 0)
    try:
        found = run(x, 4096, seed=1, rounds=2, device="cuda:0")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, 0)
    assert np.allclose(found.objective, wanted.objective, rtol=1e-3)


def test_nothing_is_kept_on_the_card() -> None:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(0)
    run(rows(50_000, 64, 5), 64, device="cuda:0")
    assert torch.cuda.memory_reserved(0) <= before + (64 << 20)


@pytest.mark.parametrize("kind", [nf.Ivf(lists=256), nf.IvfPq(lists=256, subvectors=16), nf.Rabitq(lists=256)])
def test_a_large_index_gets_its_centroids_from_the_card(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    n, metric = 40_000, Metric.COSINE
    x, queries = rows(n, 32, 6, metric), rows(500, 32, 7, metric)
    _, true = exact.search(queries, x, 10, metric)
    monkeypatch.setattr(centroids, "WORTH", 0)
    assert str(centroids.training_device()).startswith("cuda")
    shares = []
    for device in (centroids.training_device(), None):
        monkeypatch.setattr(centroids, "training_device", lambda device=device: device)
        building = kind.start(x[: kind.training_rows(n)], n, metric, 1)
        building.add(x)
        index = building.index(x, np.arange(n, dtype=np.int32))
        found = index.search(queries, 10, Effort(nprobe=8, oversampling=4)).positions
        shares.append((found[:, :, None] == true[:, None]).any(2).mean())
    assert shares[0] >= shares[1] - 0.02
