"""What an index kind promises, and what a finished index does. Knows vectors and positions; no document, no file layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors

Bitmap = npt.NDArray[np.uint8]
"""Packed bits over positions, little bit order, ceil(n / 8) bytes: bit p is set where position p may be returned."""

Progress = Callable[[str, float], None]
"""Called with a phase and the share of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The run-time knob of a search: lists probed (IVF), or candidates kept (HNSW); 0 where it does not apply."""

    nprobe: int = 0
    efSearch: int = 0

    def to_dict(self) -> dict[str, int]:
        """Only what applies."""
        return {name: value for name, value in (("nprobe", self.nprobe), ("efSearch", self.efSearch)) if value}


class Index(Protocol):
    """A finished index: searched by many threads at once, never changed."""

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Bitmap | None) -> tuple[Scores, Positions]:
        """The k best candidates of m prepared queries (m, dim): rough scores (m, k), positions (m, k), -1 for none."""
        ...

    def save(self, path: Path) -> None:
        """Writes the index to a new file; the caller syncs it."""
        ...


class Kind(Protocol):
    """A kind with its parameters: a frozen dataclass, given to `create(index=...)` and stored as its fields."""

    name: ClassVar[str]

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index file for n vectors, before building; within 5 %."""
        ...

    def train(self, x: Vectors, metric: Metric, seed: int) -> Any:
        """An empty FAISS index for vectors like the rows of `x`; `n` is the number it will hold."""
        ...

    def efforts(self, n: int) -> Sequence[Effort]:
        """The knob's settings worth measuring, cheapest first."""
        ...

    def parameters(self, effort: Effort, selector: Any) -> Any:
        """FAISS search parameters of an effort, with an IDSelector or None."""
        ...
