"""How quickly this machine scans vectors: measured once in each process, in some milliseconds, when first asked.

What decides between scanning and an index under a filter. Only ratios matter there, so a noisy moment does little harm.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from functools import cache

import numpy as np

DIM, ROWS = 128, 8192
_ONE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Rates:
    """Bytes a second of one thread: rows read where they lie, rows read in order, and one-byte codes."""

    scattered: float
    ordered: float
    coded: float


def measured() -> Rates:
    """The rates of this machine."""
    with _ONE:
        return _measure()


@cache
def _measure() -> Rates:
    from nearfield.index import _faiss
    from nearfield.index.codec import Codec

    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, DIM), np.float32)
    positions = np.sort(rng.permutation(ROWS)[: ROWS // 2])
    faiss = _faiss.faiss
    codec = Codec.fit(x)
    coded = faiss.IndexScalarQuantizer(DIM, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2)
    coded.is_trained = True
    coded.add(codec.encode(x))
    query = codec.encode(x[:1])
    _faiss.use_threads(1)
    best = [1.0, 1.0, 1.0]
    for _ in range(3):
        marks = [time.perf_counter()]
        _faiss.scores_at(x[0], x, positions, by_distance=True)
        marks.append(time.perf_counter())
        x @ x[0]
        marks.append(time.perf_counter())
        coded.search(query, 10)
        marks.append(time.perf_counter())
        best = [min(b, after - before) for b, before, after in zip(best, marks, marks[1:], strict=False)]
    return Rates(len(positions) * DIM * 4 / best[0], x.nbytes / best[1], ROWS * DIM / best[2])
