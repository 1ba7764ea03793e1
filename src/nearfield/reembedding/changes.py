"""What differs between two snapshots of one collection, by the ids of documents. Knows rows; no model, no second engine.

A row's number is never given twice and what it holds never changes, so what was written since an earlier snapshot are the live
rows that were not alive there, and what was removed are ids of rows that were alive there and are not now. A document in parts
is known by its first row: all its rows are written together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from nearfield.core import parts
from nearfield.engine.pending import Block, Part
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.store.segment import Segment

Rows = npt.NDArray[np.int64]
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Changes:
    """From one snapshot to a later one: rows that are new, ascending, and ids that no live document has any more."""

    rows: Rows
    gone: list[str]

    def __len__(self) -> int:
        return len(self.rows) + len(self.gone)


def between(before: Snapshot, now: Snapshot) -> Changes:
    """What happened between two snapshots of one collection."""
    earlier = {view.segment.number: view for view in before.segments}
    same = {v.segment.number for v in now.segments if v.segment.number in earlier and _as_before(v, earlier[v.segment.number])}
    old, new = _rows(before, same), _rows(now, same)
    dead = np.setdiff1d(old, new, assume_unique=True)
    gone = [found for found in _ids(before, dead) if not has(now, found)] if len(dead) else []
    return Changes(np.setdiff1d(new, old, assume_unique=True), gone)


def _as_before(view: SegmentView, before: SegmentView) -> bool:
    return view.live is before.live or (view.dead == before.dead and view.live is not None and before.live is not None)


def since(now: Snapshot, mark: int) -> Rows:
    """The live rows from `mark` on."""
    rows = _rows(now, set())
    return rows[rows >= mark]


def _rows(snapshot: Snapshot, leave_out: set[int]) -> Rows:
    """Numbers of live rows, ascending."""
    found = [v.segment.rows[v.live_mask()] for v in snapshot.segments if v.segment.number not in leave_out]
    found += [part.block.rows[: part.count][_alive(part)] for part in snapshot.pending.parts]
    return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)


def _alive(part: Part) -> npt.NDArray[np.bool_]:
    return np.ones(part.count, np.bool_) if part.live is None else part.live


def ids(snapshot: Snapshot, rows: Rows | None, size: int) -> Iterator[list[str]]:
    """The ids of documents whose first rows are among `rows`, which are alive (None: of all), at most `size` at a time."""
    found = _ids(snapshot, _rows(snapshot, set()) if rows is None else rows)
    while some := list(islice(found, size)):
        yield some


def _ids(snapshot: Snapshot, rows: Rows) -> Iterator[str]:
    for view in snapshot.segments:
        positions = view.segment.positions_of_rows(rows)
        positions = positions[view.live_mask()[positions]]
        for start in range(0, len(positions), _AT_ONCE):
            some = positions[start : start + _AT_ONCE].tolist()
            for at, found in zip(some, view.segment.ids(some), strict=True):
                if _whole(found, view.segment, at):
                    yield found
    for part in snapshot.pending.parts:
        for at in np.flatnonzero(_alive(part) & np.isin(part.block.rows[: part.count], rows)).tolist():
            if _whole(part.block.ids[at], part.block, at):
                yield part.block.ids[at]


def _whole(document_id: str, holder: Segment | Block, at: int) -> bool:
    """Whether a row is a document, or the first of one in parts."""
    if not document_id.startswith(parts.PREFIX):
        return True
    encoded = holder.metadata_bytes(at) if isinstance(holder, Segment) else holder.metadata[at]
    return not encoded.startswith(parts.MARK)


def has(snapshot: Snapshot, document_id: str) -> bool:
    """Whether a live document of a snapshot has an id."""
    if snapshot.pending.find_id(document_id) is not None:
        return True
    for view in snapshot.segments:
        position = view.segment.position_of_id(document_id)
        if position >= 0 and view.is_live(position):
            return True
    return False


def without_text(snapshot: Snapshot, *, in_parts: bool = False) -> tuple[int, str | None]:
    """How many live documents have no text, and the id of one; of documents in parts their first rows are looked at."""
    count, example = 0, None
    for view in snapshot.segments:
        none = view.segment.textless() & view.live_mask()
        if in_parts:
            none &= view.segment.columns.mask(parts.HEAD)
        if none.any():
            count += int(none.sum())
            example = example or view.segment.id(int(np.argmax(none)))
    for part in snapshot.pending.parts:
        for at in np.flatnonzero(_alive(part)).tolist():
            if part.block.texts[at] is None and _whole(part.block.ids[at], part.block, at):
                count += 1
                example = example or part.block.ids[at]
    return count, example


def stale(copy: Snapshot, now: Snapshot) -> Iterator[str]:
    """The ids that live documents of `copy` have and none of `now`: snapshots of two collections of the same documents."""
    waiting = {block.ids[at] for block, at in now.pending.live_rows()}
    for view in copy.segments:
        left = view.live_mask()
        for other in now.segments:
            here, there = view.segment.shared_ids(other.segment)
            left[here[other.live_mask()[there]]] = False
        for position in np.flatnonzero(left).tolist():
            found = view.segment.id(position)
            if found not in waiting and _whole(found, view.segment, position):
                yield found
    for block, at in copy.pending.live_rows():
        if _whole(block.ids[at], block, at) and not has(now, block.ids[at]):
            yield block.ids[at]
