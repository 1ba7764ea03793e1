"""Measures indexes again with real queries, recorded or given, without building them. Decides nothing.

All rows are in an index by now, so none can be held out: only queries from elsewhere can be used. The points of rows held out
when the index was built stay beside the new ones.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors
from nearfield.engine.local import LocalEngine
from nearfield.engine.recording import LEAST
from nearfield.engine.snapshot import OpenIndex, SegmentView
from nearfield.index import decode_kind
from nearfield.index.build import run_measure
from nearfield.index.curve import GIVEN, Curve, Point
from nearfield.maintain.policy import SETTLED
from nearfield.store import files, layout

FEWEST, MOST = 20, 10_000
"""Queries that can be given; as many rows are held out at the least."""
RECORDED, BROUGHT = "recorded queries", "given queries"


@dataclass(frozen=True, slots=True)
class Sample:
    """Prepared queries (m, dim) to measure with, where they are from, and how many recorded ones had arrived by then."""

    queries: Vectors
    by: str
    arrived: int

    def write(self, directory: Path) -> Path:
        """Writes them as raw float32, for the process that measures."""
        path = directory / "queries.f32"
        self.queries.tofile(path)
        return path


@dataclass(frozen=True, slots=True)
class Calibration:
    """What measuring one index again found.

    Attributes:
        segment: its segment.
        kind: its kind and parameters.
        queries: how many were used.
        source: "given queries" or "recorded queries".
        given: the new points, which now decide what searches do.
        held_out: the points of rows held out when the index was built, for comparison.
    """

    segment: int
    kind: dict[str, object]
    queries: int
    source: str
    given: tuple[Point, ...] = field(repr=False)
    held_out: tuple[Point, ...] = field(repr=False)


def recorded(engine: LocalEngine, least: int = LEAST) -> Sample | None:
    """The recorded queries, or None while there are fewer than `least`."""
    arrived = engine.recorder.state.arrived
    if engine.recorder.kept < least:
        return None
    found = engine.recorder.read()
    return Sample(found, RECORDED, arrived) if len(found) >= least else None


def check_count(count: int) -> None:
    """Raises InvalidInput for a number of queries that nothing can be measured with."""
    if not FEWEST <= count <= MOST:
        raise InvalidInput(
            "not a number of queries that a measurement can be made with",
            field="queries",
            expected=f"{FEWEST} to {MOST:,}",
            received=count,
        )


def given(engine: LocalEngine, queries: Vectors | None) -> Sample:
    """What a caller gave, checked; the recorded queries where nothing was given."""
    if queries is None:
        found = recorded(engine, FEWEST)
        if found is None:
            raise InvalidInput(
                "too few queries are recorded; give some, or call record_queries(500) and search",
                field="queries",
                expected=f"at least {FEWEST} recorded",
                received=engine.recorder.kept,
            )
        return found
    check_count(len(queries))
    return Sample(queries, BROUGHT, engine.recorder.state.arrived)


def fresh(engine: LocalEngine, view: SegmentView) -> int:
    """Recorded queries that arrived since the segment's index was last measured with any; 0 soon after that."""
    if view.index is None:
        return 0
    record, arrived = view.index.record, engine.recorder.state.arrived
    if 0 <= time.time() - record.calibrated < SETTLED:
        return 0
    return arrived - record.arrived if record.arrived <= arrived else arrived


def calibrate(
    engine: LocalEngine,
    number: int,
    sample: Sample,
    cancelled: threading.Event,
    progress: Callable[[str], None] | None = None,
) -> Calibration | None:
    """Measures a segment's index with `sample` and puts the points in place of earlier given ones; None: it has none."""
    view = next((v for v in engine.snapshot.segments if v.segment.number == number), None)
    if view is None or view.index is None or not len(view):
        return None
    segment, record = view.segment, view.index.record

    def show(phase: str, share: float) -> None:
        if progress is not None:
            progress(f"measuring the index of segment {number}: {share:.0%}")

    aside = segment.directory / f"{layout.TEMPORARY}{uuid.uuid4().hex}"
    files.make_directory(aside)
    try:
        live = None
        if view.live is not None:
            live = aside / "live.bits"
            view.live.tofile(live)
        found = run_measure(
            segment.directory / layout.index(record.number),
            decode_kind(record.kind),
            segment.directory / layout.VECTORS,
            len(segment),
            engine.dim,
            engine.metric,
            sample.write(aside),
            live=live,
            nice=engine.build_nice,
            progress=show,
            cancelled=cancelled,
            seed=number,
        )
    finally:
        files.remove_tree(aside)
    held_out = tuple(p for p in view.index.curve.points if p.source != GIVEN)
    curve = Curve((*held_out, *found.points))
    changed = msgspec.structs.replace(
        record,
        curve=curve.to_dict(),
        calibrated=time.time(),
        calibrated_by=sample.by,
        queries=len(sample.queries),
        arrived=sample.arrived,
    )
    engine.swap_index(number, OpenIndex(changed, view.index.file, curve))
    return Calibration(number, dict(record.kind), len(sample.queries), sample.by, found.points, held_out)
