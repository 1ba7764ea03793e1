"""What words cost: a hybrid query beside a dense one at 100,000 documents, and ingest beside a bare FTS5 insert of the texts.

Queries are dictionary entries that are not among the documents: about ten words each, common ones included. Texts and MiniLM
vectors of WordNet; the time to embed a query is left out of the first figures, and told beside them.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import time
from pathlib import Path

import apsw
import numpy as np

import nearfield as nf
from benchmarks.common import DATA, SEED, Skipped, minilm, per_call, report, row

QUERIES = 400
BATCH = 1000


def texts() -> tuple[list[str], list[str]]:
    """Texts of the vectors of `minilm`, and of entries that have none."""
    if not (DATA / "wordnet.jsonl.gz").exists():
        raise Skipped("wordnet.jsonl.gz is not in ../shared/data")
    with gzip.open(DATA / "wordnet.jsonl.gz", "rt", encoding="utf-8") as file:
        lines = [json.loads(line)["text"] for line in file]
    rows = np.load(DATA / "minilm_base_rows.npy")
    rest = sorted(set(range(len(lines))) - set(rows.tolist()))
    return [lines[i] for i in rows], [lines[i] for i in rest]


def main(scale: float = 1.0) -> None:
    n = int(100_000 * scale)
    base, vectors = minilm()
    known, unknown = texts()
    rng = np.random.default_rng(SEED)
    asked = [unknown[i] for i in rng.choice(len(unknown), QUERIES, replace=False)]
    with tempfile.TemporaryDirectory() as folder, nf.open(folder) as db:
        loads = {}
        for keyword in (None, "english"):
            c = db.create(keyword or "none", embedder=None, dim=384, keyword=keyword)
            ids = [str(i) for i in range(n)]
            start = time.perf_counter()
            c.load(ids=ids, vectors=base[:n], texts=known[:n])
            loads[keyword] = time.perf_counter() - start
        bare = _bare(Path(folder) / "bare.sqlite", known[:n], n)
        few, alone = _small(db, base, known), _bare(Path(folder) / "small.sqlite", known[: 10 * BATCH], BATCH)
        c = db["english"]
        c.optimize()
        found = _queries(c, vectors, asked)
    ingest = loads["english"] - loads[None]
    rows = [
        row("hybrid P50 beyond dense P50", found["hybrid"] - found["dense"], 3.0, "ms", least=False),
        row("words of a bulk load, beside a bare insert in one transaction", bare / ingest, 0.8),
        row(f"words of writes of {BATCH:,}, beside a bare insert in such transactions", alone / few, 0.8),
    ]
    facts = {f"{name} ms": round(value, 3) for name, value in found.items()}
    rates = {
        "bare texts/s": round(n / bare),
        "load with words s": round(loads["english"], 2),
        "without s": round(loads[None], 2),
    }
    report("hybrid", rows, {"documents": n, "queries": QUERIES, "seed": SEED, **facts, **rates})


def _queries(c: nf.Collection, vectors: np.ndarray, asked: list[str]) -> dict[str, float]:
    """Median milliseconds of each mode, and of the first keyword queries, whose words were never asked for before."""

    def dense(i: int) -> object:
        return c.search(vector=vectors[i], k=10)

    def words(i: int) -> object:
        return c.search(asked[i], mode="keyword", k=10)

    def hybrid(i: int) -> object:
        return c.search(asked[i], vector=vectors[i], mode="hybrid", k=10)

    for i in range(20):
        dense(i)
    first = per_call(words, QUERIES // 4)
    rounds = [(per_call(dense, QUERIES), per_call(words, QUERIES), per_call(hybrid, QUERIES)) for _ in range(3)]
    best = np.min(np.array(rounds), axis=0)
    told = dict(zip(("dense", "keyword", "hybrid"), (1e3 * np.median(best, axis=1)).tolist(), strict=True))
    p95 = {f"{name} p95": float(1e3 * np.quantile(best[i], 0.95)) for i, name in enumerate(("dense", "keyword", "hybrid"))}
    return {**told, **p95, "keyword, first time": float(1e3 * np.median(first))}


def _bare(path: Path, some: list[str], step: int) -> float:
    """Seconds that SQLite takes to index the texts, `step` in each transaction."""
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -65536)
    tokenizer = "porter unicode61 remove_diacritics 2"
    connection.execute(f"CREATE VIRTUAL TABLE t USING fts5(text, content='', contentless_delete=1, tokenize='{tokenizer}')")
    start = time.perf_counter()
    for at in range(0, len(some), step):
        with connection:
            connection.executemany("INSERT INTO t(rowid, text) VALUES (?, ?)", enumerate(some[at : at + step], at + 1))
    taken = time.perf_counter() - start
    connection.close()
    return taken


def _small(db: nf.Database, base: np.ndarray, known: list[str]) -> float:
    """Seconds that words add to writes of BATCH documents."""
    took = {}
    for keyword in (None, "english"):
        c = db.create(f"small-{keyword}", embedder=None, dim=384, keyword=keyword)
        batches = [
            ([nf.Document(str(i), known[i]) for i in range(at, at + BATCH)], base[at : at + BATCH])
            for at in range(0, 10 * BATCH, BATCH)
        ]
        start = time.perf_counter()
        for documents, x in batches:
            c.upsert(documents, vectors=x)
        took[keyword] = time.perf_counter() - start
    return took["english"] - took[None]


if __name__ == "__main__":
    main()
