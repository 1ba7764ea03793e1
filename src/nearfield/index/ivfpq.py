"""IVF-PQ: lists of short codes, made by product quantisation. Small; the raw vectors decide among its candidates."""

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

TRANSFORMS = ("none", "opq", "pca", "rotation")
CODEBOOK_ROWS = 16_384
"""Training vectors for the codebooks: 64 for each of 256 codewords; the 16 of fast-scan need fewer."""
OPQ_ROUNDS = 8
"""Rounds of rotation and codebooks: of FAISS's 50 the first few gain the most, and each costs seconds."""
TABLE_LIMIT = 2 << 30
"""FAISS keeps tables of lists x subvectors x 256 distances under l2 up to this size (precomputed_table_max_bytes)."""


@dataclass(frozen=True, slots=True)
class IvfPq(FaissKind):
    """An inverted file of product-quantised vectors (FAISS IndexIVFPQ, IndexIVFPQFastScan; Jégou et al. 2011).

    Attributes:
        lists: how many ("nlist"); 0 takes about 4 x sqrt(n), at most n / 39.
        subvectors: parts of a vector ("M"), each one code; must divide the dimension. 0 takes about dim / 4, for short
            vectors dim / 2 (4-bit codes), or dim / 4 (8-bit).
        bits: of each code: 4 ("fast-scan", kept in registers: quick) or 8 (finer, slower). A vector takes subvectors x bits
            / 8 bytes and an id of 8.
        transform: what comes before: "none"; "opq", a rotation trained for these codes; "pca" to half the dimensions; or
            "rotation", a random one.
    """

    lists: int = 0
    subvectors: int = 0
    bits: int = 4
    transform: str = "none"

    name: ClassVar[str] = "ivfpq"

    def __post_init__(self) -> None:
        check_whole(self, "lists", "bits", "subvectors")
        coarse.check(self.lists)
        if self.bits not in (4, 8):
            raise InvalidInput("not a code size", field="bits", expected="4 or 8", received=self.bits)
        if self.transform not in TRANSFORMS:
            raise InvalidInput(
                "not a transform", field="transform", expected=f"one of {', '.join(TRANSFORMS)}", received=self.transform
            )
        if isinstance(self.subvectors, bool) or not isinstance(self.subvectors, int) or not 0 <= self.subvectors <= 8192:
            raise InvalidInput(
                "not a number", field="subvectors", expected="0 (by dimension) to 8192", received=self.subvectors
            )

    @property
    def recipe(self) -> str:
        """See Kind."""
        before = {"none": "", "opq": "OPQ{m},", "pca": "PCA{d/2},", "rotation": "RR{d},"}[self.transform]
        return f"{before}IVF{self.lists or 'L'},PQ{self.subvectors or 'M'}x{self.bits}{'fs' if self.bits == 4 else ''}"

    @property
    def mappable(self) -> bool:
        """See Kind: fast-scan codes are read into memory."""
        return self.bits == 8

    @property
    def refines(self) -> bool:
        """See Kind."""
        return True

    @property
    def oversamplings(self) -> Sequence[int]:
        """See Kind."""
        return (2, 4, 8, 16, 32)

    def inner_dim(self, dim: int) -> int:
        """Dimensions behind the transform."""
        return max(1, dim // 2) if self.transform == "pca" else dim

    def parts(self, dim: int) -> int:
        """The number of subvectors for vectors of `dim`."""
        inner = self.inner_dim(dim)
        if self.subvectors:
            return self.subvectors
        target = inner // 2 if self.bits == 4 and inner < 256 else inner // 4
        return next(m for m in range(max(1, target), 0, -1) if inner % m == 0)

    def check(self, dim: int, metric: Metric) -> None:
        """Subvectors must divide the dimension."""
        inner = self.inner_dim(dim)
        if inner % self.parts(dim):
            divisors = [m for m in range(1, inner + 1) if inner % m == 0]
            raise InvalidInput(
                f"a vector of {inner} numbers cannot be cut into equal parts",
                field="subvectors",
                expected=f"0 or one of {', '.join(map(str, divisors))}",
                received=self.subvectors,
            )

    def _code(self, dim: int) -> int:
        parts = self.parts(dim)
        return (parts + parts % 2) // 2 if self.bits == 4 else parts

    def _once(self, lists: int, dim: int) -> int:
        """Bytes kept once: centroids, codebooks, the transform's matrix."""
        inner = self.inner_dim(dim)
        matrix = 0 if self.transform == "none" else 4 * dim * inner + 4 * max(dim, inner)
        return coarse.nbytes(lists, inner) + 4 * inner * (1 << self.bits) + matrix

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files; under fast-scan lists are rounded up to blocks of 32 vectors."""
        lists = coarse.count(self.lists, n)
        held = filled(n, lists) if self.bits == 4 else n
        return int(held * self._code(dim)) + n * (8 + coarse.ORDER_BYTES) + self._once(lists, dim)

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """8-bit codes stay in their file, with a table beside them under l2; 4-bit codes take 1 to 2 x their bytes."""
        lists = coarse.count(self.lists, n)
        if self.bits == 8:
            table = 4 * lists * self.parts(dim) * 256
            whole = self.nbytes(n, dim) + (table if metric is Metric.L2 and table <= TABLE_LIMIT else 0)
            return whole, whole
        least, most = interval(n, lists, self._code(dim))
        rest = n * (8 + coarse.ORDER_BYTES) + self._once(lists, dim)
        return least + rest, most + rest

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building: lists that double as they grow, the training sample, one block."""
        return int(2.0 * n * (self._code(dim) + 8)) + self.training_rows(n) * 12 * dim + coarse.BUILD_BASE

    def training_rows(self, n: int) -> int:
        """A sample for k-means and codebooks."""
        return min(n, max(CODEBOOK_ROWS, coarse.training_rows(coarse.count(self.lists, n))))

    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index: transform, centroids and codebooks trained."""
        from nearfield.index._faiss import faiss

        dim, lists = sample.shape[1], min(coarse.count(self.lists, n), len(sample))
        inner, parts = self.inner_dim(dim), self.parts(dim)
        kind = faiss.METRIC_INNER_PRODUCT if metric.by_inner_product else faiss.METRIC_L2
        nearest = coarse.quantizer(lists, inner, metric)
        if self.bits == 4:
            index = faiss.IndexIVFPQFastScan(nearest, inner, lists, parts, 4, kind)
        else:
            index = faiss.IndexIVFPQ(nearest, inner, lists, parts, 8, kind)
        index.own_fields = True
        nearest.this.disown()
        index.pq.cp.min_points_per_centroid = 1
        coarse.prepare(index, metric, seed)
        whole = _behind(self.transform, index, dim, inner, parts, self.bits, seed)
        centroids.train(whole, sample)
        return Trained(whole)

    def efforts(self, n: int) -> Sequence[Effort]:
        """Nprobe from 1 to all lists, in steps of about 1.4."""
        return coarse.efforts(coarse.count(self.lists, n))

    def parameters(self, effort: Effort) -> Any:
        """FAISS search parameters."""
        return coarse.parameters(effort, self.transform != "none")


def _behind(transform: str, index: Any, dim: int, inner: int, parts: int, bits: int, seed: int) -> Any:
    """`index` behind a transform, or itself."""
    from nearfield.index._faiss import faiss

    if transform == "none":
        return index
    if transform == "opq":
        matrix = faiss.OPQMatrix(dim, parts, inner)
        matrix.pq = faiss.ProductQuantizer(inner, parts, bits)
        matrix.pq.cp.min_points_per_centroid = 1
        matrix.niter, matrix.max_train_points = OPQ_ROUNDS, CODEBOOK_ROWS
    elif transform == "pca":
        matrix = faiss.PCAMatrix(dim, inner)
    else:
        matrix = faiss.RandomRotationMatrix(dim, inner)
        matrix.init(1 + seed % (1 << 30))
    whole = faiss.IndexPreTransform(matrix, index)
    whole.own_fields = True
    index.this.disown()
    matrix.this.disown()
    return whole
