"""What every index does with a library's ranked candidates: filters them by rank, scores them again, keeps the k best.

Knows positions, bitmaps and raw vectors; which library ranks is a subclass's affair. What is allowed among the K nearest is
what is nearest among the allowed, however filter and query are related; where too few are, the caller is told.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors
from nearfield.index import _faiss
from nearfield.index.base import Allow, Effort, Found, depth


class Ranking(ABC):
    """An Index over a library's ranking, which a subclass gives in `_ranked`.

    Args:
        metric: which comparison.
        vectors: prepared float32 (n, dim) by position, perhaps memory-mapped.
        n: how many the library's index holds.
        order: int32 or int64 (n,): the position of each of the library's ids; None where they are the same.
        refines: whether candidates are scored again from `vectors`.
    """

    def __init__(self, metric: Metric, vectors: Vectors, n: int, order: npt.NDArray[Any] | None, refines: bool) -> None:
        self._metric, self._n, self._refines = metric, n, refines
        self._vectors = vectors.view(np.ndarray)
        self._dim = vectors.shape[1]
        self._order = None if order is None else order.view(np.ndarray)
        faiss = _faiss.faiss
        self._score = faiss.fvec_L2sqr_by_idx if metric is Metric.L2 else faiss.fvec_inner_products_by_idx

    @abstractmethod
    def _ranked(self, queries: Vectors, width: int, effort: Effort) -> tuple[Scores, Positions]:
        """What the library returns for m queries: rough scores (m, width), best first, and positions, -1 for none."""

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """See Index.search."""
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.shape[1] != self._dim:
            raise ValueError(f"queries have {queries.shape[1]} columns, the index {self._dim}")
        rough, positions = self._ranked(queries, depth(k, effort, 1.0 if allow is None else allow.share, self._n), effort)
        m, width = positions.shape
        if allow is None:
            seen = passed = np.zeros(m, np.int64)
        else:
            there = positions >= 0
            kept = there & (allow.bits[positions >> 3] >> (positions & 7).astype(np.uint8) & 1).view(np.bool_)
            seen, passed = there.sum(1), kept.sum(1)
            positions = np.where(kept, positions, -1)
            rough[~kept] = -np.inf
            width = min(width, max(k * effort.oversampling, k))
            positions, rough = _first(positions, kept, width, rough)
        if self._refines:
            rough = self._refine(queries, positions)
        return Found(*_best(rough, positions, k), seen, passed)

    def candidates(self, queries: Vectors, width: int, effort: Effort) -> Positions:
        """See Index.candidates."""
        return self._ranked(np.ascontiguousarray(queries, np.float32), min(width, self._n), effort)[1]

    def scored(self, queries: Vectors, positions: Positions) -> Scores:
        """Scores (m, width) of positions by the raw vectors: final up to rounding."""
        return self._refine(np.ascontiguousarray(queries, np.float32), positions)

    def _positions(self, labels: Positions) -> Positions:
        """The positions of the library's ids; -1 stays."""
        if self._order is None:
            return labels
        if labels.min() >= 0:
            return self._order[labels].astype(np.int64)
        found = labels >= 0
        return np.where(found, self._order[np.where(found, labels, 0)], -1).astype(np.int64)

    def _refine(self, queries: Vectors, positions: Positions) -> Scores:
        """Scores (m, width) of positions by the raw vectors; -inf for none."""
        out = np.empty(positions.shape, np.float32)
        pointer = _faiss.faiss.swig_ptr
        positions = np.ascontiguousarray(positions)
        self._score(pointer(out), pointer(queries), pointer(self._vectors), pointer(positions), self._dim, *positions.shape)
        return np.negative(out, out=out) if self._metric is Metric.L2 else out


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
