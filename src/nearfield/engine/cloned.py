"""A segment's index on a card, by FAISS for cards: for segments of more vectors than a scan has room for. One card holds it.

The clone answers as the index on the processor does, whose measured curve holds for it: the same lists, codes and scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nearfield.core.metric import Metric
from nearfield.device.failures import DeviceFull, DeviceLost
from nearfield.device.pool import Pool
from nearfield.engine.open_index import OpenIndex
from nearfield.index import decode_kind
from nearfield.index.gpu.sizes import TEMPORARY

if TYPE_CHECKING:
    from nearfield.index.gpu.index import GpuIndex


class ClonedIndex:
    """An index on a card. Made by `clone`.

    Attributes:
        number: of the index that was cloned: another index of the segment has no use for it.
        index: what answers; where the card cannot, the index on the processor does.
    """

    form = "index"

    def __init__(self, number: int, index: GpuIndex, pool: Pool, device: str, nbytes: int) -> None:
        self.number, self.index, self.device, self.nbytes = number, index, device, nbytes
        self._pool, self._open = pool, True

    @property
    def devices(self) -> tuple[str, ...]:
        """The card that holds it."""
        return (self.device,)

    @property
    def lost(self) -> str | None:
        """Why the card does not work any more; None while it does."""
        return self.index.lost

    def held(self, device: str) -> int:
        """Bytes that it holds of a device."""
        return self.nbytes if self._open and device == self.device else 0

    def close(self) -> None:
        """Gives the memory back."""
        if self._open:
            self._open = False
            try:
                self.index.close()
            finally:
                self._pool.release({self.device: self.nbytes})


def needs(opened: OpenIndex, n: int, dim: int, metric: Metric, devices: Sequence[str]) -> list[int] | None:
    """Bytes on each device for the index of n vectors, which the first one holds; None where no card can hold it."""
    from nearfield.index import _faiss
    from nearfield.index.gpu import limits, sizes

    if not devices or not devices[0].startswith("cuda:") or not _faiss.cards():
        return None
    kind = decode_kind(opened.record.kind)
    options = limits.choose(kind, n, dim, metric, _faiss.has_cuvs())
    if isinstance(options, str):
        return None
    return [sizes.on_card(kind, n, dim, metric, options)[1] + TEMPORARY, *[0] * (len(devices) - 1)]


def clone(opened: OpenIndex, nbytes: int, pool: Pool) -> ClonedIndex:
    """Puts an index on the first card of a pool.

    Args:
        opened: the index; it is opened if it is not.
        nbytes: what `needs` said.
        pool: the cards.

    Raises:
        DeviceFull: there is no room, or this index cannot be on a card after all; nothing is held then.
        DeviceLost: the card does not work any more.
    """
    from nearfield.index.gpu.index import GpuIndex, Unsuited
    from nearfield.index.gpu.owner import owner_of
    from nearfield.index.wrapper import FaissIndex

    device = next(iter(pool.devices), "")
    index = opened.index
    if not isinstance(index, FaissIndex) or not device or not pool.reserve({device: nbytes}):
        raise DeviceFull("the budget has no room for this index")
    try:
        owner = owner_of(int(device.rpartition(":")[2]), TEMPORARY)
        if owner.lost:
            raise DeviceLost(owner.lost, device)
        return ClonedIndex(opened.record.number, GpuIndex(index, owner, nbytes - TEMPORARY), pool, device, nbytes)
    except Unsuited as error:
        pool.release({device: nbytes})
        raise DeviceFull(str(error)) from error
    except BaseException:
        pool.release({device: nbytes})
        raise
