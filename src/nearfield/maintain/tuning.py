"""Tuning a collection: its live rows in one file, candidates measured aside, the journal kept for the next run.

Knows an engine and the tuner; changes nothing that searches see. Everything is under the collection's directory `tune/`.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from pathlib import Path

import numpy as np

from nearfield.core.config import format_size
from nearfield.core.errors import InvalidInput, OutOfSpace
from nearfield.core.metric import Vectors
from nearfield.engine.local import LocalEngine
from nearfield.engine.snapshot import Snapshot
from nearfield.index import exact
from nearfield.planning import report
from nearfield.planning.choose import EXACT_ROWS
from nearfield.planning.front import Best, Front, Goal
from nearfield.planning.tune import Data, Progress, tune
from nearfield.store import files, layout

FEWEST, MOST = 20, 10_000
"""Queries that can be given."""
_BLOCK = 16_384


def run(
    engine: LocalEngine, goal: Goal, minutes: float | None, queries: Vectors | None, progress: Progress | None, apply: str
) -> Front:
    """Tunes for the live rows of now; see Collection.tune."""
    snapshot = engine.snapshot
    rows = len(snapshot)
    if queries is not None and not FEWEST <= len(queries) <= MOST:
        raise InvalidInput(
            "not a number of queries to tune with", field="queries", expected=f"{FEWEST} to {MOST:,}", received=len(queries)
        )
    if rows <= EXACT_ROWS or goal.recall >= 1:
        return _exact(snapshot, goal, rows)
    place = engine.directory / layout.TUNE
    if not place.exists():
        files.make_directory(place)
    for left in place.glob(f"{layout.TEMPORARY}*"):
        files.remove_tree(left)
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
        version = f"{snapshot.commit}" + ("" if queries is None else f"-{hashlib.sha256(queries.tobytes()).hexdigest()[:16]}")
        data = Data(vectors, rows, engine.dim, engine.metric, version, given)
        front = tune(data, goal, place, minutes=minutes, progress=progress)
    finally:
        files.remove_tree(aside)
    report.write(front, place, apply)
    return front


def reports(engine: LocalEngine) -> list[Path]:
    """The report files of the last run."""
    return sorted((engine.directory / layout.TUNE).glob("front.*"))


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
    """What is said of few rows: the measured time of an exact scan."""
    took = []
    x = np.zeros((0, snapshot.dim), np.float32)
    if rows:
        parts = [v.segment.vectors[np.flatnonzero(v.live_mask())] for v in snapshot.segments]
        parts += [block.vectors[at][None] for block, at in snapshot.pending.live_rows()]
        x = np.concatenate(parts)
    for i in range(min(20, rows)):
        start = time.perf_counter()
        exact.search(np.ascontiguousarray(x[i : i + 1]), x, min(goal.k, rows), snapshot.metric)
        took.append(time.perf_counter() - start)
    why = f"{rows:,} rows" if rows <= EXACT_ROWS else "recall 1.0 was asked for"
    measured = f", {1000 * float(np.median(took)):.2f} ms a search here" if took else ""
    return Front(goal, (), Best(None, None, f"{why}: an exact scan is best, and perfect{measured}"), {"rows": rows}, True)
