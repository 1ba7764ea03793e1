"""FAISS on a real card: clones answer as the processor, take the bytes that were predicted, and are built there.

Run on a machine with one: `pytest -m gpu tests/gpu/test_faiss_gpu.py`, with faiss-gpu, or faiss-gpu-cuvs for the graph. torch
is imported first: some builds of FAISS use the CUDA libraries that it brings.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, Vectors, prepare
from nearfield.device.scan import DeviceFull
from nearfield.index.base import Allow, Effort
from nearfield.testing import KindContract

pytestmark = pytest.mark.gpu
N, DIM = 200_000, 64
SLACK = 96 << 20
"""Bytes that the driver may take beyond what was asked for: it allots by 2 MiB, and loads kernels when they first run."""


@pytest.fixture(scope="module", autouse=True)
def cards() -> None:
    """Skips where FAISS finds no card."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no card that PyTorch can use")
    from nearfield.index import _faiss

    if not _faiss.cards():
        pytest.skip(f"FAISS {_faiss.version()} finds no card; install 'nearfield[gpu]' or faiss-gpu-cuvs")


@pytest.fixture
def owner() -> Iterator:
    from nearfield.index.gpu.owner import Owner

    made = Owner(0)
    yield made
    made.close()


def data(n: int = N, dim: int = DIM, metric: Metric = Metric.COSINE, seed: int = 0) -> Vectors:
    centres = np.random.default_rng(9).standard_normal((400, dim), np.float32)
    rng = np.random.default_rng(seed)
    x = centres[rng.integers(0, 400, n)] + 0.5 * rng.standard_normal((n, dim), np.float32)
    return prepare(x, metric)[0]


def opened(kind, metric: Metric, place: Path, x: Vectors):
    """An index that the processor builds, in another order than the vectors'."""
    order = np.random.default_rng(2).permutation(len(x)).astype(np.int32)
    building = kind.start_on_processor(x[: min(len(x), max(20_000, kind.training_rows(len(x))))], len(x), metric, 1)
    for start in range(0, len(x), 20_000):
        building.add(x[order[start : start + 20_000]])
    building.save(place / "index", order)
    return kind.open(place / "index", metric, x)


def overlap(one, other) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(a) for a, b in zip(one, other, strict=True)]))


def free() -> int:
    import torch

    torch.cuda.synchronize()
    return int(torch.cuda.mem_get_info(0)[0])


KINDS = [
    nf.Flat(),
    nf.Ivf(lists=512),
    nf.Ivf(lists=512, storage="float16"),
    nf.Ivf(lists=512, storage="int8"),
    nf.IvfPq(lists=512, subvectors=16, bits=8),
    nf.IvfPq(lists=512, subvectors=64, bits=8),
    nf.IvfPq(lists=512, subvectors=16, bits=8, transform="rotation"),
]


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_clone_answers_as_the_processor(kind, metric: Metric, owner, tmp_path: Path) -> None:
    from nearfield.index.gpu.index import GpuIndex

    x, queries = data(metric=metric), data(200, metric=metric, seed=5)
    cpu = opened(kind, metric, tmp_path, x)
    card = GpuIndex(cpu, owner)
    effort = Effort(nprobe=0 if kind.name == "flat" else 32, oversampling=4 if kind.refines else 0)
    for allow in (None, Allow(np.packbits(np.arange(N) % 3 > 0, bitorder="little"), 2 / 3)):
        here, there = cpu.search(queries, 10, effort, allow), card.search(queries, 10, effort, allow)
        assert overlap(here.positions, there.positions) > 0.98
        same = here.positions == there.positions
        assert np.allclose(here.scores[same], there.scores[same], rtol=1e-3, atol=1e-3)
    assert card.by_processor == 0, card.answered
    assert card.search(queries, 2049, effort).positions.shape == (200, 2049)
    assert card.by_processor == 1


@pytest.mark.parametrize("kind", [*KINDS[:6], nf.Ivf(lists=20_000)], ids=str)
def test_bytes_are_those_predicted(kind, owner, tmp_path: Path) -> None:
    """The second clone is measured: the first makes FAISS and the driver take what they keep."""
    from nearfield.index.gpu.index import GpuIndex

    cpu = opened(kind, Metric.L2, tmp_path, data(metric=Metric.L2))
    first = GpuIndex(cpu, owner)
    first.search(data(8, metric=Metric.L2, seed=5), 10, Effort(nprobe=8))
    before = free()
    second = GpuIndex(cpu, owner)
    taken = before - free()
    assert abs(taken - second.device_bytes) <= 0.03 * second.device_bytes + SLACK, (taken, second.device_bytes)
    first.close()
    second.close()
    with pytest.raises(DeviceFull):
        GpuIndex(cpu, owner, room=second.device_bytes - 1)


def test_temporary_memory_is_what_is_planned_for() -> None:
    import torch

    from nearfield.index import _faiss
    from nearfield.index.gpu import sizes
    from nearfield.index.gpu.owner import Owner

    total = int(torch.cuda.mem_get_info(0)[1])
    Owner(0).close()
    before = free()
    owner = Owner(0)
    owner.make(lambda held: _faiss.faiss.GpuIndexFlatL2(held.resources, 8))
    assert abs(before - free() - sizes.temporary(total)) < SLACK + (256 << 20)
    owner.close()


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize(
    "kind",
    [nf.Ivf(lists=512), nf.Ivf(lists=512, storage="float16"), nf.IvfPq(lists=512, subvectors=16, bits=8)],
    ids=str,
)
def test_lists_built_on_the_card_are_as_good(kind, metric: Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfield.index import exact
    from nearfield.index.gpu import build
    from nearfield.index.gpu.build import CardBuilding

    monkeypatch.setattr(build, "FROM_BYTES", 0)
    x, queries = data(metric=metric), data(200, metric=metric, seed=5)
    order = np.arange(N, dtype=np.int32)
    building = kind.start(x[:40_000], N, metric, 1)
    assert isinstance(building, CardBuilding)
    for start in range(0, N - 1000, 16_384):
        building.add(x[start : min(N - 1000, start + 16_384)])
    assert building.index(x, order[:-1000]).search(x[:5], 1, Effort(nprobe=64, oversampling=4)).positions[:, 0].tolist() == [
        *range(5)
    ]
    building.add(x[-1000:])
    (tmp_path / "card").mkdir()
    building.save(tmp_path / "card" / "index", order)
    there = kind.open(tmp_path / "card" / "index", metric, x)
    here = opened(kind, metric, tmp_path, x)
    assert abs((tmp_path / "card" / "index.faiss").stat().st_size - (tmp_path / "index.faiss").stat().st_size) < 4096
    truth = exact.search(queries, x, 10, metric)[1]
    effort = Effort(nprobe=32, oversampling=8)
    recalls = [overlap(index.search(queries, 10, effort).positions, truth) for index in (there, here)]
    assert abs(recalls[0] - recalls[1]) < 0.02
    assert recalls[0] > 0.9


def test_product_codes_that_only_cuvs_knows(owner, tmp_path: Path) -> None:
    from nearfield.index import _faiss
    from nearfield.index.gpu.index import GpuIndex, Unsuited

    x = data(dim=200)
    kind = nf.IvfPq(lists=256, subvectors=50, bits=8)
    cpu = opened(kind, Metric.COSINE, tmp_path, x)
    if not _faiss.has_cuvs():
        with pytest.raises(Unsuited, match="faiss-gpu-cuvs"):
            GpuIndex(cpu, owner)
        return
    card, effort = GpuIndex(cpu, owner), Effort(nprobe=32, oversampling=4)
    assert card.options.use_cuvs
    queries = data(200, dim=200, seed=5)
    assert overlap(cpu.search(queries, 10, effort).positions, card.search(queries, 10, effort).positions) > 0.97
    assert card.by_processor == 0


class OnCard(KindContract):
    """The contract, built by the process that builds, on the card."""

    @pytest.fixture(autouse=True)
    def cuvs(self) -> None:
        from nearfield.index import _faiss

        if not _faiss.has_cuvs():
            pytest.skip("this FAISS has no cuVS: pip install faiss-gpu-cuvs in place of it")


class TestCagra(OnCard):
    kind = nf.Cagra(graph_degree=32, intermediate_graph_degree=64)


class TestCagraInHalves(OnCard):
    kind = nf.Cagra(graph_degree=32, intermediate_graph_degree=64, storage="float16")


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_a_graph_goes_back_to_the_card_and_keeps_up(storage: str, metric: Metric, owner, tmp_path: Path) -> None:
    from nearfield.index import _faiss, exact
    from nearfield.index.gpu.index import GpuIndex

    if not _faiss.has_cuvs():
        pytest.skip("this FAISS has no cuVS")
    kind = nf.Cagra(storage=storage)
    x, queries = data(metric=metric), data(300, metric=metric, seed=5)
    building = kind.start(x[:1], N, metric, 0)
    building.add(x)
    building.save(tmp_path / "g", np.arange(N, dtype=np.int32))
    cpu = kind.open(tmp_path / "g", metric, x)
    assert abs(kind.nbytes(N, DIM) - (tmp_path / "g.faiss").stat().st_size - 4 * N) < 0.01 * kind.nbytes(N, DIM)
    first = GpuIndex(cpu, owner)
    before = free()
    card = GpuIndex(cpu, owner)
    assert abs(before - free() - card.device_bytes) <= 0.05 * card.device_bytes + SLACK
    truth = exact.search(queries, x, 10, metric)[1]
    for ef in (16, 64, 256):
        here, there = (index.search(queries, 10, Effort(efSearch=ef)).positions for index in (cpu, card))
        assert overlap(there, truth) >= overlap(here, truth) - 0.01
    assert card.by_processor == 0, card.answered
    first.close()
