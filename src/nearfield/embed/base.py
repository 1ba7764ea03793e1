"""What an embedder promises. Knows nothing of storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from nearfield.core.metric import Vectors

Progress = Callable[[int, int | None], None]
"""Called with (texts done, texts in all)."""

KINDS = ("query", "document")


class Embedder(Protocol):
    """Texts in, vectors out. Safe to call from many threads.

    Attributes:
        name: what a collection stores, and `embed.load` understands.
        dim: numbers in each vector.
    """

    name: str

    @property
    def dim(self) -> int:
        """Numbers in each vector."""
        ...

    def declared(self) -> dict[str, Any]:
        """What decides the vectors, as JSON values: model, weights' SHA-256, pooling, prompts, dim. Loads no weights."""
        ...

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """float32 (n, dim), C order, in the order of `items`; memory is bounded whatever their number."""
        ...
