"""A CAGRA graph: built on a card (here one that compares all with all), saved, opened and searched without one, cloned back."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import Corrupt, InvalidInput, MissingDependency
from nearfield.core.metric import Metric
from nearfield.index import _faiss, cagra_graph, calibrate, child, encode_kind, exact
from nearfield.index.base import Effort
from nearfield.index.build import STEM, Built, Orders
from nearfield.index.cagra_graph import CagraIndex
from nearfield.index.curve import Curve
from nearfield.index.gpu.index import GpuIndex
from nearfield.index.gpu.owner import Owner
from nearfield.testing import KindContract
from tests.index.gpu.fake import Fake
from tests.index.gpu.test_index import DIM, N, data

KINDS = [nf.Cagra(graph_degree=32, intermediate_graph_degree=64, storage=storage) for storage in ("float32", "float16")]


@contextlib.contextmanager
def a_card(fake: Fake) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_faiss, "faiss", fake)
        yield


class Here(KindContract):
    """The contract, building in this process by a card that is not there, and opening without any."""

    def built(self, directory: Path, metric: Metric, x: Any) -> Built:
        x.tofile(directory / "x")
        into = directory / "into"
        into.mkdir()
        fake = Fake()
        orders = Orders(str(directory / "x"), len(x), x.shape[1], str(metric), encode_kind(self.kind), str(into), 2, 0, 1)
        with a_card(fake):
            curve = child.build(orders)
        held = calibrate.held_out(len(x))
        assert [what for what, _ in fake.calls] == ["cagra", "train"] * 2
        assert [n for what, n in fake.calls if what == "train"] == [len(x) - held, len(x)]
        return Built(tuple(sorted(path.suffix for path in into.glob(f"{STEM}.*"))), Curve.from_dict(curve.to_dict()), 0.0, 0)


class TestCagra(Here):
    kind = KINDS[0]


class TestCagraInHalves(Here):
    kind = KINDS[1]


def graph(kind: nf.Cagra, metric: Metric, x: Any) -> CagraIndex:
    near = cagra_graph.nearest(kind, x, metric)
    return CagraIndex(cagra_graph.from_neighbours(kind, x, near, metric), kind, metric, x)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.storage)
def test_a_graph_made_by_hand_is_saved_opened_and_found_in(kind: nf.Cagra, metric: Metric, tmp_path: Path) -> None:
    x, queries = data(metric), data(metric, 100, seed=5)
    made = graph(kind, metric, x)
    _faiss.write(made.parts.index, tmp_path / "g.faiss")
    size = (tmp_path / "g.faiss").stat().st_size
    assert abs(kind.nbytes(N, DIM) - size - 4 * N) < 0.01 * size
    index = kind.open(tmp_path / "g", metric, x)
    assert isinstance(index, CagraIndex)
    truth = exact.search(queries, x, 10, metric)[1]
    recalls = [
        np.mean([len(set(a) & set(b)) / 10 for a, b in zip(index.search(queries, 10, e).positions, truth, strict=True)])
        for e in kind.efforts(N)
    ]
    assert recalls[-1] > 0.98
    assert recalls[-1] >= recalls[0]


def test_more_hits_than_the_effort_keeps_are_found(tmp_path: Path) -> None:
    """FAISS alone returns no more than efSearch from a graph's base level."""
    x = data(Metric.L2)
    index = graph(KINDS[0], Metric.L2, x)
    raw = index.parts.index.search(x[:2], 300, params=_faiss.faiss.SearchParametersHNSW(efSearch=16))[1]
    assert (raw < 0).any()
    assert (index.search(x[:2], 300, Effort(efSearch=16)).positions >= 0).all()
    assert (index.candidates(x[:2], 300, Effort(efSearch=16)) >= 0).all()


@pytest.mark.parametrize("n", [1, 2, 9, 64, 65, 500])
def test_few_rows_need_no_card(n: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = data(Metric.COSINE, n)
    kind = KINDS[1]
    monkeypatch.setattr(_faiss, "has_cuvs", lambda: True)
    building = kind.start(x, n, Metric.COSINE, 0)
    building.add(x)
    building.save(tmp_path / "g", np.arange(n, dtype=np.int32))
    index = kind.open(tmp_path / "g", Metric.COSINE, x)
    assert index.search(x, 1, Effort(efSearch=64)).positions[:, 0].tolist() == list(range(n))
    assert (index.search(x[:1], n, Effort(efSearch=16)).positions >= 0).mean() > 0.9


def test_equal_rows_are_neighbours_of_each_other() -> None:
    x = np.ones((70, 8), np.float32)
    near = cagra_graph.nearest(nf.Cagra(), x, Metric.L2)
    assert near.shape == (70, 64)
    assert not (near == np.arange(70)[:, None]).all(1).any()


def test_building_needs_cuvs_and_opening_does_not() -> None:
    if _faiss.has_cuvs():
        pytest.skip("this FAISS has cuVS")
    with pytest.raises(MissingDependency, match="pip install faiss-gpu-cuvs"):
        nf.Cagra().check(8, Metric.L2)
    with pytest.raises(MissingDependency):
        nf.Cagra().start(np.ones((1, 8), np.float32), 10, Metric.L2, 0)


def test_another_index_is_not_taken_for_a_graph(tmp_path: Path) -> None:
    x = data(Metric.L2, 300)
    building = nf.Hnsw(links=8, build_effort=16, storage="float32").start(x, 300, Metric.L2, 0)
    building.add(x)
    building.save(tmp_path / "g", np.arange(300, dtype=np.int32))
    with pytest.raises(Corrupt, match="not a CAGRA graph"):
        nf.Cagra().open(tmp_path / "g", Metric.L2, x)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"graph_degree": 7}, "graph_degree"),
        ({"graph_degree": 33}, "graph_degree"),
        ({"graph_degree": 258}, "graph_degree"),
        ({"graph_degree": "64"}, "graph_degree"),
        ({"intermediate_graph_degree": 64}, "intermediate_graph_degree"),
        ({"intermediate_graph_degree": 513}, "intermediate_graph_degree"),
        ({"storage": "int8"}, "storage"),
    ],
)
def test_bad_parameters_are_named(given: dict, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        nf.Cagra(**given)
    assert error.value.field == field


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.storage)
@pytest.mark.parametrize("metric", list(Metric))
def test_a_card_answers_at_least_as_well_at_each_effort(kind: nf.Cagra, metric: Metric) -> None:
    x, queries = data(metric), data(metric, 100, seed=5)
    fake = Fake()
    with a_card(fake):
        cpu = graph(kind, metric, x)
        owner = Owner(0)
        card = GpuIndex(cpu, owner)
        assert card.options.use_cuvs
        truth = exact.search(queries, x, 10, metric)[1]
        for effort in kind.efforts(N):
            here, there = cpu.search(queries, 10, effort), card.search(queries, 10, effort)
            hits = [
                np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.positions, truth, strict=True)])
                for found in (here, there)
            ]
            assert hits[1] >= hits[0] - 0.01
        asked = [call[1] for call in fake.calls if call[0] == "search"]
        assert all(itopk % 32 == 0 and itopk >= k for itopk, k in asked)
        assert card.answered["card"] >= 8
        assert card.by_processor == sum(e.efSearch > 1024 for e in kind.efforts(N))
        owner.close()


def test_widths_grow_with_efforts_and_what_no_width_keeps_up_with_is_left_to_the_processor() -> None:
    from nearfield.index.gpu import match

    x = data(Metric.L2)
    cpu = graph(KINDS[0], Metric.L2, x)
    asked: list[int] = []

    def ask(queries, k: int, width: int):
        """A card that needs four times the width."""
        asked.append(width)
        found = np.full((len(queries), k), -1, np.int64)
        part = cpu.candidates(queries, min(k, max(1, width // 4)), Effort(efSearch=max(16, width // 4)))
        found[:, : part.shape[1]] = part
        return np.zeros_like(found, np.float32), found

    found = match.widths(cpu, ask)
    assert list(found) == sorted(found)
    assert list(found.values()) == sorted(found.values())
    assert all(width >= 32 for width in found.values())

    def blind(queries, k: int, width: int):
        return np.zeros((len(queries), k), np.float32), np.zeros((len(queries), k), np.int64)

    assert match.widths(cpu, blind) == {}
