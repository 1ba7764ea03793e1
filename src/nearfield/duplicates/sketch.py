"""Short vectors whose products are never below those of the long ones: what they rule out need not be compared in full.

Knows vectors. With an orthonormal basis, x = head + rest and y likewise, so x.y <= head.head + |rest| |rest| (Cauchy-Schwarz),
and |x - y|^2 >= |head - head|^2 + (|rest| - |rest|)^2. Both are the plain product and distance of (head, |rest|). The basis is
that of the sample's principal axes, which makes the rests short. Lengths are kept, and under l2 the mean is taken off first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Vectors

SAMPLE = 6144
"""Vectors from which the axes are found."""
WIDE = 1024
"""Numbers in a vector beyond which axes are found among as many vectors instead."""
LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
LET_THROUGH = 1e-4
"""Of all pairs, the share that a sketch may let through without need."""
UNIT = 2.0**-24


@dataclass(frozen=True, slots=True)
class Axes:
    """An orthonormal basis float32 (dim, axes), the most telling first, and the mean (dim,) that is taken off."""

    basis: npt.NDArray[np.float32]
    mean: npt.NDArray[np.float32] | None

    @classmethod
    def of(cls, sample: Vectors, metric: Metric) -> Axes:
        """Principal axes of a sample (m, dim)."""
        mean = None
        if metric is Metric.L2:
            mean = sample.mean(axis=0)
            sample = sample - mean
        if sample.shape[1] <= WIDE:
            _, vectors = np.linalg.eigh((sample.T @ sample).astype(np.float64))
            return cls(np.ascontiguousarray(vectors[:, ::-1], np.float32), mean)
        some = sample[:WIDE].astype(np.float64)
        basis, _ = np.linalg.qr(some.T @ np.linalg.eigh(some @ some.T)[1][:, ::-1])
        return cls(np.ascontiguousarray(basis, np.float32), mean)

    def sketch(self, x: Vectors, dims: int) -> Vectors:
        """(m, dim) to (m, dims + 1). The rest is rounded up, so that products stay bounds."""
        if self.mean is not None:
            x = x - self.mean
        out = np.empty((len(x), dims + 1), np.float32)
        np.matmul(x, self.basis[:, :dims], out=out[:, :dims])
        whole = np.einsum("ij,ij->i", x, x)
        rest = whole * np.float32(1 + 8 * x.shape[1] * UNIT) - np.einsum("ij,ij->i", out[:, :dims], out[:, :dims])
        out[:, dims] = np.sqrt(np.maximum(rest, 0))
        return out

    def widths(self) -> list[int]:
        """The numbers of axes that are worth a try: a sketch nearly as long as a vector spares nothing."""
        return [d for d in LADDER if d <= 0.6 * len(self.basis) and d <= self.basis.shape[1]]
