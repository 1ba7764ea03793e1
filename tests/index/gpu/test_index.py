"""A clone on a card answers as the index on the processor does, and that one answers what the card cannot."""

import gc
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, Vectors, prepare
from nearfield.device.scan import DeviceFull
from nearfield.index import _faiss, coarse
from nearfield.index.base import Allow, Effort, Kind
from nearfield.index.gpu.index import CARD, GpuIndex, Unsuited
from nearfield.index.gpu.owner import Owner
from nearfield.index.wrapper import FaissIndex
from tests.index.gpu.fake import LOST, OUT_OF_MEMORY, Fake

N, DIM = 3000, 24
KINDS = [
    nf.Flat(),
    nf.Ivf(lists=32),
    nf.Ivf(lists=32, storage="float16"),
    nf.Ivf(lists=32, storage="int8"),
    nf.IvfPq(lists=32, subvectors=12, bits=8),
    nf.IvfPq(lists=32, subvectors=12, bits=8, transform="rotation"),
    nf.IvfPq(lists=32, subvectors=6, bits=8, transform="pca"),
]


def data(metric: Metric, n: int = N, seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((40, DIM))
    return prepare((centres[rng.integers(0, 40, n)] + 0.4 * rng.standard_normal((n, DIM))).astype(np.float32), metric)[0]


def opened(kind: Kind, metric: Metric, place: Path, x: Vectors) -> FaissIndex:
    order = np.random.default_rng(2).permutation(len(x)).astype(np.int32)
    building = kind.start(x, len(x), metric, 1)
    building.add(x[order])
    building.save(place / "index", order)
    found = kind.open(place / "index", metric, x)
    assert isinstance(found, FaissIndex)
    return found


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Training in small steps by many threads spends its time waiting where others work too."""
    before = _faiss.most_threads()
    _faiss.set_threads(1)
    yield
    _faiss.set_threads(before)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(_faiss, "faiss", made)
    return made


@pytest.fixture
def owner(fake: Fake):
    made = Owner(0)
    yield made
    gc.collect()
    made.close()


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_clone_answers_as_the_processor_does(kind, metric: Metric, owner: Owner, fake: Fake, tmp_path: Path) -> None:
    x, queries = data(metric), data(metric, 40, seed=5)
    cpu = opened(kind, metric, tmp_path, x)
    card = GpuIndex(cpu, owner)
    effort = Effort(nprobe=0 if kind.name == "flat" else 4, oversampling=2 if kind.refines else 0)
    for allow in (None, Allow(np.packbits(np.arange(N) % 3 > 0, bitorder="little"), 2 / 3)):
        here, there = cpu.search(queries, 10, effort, allow), card.search(queries, 10, effort, allow)
        assert np.array_equal(here.positions, there.positions)
        assert np.allclose(here.scores, there.scores, rtol=1e-5, atol=1e-5)
        assert np.array_equal(here.passed, there.passed)
    assert np.array_equal(cpu.candidates(queries, 50, effort), card.candidates(queries, 50, effort))
    assert card.by_processor == 0
    assert card.answered["card"] == 3
    assert card.resident_bytes == cpu.resident_bytes
    assert card.probe(queries[:1], 7, effort) == cpu.probe(queries[:1], 7, effort)


def test_options_are_those_that_were_chosen(owner: Owner, fake: Fake, tmp_path: Path) -> None:
    GpuIndex(opened(nf.Ivf(lists=32), Metric.L2, tmp_path, data(Metric.L2)), owner)
    device, options = fake.calls[-1][1]
    assert device == 0
    assert options == {"use_cuvs": False, "useFloat16": False, "indicesOptions": fake.INDICES_32_BIT}


def test_bytes_are_predicted_from_the_lists_and_held_to_the_room(owner: Owner, tmp_path: Path) -> None:
    cpu = opened(nf.Ivf(lists=32), Metric.L2, tmp_path, data(Metric.L2))
    sizes = _faiss.list_sizes(cpu.parts.index)
    assert sizes is not None
    rows = -(-sizes // 32) * 32
    exact = int((-(-rows * 4 * DIM // 256) * 256).sum() + (-(-sizes * 4 // 256) * 256).sum()) + 32 * 4 * DIM + 256 + 3 * 512
    assert GpuIndex(cpu, owner, room=exact).device_bytes == exact
    with pytest.raises(DeviceFull, match="more than the"):
        GpuIndex(cpu, owner, room=exact - 1)


def test_centroids_behind_a_graph_are_laid_flat_without_touching_the_index(
    owner: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coarse, "GRAPH_FROM", 32)
    for number, kind in enumerate([nf.Ivf(lists=40), nf.Ivf(40, "float16"), nf.IvfPq(40, 12, 8)]):
        place = tmp_path / str(number)
        place.mkdir()
        x, queries = data(Metric.COSINE), data(Metric.COSINE, 40, seed=5)
        cpu = opened(kind, Metric.COSINE, place, x)
        assert isinstance(_faiss.faiss.downcast_index(cpu.parts.index.quantizer), _faiss.faiss.IndexHNSW)
        card = GpuIndex(cpu, owner)
        assert card.options.flat_centroids
        effort = Effort(nprobe=40, oversampling=2)
        assert np.array_equal(cpu.search(queries, 10, effort).positions, card.search(queries, 10, effort).positions)
        assert card.by_processor == 0
        assert isinstance(_faiss.faiss.downcast_index(cpu.parts.index.quantizer), _faiss.faiss.IndexHNSW)
        assert cpu.search(queries, 10, effort).positions.shape == (40, 10)


def test_what_is_beyond_the_limits_the_processor_answers(owner: Owner, fake: Fake, tmp_path: Path) -> None:
    x = data(Metric.L2)
    cpu = opened(nf.Ivf(lists=32), Metric.L2, tmp_path, x)
    card = GpuIndex(cpu, owner)
    for k, effort in ((2049, Effort(nprobe=32)), (10, Effort(nprobe=2049))):
        before = len(fake.calls)
        assert np.array_equal(card.search(x[:3], k, effort).positions, cpu.search(x[:3], k, effort).positions)
        assert len(fake.calls) == before
    assert card.candidates(x[:3], 2049, Effort(nprobe=32)).shape == (3, 2049)
    assert card.by_processor == 3
    said = {"a card ranks up to 2,048 candidates, not 2,049", "a card reads up to 2,048 lists, not 2,049"}
    assert set(card.answered) == said


@pytest.mark.parametrize(
    ("message", "said"), [(OUT_OF_MEMORY, "DeviceFull"), (LOST, "DeviceLost"), ("FAISS said no", "RuntimeError: FAISS said no")]
)
def test_a_card_that_fails_costs_no_answer(
    owner: Owner, fake: Fake, tmp_path: Path, message: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    x = data(Metric.L2)
    cpu = opened(nf.Ivf(lists=32), Metric.L2, tmp_path, x)
    card = GpuIndex(cpu, owner)

    def fail(what: str) -> None:
        raise RuntimeError(message)

    fake.fail = fail
    with caplog.at_level(logging.WARNING, "nearfield.index"):
        for _ in range(3):
            assert card.search(x[:5], 3, Effort(nprobe=8)).positions[:, 0].tolist() == list(range(5))
    assert card.by_processor == 3
    assert any(why.startswith(said) for why in card.answered)
    assert len(caplog.records) == 1


def test_a_clone_that_does_not_fit_or_cannot_be_is_refused(owner: Owner, fake: Fake, tmp_path: Path) -> None:
    x = data(Metric.L2)
    graph = opened(nf.Hnsw(links=8, build_effort=16), Metric.L2, tmp_path, x)
    with pytest.raises(Unsuited, match="HNSW"):
        GpuIndex(graph, owner)

    def full(what: str) -> None:
        raise RuntimeError(OUT_OF_MEMORY)

    fake.fail = full
    (tmp_path / "flat").mkdir()
    with pytest.raises(DeviceFull, match="no room for"):
        GpuIndex(opened(nf.Flat(), Metric.L2, tmp_path / "flat", x), owner)


def test_a_clone_that_was_let_go_of_is_answered_for(owner: Owner, tmp_path: Path) -> None:
    x = data(Metric.L2)
    card = GpuIndex(opened(nf.Flat(), Metric.L2, tmp_path, x), owner)
    card.close()
    card.close()
    assert owner.call(lambda held: len(held.kept)) == 0
    assert card.search(x[:5], 1, Effort()).positions[:, 0].tolist() == list(range(5))
    assert card.answered == {"the clone was let go of": 1}


def test_a_clone_that_nobody_holds_leaves_the_card(owner: Owner, tmp_path: Path) -> None:
    card = GpuIndex(opened(nf.Flat(), Metric.L2, tmp_path, data(Metric.L2)), owner)
    assert owner.call(lambda held: len(held.kept)) == 1
    del card
    gc.collect()
    assert owner.call(lambda held: len(held.kept)) == 0


def test_many_threads_ask_one_card(owner: Owner, tmp_path: Path) -> None:
    x = data(Metric.L2)
    card = GpuIndex(opened(nf.Ivf(lists=32), Metric.L2, tmp_path, x), owner)
    ask: Callable[[int], int] = lambda i: int(card.search(x[i : i + 1], 1, Effort(nprobe=8)).positions[0, 0])  # noqa: E731
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(200))) == list(range(200))
    assert card.answered == {CARD: 200}
