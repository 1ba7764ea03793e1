"""What an index kind promises, and what a finished index does. Knows vectors and positions; no document, no file layout."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Positions, Scores, Vectors

Bitmap = npt.NDArray[np.uint8]
"""Packed bits over positions, little bit order, ceil(n / 8) bytes: bit p is set where position p may be returned."""

Progress = Callable[[str, float], None]
"""Called with a phase and the share of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Effort:
    """The run-time knobs of a search; 0 where one does not apply.

    Attributes:
        nprobe: lists read (kinds with lists).
        efSearch: candidates kept while walking a graph (Hnsw).
        oversampling: candidates scored again from the raw vectors for each hit wanted (kinds that store less than
            float32); 0: what the kind usually takes, 1 where full vectors are stored.
    """

    nprobe: int = 0
    efSearch: int = 0
    oversampling: int = 0

    def __post_init__(self) -> None:
        for name in ("nprobe", "efSearch", "oversampling"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1 << 24:
                raise InvalidInput("not an effort", field=f"effort.{name}", expected="0 to 16,777,216", received=value)

    def to_dict(self) -> dict[str, int]:
        """Only what applies."""
        known = (("nprobe", self.nprobe), ("efSearch", self.efSearch), ("oversampling", self.oversampling))
        return {name: value for name, value in known if value and (name, value) != ("oversampling", 1)}


@dataclass(frozen=True, slots=True)
class Allow:
    """Which positions may be returned: a bitmap, and the share of all positions that it allows, in (0, 1]."""

    bits: Bitmap
    share: float


SPARE = 2.0
"""Candidates asked for under a filter, over what its share needs on average: chance spreads their number."""
MOST = 1 << 16
"""Candidates at most."""


def depth(k: int, effort: Effort, share: float, n: int) -> int:
    """How many candidates a search for k hits among a `share` of n rows looks at: of a graph at most the efSearch it keeps."""
    wanted = k * max(1, effort.oversampling)
    if effort.efSearch:
        wanted = max(k, effort.efSearch if share < 1 else min(wanted, effort.efSearch))
    elif share < 1:
        wanted = math.ceil(SPARE * wanted / max(share, 1e-6)) + 8
    return max(1, min(wanted, n, MOST))


@dataclass(slots=True)
class Found:
    """An index's answer to m queries.

    Attributes:
        scores: float32 (m, k), best first: final up to rounding where `kind.refines`, else the index's own.
        positions: int64 (m, k); -1 for none.
        seen: int64 (m,), how many candidates the index had; not counted, zeros, without `allow`.
        passed: int64 (m,), how many of them were allowed. A share far below `Allow.share` says that a filter
            rules out what is near the query.
    """

    scores: Scores
    positions: Positions
    seen: npt.NDArray[np.int64]
    passed: npt.NDArray[np.int64]


class Index(Protocol):
    """A finished index: searched by many threads at once, never changed."""

    def search(self, queries: Vectors, k: int, effort: Effort, allow: Allow | None = None) -> Found:
        """The k best of m prepared queries (m, dim) among what is allowed."""
        ...

    def candidates(self, queries: Vectors, width: int, effort: Effort) -> Positions:
        """The `width` candidates of m prepared queries by the index's own order, best first: (m, width), -1 for none."""
        ...

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory the index takes when all of it has been touched, mapped pages included."""
        ...


class Building(Protocol):
    """An index that is being built: trained, and filled block by block."""

    def add(self, x: Vectors) -> None:
        """Takes prepared vectors (b, dim); their ids go on from what was added before."""
        ...

    def index(self, vectors: Vectors, order: npt.NDArray[np.int32]) -> Index:
        """What was added so far, searchable; it was added in the order of these positions of `vectors` (n, dim)."""
        ...

    def save(self, place: Path, order: npt.NDArray[np.int32]) -> None:
        """Writes the index's files, `place` with a suffix for each; the caller syncs them."""
        ...


class Kind(Protocol):
    """A kind with its parameters: a frozen dataclass, given to `create(index=...)` and stored as its fields."""

    name: ClassVar[str]

    @property
    def recipe(self) -> str:
        """The usual name of the field, for FAISS's kinds as index_factory writes it; L stands for the number of lists."""
        ...

    @property
    def mappable(self) -> bool:
        """Whether an opened index stays in its file, memory-mapped, instead of being read into memory."""
        ...

    @property
    def refines(self) -> bool:
        """Whether candidates are scored again from the raw vectors: true of every kind that stores less than float32."""
        ...

    @property
    def oversamplings(self) -> Sequence[int]:
        """The settings of Effort.oversampling worth measuring, least first."""
        ...

    def check(self, dim: int, metric: Metric) -> None:
        """Raises InvalidInput where vectors of `dim` under `metric` do not suit, MissingDependency without its package."""
        ...

    def nbytes(self, n: int, dim: int) -> int:
        """Bytes of the index's files for n vectors, before building; within 5 %."""
        ...

    def resident(self, n: int, dim: int, metric: Metric) -> tuple[int, int]:
        """Least and most bytes of memory when all of the index has been touched; apart only where lists' sizes decide."""
        ...

    def build_bytes(self, n: int, dim: int) -> int:
        """Peak memory of building, beyond the mapped vectors."""
        ...

    def training_rows(self, n: int) -> int:
        """How many vectors, drawn at random, training takes at most."""
        ...

    def start(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Building:
        """Trains for n prepared vectors of which `sample` (at least one) are some."""
        ...

    def open(self, place: Path, metric: Metric, vectors: Vectors) -> Index:
        """Opens what `Building.save` wrote; raises Corrupt if it is not an index of these prepared vectors (n, dim)."""
        ...

    def efforts(self, n: int) -> Sequence[Effort]:
        """The settings of nprobe or efSearch worth measuring, cheapest first."""
        ...


def is_permutation(order: npt.NDArray[np.int32], n: int) -> bool:
    """Whether `order` holds each of 0 to n - 1 once."""
    if len(order) != n or (n and (order.min() < 0 or order.max() >= n)):
        return False
    return bool((np.bincount(order, minlength=n) == 1).all())


def check_whole(kind: object, *names: str) -> None:
    """Raises InvalidInput for a parameter that is no integer."""
    for name in names:
        value = getattr(kind, name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidInput("not a whole number", field=name, expected="an integer", received=repr(value))
