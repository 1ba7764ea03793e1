"""The live rows of one snapshot that a filter allows, as one sequence in the order of writing.

Knows segments and pending blocks, so that nobody else here does: how rows are divided among them changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.filters import Filter
from nearfield.core.metric import Metric, Positions, Vectors
from nearfield.engine.pending import Block
from nearfield.engine.snapshot import Snapshot
from nearfield.store.segment import Segment

Holder = Segment | Block


@dataclass(frozen=True, slots=True)
class Rows:
    """n rows by ascending row number.

    Attributes:
        metric: how their vectors are compared; dim: numbers in each.
        numbers: int64 (n,), row numbers, ascending.
        holders: segments and blocks; owner: int32 (n,), whose each row is; at: int64 (n,), where in it.
    """

    metric: Metric
    dim: int
    numbers: npt.NDArray[np.int64]
    holders: tuple[Holder, ...]
    owner: npt.NDArray[np.int32]
    at: Positions

    @classmethod
    def of(cls, snapshot: Snapshot, condition: Filter | None = None) -> Rows:
        """The live rows that match."""
        holders: list[Holder] = []
        numbers: list[npt.NDArray[np.int64]] = []
        places: list[Positions] = []
        for view in snapshot.segments:
            positions = view.allowed(condition).positions
            holders.append(view.segment)
            numbers.append(view.segment.rows[positions])
            places.append(np.asarray(positions, np.int64))
        for part in snapshot.pending.parts:
            mask = np.ones(part.count, np.bool_) if part.live is None else part.live
            if condition is not None:
                mask = mask & part.block.mask(condition, part.count)
            positions = np.flatnonzero(mask)
            holders.append(part.block)
            numbers.append(part.block.rows[positions])
            places.append(positions)
        if not holders:
            none = np.empty(0, np.int64)
            return cls(snapshot.metric, snapshot.dim, none, (), none.astype(np.int32), none)
        every, at = np.concatenate(numbers), np.concatenate(places)
        owner = np.repeat(np.arange(len(holders), dtype=np.int32), [len(p) for p in places])
        order = np.argsort(every, kind="stable")
        return cls(snapshot.metric, snapshot.dim, every[order], tuple(holders), owner[order], at[order])

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, which: npt.NDArray[np.integer] | slice) -> Vectors:
        """Prepared vectors float32 (r, dim) of rows, in the order given."""
        owner, at = self.owner[which], self.at[which]
        if len(self.holders) == 1:
            return np.ascontiguousarray(self.holders[0].vectors[at])
        out = np.empty((len(owner), self.dim), np.float32)
        for number in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == number)
            out[mine] = self.holders[number].vectors[at[mine]]
        return out

    def id(self, row: int) -> str:
        """The id of a row, by its place in this sequence."""
        holder, at = self.holders[self.owner[row]], int(self.at[row])
        return holder.id(at) if isinstance(holder, Segment) else holder.ids[at]

    def metadata(self, row: int) -> bytes:
        """The metadata JSON of a row."""
        holder, at = self.holders[self.owner[row]], int(self.at[row])
        return holder.metadata_bytes(at) if isinstance(holder, Segment) else holder.metadata[at]

    def text(self, row: int) -> str | None:
        """The text of a row."""
        holder, at = self.holders[self.owner[row]], int(self.at[row])
        return holder.text(at) if isinstance(holder, Segment) else holder.texts[at]
