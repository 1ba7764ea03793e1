"""Cells of vectors and how near to a border a pair can be, whatever the metric.

Knows centroids and distances. Let a be the home cell of x and b that of y, n the unit vector from a's centroid to b's. The
border between them is a plane; x lies on one side of it at distance D(x), y on the other at D(y), and D(x) + D(y) <= |x - y|.
So of two vectors at most r apart, one lies within r/2 of the border: looking so far beyond borders misses no pair at all. That
holds for sketches too, which are no farther apart than their vectors. In many dimensions most of x - y runs along the border: a
fraction of r/2 finds nearly all pairs, and how large a fraction is measured on the vectors at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Vectors, norms
from nearfield.duplicates.sketch import Axes
from nearfield.duplicates.tile import UNIT, Test

DIMS = 128
"""Axes along which cells are made. Fewer are cheaper, but bring borders nearer."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far apart two vectors of a pair may be, in the space in which cells are made.

    Attributes:
        radius: Euclidean distance of directions (cosine, ip) or of vectors (l2).
        cosine: the least cosine of a pair (cosine, ip); None for l2.
    """

    radius: float
    cosine: float | None

    @classmethod
    def of(cls, test: Test) -> Reach | None:
        """None where cells are of no use: inner products at or below 0 say nothing about directions.

        Under ip a pair's cosine is at least above / longest^2; it is that of the longest vectors which decides.
        """
        if test.metric is Metric.L2:
            return cls(float(np.sqrt(-test.above)), None)
        least = test.above if test.metric is Metric.COSINE else test.above / max(test.longest**2, 1e-30)
        if least <= 0:
            return None
        return cls(float(np.sqrt(max(0.0, 2 - 2 * min(1.0, least)))), min(1.0, least))

    def at_the_limit(self, x: Vectors, near: Vectors) -> Vectors:
        """For each x (m, dim) what lies in the direction of its neighbour, but just so far away that they are a pair."""
        if self.cosine is None:
            apart = near - x
            lengths = norms(apart)
            return np.asarray(x + apart * (self.radius / np.maximum(lengths, 1e-30))[:, None], np.float32)
        along = near - np.einsum("ij,ij->i", near, x)[:, None] * x
        lengths = np.maximum(norms(along), 1e-30)
        rest = np.sqrt(max(0.0, 1 - self.cosine**2))
        return np.asarray(self.cosine * x + along * (rest / lengths)[:, None], np.float32)


@dataclass(frozen=True, slots=True)
class Space:
    """Where cells are made: directions (cosine, ip) or vectors (l2), sketched along `dims` axes."""

    axes: Axes
    dims: int
    metric: Metric

    def unit(self, x: Vectors) -> Vectors:
        """Prepared vectors as directions, or as they are under l2."""
        if self.metric is not Metric.IP:
            return x
        lengths = norms(x)
        return np.asarray(x / np.where(lengths == 0, 1, lengths)[:, None], np.float32)

    def of(self, units: Vectors) -> Vectors:
        """(m, dim) to (m, dims + 1)."""
        return self.axes.sketch(units, self.dims)


class Centroids:
    """k centroids float32 (k, d), with the distances between them."""

    def __init__(self, centroids: Vectors, space: Space, scale: float) -> None:
        self.space = space
        self.k = len(centroids)
        self._transposed = np.ascontiguousarray(centroids.T)
        self._half = np.asarray(0.5 * np.einsum("ij,ij->i", centroids, centroids), np.float32)
        squared = 2 * (self._half[:, None] + self._half - centroids @ self._transposed)
        self.apart = np.sqrt(np.maximum(squared, 0)).astype(np.float32)
        longest = max(scale, float(np.sqrt(2 * self._half.max(initial=0))))
        self._slack = np.float32(32 * len(space.axes.basis) * UNIT * longest**2)

    def nearness(self, x: Vectors) -> npt.NDArray[np.float32]:
        """x.c - |c|^2/2 for each centroid, (m, k): greatest for the nearest."""
        out: npt.NDArray[np.float32] = x @ self._transposed
        out -= self._half
        return out

    def near(self, nearness: npt.NDArray[np.float32], home: npt.NDArray[np.int64], margin: float) -> npt.NDArray[np.bool_]:
        """Which cells each row looks into beside its own: those whose border is at most `margin` away, (m, k)."""
        best = nearness[np.arange(len(home)), home] - self._slack
        low = self.apart[home]
        low *= np.float32(-margin)
        low += best[:, None]
        mask: npt.NDArray[np.bool_] = nearness >= low
        mask[np.arange(len(home)), home] = False
        return mask

    def distance(self, nearness: npt.NDArray[np.float32], home: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Distance of each row to the border with each cell, (m, k); 0 for its own."""
        best = nearness[np.arange(len(home)), home]
        out = np.maximum(best[:, None] - nearness - self._slack, 0) / np.maximum(self.apart[home], 1e-30)
        return np.asarray(out, np.float32)
