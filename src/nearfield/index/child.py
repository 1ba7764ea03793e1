"""The process that builds or measures one index: `python -m nearfield.index.child`, started by index.build and by nobody else.

Reads its orders from standard input, says progress on standard output, writes into one directory, exits when standard input
closes. About 1,000 rows are held out of training and index, searched exactly and at every effort, and added last.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Vectors
from nearfield.device.scan import DeviceFull, DeviceLost
from nearfield.index import _faiss, calibrate, decode_kind
from nearfield.index.base import Allow, Building, Effort, Found, Index, depth
from nearfield.index.build import IDLE, STEM, Orders, Report
from nearfield.index.calibrate import GIVEN, HELD_OUT
from nearfield.index.curve import Curve, Point
from nearfield.index.faiss_kind import FaissKind

log = logging.getLogger("nearfield.index")
ADD_ROWS = 16_384
AT_ONCE = 500
"""Queries whose candidates are sorted together."""


def main() -> None:
    """Builds what standard input orders."""
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    _step_back(orders.nice)
    _faiss.set_threads(orders.threads)
    start = time.perf_counter()
    curve = build(orders) if orders.index is None else measure(orders, Path(orders.index))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    _say(Report("done", 1.0, curve.to_dict(), time.perf_counter() - start, peak))


def _step_back(nice: int) -> None:
    """Lowers the priority of this thread and of those that it will start."""
    os.nice(nice)
    if nice >= IDLE and hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _exit_with_parent() -> None:
    """Ends this process when the parent's end of the pipe closes."""
    while os.read(0, 4096):
        pass
    os._exit(3)


def _say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def build(orders: Orders) -> Curve:
    """Builds the index, measures it, and writes its files. Vectors are read block by block, never held whole."""
    metric, kind = Metric(orders.metric), decode_kind(orders.kind)
    x: Vectors = np.memmap(orders.vectors, np.float32, mode="r", shape=(orders.rows, orders.dim))
    rng = np.random.default_rng(orders.seed)
    n_out = calibrate.held_out(orders.rows) if orders.rows > 1 else 0
    inside = np.ones(orders.rows, np.bool_)
    inside[rng.choice(orders.rows, n_out, replace=False)] = False
    order = np.concatenate([np.flatnonzero(inside), np.flatnonzero(~inside)]).astype(np.int32)
    n = orders.rows - n_out
    _say(Report("training", 0.0))
    wanted = min(n, max(1, kind.training_rows(orders.rows)))
    sample = x[order[np.sort(rng.choice(n, wanted, replace=False))]]
    try:
        building = _filled(kind.start(sample, orders.rows, metric, orders.seed), x, order[:n])
    except (DeviceFull, DeviceLost) as error:
        if not isinstance(kind, FaissKind):
            raise
        log.warning("%s; the processor begins anew", error)
        building = _filled(kind.start_on_processor(sample, orders.rows, metric, orders.seed), x, order[:n])
    points = []
    for queries, source in _queries(orders, x, ~inside):
        index = building.index(x, order[:n])
        points += calibrate.measure(index, kind, x, inside, queries, metric, source, orders.seed, _show, orders.only)
    if n_out:
        building.add(x[order[n:]])
    _say(Report("writing", 0.0))
    building.save(Path(orders.into) / STEM, order)
    return Curve(tuple(points))


def _filled(building: Building, x: Vectors, order: npt.NDArray[np.int32]) -> Building:
    """The building with rows of x added in that order, block by block."""
    n = len(order)
    for start in range(0, n, ADD_ROWS):
        building.add(x[order[start : start + ADD_ROWS]])
        _say(Report("adding", min(1.0, (start + ADD_ROWS) / n)))
    return building


def measure(orders: Orders, place: Path) -> Curve:
    """Measures a finished index with given queries, among the rows that are live."""
    metric, kind = Metric(orders.metric), decode_kind(orders.kind)
    x: Vectors = np.memmap(orders.vectors, np.float32, mode="r", shape=(orders.rows, orders.dim))
    live = np.ones(orders.rows, np.bool_)
    if orders.live is not None:
        live = np.unpackbits(np.fromfile(orders.live, np.uint8), count=orders.rows, bitorder="little").view(np.bool_)
    index = Living(kind.open(place, metric, x), live)
    points: list[Point] = []
    for queries, source in _queries(orders, x, np.zeros(orders.rows, np.bool_)):
        points += calibrate.measure(index, kind, x, live, queries, metric, source, orders.seed, _show)
    return Curve(tuple(points))


class Living:
    """An index in which only some rows are alive, as searches see it: its live candidates move up, further ones follow."""

    def __init__(self, index: Index, live: npt.NDArray[np.bool_]) -> None:
        self._index, self._live, self._share = index, live, float(live.mean())
        self.resident_bytes = index.resident_bytes

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """See Index.search: the time it takes is what is measured."""
        return self._index.search(queries, k, effort, allow)

    def candidates(self, queries: Vectors, width: int, effort: Effort) -> Positions:
        """See Index.candidates; a graph keeps no more than its efSearch, dead ones included."""
        if self._share == 1:
            return self._index.candidates(queries, width, effort)
        wider = depth(width, replace(effort, oversampling=1), self._share, len(self._live))
        out = np.full((len(queries), width), -1, np.int64)
        for start in range(0, len(queries), AT_ONCE):
            found = self._index.candidates(queries[start : start + AT_ONCE], wider, effort)
            kept = (found >= 0) & self._live[found]
            first = np.argsort(~kept, axis=1, kind="stable")[:, :width]
            rows = np.arange(len(found))[:, None]
            out[start : start + AT_ONCE, : first.shape[1]] = np.where(kept[rows, first], found[rows, first], -1)
        return out


def _queries(orders: Orders, x: Vectors, out: npt.NDArray[np.bool_]) -> Iterator[tuple[Vectors, str]]:
    """What to measure with, and its name."""
    if out.any() and (orders.only is None or orders.queries is None):
        yield np.ascontiguousarray(x[np.flatnonzero(out)]), HELD_OUT
    if orders.queries is not None:
        given = np.fromfile(orders.queries, np.float32).reshape(-1, orders.dim)
        if len(given):
            yield given, GIVEN


def _show(share: float) -> None:
    _say(Report("measuring", share))


if __name__ == "__main__":
    main()
