"""Bulk load of 1,000,000 x 128 with ids and three metadata fields against LanceDB's bare add of the same chunks."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import nearfield as nf
from benchmarks.common import SEED, peer, report, row

DIM, CHUNK, ROUNDS = 128, 131_072, 3


def main(scale: float = 1.0) -> None:
    n = int(1_000_000 * scale)
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((n, DIM), dtype=np.float32)
    ids = [f"doc-{i:09d}" for i in range(n // 2)] + [f"u{v}" for v in rng.permutation(n - n // 2)]
    again = ids[: n * 3 // 10] + [f"new-{i}" for i in range(n - n * 3 // 10)]
    meta = pa.table({"year": rng.integers(1900, 2026, n), "price": rng.random(n), "kind": [f"k{i % 20}" for i in range(n)]})
    first, second, lance, waits = [], [], [], []
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        np.save(f"{folder}/x.npy", x)
        pq.write_table(meta.append_column("id", pa.array(ids)), f"{folder}/rest.parquet")
        for round_ in range(ROUNDS):
            lance.append(peer("load", folder, CHUNK)["seconds"])
            with nf.open(Path(folder) / f"db{round_}") as db:
                c = db.create("c", embedder=None, dim=DIM, metric="l2")
                first.append(_timed(lambda c=c: c.load(ids=ids, vectors=x, metadata=meta)))
                second.append(_timed(lambda c=c: c.load(ids=again, vectors=x, metadata=meta)))
            with nf.open(Path(folder) / f"small{round_}") as db:
                c = db.create("c", embedder=None, dim=DIM, metric="l2")
                waits += _upserts_during(c, ids, x, meta)
    ratio = [a / b for a, b in zip(lance, first, strict=True)]
    ratio2 = [a / b for a, b in zip(lance, second, strict=True)]
    rows = [
        row("load of new documents, against LanceDB's bare add", np.median(ratio), 0.6),
        row("load with 30 % of the ids there, against LanceDB's bare add", np.median(ratio2), 0.6),
        row("P99 of a one-document upsert during a load", np.percentile(waits, 99), 1.0, "s", least=False),
    ]
    facts = {
        "documents/s": round(n / np.median(first)),
        "LanceDB/s": round(n / np.median(lance)),
        "rounds": ROUNDS,
        "upserts": len(waits),
    }
    report("load", rows, facts)


def _timed(call) -> float:
    os.sync()
    start = time.perf_counter()
    call()
    os.sync()
    return time.perf_counter() - start


def _upserts_during(c, ids, x, meta) -> list[float]:
    loading = threading.Thread(target=lambda: c.load(ids=ids, vectors=x, metadata=meta))
    waits: list[float] = []
    loading.start()
    while loading.is_alive():
        start = time.perf_counter()
        c.upsert([nf.Document(f"small-{len(waits)}", "text")], vectors=x[:1])
        waits.append(time.perf_counter() - start)
    loading.join()
    return waits


if __name__ == "__main__":
    main()
