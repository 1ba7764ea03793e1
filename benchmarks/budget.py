"""1,000,000 x 384 under 600 MB of memory: the index is planned, and a fresh process answers queries one at a time.

Vectors are MiniLM's, drawn again with a little noise. Half of the held-out queries calibrate the index, as its own rows have
near copies and would flatter it; the other half is measured. The process runs in a memory-limited cgroup (v2) where one can be
made. Else the process itself does what the kernel would: after any query that leaves it with more than a share of the budget,
anonymous and file pages together, it gives all pages of vectors back (MADV_PAGEOUT), which is harsher than to give back the
least used. The files are dropped from the page cache before. In a last turn the kernel is told that vectors are read at random.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, Skipped, minilm, report, row
from nearfield.core.metric import Metric

ROWS, DIM, BUDGET = 1_000_000, 384, 600_000_000
LIBRARIES = 200_000_000
"""Bytes allowed for the interpreter and libraries beside a budget that is scaled down with the rows."""
K, PROMISE, QUERIES, CHUNK = 10, 0.95, 1000, 100_000
NOISE = 0.02
"""Standard deviation of the noise in each number; a vector's length is 1."""
TURNS = ("cold", "again", "advised random")
CGROUPS = Path("/sys/fs/cgroup")

CHILD = r"""
import ctypes, json, os, resource, sys, time
COLD, RANDOM, SHARE = 21, 1, 0.85
budget = int(sys.argv[5])
libc = ctypes.CDLL(None, use_errno=True)
if sys.argv[4]:
    open(sys.argv[4] + "/cgroup.procs", "w").write(str(os.getpid()))
import numpy as np
import nearfield as nf

def held():
    with open("/proc/self/smaps_rollup") as file:
        found = {l.split(":")[0]: int(l.split()[1]) * 1024 for l in file if l.split()[-1] == "kB"}
    return found["Anonymous"], found["Rss"] - found["Anonymous"]

def held_by(names):
    out, name = dict.fromkeys(names, 0), None
    with open("/proc/self/smaps") as file:
        for line in file:
            if line[0] in "0123456789abcdef" and "-" in line.split()[0]:
                name = next((n for n in names if n in line), None)
            elif name and line.startswith("Rss:"):
                out[name] += int(line.split()[1]) * 1024
    return out

def advise(name, advice):  # the kernel, about the mapped pages of the files of a name
    with open("/proc/self/maps") as file:
        spans = [line.split()[0].split("-") for line in file if line.rstrip().endswith(name)]
    for low, high in spans:
        start, length = int(low, 16), int(high, 16) - int(low, 16)
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), advice):
            raise OSError(ctypes.get_errno(), f"madvise({advice}) of {name}")

queries, promise = np.load(sys.argv[2]), float(sys.argv[3])
out = {"libraries": held()}
start = time.perf_counter()
with nf.open(sys.argv[1], read_only=True) as db:
    c = db["c"]
    hits = c.search(vector=queries[0], k=10, recall=promise, documents=False)
    out["opened and first answer s"] = round(time.perf_counter() - start, 3)
    out["opened"], out["plan"] = held(), [[s.method, s.effort, s.bound] for s in hits.plan.segments]
    for turn in ("cold", "again", "advised random"):
        if turn == "advised random":
            advise("vectors.bin", COLD)
            advise("vectors.bin", RANDOM)
        faults, took, ids, peak, given = resource.getrusage(resource.RUSAGE_SELF).ru_majflt, [], [], [held()], 0
        for i, q in enumerate(queries):
            start = time.perf_counter()
            hits = c.search(vector=q, k=10, recall=promise, documents=False)
            took.append(time.perf_counter() - start)
            ids.append(hits.ids)
            peak.append(held())
            if budget and sum(peak[-1]) > SHARE * budget:
                advise("vectors.bin", COLD)
                given += 1
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_majflt - faults
        out[turn] = {"QPS": round(len(took) / sum(took), 1), "P50 ms": round(1000 * float(np.median(took)), 3),
            "P99 ms": round(1000 * float(np.percentile(took, 99)), 3), "major faults a query": round(faults / len(took), 3),
            "anonymous": max(p[0] for p in peak), "file": max(p[1] for p in peak),
            "peak": max(map(sum, peak)), "pages given back, times": given}
    out["ids"] = ids
    out["file pages of"] = held_by(["vectors.bin", ".faiss", ".order", "rows.i64", "ids.lookup", "documents.arrow", ".so"])
print(json.dumps(out))
"""


def main(scale: float = 1.0) -> None:
    """Plans, builds, and measures in a process of its own."""
    n, budget = int(ROWS * scale), int(BUDGET * scale)
    queries = minilm()[1][:QUERIES]
    kind, reason = _planned(n, budget)
    allowed = budget if scale >= 1 else budget + LIBRARIES
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        directory = Path(folder) / "db"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            truth, built = apart.submit(_build, directory, n, kind).result()
        np.save(f"{folder}/queries.npy", queries[1::2])
        _drop(directory)
        with _limited(allowed) as group:
            found = _run(directory, Path(folder) / "queries.npy", group, allowed)
            if group is not None:
                found["cgroup peak"] = int((group / "memory.peak").read_text())
    recall = float(np.mean([len(set(t) & set(ids)) / K for t, ids in zip(truth, found.pop("ids"), strict=True)]))
    held = found.get("cgroup peak", max(found[turn]["peak"] for turn in TURNS))
    rows = [
        row(f"recall@10, calibrated on half the queries, promise {PROMISE}", recall, PROMISE, ""),
        row("memory of the process at its peak", held / 1e6, allowed / 1e6, "MB", least=False),
    ]
    facts = {"rows": n, "index": str(kind), "why": reason, "limited by a cgroup": "cgroup peak" in found, **built, **found}
    report("budget", rows, facts)


def _planned(n: int, budget: int) -> tuple[Any, str]:
    """The planner's proposal; where it makes none, the first kind of its table whose index takes half the budget at most."""
    plan = nf.plan(n, DIM, memory=budget, recall=PROMISE)
    if plan.best is not None and plan.best.kind is not None:
        return plan.best.kind, plan.reason
    for recipe in plan.recipes:
        kind = recipe.kind
        if kind is not None and kind.resident(n, DIM, Metric.COSINE)[1] <= budget / 2 and recipe.recall.high >= PROMISE:
            return kind, f"the quickest that fits when open; the planner proposes none: {plan.reason}"
    raise Skipped(f"no kind fits: {plan.reason}")


def _build(directory: Path, n: int, kind: Any) -> tuple[list[list[str]], dict[str, Any]]:
    """Loads and indexes; the true nearest of each query, by numpy on the way. In a process that ends and maps nothing then."""
    base, queries = minilm()
    queries = queries[:QUERIES]
    best = np.full((len(queries), K), -np.inf, np.float32)
    where = np.zeros((len(queries), K), np.int64)
    with nf.open(directory) as db:
        c = db.create("c", embedder=None, dim=DIM, index=kind, recall=PROMISE)
        for start in range(0, n, CHUNK):
            x = _drawn(base, start, min(CHUNK, n - start))
            c.load(ids=[f"d{i}" for i in range(start, start + len(x))], vectors=x)
            scores = np.concatenate([best, queries @ x.T], axis=1)
            found = np.concatenate([where, np.broadcast_to(np.arange(start, start + len(x)), (len(queries), len(x)))], axis=1)
            top = np.argpartition(-scores, K, axis=1)[:, :K]
            best, where = np.take_along_axis(scores, top, 1), np.take_along_axis(found, top, 1)
        c.optimize()
        stats = c.stats()
        asked, known = queries[1::2], where[1::2].tolist()
        hits = [c.search(vector=q, k=K, recall=PROMISE, documents=False).ids for q in asked]
        as_built = np.mean([len({f"d{i}" for i in t} & set(h)) / K for t, h in zip(known, hits, strict=True)])
        c.calibrate(queries[::2])
    built = {
        "recall as built, calibrated on held-out rows": round(float(as_built), 4),
        "segments": [[s.live, round(s.index.nbytes / 1e6) if s.index else 0] for s in stats.segments],
        "build s": [round(s.index.build_seconds) for s in stats.segments if s.index],
    }
    return [[f"d{i}" for i in row_] for row_ in known], built


def _drawn(base: np.ndarray, seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng([SEED, seed])
    x = base[rng.integers(0, len(base), count)] + NOISE * rng.standard_normal((count, DIM), np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _drop(directory: Path) -> None:
    """Takes the files out of the page cache; nobody may have them mapped."""
    os.sync()
    for path in directory.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _limited(limit: int) -> Iterator[Path | None]:
    """A cgroup (v2) below our own with a limit of memory; None where none can be made."""
    made = None
    with contextlib.suppress(OSError, StopIteration):
        own = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        parent = CGROUPS / own[3:].lstrip("/")
        if "memory" in (parent / "cgroup.subtree_control").read_text().split():
            made = parent / f"nearfield-{os.getpid()}"
            made.mkdir()
            (made / "memory.max").write_text(str(limit))
    try:
        yield made
    finally:
        if made is not None:
            made.rmdir()


def _run(directory: Path, queries: Path, group: Path | None, allowed: int) -> dict[str, Any]:
    """The child's findings. Without a cgroup it keeps to `allowed` bytes by itself."""
    own = 0 if group is not None else allowed
    arguments = [sys.executable, "-c", CHILD, directory, queries, str(PROMISE), str(group or ""), str(own)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"the measured process failed: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
