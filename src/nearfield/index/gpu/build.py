"""Large lists are trained and filled on a graphics card, block by block, and come down once, to be measured and saved.

Ivf of float32 or float16 and IvfPq(bits=8). Where a card cannot, the processor builds, and the reason is logged. A card that is
full or lost in the middle says so by DeviceFull or DeviceLost, and the processor begins anew (see child.py): a list that FAISS
had no room to lengthen may hold rows that were never written. The file is the one that the processor makes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.config import format_size
from nearfield.core.errors import NearfieldError
from nearfield.core.metric import Metric, Vectors
from nearfield.device import _torch, cards
from nearfield.device.scan import DeviceFull, DeviceLost
from nearfield.index import _faiss, coarse
from nearfield.index import storage as storages
from nearfield.index.base import Building, Index, Kind
from nearfield.index.faiss_kind import FaissBuilding, FaissKind, Trained
from nearfield.index.gpu import limits, sizes
from nearfield.index.gpu.limits import Options
from nearfield.index.gpu.owner import Held, Owner
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq

log = logging.getLogger("nearfield.index")
FROM_BYTES = 1 << 29
"""Bytes of float32 vectors from which a card is worth its start (some seconds): a million of 128 numbers, 175,000 of 768."""


def begin(kind: FaissKind, sample: Vectors, n: int, metric: Metric, seed: int) -> Building | None:
    """Starts building n vectors on a card; None where the processor should, with the reason logged where a card is there.

    Args:
        kind: which index.
        sample: prepared vectors to train with.
        n: vectors that will be added.
        metric: which comparison.
        seed: of everything random.
    """
    dim = sample.shape[1]
    if not isinstance(kind, (Ivf, IvfPq)) or 4 * n * dim < FROM_BYTES or not _faiss.cards():
        return None
    options = unsuited(kind, n, dim, metric)
    if isinstance(options, str):
        log.info("%s is built on the processor: %s", kind.recipe, options)
        return None
    try:
        owner = claim(kind, n, dim, metric, options)
    except NearfieldError as error:
        log.warning("%s is built on the processor: %s", kind.recipe, error.message)
        return None
    try:
        return CardBuilding(kind, sample, n, metric, seed, owner)
    except (RuntimeError, MemoryError, DeviceLost) as error:
        owner.close()
        log.warning("%s is built on the processor: the card failed to train it (%s)", kind.recipe, str(error)[:200])
        return None


def unsuited(kind: Ivf | IvfPq, n: int, dim: int, metric: Metric) -> Options | str:
    """How lists of n vectors are built on a card, or why they are not. FAISS's own kernels build, never cuVS."""
    if isinstance(kind, Ivf) and kind.storage == "int8":
        return "lists of one-byte codes are quick to fill on a processor, and a card would send each vector as float32"
    if isinstance(kind, IvfPq) and kind.transform != "none":
        return f"what comes before, {kind.transform}, is applied by the processor"
    return limits.choose(kind, n, dim, metric, cuvs=False)


def claim(kind: Kind, n: int, dim: int, metric: Metric, options: Options | None = None) -> Owner:
    """The owner of the card with the most memory free.

    Raises:
        NearfieldError: no card is there, or none has the bytes free that building n vectors of `dim` takes.
    """
    if not _faiss.cards():
        raise NearfieldError(
            f"{kind.recipe} is built on a graphics card, and FAISS finds none here; `nearfield doctor` says why"
        )
    device, free = roomiest()
    found = options or limits.choose(kind, n, dim, metric, _faiss.has_cuvs())
    if isinstance(found, str):
        raise NearfieldError(f"{kind.recipe} cannot be built on a graphics card: {found}")
    needed = sizes.building(kind, n, dim, metric, found)
    if free is not None:
        needed += sizes.temporary(free)
        if needed > free:
            raise NearfieldError(
                f"building {kind.recipe} of {n:,} vectors takes up to {format_size(needed)} on the card, and cuda:{device} "
                f"has {format_size(free)} free; close what uses it, or choose a kind of fewer bytes"
            )
    return Owner(device)


def roomiest() -> tuple[int, int | None]:
    """The card with the most bytes free, and how many; without PyTorch nobody can say: the first, None."""
    found = cards.roomiest(_faiss.cards())
    return (0, None) if found is None else (int(found[0].name.partition(":")[2]), found[1])


def new(held: Held, kind: Ivf | IvfPq, lists: int, dim: int, metric: Metric, options: Options) -> Any:
    """An empty index on the card that a thread owns."""
    faiss = _faiss.faiss
    if isinstance(kind, IvfPq):
        config = faiss.GpuIndexIVFPQConfig()
        config.useFloat16LookupTables = options.useFloat16
    elif kind.storage == "float16":
        config = faiss.GpuIndexIVFScalarQuantizerConfig()
    else:
        config = faiss.GpuIndexIVFFlatConfig()
    config.device, config.use_cuvs = held.device, False
    config.indicesOptions = faiss.INDICES_32_BIT if options.id_bytes == 4 else faiss.INDICES_64_BIT
    if isinstance(kind, IvfPq):
        compared = faiss.METRIC_INNER_PRODUCT if metric.by_inner_product else faiss.METRIC_L2
        return faiss.GpuIndexIVFPQ(held.resources, dim, lists, kind.parts(dim), kind.bits, compared, config)
    compared = storages.metric_type(kind.storage, metric)
    if kind.storage == "float16":
        quantizer = storages.quantizer(kind.storage, metric)
        return faiss.GpuIndexIVFScalarQuantizer(held.resources, dim, lists, quantizer, compared, False, config)
    return faiss.GpuIndexIVFFlat(held.resources, dim, lists, compared, config)


class CardBuilding:
    """Lists that are being filled on a card, and from the first look at them on by the processor.

    Attributes:
        where: the card, or "cpu" once the lists came down.
    """

    def __init__(self, kind: Ivf | IvfPq, sample: Vectors, n: int, metric: Metric, seed: int, owner: Owner) -> None:
        dim = sample.shape[1]
        lists = min(coarse.count(kind.lists, n), len(sample))
        options = unsuited(kind, n, dim, metric)
        assert isinstance(options, Options)
        self._kind, self._metric, self._owner, self._lists, self._dim = kind, metric, owner, lists, dim
        self._down: FaissBuilding | None = None
        self.where = f"cuda:{owner.device}"
        sample = np.ascontiguousarray(sample, np.float32)

        def trained(held: Held) -> Any:
            index = coarse.prepare(new(held, kind, lists, dim, metric, options), metric, seed)
            index.train(sample)
            return index

        self._number = owner.make(trained)

    def add(self, x: Vectors) -> None:
        """See Building; raises DeviceFull where the card has no room for more, DeviceLost where it died: then begin anew."""
        x = np.ascontiguousarray(x, np.float32)
        if self._down is not None:
            self._down.add(x)
            return
        try:
            self._owner.call(lambda held: held.kept[self._number].add(x))
        except DeviceLost:
            self._owner.close()
            raise
        except (RuntimeError, MemoryError) as error:
            self._owner.close()
            if _torch.out_of_memory(error):
                raise DeviceFull(f"{self.where} has no room for more of {self._kind.recipe}") from error
            raise

    def _come_down(self) -> FaissBuilding:
        """The lists as the processor has them; the card is given back."""
        if self._down is None:

            def fetch(held: Held) -> Any:
                # Not reclaimMemory() before: it copies every list once more, and only what a list holds comes down.
                return _faiss.faiss.index_gpu_to_cpu(held.kept.pop(self._number))

            try:
                index = self._owner.call(fetch)
            finally:
                self._owner.close()
            self._down = FaissBuilding(self._kind, Trained(self._quick_to_assign(index)), self._metric)
            self.where = "cpu"
        return self._down

    def _quick_to_assign(self, index: Any) -> Any:
        """With as many lists as a processor's build puts behind a graph, the centroids are put behind one."""
        if self._lists < coarse.GRAPH_FROM:
            return index
        faiss = _faiss.faiss
        flat = faiss.downcast_index(index.quantizer)
        graph = coarse.quantizer(self._lists, self._dim, self._metric)
        graph.add(flat.reconstruct_n(0, self._lists))
        index.quantizer, index.own_fields = graph, True
        graph.this.disown()
        flat.this.own(True)  # it was the index's; it goes with this name
        return index

    def index(self, vectors: Vectors, order: npt.NDArray[np.int32]) -> Index:
        """See Building: as it will be served, by the processor."""
        return self._come_down().index(vectors, order)

    def save(self, place: Path, order: npt.NDArray[np.int32]) -> None:
        """See Building."""
        self._come_down().save(place, order)
