"""MiniLM 112,659 x 384 with metadata: durable and searchable, indexed, queried, reopened; against peers and bare FAISS."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import nearfield as nf
from benchmarks.common import DATA, Skipped, minilm, peer, per_call, report, row

QUERIES = 1000


def main(scale: float = 1.0) -> None:
    x, queries = minilm()
    x = x[: int(len(x) * scale)]
    n = len(x)
    texts = _texts(n)
    rows, facts = [], {"documents": n}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/base.npy", x)
        np.save(f"{folder}/queries.npy", queries)
        Path(folder, "texts.json").write_text(json.dumps(texts))
        with nf.open(Path(folder) / "db") as db:
            c = db.create("c", embedder=None, dim=384)
            start = time.perf_counter()
            c.load(ids=[f"d{i}" for i in range(n)], vectors=x, texts=texts, metadata={"n": list(range(n))})
            stored = time.perf_counter() - start
            c.optimize()
            indexed = time.perf_counter() - start
            rows.append(row("documents/s until durable and exactly searchable", n / stored, 30_000, "/s"))
            qps = _queries(c, x, queries, rows, facts)
            _overhead(c, queries, rows, facts)
        _reopen(Path(folder) / "db", rows, facts)
        facts |= {"indexed in s": round(indexed, 2), "queries/s": round(qps)}
        for name, limit, faster, quicker in (("lancedb", n, 3, None), ("chroma", n, 8, 12), ("txtai", n, None, 4)):
            try:
                found = peer("minilm", name, folder, limit)
            except Skipped as reason:
                facts[name] = str(reason)
                continue
            facts[name] = found
            rate = found["rows"] / found["indexed"]
            if faster is not None:
                rows.append(row(f"fully indexed, against {name}", n / indexed / rate, faster))
            if quicker is not None:
                rows.append(row(f"one query at a time with ten documents, against {name}", qps / found["qps"], quicker))
    report("minilm", rows, facts)


def _texts(n: int) -> list[str]:
    import gzip

    lines = np.load(DATA / "minilm_base_rows.npy")[:n]
    with gzip.open(DATA / "wordnet.jsonl.gz", "rt") as file:
        texts = [json.loads(line)["text"] for line in file]
    return [texts[i] for i in lines]


def _queries(c: nf.Collection, x: np.ndarray, queries: np.ndarray, rows: list, facts: dict) -> float:
    truth = np.argpartition(-(queries @ x.T), 10, axis=1)[:, :10]
    for promise in (0.90, 0.95, 0.99):
        hits = [c.search(vector=q, k=10, recall=promise) for q in queries]
        recall = np.mean([len({f"d{j}" for j in t} & set(h.ids)) / 10 for t, h in zip(truth, hits, strict=True)])
        rows.append(row(f"recall@10 on held-out queries, promise {promise}", recall, round(promise - 0.01, 2), ""))
    start = time.perf_counter()
    for q in queries:
        c.search(vector=q, k=10, recall=0.95)
    return QUERIES / (time.perf_counter() - start)


def _overhead(c: nf.Collection, queries: np.ndarray, rows: list, facts: dict) -> None:
    """Our search against the bare FAISS calls on the same open index (rank codes, score the candidates again by the raw
    vectors), alternating, one thread.
    """
    import faiss

    faiss.omp_set_num_threads(1)
    view = c._engine.snapshot.segments[0]
    assert view.index is not None
    point = view.index.point_for(0.95, 10)
    assert point is not None
    ours = view.index.index
    inner, codec = ours._index, ours._codec
    parameters = faiss.SearchParametersHNSW(efSearch=point.effort.efSearch)
    width = 10 * point.effort.oversampling
    x, scores, pointer = np.ascontiguousarray(view.segment.vectors), np.empty(width, np.float32), faiss.swig_ptr
    coded = codec.encode(queries) if codec is not None else queries

    def by_hand(i: int) -> None:
        found = inner.search(coded[i : i + 1], width, params=parameters)[1][0]
        faiss.fvec_inner_products_by_idx(
            pointer(scores), pointer(queries[i]), pointer(x), pointer(found), len(queries[i]), 1, width
        )
        found[np.argsort(-scores)[:10]]

    bare, lean, full = [], [], []
    for i, q in enumerate(queries):
        for calls, call in (
            (bare, lambda i=i: by_hand(i)),
            (lean, lambda q=q: c.search(vector=q, k=10, documents=False)),
            (full, lambda q=q: c.search(vector=q, k=10)),
        ):
            calls.append(per_call(lambda i, call=call: call(), 1)[0])
    base = np.median(bare)
    rows.append(row("overhead over bare FAISS, ids and scores, P50", 1000 * (np.median(lean) - base), 0.06, "ms", least=False))
    rows.append(row("overhead over bare FAISS, ten documents, P50", 1000 * (np.median(full) - base), 0.25, "ms", least=False))
    facts["bare FAISS P50 ms"] = round(1000 * base, 4)


def _reopen(directory: Path, rows: list, facts: dict) -> None:
    code = (
        "import sys, time; s = time.perf_counter(); import numpy as np, nearfield as nf; i = time.perf_counter();"
        "db = nf.open(sys.argv[1], read_only=True); db['c'].search(vector=np.ones(384)); print(i - s, time.perf_counter() - i)"
    )
    taken = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code, directory], capture_output=True, text=True, check=True)
        taken.append([float(v) for v in done.stdout.split()])
    imported, answered = np.median(taken, axis=0)
    facts["reopen: import s, first answer s"] = [round(imported, 3), round(answered, 3)]
    rows.append(row("reopen and first answer, import included", imported + answered, 1.887, "s", least=False))


if __name__ == "__main__":
    main()
