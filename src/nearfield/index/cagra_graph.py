"""A CAGRA graph: built on a card from all rows at once, put into FAISS's IndexHNSWCagra, searched there by a processor.

Measured as the file is, on the processor that built it; `index.gpu.match` sees to it that a card answers as well.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt
from nearfield.core.metric import Metric, Positions, Vectors
from nearfield.index import _faiss
from nearfield.index import storage as storages
from nearfield.index.base import Allow, Effort, Found, Index
from nearfield.index.faiss_kind import FaissBuilding
from nearfield.index.faiss_kind import Trained as TrainedIndex
from nearfield.index.wrapper import FaissIndex

if TYPE_CHECKING:
    from nearfield.index.cagra import Cagra

FEW = 1024
"""Rows up to which neighbours are found by comparing all with all: a card gains nothing, and cuVS wants more rows than that."""


class CagraIndex(FaissIndex):
    """A finished graph on a processor. FAISS keeps no more candidates than efSearch: it is never less than what is wanted."""

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """See Index.search."""
        return super().search(queries, k, wide(effort, k), allow)

    def candidates(self, queries: Vectors, width: int, effort: Effort) -> Positions:
        """See Index.candidates."""
        return super().candidates(queries, width, wide(effort, min(width, self._n)))


def wide(effort: Effort, least: int) -> Effort:
    """The effort, its efSearch at least so much."""
    return effort if effort.efSearch >= least else replace(effort, efSearch=least)


def opened(found: Index, place: Path) -> CagraIndex:
    """A graph that was opened; raises Corrupt if it is another index."""
    assert isinstance(found, FaissIndex)
    parts = found.parts
    if not isinstance(parts.index, _faiss.faiss.IndexHNSWCagra):
        raise Corrupt(f"{place} is not a CAGRA graph; it is built again", field="index")
    return CagraIndex(parts.index, parts.kind, parts.metric, parts.vectors, parts.order, parts.codec, parts.nbytes)


def empty(kind: Cagra, dim: int, metric: Metric) -> Any:
    """FAISS's index of a graph without vectors, its base level alone."""
    faiss = _faiss.faiss
    compared = storages.metric_type(kind.storage, metric)
    index = faiss.IndexHNSWCagra(dim, kind.graph_degree // 2, compared)
    if kind.storage == "float16":
        stored = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, compared)
        index.storage, index.own_fields = stored, True
        stored.this.disown()
        index.set_numeric_type(faiss.Float16)
    index.base_level_only, index.keep_max_size_level0, index.is_trained = True, True, True
    return index


def from_neighbours(kind: Cagra, rows: Vectors, neighbours: npt.NDArray[Any], metric: Metric) -> Any:
    """FAISS's index of a graph that is given: of each row (n, dim) its neighbours (n, at most graph_degree), nearest first."""
    faiss, n = _faiss.faiss, len(rows)
    index = empty(kind, rows.shape[1], metric)
    if not n:
        return index
    index.hnsw.prepare_level_tab(n, False)
    faiss.downcast_index(index.storage).add(np.ascontiguousarray(rows, np.float32))
    index.ntotal = n
    links, starts = faiss.vector_to_array(index.hnsw.neighbors), faiss.vector_to_array(index.hnsw.offsets)
    at = starts[:-1, None].astype(np.int64) + np.arange(neighbours.shape[1])
    links[at] = neighbours
    faiss.copy_array_to_vector(links, index.hnsw.neighbors)
    return index


def nearest(kind: Cagra, rows: Vectors, metric: Metric) -> npt.NDArray[np.int64]:
    """Of each of a few rows (n, dim) the nearest others, by comparing all with all: int64 (n, at most graph_degree).

    The last of many is the next row instead, so that every row can be reached from every other.
    """
    n, wanted = len(rows), min(kind.graph_degree, max(0, len(rows) - 1))
    if not wanted:
        return np.empty((n, 0), np.int64)
    x = np.ascontiguousarray(rows, np.float32)
    found = _faiss.faiss.knn(x, x, wanted + 1, metric=storages.metric_type(kind.storage, metric))[1]
    itself = found == np.arange(n)[:, None]
    itself[~itself.any(axis=1), -1] = True  # equal rows: it was not among its own nearest
    near = np.asarray(found[~itself].reshape(n, wanted), np.int64)
    if wanted < n - 1:
        near[:, -1] = (np.arange(n) + 1) % n
    return near


def on_card(kind: Cagra, rows: npt.NDArray[Any], metric: Metric) -> Any:
    """FAISS's index of a graph that the card with the most memory free builds of rows (n, dim), float32 or float16.

    Raises:
        NearfieldError: no card here, or the card has too little memory free; the message says how much is needed.
    """
    from nearfield.index.gpu.build import claim
    from nearfield.index.gpu.owner import Held

    n, dim = rows.shape
    owner = claim(kind, n, dim, metric)

    def build(held: Held) -> Any:
        faiss = _faiss.faiss
        config = faiss.GpuIndexCagraConfig()
        config.device, config.use_cuvs = held.device, True
        config.graph_degree, config.intermediate_graph_degree = kind.graph_degree, kind.intermediate_graph_degree
        config.guarantee_connectivity = True
        index = faiss.GpuIndexCagra(held.resources, dim, storages.metric_type(kind.storage, metric), config)
        index.train(rows, numeric_type=faiss.Float16 if kind.storage == "float16" else faiss.Float32)
        out = faiss.IndexHNSWCagra()
        out.base_level_only = True
        index.copyTo(out)  # reads `rows` again: cuVS keeps a pointer to them
        return out

    try:
        return owner.call(build)
    finally:
        owner.close()


class CagraBuilding:
    """Rows that wait for their graph. It is built when it is asked for: of the rows measured with, then of all."""

    def __init__(self, kind: Cagra, n: int, dim: int, metric: Metric) -> None:
        self._kind, self._metric, self._done = kind, metric, 0
        self._rows = np.empty((n, dim), np.float32 if kind.storage == "float32" else np.float16)
        self._made: tuple[int, Any] | None = None

    def add(self, x: Vectors) -> None:
        """See Building."""
        self._rows[self._done : self._done + len(x)] = x
        self._done += len(x)

    def _graph(self) -> Any:
        """The graph of what was added so far."""
        if self._made is None or self._made[0] != self._done:
            self._made = None
            rows = self._rows[: self._done]
            if len(rows) <= FEW:
                made = from_neighbours(self._kind, rows, nearest(self._kind, rows, self._metric), self._metric)
            else:
                made = on_card(self._kind, rows, self._metric)
            self._made = self._done, made
        return self._made[1]

    def index(self, vectors: Vectors, order: npt.NDArray[np.int32]) -> Index:
        """See Building."""
        return CagraIndex(self._graph(), self._kind, self._metric, vectors, order)

    def save(self, place: Path, order: npt.NDArray[np.int32]) -> None:
        """See Building."""
        FaissBuilding(self._kind, TrainedIndex(self._graph()), self._metric).save(place, order)
