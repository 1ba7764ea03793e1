"""RaBitQ: lists of very short codes with error bounds, behind a random rotation. The smallest index that still ranks well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Vectors
from nearfield.index import centroids, coarse
from nearfield.index.base import Effort, check_whole
from nearfield.index.faiss_kind import FaissKind, Trained
from nearfield.index.fastscan import filled, interval


@dataclass(frozen=True, slots=True)
class Rabitq(FaissKind):
    """An inverted file of RaBitQ codes, fast-scan, behind a random rotation (FAISS "RR,IVF,RaBitQfs").

    Sources: https://arxiv.org/abs/2405.12497, https://arxiv.org/abs/2409.09913.

    Attributes:
        lists: how many ("nlist"); 0 takes about 4 x sqrt(n), at most n / 39.
        bits: for each number, 1 to 9. A vector takes about dim x bits / 8 bytes and 16 to 36 more.
    """

    lists: int = 0
    bits: int = 4

    name: ClassVar[str] = "rabitq"

    def __post_init__(self) -> None:
        check_whole(self, "lists", "bits")
        coarse.check(self.lists)
        if isinstance(self.bits, bool) or self.bits not in range(1, 10):
            raise InvalidInput("not a code size", field="bits", expected="1 to 9", received=self.bits)

    @property
    def recipe(self) -> str:
        """See Kind."""
        return f"RR{{d}},IVF{self.lists or 'L'},RaBitQfs{self.bits if self.bits > 1 else ''}"

    @property
    def mappable(self) -> bool:
        """See Kind: fast-scan codes are read into memory."""
        return False

    @property
    def refines(self) -> bool:
        """See Kind."""
        return True

    @property
    def oversamplings(self) -> Sequence[int]:
        """See Kind."""
        return (1, 2, 4, 8, 16) if self.bits > 2 else (2, 4, 8, 16, 32)

    def _codes(self, dim: int) -> tuple[int, int]:
        """Bytes of one vector's code: in blocks for scanning, and beside them."""
        first = -(-dim // 8)
        return first, 8 if self.bits == 1 else 12 + -(-dim * (self.bits - 1) // 8) + 8

    def _once(self, lists: int, dim: int) -> int:
        return coarse.nbytes(lists, dim) + 4 * dim * dim + 8 * dim

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files; lists are rounded up to blocks of 32 vectors."""
        lists = coarse.count(self.lists, n)
        code = sum(self._codes(dim))
        return int(filled(n, lists) * code) + n * (8 + coarse.ORDER_BYTES) + self._once(lists, dim)

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """Codes take 1 to 2 x their bytes, as lists' sizes decide."""
        lists = coarse.count(self.lists, n)
        least, most = interval(n, lists, sum(self._codes(dim)))
        rest = n * (8 + coarse.ORDER_BYTES) + self._once(lists, dim)
        return least + rest, most + rest

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building: lists that double as they grow, the training sample, one block."""
        return int(2.0 * n * (sum(self._codes(dim)) + 8)) + self.training_rows(n) * 12 * dim + coarse.BUILD_BASE

    def training_rows(self, n: int) -> int:
        """A sample for k-means."""
        return min(n, coarse.training_rows(coarse.count(self.lists, n)))

    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index: rotation drawn, centroids trained."""
        from nearfield.index._faiss import faiss

        dim, lists = sample.shape[1], min(coarse.count(self.lists, n), len(sample))
        kind = faiss.METRIC_INNER_PRODUCT if metric.by_inner_product else faiss.METRIC_L2
        nearest = coarse.quantizer(lists, dim, metric)
        index = faiss.IndexIVFRaBitQFastScan(nearest, dim, lists, kind, 32, True, self.bits)
        nearest.this.disown()
        coarse.prepare(index, metric, seed)
        matrix = faiss.RandomRotationMatrix(dim, dim)
        matrix.init(1 + seed % (1 << 30))
        whole = faiss.IndexPreTransform(matrix, index)
        whole.own_fields = True
        index.this.disown()
        matrix.this.disown()
        centroids.train(whole, sample)
        return Trained(whole)

    def efforts(self, n: int) -> Sequence[Effort]:
        """Nprobe from 1 to all lists, in steps of about 1.4."""
        return coarse.efforts(coarse.count(self.lists, n))

    def parameters(self, effort: Effort) -> Any:
        """FAISS search parameters."""
        return coarse.parameters(effort, True)
