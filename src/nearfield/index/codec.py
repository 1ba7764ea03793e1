"""One byte for each number: an offset for each dimension and one scale for all, so that distances keep their order.

Knows prepared vectors; no index. Differences of codes are differences of vectors times the scale, up to rounding, so that
integer arithmetic ranks what float arithmetic would. Before that, vectors may be turned onto the axes along which they vary
most, of which the first are kept (principal components, Pearson 1901): fewer numbers to read and to compare. What reduction,
rounding and clipping lose is measured like everything else.
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
STEP = 64
"""Reduced vectors have a multiple of so many numbers: the bytes of a cache line, all of which are read and compared anyway."""


@dataclass(frozen=True, slots=True)
class Codec:
    """Codes from 0 to 255.

    Attributes:
        offset: float32 (dims,), subtracted.
        scale: multiplied after.
        axes: float32 (dims, dim), what vectors are multiplied with before; None: dims = dim, they are taken as they are.
    """

    offset: npt.NDArray[np.float32]
    scale: np.float32
    axes: npt.NDArray[np.float32] | None = None

    @property
    def dims(self) -> int:
        """Numbers of a code."""
        return len(self.offset)

    @classmethod
    def fit(cls, sample: Vectors, kept: float = KEPT, dims: int = 0) -> Codec:
        """The codec of vectors like `sample` (n, dim); exact where all numbers are whole, from 0 to 255, and none is left out.

        Args:
            sample: prepared vectors.
            kept: the share of numbers that is not clipped.
            dims: principal components that are kept, below dim; 0: no reduction.
        """
        some = sample[:: max(1, len(sample) // SAMPLE)]
        if not dims and some.min() >= 0 and some.max() <= 255 and np.array_equal(some, np.rint(some)):
            return cls(np.zeros(some.shape[1], np.float32), np.float32(1))
        axes = None
        if dims:
            axes = np.ascontiguousarray(np.linalg.eigh(_covariance(some))[1][:, ::-1][:, :dims].T, np.float32)
            some = some @ axes.T
        middle = np.median(some, axis=0).astype(np.float32)
        spread = max(float(np.quantile(np.abs(some - middle), kept)), SMALLEST)
        scale = np.float32(127.5 / spread)
        return cls((middle - np.float32(127.5) / scale).astype(np.float32), scale, axes)

    def encode(self, x: Vectors) -> Vectors:
        """Whole float32 numbers from 0 to 255, (n, dims): what FAISS stores as bytes."""
        out = x - self.offset if self.axes is None else x @ self.axes.T - self.offset
        out *= self.scale
        np.rint(out, out=out)
        return np.clip(out, 0, 255, out=out)

    def encode_one(self, vector: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
        """Writes the codes of one vector (dim,) into `out`, float32 (dims,)."""
        if self.axes is None:
            np.subtract(vector, self.offset, out=out)
        else:
            from nearfield.index import _faiss

            _faiss.products(self.axes, vector, out)
            np.subtract(out, self.offset, out=out)
        np.multiply(out, self.scale, out=out)
        np.rint(out, out=out)
        np.maximum(out, 0, out=out)
        np.minimum(out, 255, out=out)

    def decode(self, codes: Vectors) -> Vectors:
        """The vectors (n, dim) that codes stand for; of a codec that leaves nothing out."""
        assert self.axes is None
        return codes / self.scale + self.offset

    def save(self, path: Path) -> None:
        """Writes the axes if there are any, the offset, then the scale, as float32; the caller syncs it."""
        axes = [] if self.axes is None else [self.axes.ravel()]
        np.concatenate([*axes, self.offset, [self.scale]]).astype("<f4").tofile(path)

    @classmethod
    def open(cls, path: Path, dim: int) -> Codec:
        """Reads what `save` wrote; raises Corrupt if it is not a codec of vectors of `dim`."""
        found = np.fromfile(path, "<f4")
        dims = dim if len(found) == dim + 1 else (len(found) - 1) // (dim + 1)
        size = dim + 1 if dims == dim else dims * (dim + 1) + 1
        if not 0 < dims <= dim or len(found) != size or not np.isfinite(found).all() or not found[-1] > 0:
            raise Corrupt(f"{path} is not a codec of {dim} dimensions; the index is built again", field=path.name)
        axes = None if dims == dim else found[: dims * dim].reshape(dims, dim).copy()
        return cls(found[-1 - dims : -1].copy(), np.float32(found[-1]), axes)


def nbytes(dim: int, dims: int = 0) -> int:
    """Bytes of a codec's file."""
    return 4 * (dims * (dim + 1) + 1) if dims else 4 * (dim + 1)


def dims_keeping(sample: Vectors, share: float) -> int:
    """The fewest principal components, in steps of STEP, that keep `share` of the variance of `sample` (n, dim); else dim."""
    along = np.maximum(np.linalg.eigvalsh(_covariance(sample))[::-1], 0)
    kept = np.cumsum(along) / max(float(along.sum()), SMALLEST)
    count = 1 + int(np.searchsorted(kept, share))
    return int(min(sample.shape[1], -(-count // STEP) * STEP))


def _covariance(sample: Vectors) -> npt.NDArray[np.float64]:
    centred = sample - sample.mean(0)
    return np.asarray(centred.T @ centred, np.float64) / len(sample)
