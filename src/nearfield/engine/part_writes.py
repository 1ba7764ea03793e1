"""Writes of documents in parts: put, update, delete, and adopting loaded segments; all rows of a document in one transaction.

Knows rows and which belong together, by their ids and hidden metadata; nothing of texts. Each is an operation that the
committer runs, as in engine/writes and engine/swaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nearfield.core import parts
from nearfield.core.errors import AlreadyExists, InvalidInput, NotFound
from nearfield.core.filters import Filter, In
from nearfield.core.types import Written
from nearfield.engine import attached, rows, swaps, writes
from nearfield.engine.committer import Transaction
from nearfield.engine.snapshot import Snapshot
from nearfield.engine.writes import Place, Records
from nearfield.store import catalog, metadata
from nearfield.store.catalog import PendingRow
from nearfield.store.segment import Segment


def rows_of(transaction: Transaction, snapshot: Snapshot, document_id: str) -> list[tuple[str, Place]]:
    """The live rows of a document, each with its id, the first one first; empty if it is not there."""
    place = writes.locate(transaction, snapshot, document_id)
    if place is None:
        return []
    values = metadata.decode(writes.read(transaction, place, document_id).metadata)
    found = [(document_id, place)]
    for part in range(1, int(values.get(parts.PARTS, 1))):
        row = parts.row_id(document_id, part)
        there = writes.locate(transaction, snapshot, row)
        if there is not None:
            found.append((row, there))
    return found


def put(transaction: Transaction, snapshot: Snapshot, records: Records, if_exists: str) -> Written:
    """Writes documents as pending rows, all or nothing.

    Args:
        transaction: as for every operation.
        snapshot: what was committed before the group.
        records: the rows of one document after those of another, the first of each named by the document's id.
        if_exists: "replace": the older document's rows all go; "skip" or "error".
    """
    added = replaced = skipped = 0
    new: list[PendingRow] = []
    images: dict[int, bytes] = {}
    next_row = transaction.reserve_rows(len(records))
    firsts = [i for i, row in enumerate(records.ids) if not row.startswith(parts.PREFIX)]
    for at, end in pairwise([*firsts, len(records)]):
        document_id = records.ids[at]
        older = rows_of(transaction, snapshot, document_id)
        if older and if_exists == "error":
            raise _exists(document_id)
        if older and if_exists == "skip":
            skipped += 1
            continue
        for _, place in older:
            writes.remove(transaction, place)
        replaced, added = replaced + bool(older), added + (not older)
        image = None if records.thumbnails is None else records.thumbnails[at]
        if image is not None:
            images[next_row + at] = image
        for i in range(at, end):
            norm = None if records.norms is None else float(records.norms[i])
            vector = records.vectors[i].tobytes()
            new.append(PendingRow(next_row + i, records.ids[i], records.texts[i], records.metadata[i], vector, norm))
    catalog.add_pending(transaction.connection, new)
    attached.added(transaction, new, images)
    transaction.delta.added += new
    return Written(added=added, replaced=replaced, skipped=skipped)


def _exists(document_id: str) -> AlreadyExists:
    return AlreadyExists("a document with this id exists; use if_exists='replace' or 'skip'", field="id", received=document_id)


def update(
    transaction: Transaction, snapshot: Snapshot, document_id: str, changes: Mapping[str, Any], remove: Sequence[str]
) -> Written:
    """Changes the metadata of all rows of a document."""
    found = rows_of(transaction, snapshot, document_id)
    if not found:
        raise NotFound("no document has this id", field="id", received=document_id)
    for row, _ in found:
        writes.update(transaction, snapshot, row, changes, remove)
    return Written(replaced=1)


def delete(transaction: Transaction, snapshot: Snapshot, ids: Sequence[str]) -> Written:
    """Deletes documents by id; ids that are not there are passed over."""
    deleted = 0
    for document_id in ids:
        found = rows_of(transaction, snapshot, document_id)
        for _, place in found:
            writes.remove(transaction, place)
        deleted += bool(found)
    return Written(deleted=deleted)


def delete_where(transaction: Transaction, snapshot: Snapshot, condition: Filter) -> Written:
    """Deletes the documents that match: their rows all do, as each has the document's metadata. Alone in its group."""
    documents = rows.count(snapshot, parts.heads(condition))
    writes.delete_where(transaction, snapshot, condition)
    return Written(deleted=documents)


def adopt(
    transaction: Transaction,
    snapshot: Snapshot,
    segments: Sequence[Segment],
    if_exists: str,
    earlier: frozenset[int],
    images: Mapping[int, bytes] | None = None,
) -> Written:
    """Makes loaded segments of whole documents live, with thumbnails by row. Alone in its group; see `swaps.adopt`."""
    there = dict.fromkeys(_met(snapshot, segments, earlier))
    if there and if_exists == "error":
        raise _exists(next(iter(there)))
    condition = In((parts.OF,), tuple(there))
    if there and if_exists == "replace":
        writes.delete_where(transaction, snapshot, condition)
    documents = 0
    for segment in segments:
        dead: list[int] = []
        if there and if_exists == "skip":
            dead = segment.rows[segment.columns.mask(condition)].tolist()
        catalog.add_segment(transaction.connection, segment.record)
        catalog.bury(transaction.connection, segment.number, dead)
        attached.adopted(transaction, segment, dead, images)
        transaction.delta.segments.append(segment)
        transaction.delta.bury(segment.number, dead)
        documents += int(np.count_nonzero(segment.columns.mask(parts.HEAD)))
    swaps.count_segments(transaction, segments)
    skipped = len(there) if if_exists == "skip" else 0
    return Written(added=documents - len(there), replaced=len(there) - skipped, skipped=skipped)


def _met(snapshot: Snapshot, segments: Sequence[Segment], earlier: frozenset[int]) -> Iterator[str]:
    """The ids of documents of `segments` that are live already."""
    for segment in segments:
        for view in snapshot.segments:
            here, there = segment.shared_ids(view.segment)
            if view.live is not None:
                here = here[view.live_mask()[there]]
            for found in segment.ids(here.tolist()):
                if found.startswith(parts.PREFIX):
                    continue
                if view.segment.number in earlier:
                    raise InvalidInput("an id occurs twice in one call", field="ids", received=found)
                yield found
    for block, at in snapshot.pending.live_rows():
        found = block.ids[at]
        if not found.startswith(parts.PREFIX) and any(s.position_of_id(found) >= 0 for s in segments):
            yield found
