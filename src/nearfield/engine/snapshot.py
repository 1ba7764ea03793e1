"""What one search sees: the live segments with their dead rows and indexes, and the pending rows, at one commit.

Knows nothing of how commits are made. A snapshot never changes; a commit makes the next one, sharing what did not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from nearfield.core.filters import Filter
from nearfield.core.metric import Metric
from nearfield.engine.matches import Allowed, Matches
from nearfield.engine.open_index import OpenIndex
from nearfield.engine.pending import PendingView
from nearfield.engine.placement import Placement
from nearfield.store.catalog import PendingRow
from nearfield.store.segment import Segment


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment with its dead rows: `live` is a packed bitmap over positions (little bit order), None if all live.

    `place`, where the segment is kept, is the same object in every snapshot that holds the segment.
    """

    segment: Segment
    live: npt.NDArray[np.uint8] | None = None
    dead: int = 0
    index: OpenIndex | None = None
    place: Placement = field(default_factory=Placement, compare=False, repr=False)
    filters: Matches = field(default_factory=Matches, compare=False, repr=False)

    def buried(self, rows: Sequence[int]) -> SegmentView:
        """The view with more rows dead."""
        positions = self.segment.positions_of_rows(rows)
        n = len(self.segment)
        live = np.packbits(np.ones(n, np.bool_), bitorder="little") if self.live is None else self.live.copy()
        keep = ~(np.uint8(1) << (positions & 7).astype(np.uint8))
        np.bitwise_and.at(live, positions >> 3, keep)
        return replace(self, live=live, dead=n - int(np.bitwise_count(live).sum()), filters=Matches())

    def allowed(self, condition: Filter | None) -> Allowed:
        """The rows that are alive and match; remembered while nothing in the segment dies."""
        if condition is None:
            return self.filters.of("", lambda: None if self.live is None else self.live_mask(), len(self.segment))
        mask = self.segment.columns.mask
        return self.filters.of(
            repr(condition),
            lambda: mask(condition) if self.live is None else mask(condition) & self.live_mask(),
            len(self.segment),
        )

    def live_mask(self) -> npt.NDArray[np.bool_]:
        """Bool (n,), True where alive."""
        n = len(self.segment)
        if self.live is None:
            return np.ones(n, np.bool_)
        return np.unpackbits(self.live, count=n, bitorder="little").view(np.bool_)

    def is_live(self, position: int) -> bool:
        """Whether one position is alive."""
        return self.live is None or bool(self.live[position >> 3] >> (position & 7) & 1)

    def __len__(self) -> int:
        return len(self.segment) - self.dead


@dataclass(slots=True)
class Delta:
    """What one operation changed; collected while it runs, applied to the snapshot after COMMIT."""

    added: list[PendingRow] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    buried: dict[int, list[int]] = field(default_factory=dict)
    segments: list[Segment] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    indexes: dict[int, OpenIndex | None] = field(default_factory=dict)

    def bury(self, segment: int, rows: Sequence[int]) -> None:
        """Notes dead rows of a segment."""
        self.buried.setdefault(segment, []).extend(rows)

    @property
    def only_adds(self) -> bool:
        """Whether what was there is as it was and where it was."""
        return not (self.removed or self.buried or self.segments or self.dropped)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The collection at commit number `commit`."""

    commit: int
    dim: int
    metric: Metric
    segments: tuple[SegmentView, ...] = ()
    pending: PendingView = field(default_factory=PendingView)

    def __len__(self) -> int:
        return len(self.pending) + sum(len(s) for s in self.segments)

    def changed(self, deltas: Sequence[Delta], commit: int) -> Snapshot:
        """The snapshot after a group of operations committed."""
        views = {view.segment.number: view for view in self.segments}
        added: list[PendingRow] = []
        removed: list[int] = []
        for delta in deltas:
            added += delta.added
            removed += delta.removed
            for segment in delta.segments:
                views[segment.number] = SegmentView(segment)
            for number, rows in delta.buried.items():
                if rows:
                    views[number] = views[number].buried(rows)
            for number in delta.dropped:
                del views[number]
            for number, index in delta.indexes.items():
                if number in views:
                    views[number] = replace(views[number], index=index)
        pending = self.pending
        if added or removed:
            pending = pending.changed(added, removed, self.dim, self.metric)
        return Snapshot(commit, self.dim, self.metric, tuple(views[n] for n in sorted(views)), pending)


__all__ = ["Delta", "OpenIndex", "SegmentView", "Snapshot"]
