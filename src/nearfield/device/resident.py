"""A segment's vectors put on the devices of a pool: reserved, encoded, timed, given back. What placements hold."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numpy as np

from nearfield.core.metric import Metric, Positions, Scores, Vectors
from nearfield.device.failures import DeviceFull
from nearfield.device.layout import Dtype
from nearfield.device.pool import Pool
from nearfield.device.scan import Bitmap, Scan
from nearfield.device.spread import Replicas, Shards, bounds, bytes_each

TIMED = (1, 64)
"""Sizes of the batches that are timed."""
HITS, ROUNDS = 10, 3
"""Hits of the searches that are timed, and how often, the first not counted."""
MANY = 512
"""Hits of the widest search that kernels are compiled for beforehand."""
WARMED = (1, 64, 256)
"""Sizes of batches for which kernels differ."""


class OnDevices:
    """Vectors on one device or several, with what their searches take. Made by `put`."""

    def __init__(self, scan: Scan | Shards | Replicas, pool: Pool, held: dict[str, int], took: tuple[float, float]) -> None:
        self._scan, self._pool, self._held, self._took = scan, pool, held, took
        self.device, self.form, self.nbytes = scan.device, scan.dtype, sum(held.values())

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that hold it."""
        return tuple(self._held)

    def held(self, device: str) -> int:
        """Bytes that it holds of one device."""
        return self._held.get(device, 0)

    def search(self, queries: Vectors, k: int, allow: Bitmap | None = None) -> tuple[Scores, Positions]:
        """See device.scan.Scan.search."""
        return self._scan.search(queries, k, allow)

    def time(self, vectors: Vectors) -> None:
        """Measures what searches take, with some of the vectors as queries."""
        self._took = _timed(self._scan, vectors)

    def seconds(self, m: int) -> float:
        """About what a search of m queries takes: measured for one and for 64, a line between and beyond."""
        one, many = self._took
        return max(0.0, one + (many - one) * (m - TIMED[0]) / (TIMED[1] - TIMED[0]))

    def close(self) -> None:
        """Gives the memory back; a search that runs is finished first."""
        held, self._held = self._held, {}
        try:
            self._scan.close()
        finally:
            self._pool.release(held)

    def leave(self, device: str, why: str) -> None:
        """One of several devices is lost, and the others go on: nothing is held of it any more."""
        self._pool.lose([device], why)
        left = self._held.pop(device, 0)
        self._pool.release({device: left})
        self.nbytes -= left
        self.device = ",".join(self._held)


def needs(n: int, dim: int, dtype: Dtype, metric: Metric, devices: Sequence[str], spread: str) -> dict[str, int]:
    """Bytes on each device for n vectors."""
    return dict(zip(devices, bytes_each(n, dim, dtype, metric, len(devices), spread), strict=False))


def put(
    vectors: Vectors,
    metric: Metric,
    pool: Pool,
    dtype: Dtype = "float16",
    spread: str = "shard",
    progress: Callable[[int, int], None] | None = None,
) -> OnDevices:
    """Puts prepared float32 (n, dim) vectors on all devices of a pool that work.

    Raises:
        DeviceFull: there is no room in the budget, or on a device; nothing is held then.
        DeviceLost: a device does not work any more.
    """
    devices = pool.devices
    wanted = needs(len(vectors), vectors.shape[1], dtype, metric, devices, spread)
    if not wanted or not pool.reserve(wanted):
        raise DeviceFull("the budget has no room for this segment")
    made: list[Scan] = []
    try:
        edges = bounds(len(vectors), len(devices)) if spread == "shard" else [(0, len(vectors))] * len(devices)
        for device, (start, stop) in zip(wanted, edges, strict=True):
            room, lock = pool.workspace[device], pool.locks[device]
            some = vectors[start:stop]
            made.append(Scan.put(some, metric, device, dtype, workspace=room, lock=lock, progress=progress))
        scan: Scan | Shards | Replicas = made[0]
        if len(made) > 1 and spread == "shard":
            scan = Shards([(start, part) for (start, _), part in zip(edges, made, strict=True)])
        elif len(made) > 1:
            scan = Replicas(made, lambda device, why: whole.leave(device, why))
        whole = OnDevices(scan, pool, wanted, (0.0, 0.0))
        if devices[0].startswith("cuda"):
            _warm(scan, vectors)
        whole.time(vectors)
        return whole
    except BaseException:
        pool.release(wanted)
        for part in made:
            part.close()
        raise


def _warm(scan: Scan | Shards | Replicas, vectors: Vectors) -> None:
    """Has every kernel compiled that a search may need, so that none waits for a compiler."""
    allow = np.full(-(-len(vectors) // 8), 255, np.uint8)
    for m, k, bits in itertools.product(WARMED, (HITS, MANY), (None, allow)):
        scan.search(vectors[:m], min(k, len(vectors)), bits)


def _timed(scan: Scan | Shards | Replicas, vectors: Vectors) -> tuple[float, float]:
    """Seconds of searches of one query and of 64: the least of some, the first of each not counted."""
    found = []
    for m in TIMED:
        queries = vectors[:: max(1, len(vectors) // m)][:m]
        best = float("inf")
        for attempt in range(ROUNDS + 1):
            start = time.perf_counter()
            scan.search(queries, HITS)
            best = best if attempt == 0 else min(best, time.perf_counter() - start)
        found.append(best * m / len(queries))
    return found[0], found[1]
