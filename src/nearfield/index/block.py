"""A few rows of a segment kept as one byte for each number, side by side: an exact scan of them reads a quarter of the bytes.

For a filter that is asked for again. Codes are off by at most an error that is known for each row, so by the triangle
inequality a row whose coded distance is beyond the k-th best plus both errors cannot be among the k best: what remains is
scored from the raw vectors, and the answer is exact. Where too many remain, the caller scans the raw vectors instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors, scores
from nearfield.index import _faiss
from nearfield.index.codec import Codec

CANDIDATES = 256
"""Rows scored again at most, beyond 4 k."""
_ROWS = 4096


class Block:
    """Rows of a segment, coded.

    Args:
        x: prepared float32 (n, dim), perhaps memory-mapped.
        positions: int64 (r,), ascending, of the rows to keep.
        metric: cosine or l2.
    """

    def __init__(self, x: Vectors, positions: Positions, metric: Metric) -> None:
        faiss, dim = _faiss.faiss, x.shape[1]
        self._x, self._positions, self._metric = x, positions, metric
        self._codec = Codec.fit(x[positions[:: max(1, len(positions) // 20_000)]], kept=1.0)
        self._index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit_direct, faiss.METRIC_L2)
        self._index.is_trained = True
        worst = 0.0
        for start in range(0, len(positions), _ROWS):
            rows = x[positions[start : start + _ROWS]]
            codes = self._codec.encode(rows)
            worst = max(worst, float(np.sqrt(self._squared_errors(rows, codes).max())))
            self._index.add(codes)
        self._error = worst
        self.nbytes = len(positions) * (dim + 8)
        self.usable = True
        """False once the codes turned out too rough to decide."""

    def _squared_errors(self, rows: Vectors, codes: Vectors) -> npt.NDArray[np.float32]:
        difference = self._codec.decode(codes) - rows
        return np.asarray(np.einsum("ij,ij->i", difference, difference), np.float32)

    def search(self, query: npt.NDArray[np.float32], k: int) -> tuple[Scores, Positions] | None:
        """The k best rows for one prepared query (dim,), exactly: scores and positions; None: codes cannot decide."""
        count = len(self._positions)
        k = min(k, count)
        width = min(count, 4 * k + (CANDIDATES if self._error else 8))
        coded = self._codec.encode(query[None])
        distances = np.empty((1, width), np.float32)
        labels = np.empty((1, width), np.int64)
        _faiss.use_threads(1)
        pointer = _faiss.faiss.swig_ptr
        self._index.search_c(1, pointer(coded), width, pointer(distances), pointer(labels))
        apart = np.sqrt(distances[0]) / self._codec.scale
        off = self._error + float(np.sqrt(self._squared_errors(query[None], coded)[0]))
        reach = apart[k - 1] + 2.0001 * off + 1e-6
        if width < count and apart[-1] <= reach:
            self.usable = False
            return None
        found = self._positions[labels[0, : int(np.searchsorted(apart, reach, side="right"))]]
        final = scores(query, self._x[found], self._metric)
        best = np.lexsort((found, -final))[:k]
        return final[best], found[best]
