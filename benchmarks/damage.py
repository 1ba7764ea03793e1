"""The promise after damage: 40 % deleted, 30 % replaced, as much again added from another part of the data.

Data are split by k-means clusters along the first principal direction: the collection begins with one part, and what is added
at the end is the other. Recall is measured against exact answers of the same moment, at once after each step and when
background work is done; nothing is called but what writes. Queries are held out; those of the part that the collection holds
count.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, Skipped, minilm, report, row, sift
from nearfield.maintain import policy

K, PROMISE, ALLOWANCE = 10, 0.95, 0.01
PROMISES = (PROMISE, 0.90, 0.99)
CLUSTERS, QUERIES, BATCH = 64, 400, 500
LEAST_ROWS = 60_000
"""Fewer rows would stay pending, which is searched exactly."""
PATIENCE = 900.0
"""Seconds that background work may take."""


@dataclass(frozen=True)
class Parts:
    """Two parts of a data set and queries of each: `first` is loaded, `spare` replaces some of it, `second` is added."""

    first: np.ndarray
    spare: np.ndarray
    second: np.ndarray
    queries: tuple[np.ndarray, np.ndarray]


def main(scale: float = 1.0) -> None:
    """MiniLM and SIFT with the index that is chosen by size, MiniLM with lists."""
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    small: Any = nf.Hnsw() if scale < 1 else "auto"  # a part of the data would get no index by itself
    for name, load, metric, kind in (
        ("MiniLM", minilm, "cosine", small),
        ("SIFT", sift, "l2", small),
        ("MiniLM, lists", minilm, "cosine", nf.Ivf()),
    ):
        try:
            x, queries = load()
        except Skipped as reason:
            facts[name] = str(reason)
            continue
        facts[name] = _damaged(name, _parts(x[_some(len(x), scale)], queries), metric, kind, rows)
    if not rows:
        raise Skipped("there is no data set")
    report("damage", rows, facts)


def _some(n: int, scale: float) -> np.ndarray:
    """Rows evenly spread: the order of a data set may mean something."""
    return np.unique(np.linspace(0, n - 1, max(LEAST_ROWS, int(n * scale))).astype(int))


def _parts(x: np.ndarray, queries: np.ndarray) -> Parts:
    import faiss

    means = faiss.Kmeans(x.shape[1], CLUSTERS, seed=1, niter=10)
    means.train(x)
    centred = means.centroids - means.centroids.mean(0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    cluster, asked = (means.index.search(v, 1)[1][:, 0] for v in (x, queries))
    by = np.argsort(along)
    share = np.cumsum(np.bincount(cluster, minlength=CLUSTERS)[by]) / len(x)
    far = np.zeros(CLUSTERS, np.bool_)
    far[by[share > 0.6]] = True
    rng = np.random.default_rng(SEED)
    near = rng.permutation(np.flatnonzero(~far[cluster]))
    at = int(0.84 * len(near))
    other = rng.permutation(np.flatnonzero(far[cluster]))
    both = (queries[~far[asked]][:QUERIES], queries[far[asked]][:QUERIES])
    return Parts(x[near[:at]], x[near[at:]], x[other], both)


def _damaged(name: str, parts: Parts, metric: str, kind: Any, rows: list[dict[str, Any]]) -> dict[str, Any]:
    rng, facts = np.random.default_rng(SEED), {}
    ids = [f"d{i}" for i in range(len(parts.first))]
    gone = set(rng.permutation(len(ids))[: int(0.4 * len(ids))].tolist())
    left = [document for i, document in enumerate(ids) if i not in gone]
    changed = [left[i] for i in rng.permutation(len(left))[: int(0.3 * len(left))]]
    more = min(len(left), len(parts.second))
    with tempfile.TemporaryDirectory() as folder, nf.open(Path(folder) / "db") as db:
        c = db.create("c", embedder=None, dim=parts.first.shape[1], metric=metric, index=kind, recall=PROMISE)
        steps: list[tuple[str, Callable[[], None], np.ndarray]] = [
            ("loaded", lambda: _load(c, ids, parts.first), parts.queries[0]),
            ("40 % deleted", lambda: _in_batches([ids[i] for i in gone], c.delete), parts.queries[0]),
            ("30 % replaced", lambda: _replace(c, changed, parts.spare), parts.queries[0]),
            (
                "100 % added",
                lambda: _load(c, [f"e{i}" for i in range(more)], parts.second[:more]),
                np.concatenate(parts.queries),
            ),
        ]
        for step, work, queries in steps:
            work()
            now = _measured(c, queries)
            waited = _settle(c)
            then = _measured(c, queries)
            if step == "loaded":
                facts["queries of the other part, before it is added"] = _measured(c, parts.queries[1])
            else:
                rows.append(_row(f"{name}, {step}, at once", now))
            rows.append(_row(f"{name}, {step}, settled", then))
            facts[step] = {"at once": now, "seconds until settled": round(waited, 1), "settled": then}
            print(f"    {name}, {step}: {facts[step]}", flush=True)
    return facts


def _row(name: str, found: dict[str, Any]) -> dict[str, Any]:
    return row(f"{name}: recall@10, promise {PROMISE}", found[f"recall at {PROMISE}"], round(PROMISE - ALLOWANCE, 2), "")


def _load(c: nf.Collection, ids: list[str], x: np.ndarray) -> None:
    c.load(ids=ids, vectors=x)


def _in_batches(ids: list[str], call: Callable[[list[str]], Any]) -> None:
    for start in range(0, len(ids), BATCH):
        call(ids[start : start + BATCH])


def _replace(c: nf.Collection, ids: list[str], x: np.ndarray) -> None:
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        c.upsert(
            [nf.Document(document) for document in some], vectors=np.resize(x[start : start + BATCH], (len(some), x.shape[1]))
        )


def _settle(c: nf.Collection) -> float:
    """Waits until background work has nothing left to do; seconds."""
    start, keeper = time.perf_counter(), c._maintainer
    while policy.propose(keeper._stats()) or keeper.doing is not None:
        if keeper.problem is not None or time.perf_counter() - start > PATIENCE:
            raise Skipped(f"background work does not end: {keeper.problem or keeper.doing}")
        time.sleep(0.1)
    return time.perf_counter() - start


def _measured(c: nf.Collection, queries: np.ndarray) -> dict[str, Any]:
    """Recall@10 at each promise against exact answers, by score, so that ties do not count against either."""
    truth = c.search_many(queries, k=K, exact=True, documents=False)
    least = [t.scores[-1] - 1e-5 * max(1.0, abs(float(t.scores[-1]))) for t in truth]
    stats = c.stats()
    segments = [[s.live, s.rows, "exact" if s.index is None else s.index.kind["kind"]] for s in stats.segments]
    out: dict[str, Any] = {"segments": segments, "pending": stats.pending}
    for promise in PROMISES:
        took, recalls, whole, ways = [], [], [], Counter[str]()
        for q, worst, best in zip(queries, least, truth, strict=True):
            start = time.perf_counter()
            hits = c.search(vector=q, k=K, recall=promise, documents=False)
            took.append(time.perf_counter() - start)
            recalls.append(float((hits.scores >= worst).sum()) / len(best))
            ways[" + ".join(s.method for s in hits.plan.segments)] += 1
            whole.append(len(hits) == len(best) and bool(hits.complete))
        out[f"recall at {promise}"] = round(float(np.mean(recalls)), 4)
        out["whole"] = min(out.get("whole", 1.0), float(np.mean(whole)))
        if promise == PROMISE:
            out["ms"] = round(1000 * float(np.median(took)), 3)
            out["ways"] = dict(ways)
    return out


if __name__ == "__main__":
    main()
