"""HNSW: a graph of near neighbours over the full vectors. Quick at high recall; about 1.2 x the vectors' bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Vectors
from nearfield.index.base import Effort


@dataclass(frozen=True, slots=True)
class Hnsw:
    """A hierarchical navigable small world graph (FAISS IndexHNSWFlat; https://arxiv.org/abs/1603.09320).

    Attributes:
        links: neighbours of each vector ("M"), 4 to 128; 8 bytes each and vector. More: higher recall, slower build.
        build_effort: candidates kept while building ("efConstruction"), at least `links`; build time grows with it.
    """

    links: int = 16
    build_effort: int = 48

    name: ClassVar[str] = "hnsw"

    def __post_init__(self) -> None:
        if not 4 <= self.links <= 128:
            raise InvalidInput("not a number of links", field="links", expected="4 to 128", received=self.links)
        if not self.links <= self.build_effort <= 4096:
            raise InvalidInput(
                "not a build effort", field="build_effort", expected=f"{self.links} to 4096", received=self.build_effort
            )

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index file: vectors, level 0 links, upper levels, levels and offsets."""
        m = self.links
        return int(n * (4 * dim + 4 + 8 + 8 * m + 4 * m / (m - 1))) + 1500

    def train(self, x: Vectors, metric: Metric, seed: int) -> Any:
        """An empty index; there is nothing to train."""
        from nearfield.index._faiss import faiss

        kind = faiss.METRIC_INNER_PRODUCT if metric.by_inner_product else faiss.METRIC_L2
        index = faiss.IndexHNSWFlat(x.shape[1], self.links, kind)
        index.hnsw.efConstruction = self.build_effort
        return index

    def efforts(self, n: int) -> Sequence[Effort]:
        """EfSearch from 16 up, in steps of about 1.4."""
        steps = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
        return tuple(Effort(efSearch=ef) for ef in steps if ef <= max(16, n))

    def parameters(self, effort: Effort, selector: Any) -> Any:
        """FAISS search parameters."""
        from nearfield.index._faiss import faiss

        return faiss.SearchParametersHNSW(efSearch=effort.efSearch, sel=selector)
