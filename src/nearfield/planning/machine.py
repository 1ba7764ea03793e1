"""What this machine does in a second: some small searches timed, and remembered in the user's cache directory.

Knows FAISS's calls and a clock; no plan. Takes about a second and some hundred megabytes. The numbers are of one moment on one
machine: good for telling milliseconds from seconds, not for promises. Key of the cache: machine, processor, cores, FAISS.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

FORMAT = 1
"""Raised when what is measured changes: older files are then measured again."""
ROUNDS = 3
"""Of each timing; the least counts, as other programs only ever add to it."""
SPACE = 128 << 20
"""Bytes of vectors that are read at random: more than most caches hold."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates, of one thread where not said otherwise.

    Attributes:
        name: the machine, its processor, cores and FAISS version.
        cores: threads that building may use.
        row: seconds to reach a vector anywhere in memory.
        scattered: bytes a second of vectors so reached.
        ordered: bytes a second of float32 vectors read in order and compared.
        halved: the same of float16.
        coded: the same of one-byte codes.
        packed: the same of 4-bit codes (fast-scan).
        looked_up: the same of 8-bit product codes.
        bits: the same of RaBitQ codes of one bit.
        more_bits: the same of RaBitQ codes of several bits.
        step: seconds for each vector that a graph compares with a query, reaching it not counted.
        linking: seconds to put a vector into a graph, over the time of searching for it at the same effort.
        flops: floating-point operations a second of k-means, all cores.
    """

    name: str
    cores: int
    row: float
    scattered: float
    ordered: float
    halved: float
    coded: float
    packed: float
    looked_up: float
    bits: float
    more_bits: float
    step: float
    linking: float
    flops: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def this_machine(refresh: bool = False, directory: Path | None = None) -> Machine:
    """The rates of this machine: from the cache, or measured now and cached.

    Args:
        refresh: measure even if they are cached.
        directory: where the cache is; the user's cache directory by default.
    """
    name = describe()
    place = (directory or cache_directory()) / f"machine-{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
    found = None if refresh else _cached(place, name)
    if found is None:
        found = measure(name)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(msgspec.json.encode({"format": FORMAT, **found.to_dict()}))
        except OSError:
            pass  # a cache that cannot be written costs a second each time, nothing else
    return found


def describe() -> str:
    """What the rates belong to: machine, processor, cores, FAISS version."""
    try:
        faiss = next(f"{name} {version(name)}" for name in ("faiss-cpu", "faiss-gpu", "faiss") if _installed(name))
    except StopIteration:
        faiss = "faiss"
    return f"{platform.node()}, {platform.machine()}, {_processor()}, {os.cpu_count()} cores, {faiss}"


def cache_directory() -> Path:
    """The user's cache directory for nearfield, by the system's custom."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nearfield"


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    """The processor's name, where the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _cached(place: Path, name: str) -> Machine | None:
    """What was cached for this machine; None if it is not there, not whole, or of another form."""
    try:
        value = msgspec.json.decode(place.read_bytes())
        if value.pop("format") != FORMAT or value["name"] != name or set(value) != {f.name for f in fields(Machine)}:
            return None
        return msgspec.convert(value, Machine)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError, AttributeError):
        return None


def least(call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """Seconds of the quickest of some calls; one before them is not counted."""
    call()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return max(best, 1e-9)


def measure(name: str) -> Machine:
    """Times what plans are made of."""
    from nearfield.index import _faiss

    cores = os.cpu_count() or 1
    rng = np.random.default_rng(0)
    try:
        _faiss.use_threads(1)
        row, scattered, ordered = _reading(_faiss)
        scans = _scanning(_faiss.faiss, rng)
        step, searched = _walking(_faiss.faiss, rng)
        linking = _linking(_faiss, rng) / searched
        _faiss.use_threads(2)
        flops = _clustering(_faiss.faiss, rng)
    finally:
        _faiss.use_threads(2)
    return Machine(name, cores, row, scattered, ordered, *scans, step, max(1.0, linking), flops)


def _reading(_faiss: Any) -> tuple[float, float, float]:
    """Seconds to reach a row, bytes a second from there, and bytes a second in order."""
    rng = np.random.default_rng(1)
    short, long, count = 16, 1024, 4096
    flat = np.full(SPACE // 4, 0.5, np.float32)
    took = []
    for dim in (short, long):
        x = flat.reshape(-1, dim)
        query = np.ones(dim, np.float32)
        best = float("inf")
        for _ in range(ROUNDS):
            positions = rng.integers(0, len(x), count)
            start = time.perf_counter()
            _faiss.scores_at(query, x, positions, by_distance=True)
            best = min(best, time.perf_counter() - start)
        took.append(best / count)
    each = max((took[1] - took[0]) / (4 * (long - short)), 1e-13)
    x, query = flat.reshape(-1, 128), np.ones(128, np.float32)
    return max(took[0] - each * 4 * short, 1e-9), 1 / each, flat.nbytes / least(lambda: x @ query)


def _scanning(faiss: Any, rng: np.random.Generator) -> tuple[float, float, float, float, float, float]:
    """Bytes a second of scans of codes: float16, one byte, 4-bit and 8-bit product codes, one bit and several."""
    dim, rows = 64, 32_768
    x = np.rint(255 * rng.random((rows, dim), np.float32))
    kinds = (
        (faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_L2), 2 * dim),
        (faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2), dim),
        (faiss.IndexPQFastScan(dim, dim // 2, 4, faiss.METRIC_L2), dim // 4),
        (faiss.IndexPQ(dim, dim // 4, 8, faiss.METRIC_L2), dim // 4),
        (faiss.IndexRaBitQFastScan(dim, faiss.METRIC_L2), dim // 8 + 8),
        (faiss.IndexRaBitQFastScan(dim, faiss.METRIC_L2, 32, 4), dim // 8 + 20 + 3 * dim // 8),
    )
    rates = []
    for index, code in kinds:
        if hasattr(index, "pq"):
            index.pq.cp.niter, index.pq.cp.min_points_per_centroid = 1, 1
        if hasattr(index, "do_polysemous_training"):
            index.do_polysemous_training = False
        index.train(x[:1024])
        index.add(x)
        rates.append(rows * code / least(partial(index.search, x[:1], 40)))
    return tuple(rates)  # type: ignore[return-value]


GRAPH = (3000, 64, 32, 48)
"""Vectors, dimension, links and effort of the graph that is timed: small enough to stay in the processor's caches."""


def _walking(faiss: Any, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds for each vector compared in a graph, and for one search."""
    n, dim, links, effort = GRAPH
    x = rng.random((n, dim), np.float32)
    index = faiss.IndexHNSWFlat(dim, links)
    index.hnsw.efConstruction = index.hnsw.efSearch = effort
    index.add(x)
    stats = faiss.cvar.hnsw_stats
    stats.reset()
    index.search(x[:200], 10)
    compared = max(1, int(stats.ndis))
    stats.reset()
    took = least(lambda: index.search(x[:200], 10))
    return took / compared, took / 200


def _linking(_faiss: Any, rng: np.random.Generator) -> float:
    """Seconds to put one vector into the graph."""
    n, dim, links, effort = GRAPH
    x = rng.random((n, dim), np.float32)

    def build() -> None:
        index = _faiss.faiss.IndexHNSWFlat(dim, links)
        index.hnsw.efConstruction = effort
        index.add(x)

    return least(build, rounds=1) / n


def _clustering(faiss: Any, rng: np.random.Generator) -> float:
    """Floating-point operations a second of k-means, by all cores."""
    rows, dim, lists, rounds = 16_384, 64, 1024, 3
    x = rng.random((rows, dim), np.float32)
    means = faiss.Kmeans(dim, lists, niter=rounds, max_points_per_centroid=rows, min_points_per_centroid=1)
    return 2.0 * rows * dim * lists * rounds / least(lambda: means.train(x), rounds=2)
