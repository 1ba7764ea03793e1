"""Why an index did or did not come upon one vector: the list that holds it, whether that was read, what its codes score.

Knows FAISS's lists and distance computers; no document. Slow beside a search: it looks through lists for one id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nearfield.core.metric import Metric, Vectors
from nearfield.index import _faiss
from nearfield.index.base import Effort


@dataclass(frozen=True, slots=True)
class Probe:
    """What an index makes of one of its vectors for one query.

    Attributes:
        rough: the score that its stored form has, on the scale of the collection's scores. It differs from the true score
            where less than float32 is stored.
        list: the number of the list that holds it; None of kinds without lists, as all that follows.
        list_rank: how many lists are as near to the query or nearer, itself included.
        lists: how many there are.
        nprobe: how many the effort reads.
        read: whether its list was one of them.
    """

    rough: float
    list: int | None = None
    list_rank: int | None = None
    lists: int | None = None
    nprobe: int | None = None
    read: bool | None = None


@runtime_checkable
class Probing(Protocol):
    """An index that can say so."""

    def probe(self, query: Vectors, position: int, effort: Effort) -> Probe:
        """What it makes of the vector at `position` for one prepared query (1, dim)."""
        ...


def probe(index: Any, coded: Vectors, label: int, effort: Effort) -> tuple[float, Probe]:
    """FAISS's own score of a label (as its metric has it: a distance or a product), and the lists' part of a Probe.

    Args:
        index: a FAISS index.
        coded: the query and the vector of the label, as FAISS takes them: float32 (2, dim).
        label: FAISS's id.
        effort: of the search in question.
    """
    faiss = _faiss.faiss
    _faiss.use_threads(1)
    inner = index
    if isinstance(index, faiss.IndexPreTransform):
        for i in range(index.chain.size()):
            coded = faiss.downcast_VectorTransform(index.chain.at(i)).apply(np.ascontiguousarray(coded))
        inner = faiss.downcast_index(index.index)
    coded = np.ascontiguousarray(coded, np.float32)
    if not isinstance(inner, faiss.IndexIVF):
        computer = inner.get_distance_computer()
        computer.set_query(faiss.swig_ptr(coded[:1]))
        return float(computer(label)), Probe(0.0)
    query, lists = coded[:1], int(inner.nlist)
    number = _list_of(inner, coded[1:], label)
    nprobe = min(max(1, effort.nprobe), lists)
    to_all, nearest = _centroids(inner).search(query, lists)
    at = int(np.flatnonzero(nearest[0] == number)[0])
    own = to_all[0, at]
    ahead = np.count_nonzero(to_all[0] < own if inner.metric_type == faiss.METRIC_L2 else to_all[0] > own)
    read = number in inner.quantizer.search(query, nprobe)[1][0]
    found = Probe(0.0, number, int(ahead) + 1, lists, nprobe, bool(read))
    return _scored_in_list(inner, query, number, float(own), label), found


def _centroids(index: Any) -> Any:
    """The centroids, searchable exactly: behind a graph where there are many."""
    faiss = _faiss.faiss
    quantizer = faiss.downcast_index(index.quantizer)
    return faiss.downcast_index(quantizer.storage) if isinstance(quantizer, faiss.IndexHNSW) else quantizer


def _list_of(index: Any, vector: Vectors, label: int) -> int:
    """The list that holds a label: most likely the one nearest to its vector; else all are looked through."""
    likely = int(index.quantizer.search(vector, 1)[1][0, 0])
    rest = (number for number in range(int(index.nlist)) if number != likely)
    for number in (likely, *rest):
        if label in _faiss.ids_in_list(index, number):
            return number
    raise ValueError(f"no list holds {label}")


def _scored_in_list(index: Any, query: Vectors, number: int, to_centroid: float, label: int) -> float:
    """The score of a label as a search that reads its list gives it: all of the list is asked for."""
    faiss, size = _faiss.faiss, index.invlists.list_size(number)
    scores, labels = np.empty((1, size), np.float32), np.empty((1, size), np.int64)
    lists, distances = np.array([[number]], np.int64), np.array([[to_centroid]], np.float32)
    arrays = [faiss.swig_ptr(each) for each in (lists, distances, scores, labels)]
    parameters = faiss.SearchParametersIVF(nprobe=1)
    index.search_preassigned_c(1, faiss.swig_ptr(query), size, *arrays, False, parameters)
    found = scores[0, labels[0] == label]
    return float(found[0]) if len(found) else float("nan")  # fast-scan leaves out what its first codes rule out


def on_scale(value: float, by_distance: bool, metric: Metric, scale: float) -> float:
    """A distance or product of FAISS's as a score of the collection's; `scale` is what codes were multiplied by."""
    if not by_distance:
        return value
    squared = value / scale**2
    return 1 - squared / 2 if metric is Metric.COSINE else -squared
