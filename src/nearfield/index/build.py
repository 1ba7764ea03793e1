"""Building an index in a process of its own: the parent's side. A crash, an out-of-memory kill or a cancel costs nothing.

Knows a vectors file and a kind; no catalog. The child is `python -m nearfield.index.child`: it reads its orders from a pipe,
writes only into the directory it is given, and exits when the pipe closes, as it does when the parent dies.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from nearfield.core.errors import Closed, NearfieldError
from nearfield.core.metric import Metric
from nearfield.index import encode_kind
from nearfield.index.base import Kind, Progress
from nearfield.index.curve import Curve

log = logging.getLogger("nearfield.index")
STEM = "index"
"""What the files of a build are called, with a suffix each."""
AFTER, IDLE = 10, 19
"""Niceness of a build that goes after searches, and of one that only takes what nobody else wants."""


class Orders(msgspec.Struct, frozen=True):
    """What the child is told: to build, or with `index` to measure a finished index again, among the rows of `live`."""

    vectors: str
    rows: int
    dim: int
    metric: str
    kind: dict[str, Any]
    into: str
    threads: int
    nice: int
    seed: int
    queries: str | None = None
    index: str | None = None
    live: str | None = None
    only: tuple[int, float] | None = None


class Report(msgspec.Struct, frozen=True):
    """One line from the child: progress, or at the end the result."""

    phase: str
    share: float
    curve: dict[str, Any] | None = None
    seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """A finished build: the suffixes of its files, the measured curve, seconds, and the child's peak memory."""

    suffixes: tuple[str, ...]
    curve: Curve
    seconds: float
    peak_bytes: int


def run_build(
    vectors: Path,
    rows: int,
    dim: int,
    kind: Kind,
    metric: Metric,
    into: Path,
    *,
    threads: int | None = None,
    nice: int = AFTER,
    progress: Progress | None = None,
    cancelled: threading.Event | None = None,
    queries: Path | None = None,
    seed: int = 0,
    only: tuple[int, float] | None = None,
) -> Built:
    """Builds and measures an index.

    Args:
        vectors: prepared float32 (rows, dim), raw, C order.
        rows: how many.
        dim: numbers in each.
        kind: which index.
        metric: which comparison.
        into: an empty directory for the files; the caller syncs and moves them.
        threads: for building; all cores by default.
        nice: added to the child's niceness, so that searches go first; from IDLE on it only takes what nobody else wants.
        progress: called with phase and share.
        cancelled: when set, the child is ended.
        queries: prepared float32 queries, raw, to measure with besides held-out rows.
        seed: of everything random.
        only: (k, recall): measure nothing but searches for k hits without a filter, up to a setting whose lower bound reaches
            `recall`, with `queries` alone if there are any: to compare kinds, not to serve from.

    Raises:
        NearfieldError: the child failed; the message has the end of what it said.
        Closed: cancelled.
    """
    orders = Orders(
        str(vectors),
        rows,
        dim,
        str(metric),
        encode_kind(kind),
        str(into),
        threads or os.cpu_count() or 1,
        nice,
        seed,
        None if queries is None else str(queries),
        only=only,
    )
    last, curve = _run(orders, progress, cancelled, "building")
    suffixes = tuple(sorted(path.suffix for path in into.glob(f"{STEM}.*")))
    return Built(suffixes, curve, last.seconds, last.peak_bytes)


def run_measure(
    index: Path,
    kind: Kind,
    vectors: Path,
    rows: int,
    dim: int,
    metric: Metric,
    queries: Path,
    *,
    live: Path | None = None,
    nice: int = AFTER,
    progress: Progress | None = None,
    cancelled: threading.Event | None = None,
    seed: int = 0,
) -> Curve:
    """Measures a finished index with queries, without building anything; the points' source is GIVEN.

    All rows are in the index by now, so none can be held out: only queries from elsewhere can be used.

    Args:
        index: the path of its files, without their suffixes.
        kind: which index it is.
        vectors: prepared float32 (rows, dim), raw, C order.
        rows: how many.
        dim: numbers in each.
        metric: which comparison.
        queries: prepared float32 queries, raw.
        live: packed bits over positions (little bit order): the rows that count; None for all.
        nice: added to the child's niceness, so that searches go first.
        progress: called with phase and share.
        cancelled: when set, the child is ended.
        seed: of everything random.

    Raises:
        NearfieldError: the child failed; the message has the end of what it said.
        Closed: cancelled.
    """
    orders = Orders(
        str(vectors),
        rows,
        dim,
        str(metric),
        encode_kind(kind),
        "",
        os.cpu_count() or 1,
        nice,
        seed,
        str(queries),
        str(index),
        None if live is None else str(live),
    )
    return _run(orders, progress, cancelled, "measuring")[1]


def _run(orders: Orders, progress: Progress | None, cancelled: threading.Event | None, doing: str) -> tuple[Report, Curve]:
    """Starts the child and waits for its last report and curve."""
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "nearfield.index.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_WAIT_POLICY": "PASSIVE"},
            start_new_session=True,
        )
        done = threading.Event()
        watcher = None
        if cancelled is not None:
            watcher = threading.Thread(target=_watch, args=(child, cancelled, done), daemon=True)
            watcher.start()
        try:
            last = _listen(child, orders, progress)
            code = child.wait()
        finally:
            done.set()
            if child.poll() is None:
                child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            if watcher is not None:
                watcher.join()
        if cancelled is not None and cancelled.is_set():
            raise Closed(f"{doing} the index was cancelled")
        if code != 0 or last is None or last.curve is None:
            tail = _tail(said)
            raise NearfieldError(f"{doing} the index failed (exit {code}); searches go on without: {tail or 'no message'}")
        if tail := _tail(said):
            log.info("%s the index: %s", doing, tail)
    return last, Curve.from_dict(last.curve)


def _tail(said: IO[bytes]) -> str:
    """The end of what the child said."""
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - 2000))
    return said.read().decode(errors="replace").strip()


def _listen(child: subprocess.Popen[bytes], orders: Orders, progress: Progress | None) -> Report | None:
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(msgspec.json.encode(orders) + b"\n")
        child.stdin.flush()
    last = None
    for line in child.stdout:
        last = msgspec.json.decode(line, type=Report)
        if progress is not None:
            progress(last.phase, last.share)
    return last


def _watch(child: subprocess.Popen[bytes], cancelled: threading.Event, done: threading.Event) -> None:
    """Ends the child when `cancelled` is set; stops watching when `done` is."""
    while not done.is_set():
        if cancelled.wait(0.1):
            child.kill()
            return
