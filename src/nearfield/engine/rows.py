"""Reading the rows of one snapshot: by id, counted, and one after the other. Ranks nothing; knows no writer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from nearfield.core.filters import Filter
from nearfield.core.types import Document
from nearfield.engine.snapshot import Snapshot


def get(snapshot: Snapshot, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
    """Rows by id as documents, None where there is none."""
    out: list[Document | None] = []
    for row in ids:
        waiting = snapshot.pending.find_id(row)
        if waiting is not None:
            out.append(waiting[0].document(waiting[1], vector=vectors))
        else:
            out.append(_in_segments(snapshot, row, vectors))
    return out


def _in_segments(snapshot: Snapshot, row: str, vectors: bool) -> Document | None:
    for view in reversed(snapshot.segments):
        position = view.segment.position_of_id(row)
        if position >= 0 and view.is_live(position):
            return view.segment.document(position, vector=vectors)
    return None


def count(snapshot: Snapshot, condition: Filter | None) -> int:
    """How many rows match."""
    if condition is None:
        return len(snapshot)
    total = sum(view.allowed(condition).count for view in snapshot.segments)
    for part in snapshot.pending.parts:
        mask = part.block.mask(condition, part.count)
        total += int(np.count_nonzero(mask if part.live is None else mask & part.live))
    return total


def scan(snapshot: Snapshot, condition: Filter | None, batch: int, vectors: bool) -> Iterator[Document]:
    """All that match, `batch` read at a time: segments, then pending rows, in order of writing."""
    for view in snapshot.segments:
        positions = view.allowed(condition).positions
        for start in range(0, len(positions), batch):
            yield from view.segment.documents(positions[start : start + batch], vectors=vectors)
    for part in snapshot.pending.parts:
        mask = np.ones(part.count, np.bool_) if part.live is None else part.live
        if condition is not None:
            mask = mask & part.block.mask(condition, part.count)
        for at in np.flatnonzero(mask).tolist():
            yield part.block.document(at, vector=vectors)
