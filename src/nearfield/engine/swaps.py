"""The large writes: making a finished segment live, by load, seal or merge, and giving a segment its index.

Knows tombstones and lists. The files are durable before any of this runs; each operation runs alone in its group, reads
again which of its rows are still live, and writes a tombstone for each that died while the files were written: the later
commit wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import AlreadyExists, InvalidInput, NearfieldError
from nearfield.core.types import Written
from nearfield.engine import attached
from nearfield.engine.committer import Transaction
from nearfield.engine.snapshot import OpenIndex, Snapshot
from nearfield.store import catalog
from nearfield.store.catalog import IndexRecord
from nearfield.store.segment import Segment


def adopt(
    transaction: Transaction,
    snapshot: Snapshot,
    segments: Sequence[Segment],
    if_exists: str,
    earlier: frozenset[int],
    thumbnails: Mapping[int, bytes] | None = None,
) -> Written:
    """Makes loaded segments live; older documents with the same ids die ("replace") or win ("skip").

    Args:
        transaction: alone in its group.
        snapshot: what the transaction sees.
        segments: new, durable, not yet named in the catalog; no id twice among them.
        if_exists: "replace", "skip" or "error".
        earlier: numbers of segments that the same call made live before; meeting an id of theirs again is an error.
        thumbnails: by row.
    """
    replaced = skipped = total = 0
    for segment in segments:
        dead_here: list[int] = []
        for view in snapshot.segments:
            here, there = segment.shared_ids(view.segment)
            if not len(here):
                continue
            alive = view.live_mask()[there] if view.live is not None else np.ones(len(there), np.bool_)
            here, there = here[alive], there[alive]
            if len(here) and view.segment.number in earlier:
                raise InvalidInput("an id occurs twice in one call", field="ids", received=segment.id(int(here[0])))
            refuse(if_exists, segment, here)
            if if_exists == "skip":
                dead_here += segment.rows[here].tolist()
            else:
                rows = view.segment.rows[there].tolist()
                catalog.bury(transaction.connection, view.segment.number, rows)
                attached.removed(transaction, rows)
                transaction.delta.bury(view.segment.number, rows)
                replaced += len(rows)
        replaced += _meet_pending(transaction, snapshot, segment, if_exists, dead_here)
        catalog.add_segment(transaction.connection, segment.record)
        catalog.bury(transaction.connection, segment.number, dead_here)
        attached.adopted(transaction, segment, dead_here, thumbnails)
        transaction.delta.segments.append(segment)
        transaction.delta.bury(segment.number, dead_here)
        skipped += len(dead_here)
        total += len(segment)
    count_segments(transaction, segments)
    return Written(added=total - replaced - skipped, replaced=replaced, skipped=skipped)


def _meet_pending(transaction: Transaction, snapshot: Snapshot, segment: Segment, if_exists: str, dead_here: list[int]) -> int:
    removed = []
    for block, at in snapshot.pending.live_rows():
        position = segment.position_of_id(block.ids[at])
        if position < 0:
            continue
        refuse(if_exists, segment, np.array([position]))
        if if_exists == "skip":
            dead_here.append(int(segment.rows[position]))
        else:
            removed.append(int(block.rows[at]))
    catalog.drop_pending(transaction.connection, removed)
    attached.removed(transaction, removed)
    transaction.delta.removed += removed
    return len(removed)


def refuse(if_exists: str, segment: Segment, positions: npt.NDArray[np.int64]) -> None:
    """Raises AlreadyExists for the first of `positions` if ids may not exist."""
    if if_exists == "error" and len(positions):
        raise AlreadyExists(
            "a document with this id exists; use if_exists='replace' or 'skip'",
            field="id",
            received=segment.id(int(positions[0])),
        )


def seal(transaction: Transaction, snapshot: Snapshot, segment: Segment) -> None:
    """Puts a segment made of pending rows in their place."""
    rows = segment.rows.tolist()
    still = set(catalog.pending_rows(transaction.connection))
    alive = [row for row in rows if row in still]
    dead = [row for row in rows if row not in still]
    catalog.drop_pending(transaction.connection, alive)
    catalog.add_segment(transaction.connection, segment.record)
    catalog.bury(transaction.connection, segment.number, dead)
    transaction.delta.removed += alive
    transaction.delta.segments.append(segment)
    transaction.delta.bury(segment.number, dead)
    count_segments(transaction, [segment])


def merge(
    transaction: Transaction,
    snapshot: Snapshot,
    segment: Segment | None,
    sources: Sequence[int],
    index: OpenIndex | None = None,
) -> None:
    """Puts a merged segment (None: nothing was left alive), with its index if it has one, in the place of its sources."""
    live = {view.segment.number for view in snapshot.segments}
    if not live.issuperset(sources):
        raise NearfieldError("a segment was merged by someone else meanwhile; nothing was changed")
    died: list[int] = []
    for number in sources:
        died += catalog.tombstones(transaction.connection, number)
        catalog.drop_segment(transaction.connection, number)
        transaction.delta.dropped.append(number)
    if segment is None:
        return
    dead = segment.rows[np.isin(segment.rows, np.asarray(died, dtype=np.int64))].tolist() if died else []
    catalog.add_segment(transaction.connection, segment.record)
    catalog.bury(transaction.connection, segment.number, dead)
    transaction.delta.segments.append(segment)
    transaction.delta.bury(segment.number, dead)
    count_segments(transaction, [segment])
    if index is not None:
        _give_index(transaction, segment.number, index)


def set_index(transaction: Transaction, snapshot: Snapshot, segment: int, index: OpenIndex | None) -> bool:
    """Gives a segment its index (None: takes it away); False if the segment is gone."""
    if all(view.segment.number != segment for view in snapshot.segments):
        return False
    _give_index(transaction, segment, index)
    return True


def _give_index(transaction: Transaction, segment: int, index: OpenIndex | None) -> None:
    record: IndexRecord | None = None if index is None else index.record
    catalog.set_index(transaction.connection, segment, record)
    transaction.delta.indexes[segment] = index
    if record is not None:
        numbers = catalog.counters(transaction.connection)
        if record.number >= numbers.next_index:
            transaction.connection.execute("UPDATE counters SET next_index = ?", (record.number + 1,))


def count_segments(transaction: Transaction, segments: Sequence[Segment]) -> None:
    """Notes that the numbers of `segments` are taken."""
    top = max(segment.number for segment in segments) + 1
    transaction.connection.execute("UPDATE counters SET next_segment = max(next_segment, ?)", (top,))


def twice(segments: Sequence[Segment]) -> str | None:
    """An id that occurs twice within or among segments, or None."""
    for i, segment in enumerate(segments):
        repeated = np.flatnonzero(segment.hashes[1:] == segment.hashes[:-1])
        for at in repeated.tolist():
            first, second = (segment.id(int(segment.by_hash[j])) for j in (at, at + 1))
            if first == second:
                return first
        for other in segments[:i]:
            here, _ = segment.shared_ids(other)
            if len(here):
                return segment.id(int(here[0]))
    return None
