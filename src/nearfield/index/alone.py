"""One query without a filter through a FAISS index: the shortest way, on arrays that each thread keeps.

The same answers as Ranking.search; what is spared is allocation, pointers and copies, some 20 microseconds a search.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.index import _faiss
from nearfield.index.base import Found
from nearfield.index.codec import Codec

SORTED = 128
"""Candidates up to which all are sorted; beyond, the k best are chosen first."""
KEPT = 32
"""Numbers of candidates whose arrays a thread keeps."""
UNCOUNTED = np.zeros(1, np.int64)


class Scratch:
    """Arrays for `width` candidates of one query, whose code has `dims` numbers, and pointers to them."""

    def __init__(self, dims: int, width: int) -> None:
        pointer = _faiss.faiss.swig_ptr
        self.coded = np.empty(dims, np.float32)
        self.distances, self.scores = np.empty(width, np.float32), np.empty(width, np.float32)
        self.labels, self.positions = np.empty(width, np.int64), np.empty(width, np.int64)
        self.to_coded, self.to_distances, self.to_scores = pointer(self.coded), pointer(self.distances), pointer(self.scores)
        self.to_labels, self.to_positions = pointer(self.labels), pointer(self.positions)


class Alone:
    """Searches a FAISS index for single queries.

    Args:
        index: the FAISS index.
        vectors: prepared float32 (n, dim) by position.
        order: the position of each FAISS id, or None.
        codec: what input goes through, or None.
        by_distance: whether FAISS's distances are to be turned into scores.
        refine: FAISS's function that scores rows by the raw vectors, or None; `refine_by_distance` says of which sign.
    """

    def __init__(
        self,
        index: Any,
        vectors: Vectors,
        order: npt.NDArray[Any] | None,
        codec: Codec | None,
        by_distance: bool,
        refine: Any,
        refine_by_distance: bool,
    ) -> None:
        self._search, self._order, self._codec = index.search_c, order, codec
        self._by_distance, self._refine, self._refine_by_distance = by_distance, refine, refine_by_distance
        self._vectors, self._dim = vectors, vectors.shape[1]
        self._dims = self._dim if codec is None else codec.dims
        self._to_vectors = _faiss.faiss.swig_ptr(vectors)
        self._local = threading.local()

    def search(self, query: Vectors, k: int, width: int, parameters: Any) -> Found | None:
        """The k best of `width` >= k candidates for one prepared query (1, dim); None where fewer were found."""
        kept: dict[Any, Scratch] = self._local.__dict__
        scratch = kept.get(width)
        if scratch is None:
            if len(kept) > KEPT:
                kept.clear()
            scratch = kept[width] = Scratch(self._dims, width)
        _faiss.use_threads(1)
        to_query = _faiss.faiss.swig_ptr(query)
        if self._codec is None:
            self._search(1, to_query, width, scratch.to_distances, scratch.to_labels, parameters)
        else:
            self._codec.encode_one(query[0], scratch.coded)
            self._search(1, scratch.to_coded, width, scratch.to_distances, scratch.to_labels, parameters)
        labels = scratch.labels
        if labels[-1] < 0:
            return None
        if self._order is not None:
            scratch.positions[:] = self._order[labels]
            labels = scratch.positions
        if self._refine is None:
            values = -scratch.distances[:k] if self._by_distance else scratch.distances[:k].copy()
            return Found(values[None], labels[:k].copy()[None], UNCOUNTED, UNCOUNTED)
        to_labels = scratch.to_labels if self._order is None else scratch.to_positions
        self._refine(scratch.to_scores, to_query, self._to_vectors, to_labels, self._dim, 1, width)
        values = scratch.scores
        if not self._refine_by_distance:
            np.negative(values, out=values)
        if width > SORTED:
            near = np.argpartition(values, k - 1)[:k]
            chosen = near[values[near].argsort()]
        else:
            chosen = values.argsort()[:k]
        return Found(-values[chosen][None], labels[chosen][None], UNCOUNTED, UNCOUNTED)
