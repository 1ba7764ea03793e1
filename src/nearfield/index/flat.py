"""Flat: FAISS's exhaustive search. Exact; no smaller than the vectors themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nearfield.core.metric import Metric, Vectors
from nearfield.index.base import Effort


@dataclass(frozen=True, slots=True)
class Flat:
    """An exhaustive index (IndexFlatIP, IndexFlatL2): recall 1, 4 x dim bytes a vector, time grows with n."""

    name: ClassVar[str] = "flat"

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index file."""
        return 4 * n * dim + 45

    def train(self, x: Vectors, metric: Metric, seed: int) -> Any:
        """An empty index."""
        from nearfield.index._faiss import faiss

        return faiss.IndexFlatIP(x.shape[1]) if metric.by_inner_product else faiss.IndexFlatL2(x.shape[1])

    def efforts(self, n: int) -> Sequence[Effort]:
        """One: there is no knob."""
        return (Effort(),)

    def parameters(self, effort: Effort, selector: Any) -> Any:
        """FAISS search parameters."""
        from nearfield.index._faiss import faiss

        return faiss.SearchParameters(sel=selector) if selector is not None else None
