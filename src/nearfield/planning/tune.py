"""Finds the index that is quickest at a recall by building candidates and measuring them. Knows vectors files and kinds.

Successive halving: all candidates on a small sample, the better ones on a larger, the finalists on all rows. A candidate goes
on while it is among the quickest, or smaller than whatever is quicker; memory that it surely exceeds ends it unbuilt.
Every finished measurement is written down at once, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nearfield.core.config import format_size
from nearfield.core.errors import Closed, InvalidInput, MissingDependency, NearfieldError
from nearfield.core.metric import Metric, Vectors
from nearfield.index import encode_kind
from nearfield.index.base import Effort, Kind
from nearfield.index.build import STEM, Built, run_build
from nearfield.index.calibrate import GIVEN, HELD_OUT
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq
from nearfield.index.rabitq import Rabitq
from nearfield.index.usearch import Usearch
from nearfield.planning import reducing
from nearfield.planning.front import Front, Goal, Measured, choose, spelled, undominated

STAGES = ((16, 24), (4, 6), (1, 3))
"""(divisor of the rows, candidates at most) of each stage."""
LEAST_SAMPLE = 10_000
MARGIN = 2.0
"""A candidate slower than this many times the quickest, and no smaller, is given up."""
TIMED, ROUNDS = 300, 5
SEED = 1

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Data:
    """What is tuned for: prepared float32 (rows, dim) in a raw file, `queries` in another or None.

    `version` names the contents: what was measured of others does not count.
    """

    vectors: Path
    rows: int
    dim: int
    metric: Metric
    version: str
    queries: Path | None = None

    def open(self) -> Vectors:
        """The vectors, memory-mapped."""
        return np.memmap(self.vectors, np.float32, mode="r", shape=(self.rows, self.dim))


class Journal:
    """Measurements by key, one JSON line each; a line that a kill cut short is passed over, and no line is ever changed.

    Args:
        path: of the file.
        version: what keys begin with; what was measured of other vectors is passed over.
    """

    def __init__(self, path: Path, version: str = "") -> None:
        self._path = path
        self._known: dict[str, Measured] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    key, measured = msgspec.json.decode(line, type=tuple[str, Measured])
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
                if key.startswith(version):
                    self._known[key] = measured

    def get(self, key: str) -> Measured | None:
        """What was measured under a key."""
        return self._known.get(key)

    def put(self, key: str, measured: Measured) -> None:
        """Writes a measurement down before it counts; a killed process keeps it, a power cut may not."""
        with open(self._path, "ab") as file:
            file.write(b"\n" * (file.tell() > 0) + msgspec.json.encode((key, measured)))
        self._known[key] = measured


def candidates(dim: int, metric: Metric, x: Vectors | None = None) -> list[Kind]:
    """What is tried for vectors like x, without what does not suit or whose package is not installed."""
    kinds: list[Any] = [Hnsw(links=links, build_effort=max(48, links)) for links in (16, 24, 32, 48)]
    if x is not None and (smaller := reducing.reduced(Hnsw(), x, metric)) is not None:
        kinds += [smaller, replace(smaller, build_effort=2 * smaller.build_effort), replace(smaller, links=24)]
    kinds += [Hnsw(storage="float32"), Ivf(storage="int8"), Ivf(storage="float32")]
    kinds += [IvfPq(subvectors=dim // part) for part in (2, 4, 8) if dim % part == 0 and dim >= 2 * part] or [IvfPq()]
    kinds += [Rabitq(bits=bits) for bits in (1, 4, 7)]
    if Usearch.installed():
        kinds += [Usearch(), Usearch(links=16)]
    out = []
    for kind in kinds:
        try:
            kind.check(dim, metric)
        except (InvalidInput, MissingDependency):
            continue
        out.append(kind)
    return out


def tune(
    data: Data,
    goal: Goal,
    place: Path,
    *,
    minutes: float | None = None,
    progress: Progress | None = None,
    kinds: Sequence[Kind] | None = None,
) -> Front:
    """Measures candidates and chooses.

    Args:
        data: the vectors.
        goal: what the choice must reach.
        place: a directory for the journal and for what is built, which is removed again.
        minutes: after which no more is begun and a running build is ended; None: until done.
        progress: called with a line for people.
        kinds: what is tried, in place of `candidates`.

    Returns:
        The front; `stopped` says so where time ran out or Ctrl-C was pressed: called again it goes on. A candidate that
        cannot be built is in it, with the reason.
    """
    say = progress or (lambda line: None)
    started = time.monotonic()
    journal = Journal(place / "journal.jsonl", data.version)
    cancelled = threading.Event()
    timer = None if minutes is None else threading.Timer(60 * minutes, cancelled.set)
    if timer is not None:
        timer.daemon = True
        timer.start()
    found: dict[str, Measured] = {}
    everything = list(kinds if kinds is not None else candidates(data.dim, data.metric, data.open()))
    needs = {kind: kind.resident(data.rows, data.dim, data.metric)[0] for kind in everything}
    alive = [kind for kind in everything if goal.memory is None or needs[kind] <= goal.memory]
    excluded = tuple(
        f"{spelled(encode_kind(kind))} takes {format_size(needs[kind])} of memory" for kind in everything if kind not in alive
    )
    stopped = ""
    try:
        before = 0
        for divisor, most in STAGES:
            rows = data.rows if divisor == 1 else max(LEAST_SAMPLE, data.rows // divisor)
            if divisor != 1 and (rows > data.rows // 2 or rows == before):
                continue
            before = rows
            alive = _kept(alive, found, data, goal, most)
            for number, kind in enumerate(alive):
                name = spelled(encode_kind(kind))
                best = min((m for m in found.values() if m.rows == rows and m.effort), key=lambda m: m.seconds, default=None)
                so_far = f"; best so far {spelled(best.kind)} {1 / best.seconds:,.0f}/s" if best else ""
                say(f"{rows:,} of {data.rows:,} rows, {number + 1} of {len(alive)}: {name}{so_far}")
                found[name] = _measured(kind, data, rows, goal, place, journal, cancelled)
    except KeyboardInterrupt:
        stopped = "interrupted"
    except Closed:
        stopped = "time is up"
    finally:
        if timer is not None:
            timer.cancel()
    order = sorted(found.values(), key=lambda m: (not m.whole, m.effort is None, -m.qps, m.seconds))
    about = {**_about(data), "seconds": round(time.monotonic() - started, 1), "seed": SEED}
    return Front(goal, tuple(order), choose(order, goal, stopped, excluded), about, stopped, excluded)


def _kept(alive: list[Kind], found: dict[str, Measured], data: Data, goal: Goal, most: int) -> list[Kind]:
    """The candidates worth measuring on more rows: the quickest, and those smaller than all that are quicker."""
    seen = [(kind, found[name]) for kind in alive if (name := spelled(encode_kind(kind))) in found]
    if not seen:
        return alive[:most]
    good = [(kind, m) for kind, m in seen if m.effort is not None]
    if not good:
        return []
    quickest = min(m.seconds for _, m in good)
    lean = undominated([m for _, m in good], lambda m: m.resident)
    good = [(kind, m) for kind, m in good if m.seconds <= MARGIN * quickest or m in lean]
    if goal.latency is not None:
        good = [(kind, m) for kind, m in good if m.seconds <= goal.latency]
    good.sort(key=lambda pair: pair[1].seconds)
    kept = good[:most]
    if lean and lean[0] not in [m for _, m in kept]:
        kept = [*kept[: most - 1], *(pair for pair in good if pair[1] is lean[0])]
    return [kind for kind, _ in kept]


def _measured(
    kind: Kind, data: Data, rows: int, goal: Goal, place: Path, journal: Journal, cancelled: threading.Event
) -> Measured:
    """One candidate built of a random sample of `rows` rows, from the journal if it is there."""
    told = msgspec.json.encode(encode_kind(kind)).decode()
    key = f"{data.version}|{rows}|{goal.k}|{goal.recall}|{told}"
    known = journal.get(key)
    if known is not None:
        return known
    if cancelled.is_set():
        raise Closed("time is up")
    aside = place / "tmp-build"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        vectors = data.vectors
        if rows < data.rows:
            chosen = np.sort(np.random.default_rng(SEED).choice(data.rows, rows, replace=False))
            vectors = aside / "sample"
            data.open()[chosen].tofile(vectors)
        into = aside / "into"
        into.mkdir()
        built = run_build(
            vectors,
            rows,
            data.dim,
            kind,
            data.metric,
            into,
            cancelled=cancelled,
            queries=data.queries,
            seed=SEED,
            only=(goal.k, (1 + goal.recall) / 2),
        )
        x = np.memmap(vectors, np.float32, mode="r", shape=(rows, data.dim))
        measured = _figures(kind, built, x, data, goal, into)
        journal.put(key, measured)
        return measured
    except Closed:
        raise
    except NearfieldError as error:
        return _failed(kind, rows, rows == data.rows, str(error))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _failed(kind: Kind, rows: int, whole: bool, problem: str) -> Measured:
    """What is said of a candidate that could not be built; it is tried again in the next run."""
    return Measured(encode_kind(kind), rows, whole, None, 0.0, 0.0, 0, "", 0.0, 0, 0, 0.0, [], problem=problem)


def _figures(kind: Kind, built: Built, x: Vectors, data: Data, goal: Goal, into: Path) -> Measured:
    """What a built index does; latencies and throughput only where it holds all rows."""
    index = kind.open(into / STEM, data.metric, x)
    whole = len(x) == data.rows
    point = built.curve.effort_for(goal.recall, goal.k)
    source = GIVEN if any(p.source == GIVEN for p in built.curve.points) else HELD_OUT
    at = min((p.k for p in built.curve.points if p.k >= goal.k), default=goal.k)
    points = [p for p in built.curve.points if p.k == at and p.share == 1 and p.source == source]
    first = Measured(
        encode_kind(kind),
        len(x),
        whole,
        None if point is None else point.effort.to_dict(),
        0.0 if point is None else point.recall,
        0.0 if point is None else point.bound,
        0 if point is None else point.queries,
        source,
        float("inf") if point is None else point.seconds,
        sum(path.stat().st_size for path in into.iterdir()),
        index.resident_bytes,
        built.seconds,
        [(p.recall, p.bound, p.seconds) for p in points],
    )
    if point is None:
        return msgspec.structs.replace(first, seconds=max((p.seconds for p in points), default=0.0))
    return _timed(first, index, _asked(data, x), goal.k, point.effort) if whole else first


def _asked(data: Data, x: Vectors) -> Vectors:
    """Queries to time with: given ones, else rows, a little moved, as a row's own place is found sooner."""
    if data.queries is not None:
        return np.fromfile(data.queries, np.float32).reshape(-1, data.dim)[:TIMED]
    rng = np.random.default_rng(SEED)
    rows = np.array(x[np.sort(rng.choice(len(x), min(TIMED, len(x)), replace=False))])
    rows += rng.standard_normal(rows.shape, np.float32) * np.float32(0.1 * rows.std())
    if data.metric is Metric.COSINE:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _timed(first: Measured, index: Any, queries: Vectors, k: int, effort: Effort) -> Measured:
    """With latencies and throughput of single searches: on one thread, and on all cores at once."""

    def once(start: int) -> list[float]:
        took = []
        for i in [*range(start, len(queries)), *range(start)]:
            before = time.perf_counter()
            index.search(queries[i : i + 1], k, effort)
            took.append(time.perf_counter() - before)
        return took

    once(0)
    rounds = np.array([once(0) for _ in range(ROUNDS)])
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        begin = time.perf_counter()
        busy = np.concatenate(list(pool.map(once, [i * len(queries) // threads for i in range(threads)] * ROUNDS)))
        spent = time.perf_counter() - begin
    return msgspec.structs.replace(
        first,
        seconds=float(np.median(rounds.mean(1))),
        p50=float(np.median(rounds)),
        p99=float(np.median(np.quantile(rounds, 0.99, axis=1))),
        qps=float(1 / np.median(rounds.mean(1))),
        busy_p50=float(np.median(busy)),
        busy_p99=float(np.quantile(busy, 0.99)),
        busy_qps=len(busy) / spent,
        threads=threads,
    )


def _about(data: Data) -> dict[str, Any]:
    from nearfield.index import _faiss

    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "faiss": _faiss.version(),
        "numpy": np.__version__,
        "rows": data.rows,
        "dim": data.dim,
        "metric": str(data.metric),
        "queries": "given" if data.queries is not None else "held-out rows",
    }


__all__ = ["Data", "Journal", "candidates", "tune"]
