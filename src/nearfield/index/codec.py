"""One byte for each number: an offset for each dimension and one scale for all, so that distances keep their order.

Knows prepared vectors; no index. Differences of codes are differences of vectors times the scale, up to rounding, so that
integer arithmetic ranks what float arithmetic would. What rounding and clipping lose is measured like everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt
from nearfield.core.metric import Vectors

KEPT = 0.9995
"""The share of a sample's numbers that is not clipped: rare long ones would cost all others their resolution."""
SAMPLE = 20_000
SMALLEST = 1e-30
"""Spread of numbers below which all are alike."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Codes from 0 to 255.

    Attributes:
        offset: float32 (dim,), subtracted.
        scale: multiplied after.
    """

    offset: npt.NDArray[np.float32]
    scale: np.float32

    @classmethod
    def fit(cls, sample: Vectors, kept: float = KEPT) -> Codec:
        """The codec of vectors like `sample` (n, dim); exact where all numbers are whole and from 0 to 255.

        Args:
            sample: prepared vectors.
            kept: the share of numbers that is not clipped.
        """
        some = sample[:: max(1, len(sample) // SAMPLE)]
        if some.min() >= 0 and some.max() <= 255 and np.array_equal(some, np.rint(some)):
            return cls(np.zeros(some.shape[1], np.float32), np.float32(1))
        middle = np.median(some, axis=0).astype(np.float32)
        spread = max(float(np.quantile(np.abs(some - middle), kept)), SMALLEST)
        scale = np.float32(127.5 / spread)
        return cls((middle - np.float32(127.5) / scale).astype(np.float32), scale)

    def encode(self, x: Vectors) -> Vectors:
        """Whole float32 numbers from 0 to 255, (n, dim): what FAISS stores as bytes."""
        out = x - self.offset
        out *= self.scale
        np.rint(out, out=out)
        return np.clip(out, 0, 255, out=out)

    def encode_one(self, vector: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
        """Writes the codes of one vector (dim,) into `out`."""
        np.subtract(vector, self.offset, out=out)
        np.multiply(out, self.scale, out=out)
        np.rint(out, out=out)
        np.maximum(out, 0, out=out)
        np.minimum(out, 255, out=out)

    def decode(self, codes: Vectors) -> Vectors:
        """The vectors that codes stand for."""
        return codes / self.scale + self.offset

    def save(self, path: Path) -> None:
        """Writes the offset, then the scale, as float32; the caller syncs it."""
        np.append(self.offset, self.scale).astype("<f4").tofile(path)

    @classmethod
    def open(cls, path: Path, dim: int) -> Codec:
        """Reads what `save` wrote; raises Corrupt if it is not a codec of `dim`."""
        found = np.fromfile(path, "<f4")
        if len(found) != dim + 1 or not np.isfinite(found).all() or not found[-1] > 0:
            raise Corrupt(f"{path} is not a codec of {dim} dimensions; the index is built again", field=path.name)
        return cls(found[:-1].copy(), np.float32(found[-1]))
