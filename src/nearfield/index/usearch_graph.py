"""A USearch graph as our Index, and one that is being built. The only import of usearch."""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt, MissingDependency
from nearfield.core.metric import Metric, Positions, Scores, Vectors
from nearfield.index import _faiss
from nearfield.index.base import Effort, Index
from nearfield.index.codec import Codec
from nearfield.index.ranking import Ranking
from nearfield.index.usearch import CODEC, GRAPH, ORDER, VIEWS, Usearch


def _library() -> Any:
    """The package's module; raises MissingDependency."""
    try:
        return importlib.import_module("usearch.index")
    except ImportError as error:
        raise MissingDependency("this kind needs USearch; run: pip install 'nearfield[usearch]'", field="index") from error


class UsearchBuilding:
    """A USearch graph that is being filled."""

    def __init__(self, kind: Usearch, codec: Codec, dim: int, metric: Metric) -> None:
        self._codec, self._metric, self._done = codec, metric, 0
        self._index = _library().Index(
            ndim=dim, metric="l2sq", dtype="i8", connectivity=kind.links, expansion_add=kind.build_effort
        )

    def add(self, x: Vectors) -> None:
        """See Building."""
        self._index.add(np.arange(self._done, self._done + len(x)), _signed(self._codec, x), threads=_faiss.most_threads())
        self._done += len(x)

    def index(self, vectors: Vectors, order: npt.NDArray[np.int32]) -> Index:
        """See Building."""
        return UsearchIndex(None, self._index, self._codec, self._metric, vectors, order, 0)

    def save(self, place: Path, order: npt.NDArray[np.int32]) -> None:
        """See Building."""
        self._index.save(str(place.with_name(place.name + GRAPH)))
        order.astype(np.int32).tofile(place.with_name(place.name + ORDER))
        self._codec.save(place.with_name(place.name + CODEC))


class UsearchIndex(Ranking):
    """A USearch graph: a mapped file, or one that is being built (then used by one thread)."""

    def __init__(
        self,
        path: Path | None,
        building: Any,
        codec: Codec,
        metric: Metric,
        vectors: Vectors,
        order: npt.NDArray[np.int32],
        nbytes: int,
    ) -> None:
        super().__init__(metric, vectors, len(order), order, refines=True)
        self._path, self._building, self._codec, self._nbytes = path, building, codec, nbytes
        self._views: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def view(self, ef: int) -> Any:
        """The graph set to keep `ef` candidates; raises Corrupt if the file is not a graph of these vectors."""
        if self._path is None:
            self._building.expansion_search = ef
            return self._building
        with self._lock:
            if ef not in self._views:
                try:
                    made = _library().Index.restore(str(self._path), view=True)
                except (ValueError, RuntimeError) as error:
                    raise Corrupt(f"{self._path} is damaged; it is built again ({error})", field="index") from error
                if made is None or len(made) != self._n or made.ndim != self._dim:
                    raise Corrupt(f"{self._path} is another index; it is built again", field="index")
                made.expansion_search = ef
                self._views[ef] = made
                if len(self._views) > VIEWS:
                    self._views.popitem(last=False)
            self._views.move_to_end(ef)
            return self._views[ef]

    def _ranked(self, queries: Vectors, width: int, effort: Effort) -> tuple[Scores, Positions]:
        """See Ranking._ranked."""
        m = len(queries)
        graph = self.view(max(effort.efSearch, width))
        found = graph.search(_signed(self._codec, queries), width, threads=1 if m == 1 else _faiss.most_threads())
        labels = np.full((m, width), -1, np.int64)
        rough = np.full((m, width), -np.inf, np.float32)
        keys, distances = found.keys.reshape(m, -1), found.distances.reshape(m, -1)
        there = np.arange(keys.shape[1]) < np.asarray(getattr(found, "counts", keys.shape[1])).reshape(-1, 1)
        labels[:, : keys.shape[1]] = np.where(there, keys.astype(np.int64), -1)
        rough[:, : keys.shape[1]] = np.where(there, -distances.astype(np.float32), -np.inf)
        return rough, self._positions(labels)

    @property
    def resident_bytes(self) -> int:
        """See Index.resident_bytes."""
        return self._nbytes + 8 * self._n * max(1, len(self._views))


def _signed(codec: Codec, x: Vectors) -> npt.NDArray[np.int8]:
    """Codes as USearch keeps them, from -128 to 127."""
    return (codec.encode(np.ascontiguousarray(x, np.float32)) - 128).astype(np.int8)
