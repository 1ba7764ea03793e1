"""What the kinds that FAISS backs share: how they are filled, written, opened. A kind adds its arithmetic and training.

Files of an index: PLACE.faiss; PLACE.order, int32 positions of FAISS's ids; PLACE.codec where input is coded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt
from nearfield.core.metric import Metric, Vectors
from nearfield.index.base import Building, Effort, Index, is_permutation
from nearfield.index.codec import Codec

FAISS, ORDER, CODEC = ".faiss", ".order", ".codec"


@dataclass(frozen=True, slots=True)
class Trained:
    """An empty index, ready to take vectors: the FAISS index, and the codec its input goes through (None: as it is)."""

    index: Any
    codec: Codec | None = None


class FaissKind(ABC):
    """A kind backed by FAISS: the parts of Kind that do not depend on which."""

    @property
    def mappable(self) -> bool:
        """See Kind."""
        return True

    @property
    def refines(self) -> bool:
        """See Kind."""
        return False

    @property
    def oversamplings(self) -> Sequence[int]:
        """See Kind."""
        return (1, 2, 4) if self.refines else (1,)

    def check(self, dim: int, metric: Metric) -> None:
        """See Kind: everything fits."""
        return

    @abstractmethod
    def train(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Trained:
        """An empty index for n prepared vectors of which `sample` are some."""

    def parameters(self, effort: Effort) -> Any:
        """FAISS search parameters of an effort; None: there are none."""
        return None

    def start(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Building:
        """See Kind."""
        from nearfield.index import _faiss
        from nearfield.index.gpu import build

        _faiss.use_threads(len(sample))
        on_card = build.begin(self, sample, n, metric, seed)
        return on_card or self.start_on_processor(sample, n, metric, seed)

    def start_on_processor(self, sample: Vectors, n: int, metric: Metric, seed: int) -> Building:
        """As `start`, but never on a card."""
        return FaissBuilding(self, self.train(np.ascontiguousarray(sample), n, metric, seed), metric)

    def open(self, place: Path, metric: Metric, vectors: Vectors) -> Index:
        """See Kind."""
        from nearfield.index import _faiss
        from nearfield.index.wrapper import FaissIndex

        n, dim = vectors.shape
        files = {suffix: place.with_name(place.name + suffix) for suffix in (FAISS, ORDER, CODEC)}
        files = {suffix: path for suffix, path in files.items() if path.exists()}
        order = None
        if ORDER in files:
            order = np.memmap(files[ORDER], np.int32, mode="r") if files[ORDER].stat().st_size else np.empty(0, np.int32)
            if not is_permutation(order, n):
                raise Corrupt(f"{files[ORDER]} is not an order of {n} positions; the index is built again", field="order")
        codec = Codec.open(files[CODEC], dim) if CODEC in files else None
        index = _faiss.read(place.with_name(place.name + FAISS), n, dim if codec is None else codec.dims)
        if _faiss.takes_codes(index) != (codec is not None):
            raise Corrupt(f"the codec of {place} and its index do not belong together; it is built again", field="codec")
        return FaissIndex(index, self, metric, vectors, order, codec, sum(p.stat().st_size for p in files.values()))


class FaissBuilding:
    """A FAISS index that is being filled."""

    def __init__(self, kind: FaissKind, trained: Trained, metric: Metric) -> None:
        self._kind, self._index, self._codec, self._metric = kind, trained.index, trained.codec, metric

    def add(self, x: Vectors) -> None:
        """See Building."""
        from nearfield.index import _faiss

        _faiss.use_threads(len(x))
        self._index.add(np.ascontiguousarray(x) if self._codec is None else self._codec.encode(x))

    def index(self, vectors: Vectors, order: npt.NDArray[np.int32]) -> Index:
        """See Building."""
        from nearfield.index.wrapper import FaissIndex

        return FaissIndex(self._index, self._kind, self._metric, vectors, order, self._codec)

    def save(self, place: Path, order: npt.NDArray[np.int32]) -> None:
        """See Building."""
        from nearfield.index import _faiss

        _faiss.write(self._index, place.with_name(place.name + FAISS))
        if not np.array_equal(order, np.arange(len(order))):
            order.astype(np.int32).tofile(place.with_name(place.name + ORDER))
        if self._codec is not None:
            self._codec.save(place.with_name(place.name + CODEC))
