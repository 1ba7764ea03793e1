"""A FAISS index as our Index: positions in and out, search parameters per call, nothing shared is ever set.

The wrapper knows that FAISS's ids may not be positions (`order` maps one to the other) and that its input may be codes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors
from nearfield.index import _faiss
from nearfield.index.alone import Alone
from nearfield.index.base import Allow, Effort, Found, depth
from nearfield.index.codec import Codec
from nearfield.index.faiss_kind import FaissKind
from nearfield.index.probe import Probe, on_scale, probe
from nearfield.index.ranking import Ranking


@dataclass(frozen=True, slots=True)
class Parts:
    """What a FaissIndex was made of, in that order."""

    index: Any
    kind: Any
    metric: Metric
    vectors: Vectors
    order: npt.NDArray[Any] | None
    codec: Codec | None
    nbytes: int


class FaissIndex(Ranking):
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
        super().__init__(metric, vectors, int(index.ntotal), order, kind.refines)
        self._index, self._kind, self._codec, self._nbytes = index, kind, codec, nbytes
        self._parameters: dict[Effort, Any] = {}
        self._by_distance = index.metric_type == _faiss.faiss.METRIC_L2
        refine = self._score if kind.refines else None
        by_distance = metric is Metric.L2
        self._alone = Alone(index, self._vectors, self._order, codec, self._by_distance, refine, by_distance)
        self._widths: dict[tuple[int, Effort], tuple[int, Any]] = {}

    @property
    def parts(self) -> Parts:
        """What it was made of."""
        return Parts(self._index, self._kind, self._metric, self._vectors, self._order, self._codec, self._nbytes)

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """See Index.search."""
        if allow is None and queries.shape == (1, self._dim) and queries.dtype == np.float32 and queries.flags.c_contiguous:
            known = self._widths.get((k, effort))
            if known is None:
                if len(self._widths) > 1000:
                    self._widths.clear()
                known = self._widths[k, effort] = depth(k, effort, 1.0, self._n), self._kind.parameters(effort)
            found = self._alone.search(queries, k, *known) if known[0] >= k else None
            if found is not None:
                return found
        return super().search(queries, k, effort, allow)

    def _ranked(self, queries: Vectors, width: int, effort: Effort) -> tuple[Scores, Positions]:
        """See Ranking._ranked."""
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
        if self._by_distance:
            np.negative(distances, out=distances)
        return distances, self._positions(labels)

    def probe(self, query: Vectors, position: int, effort: Effort) -> Probe:
        """What the index makes of the vector at `position` for one prepared query (1, dim): see Probe."""
        both = np.concatenate([query, self._vectors[position : position + 1]]).astype(np.float32)
        label = position if self._order is None else int(np.flatnonzero(self._order == position)[0])
        coded = both if self._codec is None else self._codec.encode(both)
        value, found = probe(self._index, coded, label, effort)
        scale = 1.0 if self._codec is None else float(self._codec.scale)
        return replace(found, rough=on_scale(value, self._by_distance, self._metric, scale))

    @property
    def resident_bytes(self) -> int:
        """See Index.resident_bytes."""
        if self._kind.mappable:
            return self._nbytes + _faiss.table_bytes(self._index)
        return _faiss.heap_bytes(self._index) + (0 if self._order is None else self._order.nbytes)
