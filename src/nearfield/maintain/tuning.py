"""Tuning a collection: its live rows in one file, candidates measured aside, the journal kept for the next run.

Knows an engine and the tuner; changes nothing that searches see. Everything is under the collection's directory `tune/`.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from nearfield.core.config import format_size
from nearfield.core.errors import OutOfSpace
from nearfield.core.metric import Vectors
from nearfield.engine import search
from nearfield.engine.local import LocalEngine
from nearfield.engine.segment_search import Request
from nearfield.engine.snapshot import Snapshot
from nearfield.index.calibrate import ENOUGH
from nearfield.maintain import calibrating
from nearfield.planning import report
from nearfield.planning.choose import EXACT_ROWS
from nearfield.planning.front import Best, Front, Goal
from nearfield.planning.tune import Data, Progress, tune
from nearfield.store import files, layout

_BLOCK = 16_384
TIMED = 20
"""Exact scans that are timed."""


def run(
    engine: LocalEngine, name: str, goal: Goal, minutes: float | None, queries: Vectors | None, progress: Progress | None
) -> Front:
    """Tunes for the live rows of now; see Collection.tune."""
    snapshot = engine.snapshot
    rows = len(snapshot)
    if queries is not None:
        calibrating.check_count(len(queries))
    place = engine.directory / layout.TUNE
    if not place.exists():
        files.make_directory(place)
    for left in place.glob(f"{layout.TEMPORARY}*"):
        files.remove_tree(left)
    if rows <= EXACT_ROWS or goal.recall > ENOUGH:
        front = _exact(snapshot, goal, rows)
    else:
        front = _measured(engine, snapshot, goal, place, minutes, queries, progress)
    front = replace(front, apply=_command(engine, name, goal, queries is not None))
    report.write(front, place)
    return front


def _measured(
    engine: LocalEngine,
    snapshot: Snapshot,
    goal: Goal,
    place: Path,
    minutes: float | None,
    queries: Vectors | None,
    progress: Progress | None,
) -> Front:
    rows = len(snapshot)
    need, free = 8 * rows * engine.dim, shutil.disk_usage(place).free
    if need > free:
        raise OutOfSpace(
            "tuning needs room for a copy of the vectors and an index of them",
            field="disk",
            expected=f"{format_size(need)} free",
            received=f"{format_size(free)} free",
        )
    aside = place / f"{layout.TEMPORARY}data"
    files.make_directory(aside)
    try:
        vectors = aside / "live.f32"
        _write(snapshot, vectors)
        given = None
        if queries is not None:
            given = aside / "queries.f32"
            queries.tofile(given)
        data = Data(vectors, rows, engine.dim, engine.metric, _contents(snapshot, queries), given)
        return tune(data, goal, place, minutes=minutes, progress=progress)
    finally:
        files.remove_tree(aside)


def _command(engine: LocalEngine, name: str, goal: Goal, given: bool) -> str:
    """The command that tunes so again and applies what it finds; what was measured is not measured again."""
    target = engine.directory.resolve().parent.parent / name
    words = ["nearfield", "tune", str(target), "--recall", f"{goal.recall:g}", "--k", str(goal.k)]
    words += ["--latency", f"{1000 * goal.latency:g}ms"] if goal.latency is not None else []
    words += ["--memory", str(goal.memory)] if goal.memory is not None else []
    return shlex.join(words) + (" --queries FILE" if given else "") + " --apply"


def _contents(snapshot: Snapshot, queries: Vectors | None) -> str:
    """Names the live rows, and the queries: measurements of others do not count. Commits that change no row do not matter."""
    found = hashlib.sha256()
    for view in snapshot.segments:
        found.update(f"{view.segment.number},{len(view.segment)},{view.dead};".encode())
        found.update(b"" if view.live is None else view.live.tobytes())
    for block, at in snapshot.pending.live_rows():
        found.update(int(block.rows[at]).to_bytes(8, "little"))
    if queries is not None:
        found.update(queries.tobytes())
    return found.hexdigest()[:16]


def _write(snapshot: Snapshot, path: Path) -> None:
    """Writes the live vectors as raw float32."""
    with open(path, "wb") as file:
        for view in snapshot.segments:
            positions = np.flatnonzero(view.live_mask())
            for start in range(0, len(positions), _BLOCK):
                view.segment.vectors[positions[start : start + _BLOCK]].tofile(file)
        for block, at in snapshot.pending.live_rows():
            block.vectors[at].tofile(file)


def _exact(snapshot: Snapshot, goal: Goal, rows: int) -> Front:
    """What is said where an exact scan is best: the measured time of one, by rows of the collection."""
    request = Request(min(goal.k, max(1, rows)), 1.0, exact=True, documents=False)
    took = []
    for view in snapshot.segments[:1]:
        for at in range(min(TIMED, len(view.segment))):
            query = np.array(view.segment.vectors[at : at + 1], np.float32)
            start = time.perf_counter()
            search.search(snapshot, query, request)
            took.append(time.perf_counter() - start)
    few = rows <= EXACT_ROWS
    why = f"{rows:,} rows" if few else f"recall {goal.recall:g} was asked for, more than an index can promise"
    measured = f"; one takes {1000 * float(np.median(took)):.2f} ms here" if took else ""
    return Front(goal, (), Best(None, None, f"{why}: an exact scan is best, and perfect{measured}", few), {"rows": rows})
