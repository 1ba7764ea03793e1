"""From files to a snapshot: opens what the catalog names. Writers do it once, read-only openers at every refresh.

Knows catalog and segments; nothing of committing or searching.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nearfield.core.errors import Corrupt, NearfieldError
from nearfield.core.metric import Metric
from nearfield.engine.open_index import IndexFile, OpenIndex
from nearfield.engine.pending import PendingView
from nearfield.engine.placement import Placement
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.index import decode_kind
from nearfield.index.curve import Curve
from nearfield.store import catalog, files, layout, sqlite, tiers
from nearfield.store.catalog import IndexRecord, SegmentRecord, Settings
from nearfield.store.segment import Segment

CHECKED = (".order", ".codec", ".usearch")
"""Suffixes of index files whose checksums are compared when they are opened: small ones, and those that nothing else checks."""


def open_segment(directory: Path, record: SegmentRecord, settings: Settings) -> Segment:
    """Opens one segment of a collection directory."""
    place = layout.segment(directory, record.number)
    return Segment(place, record, settings.dim, Metric(settings.metric), settings.seed)


def open_index_of(segment: Segment, record: IndexRecord, settings: Settings, *, on_use: bool = False) -> OpenIndex:
    """Opens a segment's index, or with `on_use` when it is first used; raises Corrupt if its files are not what was written."""
    for name, expected in record.files.items():
        path = segment.directory / name
        if not path.exists() or path.stat().st_size != expected.size:
            raise Corrupt(f"{path} is missing or has the wrong size", field=name, expected=f"{expected.size} bytes")
        if path.suffix in CHECKED and files.sha256(path) != expected.sha256:
            raise Corrupt(f"{path} is not what was written; the index is built again", field=name)
    place, kind, metric = segment.directory / layout.index(record.number), decode_kind(record.kind), Metric(settings.metric)
    resident = kind.resident(len(segment), settings.dim, metric)[1]
    file = IndexFile(lambda: kind.open(place, metric, segment.vectors), resident)
    if not on_use:
        file.get()
    return OpenIndex(record, file, Curve.from_dict(record.curve))


def read_snapshot(
    connection: sqlite.Connection,
    directory: Path,
    settings: Settings,
    known: Mapping[int, SegmentView],
    pending: PendingView | None = None,
) -> tuple[Snapshot, dict[int, str]]:
    """Reads one consistent snapshot.

    Args:
        connection: the catalog; one read transaction is held while rows are read, none while files are opened.
        directory: the collection's directory.
        settings: the collection's settings.
        known: views of an earlier snapshot, whose open files are used again.
        pending: the earlier snapshot's pending rows, read again only where they changed.

    Returns:
        The snapshot, and for each segment whose index could not be opened the reason (its rows are searched exactly).
    """
    with sqlite.errors(directory / layout.CATALOG), sqlite.reading(connection):
        counters = catalog.counters(connection)
        records = catalog.segments(connection)
        indexes = catalog.indexes(connection)
        dead = {record.number: catalog.tombstones(connection, record.number) for record in records}
        kept = tiers.read(connection)
        waiting = _read_pending(connection, settings, pending or PendingView())
    views: list[SegmentView] = []
    damaged: dict[int, str] = {}
    for record in records:
        before = known.get(record.number)
        segment = before.segment if before is not None else open_segment(directory, record, settings)
        place = before.place if before is not None else Placement("cold" if kept.get(record.number) == "cold" else "warm")
        index = before.index if before is not None else None
        wanted = indexes.get(record.number)
        if wanted is None:
            index = None
        elif index is None or index.record.number != wanted.number:
            try:
                index = open_index_of(segment, wanted, settings, on_use=place.tier == "cold")
            except Exception as error:  # an index can be built again, whatever is wrong with it
                damaged[record.number] = str(error) if isinstance(error, NearfieldError | OSError) else repr(error)
                index = None
        elif index.record != wanted:
            index = OpenIndex(wanted, index.file, Curve.from_dict(wanted.curve))
        view = SegmentView(segment, index=index, place=place)
        views.append(view.buried(dead[record.number]) if dead[record.number] else view)
    metric = Metric(settings.metric)
    return Snapshot(counters.commit, settings.dim, metric, tuple(views), waiting), damaged


def _read_pending(connection: sqlite.Connection, settings: Settings, earlier: PendingView) -> PendingView:
    alive = set(catalog.pending_rows(connection))
    seen = [int(block.rows[at]) for block, at in earlier.live_rows()]
    removed = [row for row in seen if row not in alive]
    last = max((int(p.block.rows[p.count - 1]) for p in earlier.parts), default=0)
    added = list(catalog.pending(connection, last))
    if not added and not removed:
        return earlier
    return earlier.changed(added, removed, settings.dim, Metric(settings.metric))
