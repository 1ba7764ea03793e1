"""Bytes are predicted as they are built: files within 5 %, memory within 10 % or inside its interval."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, Vectors, prepare
from nearfield.index import _faiss
from nearfield.index.base import Kind
from nearfield.planning import predict
from nearfield.planning.candidates import candidates, lists_of
from nearfield.planning.predict import Budget

SIZES, DIMS = (2000, 6000, 20_000), (32, 96, 256)
SAMPLE = 2048
"""Training vectors at most: bytes do not depend on how well a kind was trained."""


FILES, FILES_IN_BLOCKS, MEMORY = 0.05, 0.09, 0.10
"""How far predictions may be off. Fast-scan lists are filled up to blocks of 32 vectors, which costs most for short lists as
here, and list sizes decide how much: `index.fastscan.filled` expects about 4 % too much on data like these."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Training in small steps by many threads spends its time waiting where others work too."""
    before = _faiss.faiss.omp_get_max_threads()
    _faiss.set_threads(1)
    yield
    _faiss.set_threads(before)


def data(n: int, dim: int) -> Vectors:
    """Unit vectors around centres of unequal weight and spread, few of their directions long: as embeddings are."""
    rng = np.random.default_rng([n, dim])
    centres, weights = rng.standard_normal((60, dim), np.float32), rng.exponential(size=60)
    spread, directions = rng.uniform(0.1, 0.4, (60, 1)).astype(np.float32), rng.standard_normal((10, dim), np.float32)
    at = rng.choice(60, n, p=weights / weights.sum())
    x = centres[at] + spread[at] * (rng.standard_normal((n, 10), np.float32) @ directions)
    return prepare(x + 0.2 * rng.standard_normal((n, dim), np.float32), Metric.COSINE)[0]


def built(kind: Kind, n: int, dim: int, metric: Metric, place: Path) -> tuple[int, int]:
    """Bytes of the files of a real index, and of its memory once opened."""
    x = data(n, dim)
    order = np.random.default_rng(1).permutation(n).astype(np.int32)
    wanted = max(1, lists_of(kind, n), min(SAMPLE, kind.training_rows(n)))
    building = kind.start(x[:wanted], n, metric, 1)
    building.add(x[order])
    building.save(place / "index", order)
    opened = kind.open(place / "index", metric, x)
    return sum(path.stat().st_size for path in place.iterdir()), opened.resident_bytes


def kinds(dim: int) -> list[Kind]:
    return [c.kind for c in candidates(dim) if c.kind is not None]


CASES = [
    pytest.param(n, dim, marks=[pytest.mark.slow] if (n, dim) != (2000, 32) else [], id=f"{n}x{dim}")
    for n in SIZES
    for dim in DIMS
]


@pytest.mark.parametrize("place", range(len(kinds(32))), ids=lambda i: str(kinds(32)[i]))
@pytest.mark.parametrize(("n", "dim"), CASES)
def test_predicted_bytes_are_those_of_real_indexes(n: int, dim: int, place: int, tmp_path: Path) -> None:
    kind = kinds(dim)[place]
    metric = Metric.COSINE
    files, memory = built(kind, n, dim, metric, tmp_path)
    found = predict.sizes(kind, n, dim, metric)
    least, most = found.resident
    assert abs(found.disk - files) <= (FILES if least == most else FILES_IN_BLOCKS) * files
    if least == most:
        assert abs(most - memory) <= MEMORY * memory
    else:
        assert least <= memory <= most
    assert found.raw == data(n, dim).nbytes


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("kind", [nf.Hnsw(), nf.Ivf(storage="int8"), nf.IvfPq(bits=8), nf.Rabitq()], ids=str)
def test_bytes_hold_under_each_metric(kind: Kind, metric: Metric, tmp_path: Path) -> None:
    files, memory = built(kind, 3000, 32, metric, tmp_path)
    found = predict.sizes(kind, 3000, 32, metric)
    assert abs(found.disk - files) <= (FILES if found.resident[0] == found.resident[1] else FILES_IN_BLOCKS) * files
    assert 0.9 * found.resident[0] <= memory <= 1.1 * found.resident[1]


def test_an_exact_scan_takes_the_raw_vectors_and_no_file() -> None:
    found = predict.sizes(None, 1000, 16, Metric.L2)
    assert (found.disk, found.building) == (0, 0)
    assert found.resident == (64_000, 64_000)


def test_segments_are_those_of_the_background() -> None:
    from nearfield.maintain import policy

    assert predict.SEGMENT_ROWS == policy.MAX_ROWS
    assert predict.segments(0) == []
    assert predict.segments(20_000_001) == [(2, 10_000_000), (1, 1)]


def test_many_segments_take_what_each_takes() -> None:
    kind = nf.Hnsw()
    one = predict.sizes(kind, predict.SEGMENT_ROWS, 64, Metric.L2)
    three = predict.sizes(kind, 3 * predict.SEGMENT_ROWS, 64, Metric.L2)
    assert three.disk == 3 * one.disk
    assert three.building == one.building


def test_what_does_not_fit_is_said_with_how_much() -> None:
    found = predict.Sizes(disk=30, raw=10, resident=(50, 60), building=130)
    memory, building, disk = predict.shortfalls(found, Budget(memory=100, disk=25))
    assert "60 B" in memory
    assert "10 B more than 50%" in memory
    assert "30 B more" in building
    assert "15 B more" in disk
    assert predict.shortfalls(found, Budget(memory=130, disk=40)) == ()
    assert predict.shortfalls(found, Budget()) == ()


def test_what_memory_cannot_hold_of_the_raw_vectors_is_read_from_disk() -> None:
    found = predict.Sizes(disk=0, raw=100, resident=(10, 20), building=0)
    assert predict.cold_share(found, Budget()) == 0
    assert predict.cold_share(found, Budget(memory=120)) == 0
    assert predict.cold_share(found, Budget(memory=70)) == 0.5
    assert predict.cold_share(found, Budget(memory=10)) == 1
