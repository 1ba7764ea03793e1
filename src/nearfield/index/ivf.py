"""IVF: vectors in lists around centroids, of which a search reads a few. Small and quick to build; exact inside a list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Vectors
from nearfield.index.base import Effort

TRAIN_PER_LIST = 64
"""Training vectors for each list: k-means gains little beyond (30 to 256 are usual)."""


@dataclass(frozen=True, slots=True)
class Ivf:
    """An inverted file of full vectors (FAISS IndexIVFFlat).

    Attributes:
        lists: how many ("nlist"), at least 1; 0 takes about 4 x sqrt(n), at most n / 39. More: less read at equal recall,
            longer training.
    """

    lists: int = 0

    name: ClassVar[str] = "ivf"

    def __post_init__(self) -> None:
        if not 0 <= self.lists <= 1 << 20:
            raise InvalidInput("not a number of lists", field="lists", expected="0 (by size) to 1,048,576", received=self.lists)

    def lists_for(self, n: int) -> int:
        """The number of lists for n vectors."""
        most = max(1, n // 39)
        return min(self.lists, max(1, n)) if self.lists else min(most, 1 << round(math.log2(max(1.0, 4 * math.sqrt(n)))))

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index file: vectors and ids in lists, centroids, list sizes."""
        lists = self.lists_for(n)
        return n * (4 * dim + 8) + lists * (4 * dim + 16) + 300

    def train(self, x: Vectors, metric: Metric, seed: int) -> Any:
        """An empty index, its centroids trained on a sample of `x` by k-means."""
        from nearfield.index._faiss import faiss

        lists = self.lists_for(len(x))
        kind = faiss.METRIC_INNER_PRODUCT if metric.by_inner_product else faiss.METRIC_L2
        coarse = faiss.IndexFlatIP(x.shape[1]) if metric is Metric.COSINE else faiss.IndexFlatL2(x.shape[1])
        if metric is Metric.IP:
            coarse = faiss.IndexFlatIP(x.shape[1])
        index = faiss.IndexIVFFlat(coarse, x.shape[1], lists, kind)
        index.cp.spherical = metric is Metric.COSINE
        index.cp.niter = 10
        index.cp.seed = 1 + seed % (1 << 30)
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = TRAIN_PER_LIST
        wanted = min(len(x), TRAIN_PER_LIST * lists)
        chosen = np.sort(np.random.default_rng(seed).choice(len(x), wanted, replace=False))
        index.train(np.ascontiguousarray(x[chosen]))
        return index

    def efforts(self, n: int) -> Sequence[Effort]:
        """Nprobe from 1 to all lists, in steps of about 1.4."""
        lists = self.lists_for(n)
        steps = sorted({min(lists, max(1, round(2 ** (i / 2)))) for i in range(2 * max(1, lists).bit_length() + 1)})
        return tuple(Effort(nprobe=nprobe) for nprobe in steps)

    def parameters(self, effort: Effort, selector: Any) -> Any:
        """FAISS search parameters."""
        from nearfield.index._faiss import faiss

        return faiss.SearchParametersIVF(nprobe=effort.nprobe, sel=selector)
