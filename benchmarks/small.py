"""One-document durable upserts against a bare SQLite transaction of the same bytes; import time; embedding throughput."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import apsw
import numpy as np

import nearfield as nf
from benchmarks.common import DATA, SEED, per_call, report, row


def main(scale: float = 1.0) -> None:
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((400, 384)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare(Path(folder) / "bare.sqlite", x)
        with nf.open(Path(folder) / "db") as db:
            c = db.create("c", embedder=None, dim=384)
            empty = per_call(lambda i: c.upsert([nf.Document(f"a{i}", "t" * 100)], vectors=x[i : i + 1]), 300)
            for at in range(0, 18_000, 3000):
                ids = [nf.Document(f"fill{at + i}", "t" * 100) for i in range(3000)]
                c.upsert(ids, vectors=rng.standard_normal((3000, 384)).astype(np.float32))
            full = per_call(lambda i: c.upsert([nf.Document(f"b{i}", "t" * 100)], vectors=x[i : i + 1]), 300)
    rows = [
        row("one-document upsert, P50, against a bare transaction", np.median(empty) / np.median(bare), 2.0, least=False),
        row("the same near the seal threshold", np.median(full) / np.median(bare), 2.0, least=False),
        row("import nearfield, against numpy and pyarrow", _import_ratio(), 1 / 3, least=False),
        row("add of texts, against the model's own encode", _texts(int(600 * scale)), 0.95),
    ]
    facts = {"upsert P50 ms": round(1000 * np.median(empty), 3), "bare P50 ms": round(1000 * np.median(bare), 3)}
    report("small", rows, facts)


def _bare(path: Path, x: np.ndarray) -> np.ndarray:
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.execute("CREATE TABLE t (row INTEGER PRIMARY KEY, id TEXT, text TEXT, vector BLOB)")
    done = per_call(
        lambda i: connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (i, f"a{i}", "t" * 100, x[i].tobytes())), 300
    )
    connection.close()
    return done


def _import_ratio() -> float:
    def once(code: str) -> float:
        timed = f"import time; s = time.perf_counter(); {code}; print(time.perf_counter() - s)"
        return float(subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True, check=True).stdout)

    pairs = [(once("import nearfield"), once("import numpy; import pyarrow")) for _ in range(7)]
    return float(np.median([a / b for a, b in pairs]))


def _texts(n: int) -> float:
    """Documents/s of upserts over texts/s of sentence-transformers' encode, alternating, on the same texts."""
    from sentence_transformers import SentenceTransformer

    from nearfield import embed

    path = DATA / "wordnet.jsonl.gz"
    if path.exists():
        with gzip.open(path, "rt") as file:
            texts = [json.loads(line)["text"] for line in file][:: 117_000 // (4 * n)][: 4 * n]
    else:
        texts = [f"a text about number {i} " * (1 + i % 7) for i in range(4 * n)]
    theirs = SentenceTransformer(str(embed.load("minilm").folder))
    ratios = []
    with tempfile.TemporaryDirectory() as folder, nf.open(Path(folder) / "db") as db:
        c = db.create("c")
        c.upsert([nf.Document("warm", "warm")])
        theirs.encode(texts[:32], show_progress_bar=False)
        for r in range(3):
            some = texts[r * n : (r + 1) * n]
            start = time.perf_counter()
            theirs.encode(some, batch_size=32, show_progress_bar=False)
            middle = time.perf_counter()
            c.upsert([nf.Document(f"{r}-{i}", t) for i, t in enumerate(some)])
            ratios.append((middle - start) / (time.perf_counter() - middle))
    return float(np.median(ratios))


if __name__ == "__main__":
    main()
