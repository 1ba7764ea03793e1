"""Reopening 1,000,000 x 128 in a new process and answering a first query, against reading the index file whole."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, report, row

OPEN = (
    "import sys, time; import apsw, pyarrow, numpy as np, nearfield as nf, nearfield.database, nearfield.engine.search;"
    "from nearfield.index import _faiss; s = time.perf_counter();"
    "db = nf.open(sys.argv[1], read_only=True); db['c'].search(vector=np.ones(128)); print(time.perf_counter() - s)"
)
"""Imports are the interpreter's start, here as there, and are not timed."""
READ = "import sys, time, faiss; s = time.perf_counter(); faiss.read_index(sys.argv[1]); print(time.perf_counter() - s)"


def main(scale: float = 1.0) -> None:
    n = int(1_000_000 * scale)
    rng = np.random.default_rng(SEED)
    centres = rng.standard_normal((2000, 128)).astype(np.float32)
    x = centres[rng.integers(0, 2000, n)] + 0.5 * rng.standard_normal((n, 128), dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "db"
        with nf.open(directory) as db:
            c = db.create("c", embedder=None, dim=128, metric="l2", index=nf.Ivf())
            c.load(ids=[f"d{i}" for i in range(n)], vectors=x)
            c.optimize()
            seconds = [s.index.build_seconds for s in c.stats().segments if s.index]
        index = max(directory.rglob("*.faiss"), key=lambda p: p.stat().st_size)
        ours = [_run(OPEN, directory) for _ in range(5)]
        whole = [_run(READ, index) for _ in range(5)]
    rows = [
        row("reopen and first answer, against reading the index whole", np.median(ours) / np.median(whole), 0.2, least=False)
    ]
    facts = {
        "answer s": round(float(np.median(ours)), 4),
        "read whole s": round(float(np.median(whole)), 4),
        "build s": seconds,
    }
    report("reopen", rows, facts)


def _run(code: str, path: Path) -> float:
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
