"""Why sealed documents are not SQLite rows: a million of them, ids unique, against a whole bulk load of as many vectors."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import apsw
import numpy as np

import nearfield as nf
from benchmarks.common import SEED, report, row

CHUNK = 131_072


def main(scale: float = 1.0) -> None:
    n = int(1_000_000 * scale)
    rng = np.random.default_rng(SEED)
    ids = [f"doc-{i:09d}" for i in range(n // 2)] + [f"u{v}" for v in rng.permutation(n - n // 2)]
    x = rng.standard_normal((n, 128), dtype=np.float32)
    metadata = {"year": rng.integers(1900, 2026, n), "price": rng.random(n)}
    with tempfile.TemporaryDirectory() as folder:
        rows = _sqlite(Path(folder) / "rows.sqlite", ids)
        with nf.open(Path(folder) / "db") as db:
            c = db.create("c", embedder=None, dim=128, metric="l2")
            os.sync()
            start = time.perf_counter()
            c.load(ids=ids, vectors=x, metadata=metadata)
            os.sync()
            load = time.perf_counter() - start
    found = row("SQLite rows alone, against a whole load of segments", rows / load, 0.5)
    report("rows", [found], {"rows s": round(rows, 2), "load s": round(load, 2)})


def _sqlite(path: Path, ids: list[str]) -> float:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -262_144)
    connection.execute("CREATE TABLE d (row INTEGER PRIMARY KEY, id TEXT UNIQUE, metadata BLOB)")
    os.sync()
    start = time.perf_counter()
    for at in range(0, len(ids), CHUNK):
        with connection:
            values = ((at + i, document_id, b'{"year":1999,"price":0.5}') for i, document_id in enumerate(ids[at : at + CHUNK]))
            connection.executemany("INSERT INTO d VALUES (?, ?, ?)", values)
    os.sync()
    taken = time.perf_counter() - start
    connection.close()
    return taken


if __name__ == "__main__":
    main()
