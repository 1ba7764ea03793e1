"""Whether the keyword index holds exactly the live rows that have a text. Part of verify; changes nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core import parts
from nearfield.engine import attached
from nearfield.engine.snapshot import Snapshot
from nearfield.store import catalog, keyword, sqlite
from nearfield.store.segment import Segment

REMEDY = "rebuild(keyword=True) makes the keyword index anew"


def problems(connection: sqlite.Connection, snapshot: Snapshot) -> list[str]:
    """One line for each thing that is wrong; all of the catalog is read as of one commit.

    Says nothing where the snapshot's segments are not those of the catalog any more: then the check is made again.
    """
    with sqlite.reading(connection):
        now = keyword.state(connection)
        segments = {view.segment.number: view.segment for view in snapshot.segments}
        if now is None or now.table is None or {r.number for r in catalog.segments(connection)} != segments.keys():
            return []
        held = keyword.rows_of(connection, keyword.name(now.table))
        waiting = [row for row, _ in attached.said(catalog.pending(connection))]
        pieces = [np.array(waiting, np.int64)]
        for number, segment in segments.items():
            dead = np.array(catalog.tombstones(connection, number), np.int64)
            rows = _with_text(segment)
            pieces.append(rows[~np.isin(rows, dead)])
    wanted = np.sort(np.concatenate(pieces))
    missing, more = np.setdiff1d(wanted, held), np.setdiff1d(held, wanted)
    out = []
    if len(missing):
        out.append(f"{len(missing):,} documents are missing in the keyword index; {REMEDY}")
    if len(more):
        out.append(f"the keyword index holds {len(more):,} rows that do not live; {REMEDY}")
    return out


def _with_text(segment: Segment) -> npt.NDArray[np.int64]:
    """Rows of a segment that say a text."""
    if len(segment) and segment.metadata_bytes(0).startswith(parts.MARK):
        return np.array([row for row, _ in attached.texts(segment, frozenset())], np.int64)
    there = [np.asarray(batch.column(1).is_valid().to_numpy(zero_copy_only=False), bool) for batch in segment.batches]
    return np.asarray(segment.rows[np.concatenate(there)], np.int64)
