"""Centroids found on a device make as good an index as FAISS's own; a device that fails is done without."""

import logging
import subprocess
import sys

import numpy as np
import pytest
import torch

import nearfield as nf
from nearfield.core.errors import MissingDependency
from nearfield.core.metric import Metric, prepare
from nearfield.device import cards, kmeans
from nearfield.index import centroids, coarse, exact
from nearfield.index._faiss import faiss
from nearfield.index.base import Effort

N, DIM, LISTS = 6000, 24, 48
KINDS = [
    nf.Ivf(lists=LISTS),
    nf.Ivf(lists=LISTS, storage="float16"),
    nf.Ivf(lists=LISTS, storage="int8"),
    nf.IvfPq(lists=LISTS, subvectors=12),
    nf.IvfPq(lists=LISTS, subvectors=3, bits=8),
    nf.IvfPq(lists=LISTS, subvectors=12, transform="opq"),
    nf.IvfPq(lists=LISTS, subvectors=6, transform="pca"),
    nf.IvfPq(lists=LISTS, subvectors=12, transform="rotation"),
    nf.Rabitq(lists=LISTS),
]


def rows(metric: Metric, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    strength = 1 / np.sqrt(1 + np.arange(DIM))
    axes = np.linalg.qr(np.random.default_rng(0).standard_normal((DIM, DIM)))[0]
    return prepare((rng.standard_normal((n, DIM)) * strength @ axes + 0.2).astype(np.float32), metric)[0]


def inner(index):
    return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index


def built(kind, metric: Metric, x: np.ndarray, seed: int = 1):
    building = kind.start(x[: kind.training_rows(N)], N, metric, seed)
    building.add(x)
    return building._index, building.index(x, np.arange(N, dtype=np.int32))


def recall(kind, metric: Metric, seeds: int) -> float:
    """The mean over seeds and numbers of lists read: one training may be lucky by 0.02."""
    x, queries = rows(metric, N, 1), rows(metric, 300, 2)
    _, true = exact.search(queries, x, 10, metric)
    shares = []
    for seed in range(seeds):
        _, index = built(kind, metric, x, seed)
        for nprobe in (1, 2, 4, 8):
            found = index.search(queries, 10, Effort(nprobe=nprobe, oversampling=4)).positions
            shares.append((found[:, :, None] == true[:, None]).any(2).mean())
    return float(np.mean(shares))


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The processor stands for a card, and every training is worth it; what was asked of it."""
    asked: list[dict] = []
    original = kmeans.kmeans

    def noted(given, k, **options):
        asked.append({"shape": given.shape, "k": k, **options})
        return original(given, k, **options)

    monkeypatch.setattr(kmeans, "kmeans", noted)
    monkeypatch.setattr(centroids, "WORTH", 0)
    monkeypatch.setattr(centroids, "training_device", lambda: "cpu")
    return asked


def as_faiss(kind, metric: Metric, asked: list[dict], monkeypatch: pytest.MonkeyPatch, seeds: int, within: float) -> None:
    """`within` is four standard deviations of the difference: one training's recall has one of about 0.007."""
    found = recall(kind, metric, seeds)
    assert [call["k"] for call in asked] == [LISTS] * seeds
    monkeypatch.setattr(centroids, "training_device", lambda: None)
    assert found >= recall(kind, metric, seeds) - within
    assert len(asked) == seeds


@pytest.mark.parametrize("metric", list(Metric))
def test_an_index_is_as_good_as_one_that_faiss_trained(metric: Metric, device, monkeypatch) -> None:
    as_faiss(nf.Ivf(lists=LISTS), metric, device, monkeypatch, 16, 0.01)


@pytest.mark.parametrize(("kind", "metric"), list(zip(KINDS[1:], list(Metric) * 3, strict=False)))
def test_every_other_kind_is_as_good_too(kind, metric: Metric, device, monkeypatch) -> None:
    as_faiss(kind, metric, device, monkeypatch, 4, 0.02)


def test_centroids_in_a_graph_are_as_good(device, monkeypatch) -> None:
    monkeypatch.setattr(coarse, "GRAPH_FROM", 16)
    raw, _ = built(nf.Ivf(lists=LISTS), Metric.COSINE, rows(Metric.COSINE, N, 1))
    assert isinstance(faiss.downcast_index(inner(raw).quantizer), faiss.IndexHNSWFlat)
    device.clear()
    as_faiss(nf.Ivf(lists=LISTS), Metric.COSINE, device, monkeypatch, 4, 0.02)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.recipe)
def test_faiss_keeps_the_centroids_it_is_given(kind, device, monkeypatch) -> None:
    given: list[np.ndarray] = []
    original = kmeans.kmeans

    def kept(*args, **options):
        found = original(*args, **options)
        given.append(found.centroids)
        return found

    monkeypatch.setattr(kmeans, "kmeans", kept)
    x = rows(Metric.L2, N, 1)
    raw, _ = built(kind, Metric.L2, x)
    assert np.array_equal(inner(raw).quantizer.reconstruct_n(0, LISTS), given[0])


def test_a_device_is_asked_for_what_faiss_would_do(device) -> None:
    x = rows(Metric.COSINE, N, 1)
    for metric, spherical in ((Metric.COSINE, True), (Metric.IP, False), (Metric.L2, False)):
        nf.Ivf(lists=LISTS).train(x, N, metric, 7)
        said = device.pop()
        assert said["shape"] == (coarse.TRAIN_PER_LIST * LISTS, DIM)
        assert (said["by_product"], said["spherical"]) == (metric.by_inner_product, spherical)
        assert (said["rounds"], said["seed"]) == (coarse.ROUNDS, 8)
    nf.Ivf(lists=LISTS, storage="int8").train(x, N, Metric.COSINE, 7)
    assert (device[0]["by_product"], device[0]["spherical"]) == (False, False)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: unspecified launch failure")]
)
def test_a_device_that_fails_is_done_without(error, device, monkeypatch, caplog) -> None:
    def failing(*args):
        raise error

    monkeypatch.setattr(kmeans, "_nearest", failing)
    with caplog.at_level(logging.WARNING, "nearfield.index"):
        found = recall(nf.Ivf(lists=LISTS), Metric.L2, 1)
    assert len(device) == 1
    assert "FAISS trains them" in caplog.text
    monkeypatch.setattr(centroids, "training_device", lambda: None)
    assert found == recall(nf.Ivf(lists=LISTS), Metric.L2, 1)


def test_another_error_is_not_hidden(device, monkeypatch) -> None:
    def failing(*args):
        raise RuntimeError("a bug")

    monkeypatch.setattr(kmeans, "_nearest", failing)
    with pytest.raises(RuntimeError, match="a bug"):
        built(nf.Ivf(lists=LISTS), Metric.L2, rows(Metric.L2, N, 1))


def test_small_trainings_ask_for_no_device(device, monkeypatch) -> None:
    monkeypatch.setattr(centroids, "WORTH", 1e18)
    built(nf.Ivf(lists=LISTS), Metric.L2, rows(Metric.L2, N, 1))
    monkeypatch.setattr(centroids, "WORTH", 0)
    x = rows(Metric.L2, N, 1)
    nf.Ivf(lists=LISTS).train(x[:LISTS], N, Metric.L2, 1)
    assert device == []


def test_a_card_is_asked_for_only_where_a_driver_is(monkeypatch) -> None:
    def never(wanted):
        raise AssertionError("no driver is there")

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cards, "choose", never)
    monkeypatch.setattr(cards, "DRIVERS", ("nowhere/nvidia*",))
    assert centroids.training_device() is None
    monkeypatch.setattr(cards, "DRIVERS", ("dev/nul[l]",))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert centroids.training_device() is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(cards, "choose", lambda wanted: ("cuda:1", "it is there"))
    assert centroids.training_device() == "cuda:1"
    monkeypatch.setattr(cards, "choose", lambda wanted: ("cpu", "none is there"))
    assert centroids.training_device() is None


@pytest.mark.parametrize("error", [MissingDependency("run: pip install"), RuntimeError("No HIP GPUs are available")])
def test_a_broken_pytorch_is_done_without(error, monkeypatch, caplog) -> None:
    def failing(wanted):
        raise error

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(cards, "DRIVERS", ("dev/nul[l]",))
    monkeypatch.setattr(cards, "choose", failing)
    assert centroids.training_device() is None
    assert "no card trains centroids" in caplog.text


def test_training_without_a_driver_loads_no_torch() -> None:
    code = (
        "import sys, numpy as np, nearfield as nf; from nearfield.core.metric import Metric; "
        "from nearfield.device import cards; from nearfield.index import centroids; "
        "centroids.WORTH, cards.DRIVERS = 0, ('nowhere/nvidia*',); "
        "x = np.random.default_rng(0).standard_normal((900, 8)).astype(np.float32); "
        "nf.Ivf(lists=8).train(x, 900, Metric.L2, 0); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
