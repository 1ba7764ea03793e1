"""Reads everything and compares it with what was written. Changes nothing.

Checks: SQLite's own integrity; every file's size and SHA-256; that rows ascend, that vectors are finite, that tombstones
name rows that are there, that the keyword index has the live rows, that no id lives twice, that every id is found by its
hash, and that the filter columns and the index hold as many rows as the segment.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from nearfield.engine import verify_keywords, verify_parts
from nearfield.engine.local import LocalEngine
from nearfield.engine.parted import PartedEngine
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.store import catalog, files, layout, sqlite

_TRIES = 10


@dataclass(slots=True)
class Report:
    """What a check found.

    Attributes:
        problems: one line each, with the place; empty if all is well.
        repaired: what `repair` mended, one line each.
        checked: files and documents that were read.
    """

    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)
    files: int = 0
    documents: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def checked(self) -> str:
        """What was read, for people."""
        return f"{self.files:,} files, {self.documents:,} documents"


def check(engine: LocalEngine) -> Report:
    """Checks a collection whole, on one snapshot; on a newer one if a merge took files away meanwhile."""
    for _ in range(_TRIES):
        seen, before = engine.snapshot, _files(engine)
        report = _check(engine, seen)
        engine.refresh()
        if report.ok or _files(engine) == before:
            break
    return report


def _files(engine: LocalEngine) -> list[tuple[int, int | None]]:
    """Which segments there are, each with the number of its index."""
    views = engine.snapshot.segments
    return [(v.segment.number, None if v.index is None else v.index.record.number) for v in views]


def _check(engine: LocalEngine, snapshot: Snapshot) -> Report:
    engine.check_open()
    report = Report()
    connection = sqlite.connect(engine.directory / layout.CATALOG, read_only=True)
    try:
        with sqlite.errors(engine.directory / layout.CATALOG):
            for (line,) in connection.execute("PRAGMA integrity_check"):
                if line != "ok":
                    report.problems.append(f"{engine.directory / layout.CATALOG}: {line}")
            (orphans,) = next(
                connection.execute("SELECT count(*) FROM tombstones WHERE segment NOT IN (SELECT number FROM segments)")
            )
            if orphans:
                report.problems.append(f"{orphans} tombstones belong to no segment")
            dead = {v.segment.number: catalog.tombstones(connection, v.segment.number) for v in snapshot.segments}
            report.problems += verify_keywords.problems(connection, snapshot)
    finally:
        connection.close()
    report.files += 1
    for number, reason in engine.damaged.items():
        report.problems.append(f"the index of segment {number} could not be opened: {reason}")
    sound = [view for view in snapshot.segments if _segment(view, dead[view.segment.number], report)]
    _live_once(snapshot, sound, report)
    if isinstance(engine, PartedEngine):
        broken, report.documents = verify_parts.problems(snapshot)
        report.problems += broken
    return report


def _segment(view: SegmentView, dead: list[int], report: Report) -> bool:
    """Checks one segment; returns whether its files are what was written."""
    segment = view.segment
    where = f"segment {segment.number}"
    report.files += len(segment.record.files)
    problems = segment.check(full=True)
    report.problems += problems
    if problems:
        return False
    if len(segment.rows) > 1 and not bool((np.diff(segment.rows) > 0).all()):
        report.problems.append(f"{where}: row numbers do not ascend")
    if len(segment.positions_of_rows(dead)) != len(dead):
        report.problems.append(f"{where}: a tombstone names a row that is not there")
    for start in range(0, len(segment), 65_536):
        if not np.isfinite(segment.vectors[start : start + 65_536]).all():
            report.problems.append(f"{where}: a vector is not finite")
            break
    if len(segment.columns) != len(segment):
        report.problems.append(f"{where}: columns hold {len(segment.columns)} rows, not {len(segment)}")
    if view.index is not None:
        for name, record in view.index.record.files.items():
            report.files += 1
            try:
                same = files.sha256(segment.directory / name) == record.sha256
            except FileNotFoundError:
                same = False
            if not same:
                report.problems.append(f"{segment.directory / name} is not what was written")
    return True


def _live_once(snapshot: Snapshot, sound: list[SegmentView], report: Report) -> None:
    """Every live id lives once and is found by its hash."""
    seen: set[str] = set()
    for view in sound:
        positions = np.flatnonzero(view.live_mask())
        for start in range(0, len(positions), 10_000):
            some = positions[start : start + 10_000]
            for position, document in zip(some.tolist(), view.segment.documents(some), strict=True):
                if document.id in seen:
                    report.problems.append(f"the id {document.id!r} lives twice")
                seen.add(document.id)
                if view.segment.position_of_id(document.id) != position:
                    report.problems.append(f"segment {view.segment.number}: {document.id!r} is not found by its hash")
        report.documents += len(positions)
    for block, at in snapshot.pending.live_rows():
        if block.ids[at] in seen:
            report.problems.append(f"the id {block.ids[at]!r} lives twice")
        seen.add(block.ids[at])
        report.documents += 1
