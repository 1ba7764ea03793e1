"""How far beyond borders one must look: what the pairs of a sample need, and what that would cost.

Knows cells and a sample of pairs.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.duplicates.geometry import Centroids, Reach
from nearfield.duplicates.sampling import Sample, neighbours
from nearfield.duplicates.tile import Take, Test

SURE_ENOUGH = 300
"""True pairs in the sample from which they set the margin alone; below, made-up pairs at the limit are put to them."""
AROUND = 8
"""Made-up pairs for each sampled row."""
BLOCK = 2048


class Tuned:
    """A sample seen through cells."""

    def __init__(
        self, sketches: Vectors, take: Take, test: Test, reach: Reach, centroids: Centroids, trained: Vectors, seen: Sample
    ) -> None:
        self.sketches, self.take, self.test = sketches, take, test
        self._reach, self._centroids = reach, centroids
        self._shares = np.bincount(homes(centroids, trained), minlength=centroids.k) / len(trained)
        units = centroids.space.unit(take(seen.rows))
        nearness = centroids.nearness(centroids.space.of(units))
        home = nearness.argmax(axis=1).astype(np.int64)
        self._home_share = self._shares[home]
        self._far = centroids.distance(nearness, home)
        self._far[np.arange(len(home)), home] = np.inf
        self._true = self.needs(seen)
        self._made = self._limits(units, seen) if len(self._true) < SURE_ENOUGH else self._true[:0]

    def work(self, margin: float) -> float:
        """Comparisons at a margin, as a share of n^2."""
        beyond = (self._far <= margin) @ self._shares
        return float((0.5 * self._home_share + beyond).mean())

    def margin(self, share: float) -> float:
        """The margin by which so large a share of pairs is found."""
        needs = np.concatenate([self._true, self._made])
        return float(np.quantile(needs, share, method="higher")) + 1e-6 if len(needs) else self._reach.radius / 2

    def needs(self, seen: Sample) -> npt.NDArray[np.float32]:
        """The margin that each of a sample's pairs needs to be found: 0 where both are of one cell."""
        unit, out = self._centroids.space.unit, [np.empty(0, np.float32)]
        for start in range(0, len(seen.mine), BLOCK):
            some = slice(start, start + BLOCK)
            out.append(self._needed(unit(self.take(seen.rows[seen.mine[some]])), unit(self.take(seen.other[some]))))
        return np.concatenate(out)

    def _limits(self, units: Vectors, seen: Sample) -> npt.NDArray[np.float32]:
        """The same for made-up pairs: near neighbours, drawn nearer or farther until they just are pairs."""
        near = neighbours(self.sketches, seen.rows, self.test.metric, AROUND)
        i, block = np.nonzero(near >= 0)
        y = self._centroids.space.unit(self.take(near[i, block]))
        return self._needed(units[i], self._reach.at_the_limit(units[i], y))

    def _needed(self, x: Vectors, y: Vectors) -> npt.NDArray[np.float32]:
        centroids = self._centroids
        near_x, near_y = (centroids.nearness(centroids.space.of(v)) for v in (x, y))
        home_x, home_y = near_x.argmax(axis=1), near_y.argmax(axis=1)
        each = np.arange(len(home_x))
        from_x = centroids.distance(near_x, home_x)[each, home_y]
        return np.asarray(np.minimum(from_x, centroids.distance(near_y, home_y)[each, home_x]), np.float32)


def homes(centroids: Centroids, x: Vectors) -> npt.NDArray[np.int64]:
    """Each row's nearest centroid, int64 (m,), of vectors as cells see them."""
    out = [centroids.nearness(x[s : s + 4096]).argmax(axis=1) for s in range(0, len(x), 4096)]
    return np.concatenate(out).astype(np.int64)
