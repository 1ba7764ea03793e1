"""Flat: FAISS's exhaustive search. Exact; no smaller than the vectors themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from nearfield.core.metric import Metric, Vectors
from nearfield.index.base import Effort
from nearfield.index.coarse import BUILD_BASE, ORDER_BYTES
from nearfield.index.faiss_kind import FaissKind, Trained


@dataclass(frozen=True, slots=True)
class Flat(FaissKind):
    """An exhaustive index (IndexFlatIP, IndexFlatL2): recall 1, 4 x dim bytes a vector, time grows with n."""

    name: ClassVar[str] = "flat"

    @property
    def recipe(self) -> str:
        """See Kind."""
        return "Flat"

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files: vectors, order."""
        return 4 * n * dim + ORDER_BYTES * n + 45

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """All of the files."""
        return (self.nbytes(n, dim),) * 2

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building: the growing vector of FAISS doubles."""
        return 2 * 4 * n * dim + BUILD_BASE

    def training_rows(self, n: int) -> int:
        """None."""
        return 0

    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index."""
        from nearfield.index._faiss import faiss

        return Trained(faiss.IndexFlatIP(sample.shape[1]) if metric.by_inner_product else faiss.IndexFlatL2(sample.shape[1]))

    def efforts(self, n: int) -> Sequence[Effort]:
        """One: there is no knob."""
        return (Effort(),)
