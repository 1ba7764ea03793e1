"""The small writes: put, update, delete. Each is an operation the committer runs inside a transaction.

Knows rows and tombstones. An id is looked up in SQLite's pending rows and in the segments' id tables, against SQLite's
tombstones, so that operations of one group see each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import AlreadyExists, NotFound
from nearfield.core.filters import Filter
from nearfield.core.metric import Vectors
from nearfield.core.types import Written
from nearfield.engine import attached
from nearfield.engine.committer import Transaction
from nearfield.engine.snapshot import Snapshot
from nearfield.store import catalog, metadata
from nearfield.store.catalog import PendingRow
from nearfield.store.segment import Segment


@dataclass(frozen=True, slots=True)
class Records:
    """A batch to write: parallel sequences; `vectors` prepared float32 (n, dim), `norms` their lengths under cosine.

    `thumbnails`: one for each document that has one, else None; None: no document has.
    """

    ids: Sequence[str]
    texts: Sequence[str | None]
    metadata: Sequence[bytes]
    vectors: Vectors
    norms: npt.NDArray[np.float32] | None
    thumbnails: Sequence[bytes | None] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a live document is: a pending row (segment None) or a position of a segment."""

    row: int
    segment: Segment | None = None
    position: int = -1


def locate(transaction: Transaction, snapshot: Snapshot, document_id: str) -> Place | None:
    """Finds the live document of an id as the transaction sees it."""
    row = catalog.pending_row_of(transaction.connection, document_id)
    if row is not None:
        return Place(row)
    for view in reversed(snapshot.segments):
        segment = view.segment
        position = segment.position_of_id(document_id)
        if position >= 0 and view.is_live(position):
            row = int(segment.rows[position])
            if not catalog.is_dead(transaction.connection, segment.number, row):
                return Place(row, segment, position)
    return None


def put(transaction: Transaction, snapshot: Snapshot, records: Records, if_exists: str) -> Written:
    """Writes a batch as pending rows; all or nothing. `if_exists`: "replace", "skip" or "error"."""
    added = replaced = skipped = 0
    rows: list[PendingRow] = []
    next_row = transaction.reserve_rows(len(records))
    for i, document_id in enumerate(records.ids):
        place = locate(transaction, snapshot, document_id)
        if place is not None:
            if if_exists == "error":
                raise AlreadyExists(
                    "a document with this id exists; use if_exists='replace' or 'skip'", field="id", received=document_id
                )
            if if_exists == "skip":
                skipped += 1
                continue
            remove(transaction, place)
            replaced += 1
        else:
            added += 1
        norm = None if records.norms is None else float(records.norms[i])
        vector = records.vectors[i].tobytes()
        rows.append(PendingRow(next_row + i, document_id, records.texts[i], records.metadata[i], vector, norm))
    catalog.add_pending(transaction.connection, rows)
    images = [] if records.thumbnails is None else [(r.row, records.thumbnails[r.row - next_row]) for r in rows]
    attached.added(transaction, rows, {row: image for row, image in images if image is not None})
    transaction.delta.added += rows
    return Written(added=added, replaced=replaced, skipped=skipped)


def remove(transaction: Transaction, place: Place) -> None:
    """Removes one live document: its pending row, or a tombstone in its segment."""
    attached.removed(transaction, [place.row])
    if place.segment is None:
        catalog.drop_pending(transaction.connection, [place.row])
        transaction.delta.removed.append(place.row)
    else:
        catalog.bury(transaction.connection, place.segment.number, [place.row])
        transaction.delta.bury(place.segment.number, [place.row])


def delete(transaction: Transaction, snapshot: Snapshot, ids: Sequence[str]) -> Written:
    """Deletes by id; ids that are not there are passed over."""
    deleted = 0
    for document_id in ids:
        place = locate(transaction, snapshot, document_id)
        if place is not None:
            remove(transaction, place)
            deleted += 1
    return Written(deleted=deleted)


def delete_where(transaction: Transaction, snapshot: Snapshot, condition: Filter) -> Written:
    """Deletes what matches on the committer's turn: rows are resolved here and now, the condition is never stored.

    Must run alone in its group, so that `snapshot` is what the transaction sees.
    """
    deleted = 0
    for view in snapshot.segments:
        mask = view.live_mask() & view.segment.columns.mask(condition)
        rows = view.segment.rows[mask].tolist()
        catalog.bury(transaction.connection, view.segment.number, rows)
        attached.removed(transaction, rows)
        transaction.delta.bury(view.segment.number, rows)
        deleted += len(rows)
    for part in snapshot.pending.parts:
        mask = part.block.mask(condition, part.count)
        if part.live is not None:
            mask &= part.live
        rows = part.block.rows[: part.count][mask].tolist()
        catalog.drop_pending(transaction.connection, rows)
        attached.removed(transaction, rows)
        transaction.delta.removed += rows
        deleted += len(rows)
    return Written(deleted=deleted)


def update(
    transaction: Transaction, snapshot: Snapshot, document_id: str, changes: Mapping[str, Any], remove_keys: Sequence[str]
) -> Written:
    """Changes a document's metadata: a new row with the same text and vector, the old one removed."""
    place = locate(transaction, snapshot, document_id)
    if place is None:
        raise NotFound("no document has this id", field="id", received=document_id)
    old = read(transaction, place, document_id)
    values = metadata.decode(old.metadata)
    values.update(changes)
    for key in remove_keys:
        values.pop(key, None)
    encoded = metadata.encode(values)
    number = transaction.reserve_rows(1)
    attached.moved(transaction, place.row, number)
    remove(transaction, place)
    row = PendingRow(number, document_id, old.text, encoded, old.vector, old.norm)
    catalog.add_pending(transaction.connection, [row])
    attached.added(transaction, [row])
    transaction.delta.added.append(row)
    return Written(replaced=1)


def read(transaction: Transaction, place: Place, document_id: str) -> PendingRow:
    """A live document as a row, wherever it is."""
    if place.segment is None:
        return next(catalog.pending(transaction.connection, place.row - 1))
    segment, position = place.segment, place.position
    norm = None if segment.norms is None else float(segment.norms[position])
    return PendingRow(
        place.row,
        document_id,
        segment.text(position),
        segment.metadata_bytes(position),
        np.array(segment.vectors[position]).tobytes(),
        norm,
    )
