"""IVF: vectors in lists around centroids, of which a search reads a few. Small and quick to build."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nearfield.core.metric import Metric, Vectors
from nearfield.index import centroids, coarse
from nearfield.index import storage as storages
from nearfield.index.base import Effort, check_whole
from nearfield.index.faiss_kind import FaissKind, Trained


@dataclass(frozen=True, slots=True)
class Ivf(FaissKind):
    """An inverted file of vectors (FAISS IndexIVFFlat, IndexIVFScalarQuantizer).

    Attributes:
        lists: how many ("nlist"), at least 1; 0 takes about 4 x sqrt(n), at most n / 39. More: less read at equal recall,
            longer training.
        storage: how lists keep vectors: "float32" (exact inside a list), "float16", or "int8"; candidates of the latter two
            are scored again from the raw vectors.
    """

    lists: int = 0
    storage: str = "float32"

    name: ClassVar[str] = "ivf"

    def __post_init__(self) -> None:
        check_whole(self, "lists")
        coarse.check(self.lists)
        storages.check(self.storage)

    @property
    def recipe(self) -> str:
        """See Kind."""
        return f"IVF{self.lists or 'L'}," + storages.NAMES[self.storage]

    @property
    def refines(self) -> bool:
        """See Kind."""
        return self.storage != "float32"

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files: vectors and ids in lists, centroids, list sizes, order, codec."""
        each = storages.bytes_each(self.storage, dim) + 8 + coarse.ORDER_BYTES
        return n * each + coarse.nbytes(coarse.count(self.lists, n), dim) + storages.header_bytes(self.storage, dim)

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """All of the files, once every list has been read."""
        return (self.nbytes(n, dim),) * 2

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building: lists double as they grow (1.5 x on average), and the training sample."""
        each = storages.bytes_each(self.storage, dim) + 8
        return int(1.5 * n * each) + self.training_rows(n) * 8 * dim + coarse.BUILD_BASE

    def training_rows(self, n: int) -> int:
        """A sample for k-means."""
        return min(n, coarse.training_rows(coarse.count(self.lists, n)))

    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index, its centroids trained by k-means."""
        from nearfield.index._faiss import faiss

        dim, lists = sample.shape[1], min(coarse.count(self.lists, n), len(sample))
        quantizer = storages.quantizer(self.storage, metric)
        codec = storages.codec_for(self.storage, metric, sample)
        nearest = coarse.quantizer(lists, dim, metric if codec is None else Metric.L2)
        kind = storages.metric_type(self.storage, metric)
        if quantizer is None:
            index = faiss.IndexIVFFlat(nearest, dim, lists, kind)
        else:
            index = faiss.IndexIVFScalarQuantizer(nearest, dim, lists, quantizer, kind, False)
        index.own_fields = True
        nearest.this.disown()
        centroids.train(coarse.prepare(index, metric, seed), sample if codec is None else codec.encode(sample))
        return Trained(index, codec)

    def efforts(self, n: int) -> Sequence[Effort]:
        """Nprobe from 1 to all lists, in steps of about 1.4."""
        return coarse.efforts(coarse.count(self.lists, n))

    def parameters(self, effort: Effort) -> Any:
        """FAISS search parameters."""
        return coarse.parameters(effort)
