"""Moving a segment on to a card and off it: GB a second, and how long until the first answer from there.

From memory, and from a file that is opened but in no cache of this process; into float16 and int8. The first move of a process
also starts the card and compiles the kernels: told apart. Knows the device's part alone; no collection is opened.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Skipped
from benchmarks.gpu import common
from benchmarks.gpu.common import Here, line
from benchmarks.gpu.made import QUERIES, Made
from nearfield.core.metric import Metric, Vectors
from nearfield.device import layout, resident
from nearfield.device.pool import Pool

ROWS, DIM, K = 10_000_000, 384, 10
FAST = 5.0
"""GB a second of float32 vectors in memory that are asked: a copy through unpinned memory, with the coding behind it."""
FIRST = 5.0
"""Seconds until the first answer that are asked of 10M x 384 in memory, once the kernels are compiled."""


def main(argv: list[str] | None = None) -> None:
    parser = common.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--folder", type=Path, help="where the file is written; by default the system's folder of such")
    parser.add_argument("--no-file", dest="file", action="store_false", help="from memory alone")
    asked = parser.parse_args(argv)
    at = common.here(asked)
    n = at.rows(asked.rows)
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] = {"bytes of float32 vectors": 4 * n * asked.dim}
    recipe = common.recipe(asked.dim, n)
    with common.left_out(facts, "tiers"):
        vectors = np.empty((n, asked.dim), np.float32)
        source = Made(n, recipe, at.device, at.seed)
        for start in range(0, n, 1 << 18):
            part = source[start : min(start + (1 << 18), n)]
            vectors[start : start + len(part)] = part.cpu().numpy()
        queries = Made(64, recipe, at.device, at.seed, QUERIES).whole().cpu().numpy()
        del source, part
        for dtype in layout.DTYPES:
            _measure(at, vectors, queries, dtype, "memory", lines, facts)
        if asked.file:
            with common.left_out(facts, "from a file"), tempfile.TemporaryDirectory(dir=asked.folder) as folder:
                mapped = _written(vectors, Path(folder))
                _measure(at, mapped, queries, "float16", "a file", lines, facts)
                del mapped
    common.report("tiers", f"{n:,} x {asked.dim}", at, asked.out, lines, facts)


def _written(vectors: Vectors, folder: Path) -> Vectors:
    """The vectors as a memory map of a new file, out of the system's cache as far as it lets go."""
    import os
    import shutil

    free = shutil.disk_usage(folder).free
    if free < vectors.nbytes * 1.1:
        raise Skipped(f"the disk has {free / 1e9:.1f} GB free and {vectors.nbytes / 1e9:.1f} are needed")
    path = folder / "vectors.npy"
    np.save(path, vectors)
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    found: Vectors = np.load(path, mmap_mode="r")
    return found


def _measure(
    at: Here,
    vectors: Vectors,
    queries: Vectors,
    dtype: layout.Dtype,
    where: str,
    lines: list[dict[str, Any]],
    facts: dict[str, Any],
) -> None:
    """In, first answer, out; and once more, when nothing is compiled any longer."""
    need = layout.nbytes(*vectors.shape, dtype, Metric.COSINE)
    budget = need + 2 * layout.WORKSPACE if at.cuda else 8 * (need + (64 << 20))
    if budget > at.room():
        raise Skipped(f"{dtype} codes take {need / 1e9:.1f} GB and {at.room() / 1e9:.1f} are free")
    moves = []
    for _ in range(2):
        pool = Pool({at.device: budget})
        start = time.perf_counter()
        there = resident.put(vectors, Metric.COSINE, pool, dtype)
        common.synchronize(at.device)
        put = time.perf_counter() - start
        there.search(queries[:1], K)
        first = time.perf_counter() - start
        out = common.seconds(there.close, at.device)
        moves.append({"in": put, "first answer": first, "out": out, "one query said to take": there.seconds(1)})
    again = moves[-1]
    how = f"{dtype}, from {where}"
    gigabytes = vectors.nbytes / 1e9
    if where == "memory":
        lines.append(line(f"{how}: float32 GB/s moved in", gigabytes / again["in"], FAST, "GB/s"))
        lines.append(line(f"{how}: first hot answer", again["first answer"], FIRST, "s", least=False))
    facts[how] = {
        "first move, with the kernels compiled, s": {key: round(value, 5) for key, value in moves[0].items()},
        "next move, s": {key: round(value, 5) for key, value in again.items()},
        "float32 GB/s": round(gigabytes / again["in"], 3),
        "bytes on the device": need,
    }


if __name__ == "__main__":
    common.script(main)
