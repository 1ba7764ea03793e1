"""The background of a collection: how scores of unrelated pairs are distributed, and so what a score is worth.

Knows a sample of scores; nothing of where they come from. A percentile is the share of pairs that score lower. What lies beyond
the sample is a bound, not a number: by the rule of three (J. Hanley and A. Lippman-Hand, JAMA 1983), what was seen in none of
n pairs has a share of at most 3/n, with 95 % confidence, as if the pairs were independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Scores

GRID = 4096
"""Steps of the body of the distribution that are kept; a step is 0.024 %."""
TAIL = 0.02
"""The share of the highest scores that is kept whole."""
QUANTILES = (1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0, 99.9, 99.99)
"""What `quantiles` gives, in percent."""


@dataclass(frozen=True, slots=True)
class Background:
    """A collection's background distribution, of scores as its searches give them.

    Attributes:
        source: "recorded queries" with documents, or "documents" with each other.
        pairs: scores in the sample.
        queries: vectors on the one side.
        documents: vectors on the other.
        size: documents of the collection then.
        commit: its commit number then.
        seed: of the sample.
    """

    source: str
    pairs: int
    queries: int
    documents: int
    size: int
    commit: int
    seed: int
    _body: Scores = field(repr=False, compare=False)
    _tail: Scores = field(repr=False, compare=False)

    @classmethod
    def of(cls, sample: Scores, source: str, queries: int, documents: int, size: int, commit: int, seed: int) -> Background:
        """Of a sample of scores, float32 (pairs,), in any order."""
        ordered = np.sort(sample)
        n = len(ordered)
        tail = ordered[n - max(1, int(np.ceil(n * TAIL))) :].copy()
        body = ordered[_places(n)]
        return cls(source, n, queries, documents, size, commit, seed, body, tail)

    @property
    def most(self) -> float:
        """The highest percentile that so many pairs can tell, in percent; what is higher is said to be at least this."""
        return 100.0 * max(0.0, 1.0 - 3.0 / self.pairs)

    def percentiles(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """For each score the share of pairs that score lower, in percent, 0 to `most`.

        Args:
            scores: float32 (n,).

        Returns:
            float64 (n,); `most` means "at least".
        """
        values = np.asarray(scores, np.float32)
        below = np.interp(values, self._body, _places(self.pairs) / self.pairs)
        below = np.where(values <= self._body[0], 0.0, below)
        start = self.pairs - len(self._tail)
        counted = (start + np.searchsorted(self._tail, values, side="left")) / self.pairs
        below = np.where(values > self._tail[0], counted, np.minimum(below, start / self.pairs))
        return np.minimum(100.0 * below, self.most)

    def score(self, percentile: float) -> float:
        """The score that has this percentile: so many percent of pairs score lower.

        Raises:
            InvalidInput: not from 0 to `most`.
        """
        check(percentile, "percentile")
        if percentile > self.most:
            raise InvalidInput(
                f"{self.pairs:,} pairs of this collection cannot tell so high a percentile",
                field="percentile",
                expected=f"at most {self.most:.6g}",
                received=percentile,
            )
        at = percentile / 100 * self.pairs
        start = self.pairs - len(self._tail)
        if at >= start:
            return float(self._tail[min(len(self._tail) - 1, int(np.floor(at)) - start)])
        return float(np.interp(at, _places(self.pairs), self._body))

    def quantiles(self, percents: Sequence[float] = QUANTILES) -> dict[float, float]:
        """The scores at some percentiles; those that the sample cannot tell are left out."""
        return {p: self.score(p) for p in percents if p <= self.most}

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        found = {name: value for name, value in asdict(self).items() if not name.startswith("_")}
        return {**found, "most": self.most, "quantiles": {f"{p:g}": s for p, s in self.quantiles().items()}}


def _places(pairs: int) -> npt.NDArray[np.int64]:
    """The places, in ascending order of scores, that the body keeps."""
    return np.linspace(0, pairs - 1, min(pairs, GRID)).round().astype(np.int64)


def check(percentile: Any, name: str) -> float:
    """A percentile in percent; raises InvalidInput."""
    good = isinstance(percentile, (int, float, np.floating, np.integer)) and not isinstance(percentile, bool)
    if not good or not 0 <= percentile <= 100:
        raise InvalidInput("not a percentile", field=name, expected="a number from 0 to 100", received=percentile)
    return float(percentile)
