"""k-means is Lloyd's: step for step the naive one, as good as FAISS's, and right at its edges and without room."""

import numpy as np
import pytest
import torch

import nearfield as nf
from nearfield.device import _torch, cards, kmeans
from nearfield.device.kmeans import kmeans as run
from nearfield.index._faiss import faiss


def clustered(n: int, dim: int, seed: int, centres: int = 40, spread: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    where = rng.standard_normal((centres, dim))
    return (where[rng.integers(0, centres, n)] + spread * rng.standard_normal((n, dim))).astype(np.float32)


def skewed(n: int, dim: int, seed: int) -> np.ndarray:
    """As embeddings are: few strong directions, no clear clusters, all to one side."""
    rng = np.random.default_rng(seed)
    strength = 1 / np.sqrt(1 + np.arange(dim))
    return (rng.standard_normal((n, dim)) * strength @ rng.standard_normal((dim, dim)) + 0.5).astype(np.float32)


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def cost(x: np.ndarray, centroids: np.ndarray) -> float:
    distances = (x.astype(np.float64) ** 2).sum(1)[:, None] - 2 * x @ centroids.T.astype(np.float64)
    return float((distances + (centroids.astype(np.float64) ** 2).sum(1)).min(1).sum())


def naive(x: np.ndarray, start: np.ndarray, rounds: int, by_product: bool, spherical: bool) -> tuple[np.ndarray, list[float]]:
    """Lloyd's, all at once, in float64."""
    x, centroids = x.astype(np.float64), start.astype(np.float64)
    adjusted = (lambda c: c / np.linalg.norm(c, axis=1, keepdims=True)) if spherical else (lambda c: c)
    centroids, objective = adjusted(centroids), []
    for _ in range(rounds):
        products = x @ centroids.T
        distances = (x**2).sum(1)[:, None] - 2 * products + (centroids**2).sum(1)
        nearest = products.argmax(1) if by_product else distances.argmin(1)
        objective.append(float((products if by_product else distances)[np.arange(len(x)), nearest].sum()))
        centroids = adjusted(np.stack([x[nearest == c].mean(0) for c in range(len(start))]))
    return centroids, objective


@pytest.mark.parametrize(("by_product", "spherical"), [(False, False), (True, True), (True, False), (False, True)])
@pytest.mark.parametrize("workspace", [kmeans.WORKSPACE, 4096, 64])
def test_each_round_is_the_naive_one(by_product: bool, spherical: bool, workspace: int) -> None:
    x = clustered(600, 12, 1) + (0 if not by_product else 0.3)
    start = x[np.random.default_rng(2).choice(600, 15, replace=False)]
    for rounds in (1, 2, 6):
        wanted, objective = naive(x, start, rounds, by_product, spherical)
        found = run(x, 15, rounds=rounds, by_product=by_product, spherical=spherical, initial=start, workspace=workspace)
        assert found.splits == 0
        assert found.centroids.dtype == np.float32
        assert np.allclose(found.centroids, wanted, atol=1e-4)
        assert np.allclose(found.objective, objective, rtol=1e-4)


@pytest.mark.parametrize("data", [clustered, skewed])
def test_it_is_as_good_as_faiss(data) -> None:
    """From the same rows always; from rows of its own over some seeds, since where clusters are clear the start decides."""
    ours, theirs = [], []
    for seed in range(8):
        x = data(6000, 24, seed)
        start = x[np.random.default_rng(seed).choice(6000, 64, replace=False)]
        reference = faiss.Kmeans(24, 64, niter=12, seed=seed, min_points_per_centroid=1)
        reference.train(x, init_centroids=start)
        found = run(x, 64, rounds=12, initial=start)
        assert cost(x, found.centroids) <= 1.02 * cost(x, reference.centroids)
        assert found.splits or list(found.objective) == sorted(found.objective, reverse=True)
        reference.train(x)
        theirs.append(cost(x, reference.centroids))
        ours.append(cost(x, run(x, 64, rounds=12, seed=seed).centroids))
    assert sum(ours) <= 1.03 * sum(theirs)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("spherical", [True, False])
def test_by_product_it_is_as_good_as_faiss(seed: int, spherical: bool) -> None:
    x = unit(skewed(6000, 24, seed)) if spherical else skewed(6000, 24, seed)
    theirs = faiss.Clustering(24, 48)
    theirs.niter, theirs.spherical, theirs.seed = 10, spherical, seed
    theirs.train(x, faiss.IndexFlatIP(24))
    centroids = faiss.vector_to_array(theirs.centroids).reshape(48, 24)
    found = run(x, 48, rounds=10, by_product=True, spherical=spherical, seed=seed)
    assert (x @ found.centroids.T).max(1).sum() >= 0.97 * (x @ centroids.T).max(1).sum()
    if spherical:
        assert np.allclose(np.linalg.norm(found.centroids, axis=1), 1, atol=1e-5)
        assert list(found.objective) == sorted(found.objective)


def test_the_same_seed_gives_the_same_centroids_and_another_gives_others() -> None:
    x = skewed(2000, 8, 0)
    first, again, other = (run(x, 20, seed=seed).centroids for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_fewer_distinct_rows_than_clusters() -> None:
    x = np.repeat(clustered(7, 5, 0), 30, axis=0)
    found = run(x, 20, rounds=8, seed=1)
    assert np.isfinite(found.centroids).all()
    assert found.splits > 0
    assert cost(x, found.centroids) < 1e-3 * cost(x, x.mean(0, keepdims=True))
    assert run(np.zeros((50, 4), np.float32), 10).centroids.tolist() == np.zeros((10, 4)).tolist()


def test_an_empty_cluster_takes_half_of_another() -> None:
    x = np.concatenate([clustered(300, 6, 3, centres=1), clustered(300, 6, 4, centres=1) + 50])
    start = np.stack([x[0], x[300], np.full(6, 1e4, np.float32), np.full(6, -1e4, np.float32)])
    found = run(x, 4, rounds=6, initial=start)
    assert found.splits == 2
    nearest = ((x[:, None] - found.centroids) ** 2).sum(2).argmin(1)
    assert len(np.unique(nearest)) == 4
    assert found.objective[-1] < found.objective[0]


@pytest.mark.parametrize("by_product", [False, True])
def test_as_many_clusters_as_rows_are_the_rows(by_product: bool) -> None:
    x = clustered(50, 6, 0)
    found = run(x, 50, by_product=by_product)
    assert np.array_equal(found.centroids, x)
    assert np.allclose(found.objective, (x**2).sum() if by_product else 0)
    assert np.allclose(run(x, 50, spherical=True).centroids, unit(x), atol=1e-6)


def test_one_cluster_is_the_mean() -> None:
    x = clustered(500, 6, 0)
    assert np.allclose(run(x, 1).centroids, x.mean(0), atol=1e-4)
    assert np.allclose(run(x[:1], 1).centroids, x[:1])


def test_rows_come_in_every_form(tmp_path) -> None:
    x = clustered(400, 6, 0)
    wanted = run(x, 9, seed=3)
    x.tofile(tmp_path / "x")
    before = x.copy()
    mapped = np.memmap(tmp_path / "x", np.float32, mode="r", shape=x.shape)
    for rows in (mapped, torch.from_numpy(x), x.astype(np.float64), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        assert np.allclose(run(rows, 9, seed=3).centroids, wanted.centroids, atol=1e-5)
    assert np.array_equal(x, before)


def test_progress_counts_rounds() -> None:
    seen: list[tuple[int, int]] = []
    run(clustered(100, 4, 0), 5, rounds=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("k", [0, 11, True])
def test_impossible_numbers_of_clusters(k) -> None:
    with pytest.raises(nf.InvalidInput, match="k"):
        run(np.zeros((10, 3), np.float32), k)


def test_other_impossible_input() -> None:
    x = clustered(20, 3, 0)
    with pytest.raises(nf.InvalidInput, match="rounds"):
        run(x, 2, rounds=0)
    with pytest.raises(nf.InvalidInput, match="initial"):
        run(x, 2, initial=x[:3])
    x[4, 1] = np.nan
    for k in (2, 20):
        with pytest.raises(nf.InvalidInput, match="finite"):
            run(x, k)


def test_without_room_tiles_are_halved_and_no_row_counts_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    x = clustered(500, 6, 0)
    wanted = run(x, 9, seed=3)
    nearest, sizes = kmeans._nearest, []

    def tight(torch, rows, centroids, bias, width):
        sizes.append(len(rows) * min(width, len(centroids)))
        if sizes[-1] > 300:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return nearest(torch, rows, centroids, bias, width)

    monkeypatch.setattr(kmeans, "_nearest", tight)
    found = run(x, 9, seed=3)
    assert np.allclose(found.centroids, wanted.centroids, atol=1e-5)
    assert np.allclose(found.objective, wanted.objective, rtol=1e-5)
    assert sum(size > 300 for size in sizes) < 8


def test_no_room_for_the_smallest_tile_is_an_error_and_so_is_a_lost_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(kmeans, "_nearest", full)
    with pytest.raises(torch.OutOfMemoryError):
        run(clustered(50, 4, 0), 5)

    def gone(*args):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(kmeans, "_nearest", gone)
    with pytest.raises(RuntimeError) as caught:
        run(clustered(50, 4, 0), 5)
    assert _torch.lost(caught.value)


@pytest.mark.parametrize("free", [0, 1 << 40])
def test_rows_that_do_not_fit_are_sent_in_each_round(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Another device is the processor under its number: what is not on it is sent."""
    x = clustered(500, 6, 0)
    wanted = run(x, 9, seed=3)
    monkeypatch.setattr(cards, "free_bytes", lambda name: free)
    sent, lengths = kmeans._Source.sent, []

    def counted(self, rows):
        lengths.append(len(rows))
        return sent(self, rows)

    monkeypatch.setattr(kmeans._Source, "sent", counted)
    for rows in (x, torch.from_numpy(x)):
        lengths.clear()
        found = run(rows, 9, seed=3, device="cpu:0", workspace=4000)
        assert np.allclose(found.centroids, wanted.centroids, atol=1e-5)
        assert (500 in lengths) == (free > 0)
