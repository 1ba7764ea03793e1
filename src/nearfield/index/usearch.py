"""A graph by USearch, a library outside FAISS: shows that a kind may come from anywhere. Needs its package.

USearch's settings belong to an index, not to a call; each effort is therefore served by a view of its own over the same mapped
file, which costs 8 bytes for each vector.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from nearfield.core.errors import Corrupt, InvalidInput, MissingDependency
from nearfield.core.metric import Metric, Vectors
from nearfield.index.base import Building, Effort, Index, check_whole, is_permutation
from nearfield.index.coarse import BUILD_BASE, ORDER_BYTES
from nearfield.index.codec import Codec

GRAPH, ORDER, CODEC = ".usearch", ".order", ".codec"
VIEWS = 8
"""Efforts whose views are kept open."""
TRAIN = 20_000


@dataclass(frozen=True, slots=True)
class Usearch:
    """A graph of one-byte codes by USearch (https://github.com/unum-cloud/usearch), for cosine and l2.

    Attributes:
        links: neighbours of each vector ("connectivity"), 4 to 128.
        build_effort: candidates kept while building ("expansion_add"), at least `links`.
    """

    links: int = 32
    build_effort: int = 48

    name: ClassVar[str] = "usearch"
    mappable: ClassVar[bool] = True
    refines: ClassVar[bool] = True
    oversamplings: ClassVar[Sequence[int]] = (1, 2, 4)

    def __post_init__(self) -> None:
        check_whole(self, "links", "build_effort")
        if not 4 <= self.links <= 128:
            raise InvalidInput("not a number of links", field="links", expected="4 to 128", received=self.links)
        if not self.links <= self.build_effort <= 4096:
            raise InvalidInput(
                "not a build effort", field="build_effort", expected=f"{self.links} to 4096", received=self.build_effort
            )

    @staticmethod
    def installed() -> bool:
        """Whether its package is there."""
        return importlib.util.find_spec("usearch") is not None

    @property
    def recipe(self) -> str:
        """See Kind."""
        return f"USearch HNSW{self.links} i8"

    def check(self, dim: int, metric: Metric) -> None:
        """See Kind."""
        if metric is Metric.IP:
            raise InvalidInput(
                "codes keep distances, not inner products", field="metric", expected="cosine or l2", received="ip"
            )
        if not self.installed():
            raise MissingDependency("this kind needs USearch; run: pip install 'nearfield[usearch]'", field="index")

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files: codes, key, level, links of level 0 and of upper levels, order, codec."""
        m = self.links
        return int(n * (dim + 8 + 2 + 4 + 8 * m + (4 + 4 * m) / (m - 1) + 2 + ORDER_BYTES)) + 4 * dim + 200

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """The files, and 8 bytes for each vector and effort in use."""
        whole = self.nbytes(n, dim)
        return whole + 8 * n, whole + 8 * VIEWS * n

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building: USearch reserves by powers of two."""
        return int(1.5 * self.nbytes(n, dim)) + BUILD_BASE

    def training_rows(self, n: int) -> int:
        """A sample for the codec."""
        return min(n, TRAIN)

    def start(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Building:
        """See Kind."""
        from nearfield.index.usearch_graph import UsearchBuilding

        return UsearchBuilding(self, Codec.fit(sample), sample.shape[1], metric)

    def open(self, place: Path, metric: Metric, vectors: Vectors) -> Index:
        """See Kind."""
        from nearfield.index.usearch_graph import UsearchIndex

        n, dim = vectors.shape
        graph, order, codec = (place.with_name(place.name + suffix) for suffix in (GRAPH, ORDER, CODEC))
        found = np.fromfile(order, np.int32) if order.exists() else np.arange(n, dtype=np.int32)
        if not is_permutation(found, n):
            raise Corrupt(f"{order} is not an order of {n} positions; the index is built again", field="order")
        nbytes = sum(path.stat().st_size for path in (graph, order, codec) if path.exists())
        index = UsearchIndex(graph, None, Codec.open(codec, dim), metric, vectors, found, nbytes)
        index.view(self.build_effort)
        return index

    def efforts(self, n: int) -> Sequence[Effort]:
        """EfSearch ("expansion_search") from 10 up."""
        steps = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096)
        return tuple(Effort(efSearch=ef) for ef in steps if ef <= max(10, n))
