"""Documents of one snapshot by id: where they are, their row numbers, vectors, metadata; each found once.

Knows snapshots; nothing of queries or scores. What was written after the snapshot is not seen, what it holds stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.core.types import Document
from nearfield.engine.pending import Block
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.store import metadata

Place = tuple[SegmentView | Block, int]
"""What holds a document, and its position in there."""


class Lookup:
    """Finds documents of one snapshot.

    Args:
        snapshot: which.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._places: dict[str, Place | None] = {}

    def place(self, document_id: str) -> Place | None:
        """Where the live document of an id is; None: there is none."""
        if document_id not in self._places:
            self._places[document_id] = self._find(document_id)
        return self._places[document_id]

    def _find(self, document_id: str) -> Place | None:
        waiting = self.snapshot.pending.find_id(document_id)
        if waiting is not None:
            return waiting
        for view in reversed(self.snapshot.segments):
            position = view.segment.position_of_id(document_id)
            if position >= 0 and view.is_live(position):
                return view, position
        return None

    def row(self, document_id: str) -> int:
        """The row number of a document, given when it was written; -1: there is none."""
        place = self.place(document_id)
        if place is None:
            return -1
        holder, at = place
        return int(holder.segment.rows[at] if isinstance(holder, SegmentView) else holder.rows[at])

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """Prepared vectors, float32 (n, dim), in the order of `ids`; zeros where there is no document."""
        out = np.zeros((len(ids), self.snapshot.dim), np.float32)
        for i, document_id in enumerate(ids):
            place = self.place(document_id)
            if place is not None:
                holder, at = place
                out[i] = holder.segment.vectors[at] if isinstance(holder, SegmentView) else holder.vectors[at]
        return out

    def metadata(self, document_id: str) -> Mapping[str, Any]:
        """The metadata of a document; empty where there is none."""
        place = self.place(document_id)
        if place is None:
            return {}
        holder, at = place
        return metadata.decode(holder.segment.metadata_bytes(at) if isinstance(holder, SegmentView) else holder.metadata[at])

    def texts(self, ids: Sequence[str]) -> list[str | None]:
        """The texts of documents; None where one has none, or there is no document."""
        out: list[str | None] = []
        for place in map(self.place, ids):
            if place is None:
                out.append(None)
            else:
                holder, at = place
                out.append(holder.segment.text(at) if isinstance(holder, SegmentView) else holder.texts[at])
        return out

    def documents(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document]:
        """The documents of `ids`, in that order; those that are not there are passed over."""
        out = []
        for document_id in ids:
            place = self.place(document_id)
            if place is not None:
                holder, at = place
                there = holder.segment if isinstance(holder, SegmentView) else holder
                out.append(there.document(at, vector=vectors))
        return out


def last_row(snapshot: Snapshot) -> int:
    """The highest row number that a snapshot has ever seen in its parts; 0 if it is empty."""
    last = max((view.segment.record.max_row for view in snapshot.segments), default=0)
    parts = snapshot.pending.parts
    return max(last, int(parts[-1].block.rows[parts[-1].count - 1])) if parts else last


def sample(snapshot: Snapshot, picked: npt.NDArray[np.int64]) -> Vectors:
    """Prepared vectors of live documents by their place in the order of segments and pending rows.

    Args:
        snapshot: of which.
        picked: int64 (n,), ascending, each from 0 to len(snapshot) - 1.

    Returns:
        float32 (n, dim).
    """
    out: list[Vectors] = [np.empty((0, snapshot.dim), np.float32)]
    start = 0
    for view in snapshot.segments:
        inside = picked[(picked >= start) & (picked < start + len(view))] - start
        start += len(view)
        if len(inside):
            positions = inside if view.live is None else view.allowed(None).positions[inside]
            out.append(np.asarray(view.segment.vectors[positions]))
    for part in snapshot.pending.parts:
        alive = part.count - part.dead
        inside = picked[(picked >= start) & (picked < start + alive)] - start
        start += alive
        if len(inside):
            positions = inside if part.live is None else np.flatnonzero(part.live)[inside]
            out.append(part.block.vectors[positions])
    return np.concatenate(out)
