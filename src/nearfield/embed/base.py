"""What an embedder promises. Knows nothing of storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors

Progress = Callable[[int, int | None], None]
"""Called with (texts done, texts in all)."""

KINDS = ("query", "document")
Pixels = npt.NDArray[np.uint8]
"""A picture: uint8 (height, width, 3), red, green, blue."""
Opener = Callable[[], Pixels | None]
"""Decodes a picture when it is needed; None: it is left out."""


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


@runtime_checkable
class SeesPictures(Protocol):
    """What an embedder of pictures promises besides.

    Attributes:
        takes: "image", and "text" where texts have vectors in the same space; `encode` is called only then.
    """

    @property
    def takes(self) -> Sequence[str]:
        """What it makes vectors of: "image", "text" or both."""
        ...

    def encode_images(self, items: Sequence[Opener], progress: Progress | None = None) -> Vectors:
        """float32 (n, dim) of pictures, a row of zeros for each that is left out; memory is bounded whatever their number."""
        ...


def takes(embedder: Embedder) -> tuple[str, ...]:
    """What an embedder makes vectors of: "text", "image" or both."""
    return tuple(embedder.takes) if isinstance(embedder, SeesPictures) else ("text",)
