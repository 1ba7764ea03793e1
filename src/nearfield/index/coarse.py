"""The lists of an inverted file: how many, their centroids, and what they cost. Shared by every kind that has lists.

4 x sqrt(n) lists are the rule of the field's tools (autofaiss: 2^round(log2(4 sqrt n)) below a million vectors), 39 training
vectors for each the least that FAISS accepts without a warning.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric
from nearfield.index.base import Effort

TRAIN_PER_LIST = 64
"""Training vectors for each list: k-means gains little beyond (30 to 256 are usual)."""
GRAPH_FROM = 16_384
"""Lists from which a graph finds the nearest ones: below, comparing with every centroid is quicker."""
GRAPH_LINKS = 32
ORDER_BYTES = 4
"""Bytes for each vector of the file that maps FAISS's ids to positions."""
BUILD_BASE = 64 << 20
"""Memory of building that does not grow with n: blocks in flight, calibration."""
ROUNDS = 10
"""Iterations of k-means."""


def check(lists: int) -> None:
    """Raises InvalidInput for a number of lists that cannot be."""
    if isinstance(lists, bool) or not isinstance(lists, int) or not 0 <= lists <= 1 << 20:
        raise InvalidInput("not a number of lists", field="lists", expected="0 (by size) to 1,048,576", received=lists)


def count(lists: int, n: int) -> int:
    """The number of lists for n vectors, where `lists` were asked for (0: by size)."""
    most = max(1, n // 39)
    return min(lists, max(1, n)) if lists else min(most, 1 << round(math.log2(max(1.0, 4 * math.sqrt(n)))))


def nbytes(lists: int, dim: int) -> int:
    """Bytes of centroids, their graph if they have one, and list headers in a file."""
    graph = 12 + 8 * GRAPH_LINKS + 4 * GRAPH_LINKS / (GRAPH_LINKS - 1)
    return int(lists * (4 * dim + 16 + (graph if lists >= GRAPH_FROM else 0))) + 300


def training_rows(lists: int) -> int:
    """Vectors that training takes."""
    return TRAIN_PER_LIST * lists


def quantizer(lists: int, dim: int, metric: Metric) -> Any:
    """FAISS's index of centroids, empty: cosine and ip go by inner product, l2 by distance."""
    from nearfield.index._faiss import faiss

    kind = faiss.METRIC_INNER_PRODUCT if metric.by_inner_product else faiss.METRIC_L2
    if lists < GRAPH_FROM:
        return faiss.IndexFlat(dim, kind)
    graph = faiss.IndexHNSWFlat(dim, GRAPH_LINKS, kind)
    graph.hnsw.efConstruction, graph.hnsw.efSearch = 80, 256
    return graph


def prepare(index: Any, metric: Metric, seed: int) -> Any:
    """Sets how an IndexIVF trains its centroids; returns it."""
    index.cp.spherical = metric is Metric.COSINE and index.metric_type == 0
    index.cp.niter = ROUNDS
    index.cp.seed = 1 + seed % (1 << 30)
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = TRAIN_PER_LIST
    return index


def efforts(lists: int) -> Sequence[Effort]:
    """Nprobe from 1 to all lists, in steps of about 1.4."""
    steps = sorted({min(lists, max(1, round(2 ** (i / 2)))) for i in range(2 * max(1, lists).bit_length() + 1)})
    return tuple(Effort(nprobe=nprobe) for nprobe in steps)


def parameters(effort: Effort, behind_a_transform: bool = False) -> Any:
    """FAISS search parameters; `behind_a_transform` where a rotation or projection comes first."""
    from nearfield.index._faiss import faiss

    found = faiss.SearchParametersIVF(nprobe=max(1, effort.nprobe))
    if not behind_a_transform:
        return found
    outer = faiss.SearchParametersPreTransform(index_params=found)
    outer.inner = found
    return outer
