"""Does one action: makes the files aside, then asks the engine for the swap. Decides nothing."""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

from nearfield.core.config import format_size
from nearfield.core.errors import Closed, NearfieldError, OutOfSpace
from nearfield.engine import making, opening
from nearfield.engine.local import LocalEngine
from nearfield.engine.snapshot import OpenIndex
from nearfield.index import decode_kind, encode_kind
from nearfield.index.base import Kind
from nearfield.index.build import STEM, run_build
from nearfield.maintain import calibrating
from nearfield.maintain.policy import LEAST_INDEXED, Action, Build, Calibrate, Merge, Seal
from nearfield.planning import reducing
from nearfield.planning.choose import choose
from nearfield.store import files, layout
from nearfield.store.catalog import FileRecord, IndexRecord
from nearfield.store.segment import Segment

Progress = Callable[[str], None]
_SPARE = 64 << 20


def run(engine: LocalEngine, action: Action, cancelled: threading.Event, progress: Progress | None = None) -> None:
    """Runs an action to its end; raises what stops it, leaving the collection as it was."""
    if isinstance(action, Seal):
        seal(engine)
    elif isinstance(action, Merge):
        merge(engine, action.segments, cancelled, progress)
    elif isinstance(action, Calibrate):
        sample = calibrating.recorded(engine)
        if sample is not None:
            calibrating.calibrate(engine, action.segment, sample, cancelled, progress)
    else:
        build(engine, action, cancelled, progress)


def seal(engine: LocalEngine) -> None:
    """Puts the pending rows of now into a segment."""
    pending = engine.snapshot.pending
    _need(engine, 2 * pending.nbytes)
    segment = making.from_pending(engine, pending)
    if segment is None:
        return
    try:
        engine.swap_sealed(segment)
    except BaseException:
        making.discard(engine, [segment])
        raise


def merge(
    engine: LocalEngine,
    numbers: tuple[int, ...],
    cancelled: threading.Event | None = None,
    progress: Progress | None = None,
) -> None:
    """Puts the live rows of segments into one new segment; with its index, where one of them has one."""
    sources = [view for view in engine.snapshot.segments if view.segment.number in numbers]
    _need(engine, sum(sum(f.size for f in view.segment.record.files.values()) for view in sources))

    def show(done: int, total: int) -> None:
        if progress is not None:
            progress(f"merging {len(sources)} segments: {done:,} of {total:,} documents")

    segment = making.merged(engine, sources, show)
    try:
        index = None
        if segment is not None and any(view.index is not None for view in sources):
            index = _index_before(engine, segment, cancelled or threading.Event(), progress)
        engine.swap_merged(segment, sources, index)
    except BaseException:
        if segment is not None:
            making.discard(engine, [segment])
        raise


def _index_before(
    engine: LocalEngine, segment: Segment, cancelled: threading.Event, progress: Progress | None
) -> OpenIndex | None:
    """The index of a segment that nobody searches yet: searches go on by its sources' indexes meanwhile.

    None: there is to be none, or it cannot be built now; then it is tried again later, and searches are exact until then.
    """
    kind, reason = wanted_kind(engine, len(segment))
    if kind is None or len(segment) < LEAST_INDEXED:
        return None
    try:
        return _index_of(engine, segment, kind, reason, cancelled, progress)
    except Closed:
        raise
    except NearfieldError:
        return None


def wanted_kind(engine: LocalEngine, rows: int) -> tuple[Kind | None, str]:
    """The kind a segment of `rows` should have, and why; None: an exact scan is better."""
    if engine.settings.index is not None:
        return decode_kind(engine.settings.index), "the collection was created with this kind"
    memory = int(psutil.virtual_memory().total)
    choice = choose(rows, engine.dim, memory, engine.settings.recall, engine.metric)
    return choice.kind, choice.reason


def build(engine: LocalEngine, action: Build, cancelled: threading.Event, progress: Progress | None = None) -> None:
    """Builds a segment's index in a process of its own and swaps it in."""
    view = next((v for v in engine.snapshot.segments if v.segment.number == action.segment), None)
    if view is None:
        return
    kind, reason = wanted_kind(engine, len(view))
    if kind is None:
        return
    opened = _index_of(engine, view.segment, kind, reason, cancelled, progress)
    if engine.swap_index(view.segment.number, opened) and view.index is not None:
        for name in view.index.record.files:
            files.remove(view.segment.directory / name)


def _index_of(
    engine: LocalEngine,
    segment: Segment,
    kind: Kind,
    reason: str,
    cancelled: threading.Event,
    progress: Progress | None,
) -> OpenIndex:
    """Builds a segment's index aside; its files are durable and in their place when it returns, named by nobody."""
    if engine.settings.index is None:
        kind, reason = reducing.suited(kind, segment.vectors, engine.metric, reason)
    aside = segment.directory / f"{layout.TEMPORARY}{uuid.uuid4().hex}"
    _need(engine, kind.nbytes(len(segment), engine.dim))
    _need_memory(kind, len(segment), engine.dim)
    files.make_directory(aside)
    try:
        record = _build_aside(engine, segment, kind, reason, aside, cancelled, progress)
        return opening.open_index_of(segment, record, engine.settings)
    finally:
        files.remove_tree(aside)


def _build_aside(
    engine: LocalEngine,
    segment: Segment,
    kind: Kind,
    reason: str,
    aside: Path,
    cancelled: threading.Event,
    progress: Progress | None,
) -> IndexRecord:
    began: dict[str, float] = {}

    def show(phase: str, share: float) -> None:
        if progress is not None:
            spent = time.monotonic() - began.setdefault(phase, time.monotonic())
            left = f", {spent * (1 - share) / share:.0f} s left" if spent > 1 and share else ""
            progress(f"indexing segment {segment.number}: {phase} {share:.0%}{left}")

    sample = calibrating.recorded(engine)
    built = run_build(
        segment.directory / layout.VECTORS,
        len(segment),
        engine.dim,
        kind,
        engine.metric,
        aside,
        threads=engine.build_threads,
        nice=engine.build_nice,
        progress=show,
        cancelled=cancelled,
        queries=None if sample is None else sample.write(aside),
        seed=segment.number,
    )
    number = engine.new_index_number()
    records = {}
    for suffix in built.suffixes:
        made, name = aside / f"{STEM}{suffix}", f"{layout.index(number)}{suffix}"
        records[name] = FileRecord(*files.adopt(made))
        files.rename(made, segment.directory / name)
    files.sync_directory(segment.directory)
    now = time.time()
    return IndexRecord(
        segment.number,
        number,
        encode_kind(kind),
        built.curve.to_dict(),
        records,
        built.seconds,
        reason,
        created=now,
        calibrated=0.0 if sample is None else now,
        calibrated_by="" if sample is None else sample.by,
        queries=0 if sample is None else len(sample.queries),
        arrived=0 if sample is None else sample.arrived,
    )


def _need_memory(kind: Kind, rows: int, dim: int) -> None:
    """Raises OutOfSpace if the build is planned to take more memory than is free now; its rows are searched exactly."""
    wanted, free = kind.build_bytes(rows, dim), int(psutil.virtual_memory().available)
    if wanted > free:
        raise OutOfSpace(
            f"building {kind.recipe} waits for memory; a smaller kind needs less: see `nearfield plan`",
            field="memory",
            expected=f"{format_size(wanted)} free",
            received=f"{format_size(free)} free",
        )


def _need(engine: LocalEngine, nbytes: int) -> None:
    """Raises OutOfSpace if the disk has not room for `nbytes` and some to spare."""
    free = shutil.disk_usage(engine.directory).free
    if free < nbytes + _SPARE:
        raise OutOfSpace(
            f"background work on {engine.directory} needs room and waits for it",
            field="disk",
            expected=f"{format_size(nbytes + _SPARE)} free",
            received=f"{format_size(free)} free",
        )
