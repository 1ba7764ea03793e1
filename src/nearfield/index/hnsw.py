"""HNSW: a graph of near neighbours. Quick at high recall; memory grows with links and storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Vectors
from nearfield.index import storage as storages
from nearfield.index.base import Effort, check_whole
from nearfield.index.coarse import BUILD_BASE, ORDER_BYTES
from nearfield.index.faiss_kind import FaissKind, Trained

TRAIN = 20_000


@dataclass(frozen=True, slots=True)
class Hnsw(FaissKind):
    """A hierarchical navigable small world graph (FAISS IndexHNSWFlat, IndexHNSWSQ; https://arxiv.org/abs/1603.09320).

    Attributes:
        links: neighbours of each vector ("M"), 4 to 128; 8 bytes each and vector. More: higher recall, slower build.
        build_effort: candidates kept while building ("efConstruction"), at least `links`; build time grows with it.
        storage: how the graph keeps vectors: "float32"; "float16"; or "int8", one byte for each number, compared by integer
            arithmetic. Candidates of the latter two are scored again from the raw vectors.
        reduce: principal components that the graph's vectors keep, with "int8" only, below the dimension; 0 keeps all. Fewer
            numbers are quicker to build with and to compare; what is kept of the variance decides what it costs in recall.
    """

    links: int = 32
    build_effort: int = 48
    storage: str = "int8"
    reduce: int = 0

    name: ClassVar[str] = "hnsw"

    def __post_init__(self) -> None:
        check_whole(self, "links", "build_effort", "reduce")
        if not 4 <= self.links <= 128:
            raise InvalidInput("not a number of links", field="links", expected="4 to 128", received=self.links)
        if not self.links <= self.build_effort <= 4096:
            raise InvalidInput(
                "not a build effort", field="build_effort", expected=f"{self.links} to 4096", received=self.build_effort
            )
        storages.check(self.storage)
        if isinstance(self.reduce, bool) or not isinstance(self.reduce, int) or self.reduce < 0:
            raise InvalidInput("not a number of components", field="reduce", expected="0 or more", received=self.reduce)
        if self.reduce and self.storage != "int8":
            raise InvalidInput("only int8 storage can be reduced", field="reduce", expected="0", received=self.reduce)

    @property
    def recipe(self) -> str:
        """See Kind."""
        return (f"PCA{self.reduce}," if self.reduce else "") + f"HNSW{self.links}," + storages.NAMES[self.storage]

    def check(self, dim: int, metric: Metric) -> None:
        """Fewer components than dimensions, of vectors that are compared by distance."""
        if self.reduce >= dim:
            raise InvalidInput("not fewer than there are", field="reduce", expected=f"below {dim}", received=self.reduce)
        if self.reduce and metric is Metric.IP:
            raise InvalidInput("inner products are not reduced", field="reduce", expected="0", received=self.reduce)

    @property
    def refines(self) -> bool:
        """See Kind."""
        return self.storage != "float32"

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files: vectors, level 0 links, upper levels, levels and offsets, order, codec."""
        m = self.links
        each = storages.bytes_each(self.storage, dim, self.reduce) + 4 + 8 + 8 * m + 4 * m / (m - 1) + ORDER_BYTES
        return int(n * each) + storages.header_bytes(self.storage, dim, self.reduce) + 1500

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """All of the files: a graph is read all over."""
        return (self.nbytes(n, dim),) * 2

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building: growing vectors of FAISS double, and each vector has a lock."""
        return (
            2 * n * storages.bytes_each(self.storage, dim, self.reduce)
            + int(1.5 * n * (8 * self.links + 16))
            + 4 * n
            + BUILD_BASE
        )

    def training_rows(self, n: int) -> int:
        """A sample for the codec."""
        return min(n, TRAIN)

    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index; only its codec is trained."""
        from nearfield.index._faiss import faiss

        dim, kind = self.reduce or sample.shape[1], storages.metric_type(self.storage, metric)
        quantizer = storages.quantizer(self.storage, metric)
        codec = storages.codec_for(self.storage, metric, sample, self.reduce)
        if quantizer is None:
            index = faiss.IndexHNSWFlat(dim, self.links, kind)
        else:
            index = faiss.IndexHNSWSQ(dim, quantizer, self.links, kind)
            index.train(sample if codec is None else codec.encode(sample))
        index.hnsw.efConstruction = self.build_effort
        return Trained(index, codec)

    def efforts(self, n: int) -> Sequence[Effort]:
        """EfSearch from 10 up, in steps of about 1.4."""
        steps = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096)
        return tuple(Effort(efSearch=ef) for ef in steps if ef <= max(10, n))

    def parameters(self, effort: Effort) -> Any:
        """FAISS search parameters."""
        from nearfield.index._faiss import faiss

        return faiss.SearchParametersHNSW(efSearch=effort.efSearch)
