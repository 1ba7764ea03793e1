"""The process that builds one index: `python -m nearfield.index.child`, started by index.build and by nobody else.

Reads its orders from standard input, says progress on standard output, writes into one directory, exits when standard input
closes. About 1,000 rows are held out of training and index, searched exactly and at every effort, and added last.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nearfield.core.metric import Metric, Vectors
from nearfield.index import _faiss, calibrate, decode_kind
from nearfield.index.base import Kind
from nearfield.index.build import INDEX, ORDER, Orders, Report
from nearfield.index.wrapper import FaissIndex

ADD_ROWS = 16_384


def main() -> None:
    """Builds what standard input orders."""
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    os.nice(orders.nice)
    _faiss.set_threads(orders.threads)
    start = time.perf_counter()
    curve = build(orders)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    _say(Report("done", 1.0, curve.to_dict(), time.perf_counter() - start, peak))


def _exit_with_parent() -> None:
    """Ends this process when the parent's end of the pipe closes."""
    while os.read(0, 4096):
        pass
    os._exit(3)


def _say(report: Report) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    sys.stdout.buffer.flush()


def build(orders: Orders) -> calibrate.Curve:
    """Builds the index and its order, measures it, and writes both files."""
    metric, kind = Metric(orders.metric), decode_kind(orders.kind)
    x: Vectors = np.memmap(orders.vectors, np.float32, mode="r", shape=(orders.rows, orders.dim))
    rng = np.random.default_rng(orders.seed)
    n_out = calibrate.held_out(orders.rows) if orders.rows > 1 else 0
    out = np.sort(rng.choice(orders.rows, n_out, replace=False))
    inside = np.setdiff1d(np.arange(orders.rows), out)
    base = x[inside]
    _say(Report("training", 0.0))
    index = kind.train(base, metric, orders.seed)
    for start in range(0, len(base), ADD_ROWS):
        index.add(base[start : start + ADD_ROWS])
        _say(Report("adding", min(1.0, (start + ADD_ROWS) / max(1, len(base)))))
    points = _measure(index, kind, base, np.ascontiguousarray(x[out]), metric, calibrate.HELD_OUT, orders)
    if orders.queries is not None:
        given = np.fromfile(orders.queries, np.float32).reshape(-1, orders.dim)
        points += _measure(index, kind, base, given, metric, calibrate.GIVEN, orders)
    index.add(np.ascontiguousarray(x[out]))
    into = Path(orders.into)
    _say(Report("writing", 0.0))
    _faiss.write(index, into / INDEX)
    if n_out:
        np.concatenate([inside, out]).astype(np.int32).tofile(into / ORDER)
    return calibrate.Curve(tuple(points))


def _measure(
    index: Any, kind: Kind, base: Vectors, queries: Vectors, metric: Metric, source: str, orders: Orders
) -> list[calibrate.Point]:
    if not len(queries):
        return []

    def show(share: float) -> None:
        _say(Report("measuring", share))

    wrapped = FaissIndex(index, kind, metric.by_inner_product, None)
    return calibrate.measure(wrapped, kind, base, queries, metric, source, orders.seed, show)


if __name__ == "__main__":
    main()
