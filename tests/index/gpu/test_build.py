"""Lists built on a card: the same file as the processor's, filled block by block, and the processor where the card cannot."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import NearfieldError
from nearfield.core.metric import Metric, Vectors
from nearfield.index import _faiss, child, coarse, encode_kind, exact
from nearfield.index.base import Effort
from nearfield.index.build import STEM, Orders
from nearfield.index.faiss_kind import FaissBuilding, FaissKind
from nearfield.index.gpu import build
from nearfield.index.gpu.build import CardBuilding
from tests.index.gpu.fake import LOST, OUT_OF_MEMORY, Fake
from tests.index.gpu.test_index import DIM, N, data

KINDS = [nf.Ivf(lists=32), nf.Ivf(lists=32, storage="float16"), nf.IvfPq(lists=32, subvectors=12, bits=8)]


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
    monkeypatch.setattr(build, "FROM_BYTES", 0)
    return made


def filled(building: Any, x: Vectors, block: int = 500) -> Any:
    for start in range(0, len(x), block):
        building.add(x[start : start + block])
    return building


def built(kind: FaissKind, x: Vectors, metric: Metric, place: Path) -> tuple[Any, bytes]:
    building = filled(kind.start(x, len(x), metric, 3), x)
    building.save(place, np.arange(len(x), dtype=np.int32))
    return building, place.with_name(place.name + ".faiss").read_bytes()


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_file_is_the_processor_s(kind, metric: Metric, fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, queries = data(metric), data(metric, 60, seed=5)
    building, file = built(kind, x, metric, tmp_path / "card")
    assert isinstance(building, CardBuilding)
    asked = [what for what, _ in fake.calls]
    assert asked[1:] == ["train", *["add"] * 6, "down"], asked
    monkeypatch.setattr(fake, "_cards", 0)
    other, there = built(kind, x, metric, tmp_path / "cpu")
    assert isinstance(other, FaissBuilding)
    assert len(file) == len(there)
    truth = exact.search(queries, x, 10, metric)[1]
    recalls = []
    for name in ("card", "cpu"):
        index = kind.open(tmp_path / name, metric, x)
        found = index.search(queries, 10, Effort(nprobe=8, oversampling=4)).positions
        recalls.append(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth, strict=True)]))
    assert abs(recalls[0] - recalls[1]) < 0.02
    assert recalls[0] > 0.9


def test_rows_held_out_are_added_after_the_lists_came_down(fake: Fake) -> None:
    x = data(Metric.L2)
    building = filled(nf.Ivf(lists=32).start(x, N, Metric.L2, 3), x[:-60])
    assert isinstance(building, CardBuilding)
    assert building.where == "cuda:0"
    before = building.index(x, np.arange(N - 60, dtype=np.int32))
    assert building.where == "cpu"
    assert before.search(x[:9], 1, Effort(nprobe=32)).positions[:, 0].tolist() == list(range(9))
    building.add(x[-60:])
    after = building.index(x, np.arange(N, dtype=np.int32))
    assert after.search(x[-9:], 1, Effort(nprobe=32)).positions[:, 0].tolist() == list(range(N - 9, N))
    assert [what for what, _ in fake.calls].count("down") == 1


def test_many_lists_come_down_behind_a_graph_of_centroids(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "GRAPH_FROM", 32)
    x = data(Metric.COSINE)
    kind = nf.Ivf(lists=40)
    built(kind, x, Metric.COSINE, tmp_path / "card")
    index = kind.open(tmp_path / "card", Metric.COSINE, x)
    assert isinstance(fake.downcast_index(index.parts.index.quantizer), fake.IndexHNSW)  # type: ignore[attr-defined]
    assert index.search(x[:50], 1, Effort(nprobe=8)).positions[:, 0].tolist() == list(range(50))


@pytest.mark.parametrize(
    ("what", "message"), [("train", OUT_OF_MEMORY), ("train", LOST), ("add", OUT_OF_MEMORY), ("add", LOST)]
)
def test_where_the_card_fails_the_processor_begins_anew(
    what: str, message: str, fake: Fake, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the child process builds: what the card has is not used, since a list may hold rows that were never written."""
    x, told = data(Metric.L2), []
    x.tofile(tmp_path / "x")
    monkeypatch.setattr(child, "ADD_ROWS", 500)

    def fail(asked: str) -> None:
        told.append(asked)
        if asked == what and told.count(asked) == (1 if what == "train" else 3):
            raise RuntimeError(message)

    fake.fail = fail
    kind = nf.Ivf(lists=32)
    with caplog.at_level(logging.WARNING, "nearfield.index"):
        child.build(Orders(str(tmp_path / "x"), N, DIM, "l2", encode_kind(kind), str(tmp_path), 1, 0, 3))
    assert told[-1] == what
    assert any("processor" in record.getMessage() for record in caplog.records)
    index = kind.open(tmp_path / STEM, Metric.L2, x)
    assert index.search(x, 1, Effort(nprobe=32)).positions[:, 0].tolist() == list(range(N))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (nf.Ivf(lists=32, storage="int8"), "one-byte codes"),
        (nf.IvfPq(lists=32, subvectors=12, bits=4), "fast-scan"),
        (nf.IvfPq(lists=32, subvectors=6, bits=8), "subvectors="),
        (nf.IvfPq(lists=32, subvectors=12, bits=8, transform="rotation"), "rotation"),
    ],
    ids=str,
)
def test_what_a_card_does_not_build_says_why(kind, said: str, fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    x = data(Metric.L2)
    with caplog.at_level(logging.INFO, "nearfield.index"):
        assert isinstance(kind.start(x, N, Metric.L2, 3), FaissBuilding)
    assert said in caplog.text
    assert not fake.calls


def test_few_vectors_and_machines_without_a_card_are_left_alone(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    x = data(Metric.L2)
    monkeypatch.setattr(build, "FROM_BYTES", 4 * N * DIM)
    assert build.begin(nf.Ivf(lists=8), x, N - 1, Metric.L2, 1) is None
    monkeypatch.setattr(fake, "_cards", 0)
    assert build.begin(nf.Ivf(lists=8), x, N, Metric.L2, 1) is None
    assert not fake.calls
    assert not caplog.records


def test_a_card_with_too_little_free_is_not_tried(fake: Fake, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(build, "roomiest", lambda: (0, 10**6))
    with caplog.at_level(logging.WARNING, "nearfield.index"):
        assert build.begin(nf.Ivf(lists=32), data(Metric.L2), N, Metric.L2, 1) is None
    assert "cuda:0 has 1.0 MB free" in caplog.text
    with pytest.raises(NearfieldError, match=r"takes up to .* on the card"):
        build.claim(nf.Cagra(), N, DIM, Metric.L2)
    monkeypatch.setattr(fake, "_cards", 0)
    with pytest.raises(NearfieldError, match="finds none here"):
        build.claim(nf.Cagra(), N, DIM, Metric.L2)


def test_the_card_with_the_most_free_is_taken(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfield.device.cards import Card

    there = [Card(f"cuda:{i}", "a card", 10**10, (9, 0)) for i in range(3)]
    free = {"cuda:0": 5, "cuda:1": 9, "cuda:2": 99}
    monkeypatch.setattr(build.cards, "visible", lambda: tuple(there))
    monkeypatch.setattr(build.cards, "free_bytes", free.__getitem__)
    monkeypatch.setattr(fake, "_cards", 2)
    assert build.roomiest() == (1, 9)
    monkeypatch.setattr(build.cards, "visible", lambda: ())
    assert build.roomiest() == (0, None)
