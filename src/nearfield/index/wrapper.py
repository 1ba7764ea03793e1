"""A FAISS index as our Index: positions in and out, search parameters per call, nothing shared is ever set.

The wrapper alone knows that FAISS's ids may not be positions (`order` maps one to the other), that its input may be codes,
and that its candidates are scored again from the raw vectors. A filter looks at candidates by rank: what is allowed among the
K nearest is what is nearest among the allowed, however filter and query are related; where too few are, the caller is told.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors
from nearfield.index import _faiss
from nearfield.index.base import Allow, Effort, Found, depth
from nearfield.index.codec import Codec
from nearfield.index.faiss_kind import FaissKind


class FaissIndex:
    """A finished FAISS index.

    Args:
        index: the FAISS index, of n vectors.
        kind: makes search parameters.
        metric: which comparison.
        vectors: prepared float32 (n, dim) by position, perhaps memory-mapped.
        order: int32 or int64 (n,): the position of each FAISS id; None where they are the same.
        codec: what FAISS's input goes through; None: as it is.
        nbytes: bytes of its files.
    """

    def __init__(
        self,
        index: Any,
        kind: FaissKind,
        metric: Metric,
        vectors: Vectors,
        order: npt.NDArray[Any] | None = None,
        codec: Codec | None = None,
        nbytes: int = 0,
    ) -> None:
        self._index, self._kind, self._metric, self._codec = index, kind, metric, codec
        self._vectors = vectors.view(np.ndarray)
        self._order = None if order is None else order.view(np.ndarray)
        self._parameters: dict[Effort, Any] = {}
        self._dim, self._n, self._nbytes = int(index.d), int(index.ntotal), nbytes
        faiss = _faiss.faiss
        self._by_distance = index.metric_type == faiss.METRIC_L2
        self._score = faiss.fvec_L2sqr_by_idx if metric is Metric.L2 else faiss.fvec_inner_products_by_idx

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """See Index.search."""
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.shape[1] != self._dim:
            raise ValueError(f"queries have {queries.shape[1]} columns, the index {self._dim}")
        rough, positions = self._ranked(queries, depth(k, effort, 1.0 if allow is None else allow.share, self._n), effort)
        m, width = positions.shape
        if allow is None:
            seen = passed = np.full(m, width)
        else:
            there = positions >= 0
            kept = there & (allow.bits[positions >> 3] >> (positions & 7).astype(np.uint8) & 1).view(np.bool_)
            seen, passed = there.sum(1), kept.sum(1)
            positions = np.where(kept, positions, -1)
            rough[~kept] = -np.inf
            width = min(width, max(k * effort.oversampling, k))
            positions, rough = _first(positions, kept, width, rough)
        if self._kind.refines:
            rough = self._refine(queries, positions)
        return Found(*_best(rough, positions, k), seen, passed)

    def candidates(self, queries: Vectors, width: int, effort: Effort) -> Positions:
        """See Index.candidates."""
        return self._ranked(np.ascontiguousarray(queries, np.float32), min(width, self._n), effort)[1]

    def _ranked(self, queries: Vectors, width: int, effort: Effort) -> tuple[Scores, Positions]:
        """What FAISS returns for m queries: rough scores (m, width), best first, and positions, -1 for none."""
        m = len(queries)
        _faiss.use_threads(m)
        distances = np.empty((m, width), np.float32)
        labels = np.empty((m, width), np.int64)
        parameters = self._parameters.get(effort)
        if parameters is None:
            if len(self._parameters) > 1000:
                self._parameters.clear()
            parameters = self._parameters.setdefault(effort, self._kind.parameters(effort))
        coded = queries if self._codec is None else self._codec.encode(queries)
        pointer = _faiss.faiss.swig_ptr
        self._index.search_c(m, pointer(coded), width, pointer(distances), pointer(labels), parameters)
        if self._order is not None:
            if labels.min() >= 0:
                labels = self._order[labels].astype(np.int64)
            else:
                found = labels >= 0
                labels = np.where(found, self._order[np.where(found, labels, 0)], -1).astype(np.int64)
        if self._by_distance:
            np.negative(distances, out=distances)
        return distances, labels

    def _refine(self, queries: Vectors, positions: Positions) -> Scores:
        """Scores (m, width) of positions by the raw vectors; -inf for none."""
        out = np.empty(positions.shape, np.float32)
        pointer = _faiss.faiss.swig_ptr
        positions = np.ascontiguousarray(positions)
        self._score(pointer(out), pointer(queries), pointer(self._vectors), pointer(positions), self._dim, *positions.shape)
        return np.negative(out, out=out) if self._metric is Metric.L2 else out

    @property
    def resident_bytes(self) -> int:
        """See Index.resident_bytes."""
        if self._kind.mappable:
            return self._nbytes + _faiss.table_bytes(self._index)
        return _faiss.heap_bytes(self._index) + (0 if self._order is None else self._order.nbytes)


def _first(positions: Positions, kept: npt.NDArray[np.bool_], width: int, rough: Scores) -> tuple[Positions, Scores]:
    """Of each row the first `width` that are kept, in their order, filled up with others."""
    first = np.argsort(~kept, axis=1, kind="stable")[:, :width]
    rows = np.arange(len(first))[:, None]
    return positions[rows, first], rough[rows, first]


def _best(rough: Scores, positions: Positions, k: int) -> tuple[Scores, Positions]:
    """Of each row the k best, best first; filled up with -inf and -1."""
    m, width = positions.shape
    if m == 1:
        values, where = rough[0], positions[0]
        chosen = np.argpartition(-values, k - 1)[:k] if width > k else np.arange(width)
        chosen = chosen[np.argsort(-values[chosen], kind="stable")]
        rough, positions = values[chosen][None], where[chosen][None]
    else:
        rows = np.arange(m)[:, None]
        if width > k:
            chosen = np.argpartition(-rough, k - 1, axis=1)[:, :k]
            rough, positions = rough[rows, chosen], positions[rows, chosen]
        order = np.argsort(-rough, axis=1, kind="stable")
        rough, positions = rough[rows, order], positions[rows, order]
    if width < k:
        rough = np.pad(rough, ((0, 0), (0, k - width)), constant_values=-np.inf)
        positions = np.pad(positions, ((0, 0), (0, k - width)), constant_values=-1)
    return rough, positions
