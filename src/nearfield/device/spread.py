"""One segment over several devices, behind the same search: its rows dealt out (shards), or all of it on each (replicas).

Knows scans and merges their answers; where bytes come from is the caller's affair. The devices work at the same time, each
driven by a thread of its own.
"""

from __future__ import annotations

import itertools
import logging
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors
from nearfield.device.failures import DeviceFull, DeviceLost
from nearfield.device.layout import TILE, Dtype, nbytes
from nearfield.device.scan import Bitmap, Scan

log = logging.getLogger("nearfield.device")
SPREADS = ("shard", "replicate")


def bounds(n: int, parts: int) -> list[tuple[int, int]]:
    """Where each shard of n rows begins and ends: whole tiles, as even as can be, none empty."""
    tiles = -(-n // TILE)
    parts = max(1, min(parts, tiles))
    edges = [min(n, TILE * (tiles * i // parts)) for i in range(parts + 1)]
    return list(itertools.pairwise(edges))


def bytes_each(n: int, dim: int, dtype: Dtype, metric: Metric, devices: int, spread: str) -> list[int]:
    """Bytes that each of the devices needs; fewer entries than devices where there are fewer tiles."""
    if spread == "replicate":
        return [nbytes(n, dim, dtype, metric)] * devices
    return [nbytes(stop - start, dim, dtype, metric) for start, stop in bounds(n, devices)]


class Shards:
    """Rows dealt out: every search uses all devices, each over its own rows.

    Args:
        parts: for each shard its first row, a multiple of TILE, and its scan; in ascending order.
    """

    def __init__(self, parts: Sequence[tuple[int, Scan]]) -> None:
        self._parts = list(parts)
        self.device = ",".join(scan.device for _, scan in parts)
        self.dtype, self.n = parts[0][1].dtype, sum(scan.n for _, scan in parts)
        self.nbytes = sum(scan.nbytes for _, scan in parts)
        self._threads = ThreadPoolExecutor(len(parts), "nearfield-device")
        self._lock = threading.Lock()
        self._slices: OrderedDict[int, tuple[weakref.ref[Bitmap], list[Bitmap]]] = OrderedDict()

    def search(self, queries: Vectors, k: int, allow: Bitmap | None = None) -> tuple[Scores, Positions]:
        """See Scan.search."""
        slices: Sequence[Bitmap | None] = [None] * len(self._parts) if allow is None else self._sliced(allow)
        waiting = [
            self._threads.submit(scan.search, queries, k, bits) for (_, scan), bits in zip(self._parts, slices, strict=True)
        ]
        found = [one.result() for one in waiting]
        values = np.concatenate([scores for scores, _ in found], axis=1)
        where = np.concatenate(
            [np.where(at >= 0, at + start, -1) for (start, _), (_, at) in zip(self._parts, found, strict=True)], axis=1
        )
        order = np.lexsort((np.where(where >= 0, where, np.iinfo(np.int64).max), -values), axis=1)[:, :k]
        return np.take_along_axis(values, order, 1), np.take_along_axis(where, order, 1)

    def _sliced(self, allow: Bitmap) -> list[Bitmap]:
        """The bitmap's part of each shard, the same arrays for the same bitmap, so that devices remember them."""
        with self._lock:
            known = self._slices.get(id(allow))
            if known is None or known[0]() is not allow:
                parts = [allow[start // 8 : -(-(start + scan.n) // 8)] for start, scan in self._parts]
                known = self._slices[id(allow)] = weakref.ref(allow), parts
            self._slices.move_to_end(id(allow))
            while len(self._slices) > 8:
                self._slices.popitem(last=False)
            return known[1]

    def close(self) -> None:
        """See Scan.close."""
        for _, scan in self._parts:
            scan.close()
        self._threads.shutdown(wait=False)


class Replicas:
    """All rows on each device: the queries of a batch are dealt out, single ones go to the devices in turn.

    Args:
        scans: one for each device.
        on_lost: called with a device that is left out, and why.
    """

    def __init__(self, scans: Sequence[Scan], on_lost: Callable[[str, str], None] | None = None) -> None:
        self._scans, self._on_lost = list(scans), on_lost
        self.device = ",".join(scan.device for scan in scans)
        self.dtype, self.n = scans[0].dtype, scans[0].n
        self.nbytes = sum(scan.nbytes for scan in scans)
        self._threads = ThreadPoolExecutor(len(scans), "nearfield-device")
        self._lock = threading.Lock()
        self._turn = 0

    def search(self, queries: Vectors, k: int, allow: Bitmap | None = None) -> tuple[Scores, Positions]:
        """See Scan.search; a device that is lost is left out from then on, and the others answer."""
        while True:
            with self._lock:
                scans = list(self._scans)
                self._turn += 1
                turn = self._turn
            if not scans:
                raise DeviceLost("every device that held these vectors is lost", self.device)
            parts = np.array_split(np.arange(len(queries)), min(len(scans), max(1, len(queries))))
            used = [scans[(turn + i) % len(scans)] for i in range(len(parts))]
            waiting = [
                self._threads.submit(scan.search, queries[at[0] : at[-1] + 1], k, allow)
                for scan, at in zip(used, parts, strict=True)
            ]
            found: list[tuple[npt.NDArray[np.float32], Positions]] = []
            for scan, one in zip(used, waiting, strict=True):
                try:
                    found.append(one.result())
                except DeviceLost as error:
                    self._leave_out(scan, error)
                except DeviceFull:
                    if scan in self._scans:  # else another search left it out meanwhile
                        raise
            if len(found) == len(parts):
                return np.concatenate([v for v, _ in found]), np.concatenate([p for _, p in found])

    def _leave_out(self, scan: Scan, error: DeviceLost) -> None:
        with self._lock:
            known = scan in self._scans
            if known:
                self._scans.remove(scan)
        if known:
            scan.close()
            log.error("device %s is lost and left out: %s", scan.device, error)
            if self._on_lost is not None:
                self._on_lost(scan.device, str(error))

    def close(self) -> None:
        """See Scan.close."""
        for scan in self._scans:
            scan.close()
        self._threads.shutdown(wait=False)
