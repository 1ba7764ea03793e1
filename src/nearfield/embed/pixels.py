"""An embedder of pictures without a model: colours on a coarse grid. Finds copies of a picture, whatever their size.

Knows nothing of what a picture shows. For tests, trials, and telling the same picture in another size or quality.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors
from nearfield.embed.base import Opener, Pixels, Progress

_GROUND = 16.0
"""A last number that is the same for all, so that a wholly grey picture has a direction too."""


class PixelEmbedder:
    """Deterministic: the mean colour of each cell of a grid, about middle grey.

    Args:
        side: cells across and down, 1 to 64.
    """

    takes = ("image",)

    def __init__(self, side: int = 8) -> None:
        if not 1 <= side <= 64:
            raise InvalidInput("not a side", field="embedder", expected="pixels:1 to pixels:64", received=side)
        self.name, self._side, self.dim = f"pixels:{side}", side, 3 * side * side + 1

    @classmethod
    def named(cls, name: str) -> PixelEmbedder:
        """From "pixels" or "pixels:SIDE"."""
        _, colon, side = name.partition(":")
        if colon and not (side.isascii() and side.isdigit()):
            raise InvalidInput("not a side", field="embedder", expected="pixels:SIDE, such as pixels:8", received=name)
        return cls(int(side) if side else 8)

    def declared(self) -> dict[str, Any]:
        """What decides the vectors."""
        return {"model": "pixels", "dim": self.dim, "takes": list(self.takes)}

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """Raises InvalidInput: it takes pictures only."""
        raise InvalidInput("this embedder takes pictures only", field="embedder", expected="pictures", received="texts")

    def encode_images(self, items: Sequence[Opener], progress: Progress | None = None) -> Vectors:
        """float32 (n, dim), unit length; a row of zeros for a picture that is left out."""
        out = np.zeros((len(items), self.dim), np.float32)
        for i, opener in enumerate(items):
            pixels = opener()
            if pixels is not None:
                found = np.append(_means(pixels, self._side).ravel() - 127.5, _GROUND)
                out[i] = found / np.linalg.norm(found)
            if progress is not None:
                progress(i + 1, len(items))
        return out


def _means(pixels: Pixels, side: int) -> Vectors:
    """float32 (side, side, 3): the mean colour of each cell; a picture smaller than the grid repeats its pixels."""
    rows, columns = (np.linspace(0, n, side + 1).astype(np.int64) for n in pixels.shape[:2])
    out = np.empty((side, side, 3), np.float32)
    for i in range(side):
        band = pixels[min(rows[i], pixels.shape[0] - 1) : max(rows[i + 1], rows[i] + 1)]
        for j in range(side):
            cell = band[:, min(columns[j], pixels.shape[1] - 1) : max(columns[j + 1], columns[j] + 1)]
            out[i, j] = cell.reshape(-1, 3).mean(axis=0)
    return out
