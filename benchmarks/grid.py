"""Every kind at every setting, so that the tuner's choice has something to be held to: the best QPS at a measured recall.

Queries of one half choose the setting, those of the other are reported: single queries, one thread, recall@10 against exact
search. Written before the tuner was.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, Skipped, minilm, report, row, sift
from nearfield.core.metric import Metric
from nearfield.index import exact
from nearfield.index.base import Effort
from nearfield.index.build import STEM, run_build

PROMISE, K, ROUNDS = 0.95, 10, 3


def kinds(n: int, dim: int) -> list[Any]:
    """What is tried."""
    root = 1 << round(np.log2(np.sqrt(n)))
    lists = [root, 2 * root, 4 * root]
    found: list[Any] = [nf.Flat()]
    for storage in ("int8", "float16", "float32"):
        found += [nf.Hnsw(links=links, build_effort=max(48, links), storage=storage) for links in (16, 24, 32, 48)]
        found += [nf.Ivf(lists=count, storage=storage) for count in lists]
    for parts in (dim // 8, dim // 4, dim // 2):
        found += [nf.IvfPq(lists=count, subvectors=parts) for count in lists]
    found += [nf.IvfPq(lists=lists[1], subvectors=dim // 4, bits=8)]
    found += [nf.Rabitq(lists=count, bits=bits) for bits in (1, 2, 4, 7) for count in lists]
    if nf.Usearch.installed():
        found += [nf.Usearch(links=links, build_effort=max(48, links)) for links in (16, 32)]
    return found


def best_of(kind: Any, x: np.ndarray, queries: np.ndarray, metric: Metric) -> dict[str, Any]:
    """Builds one kind and finds the setting that answers quickest at the promise: its QPS, recall, bytes and seconds."""
    folder = Path(tempfile.mkdtemp())
    try:
        x.tofile(folder / "x")
        (folder / "into").mkdir()
        start = time.perf_counter()
        run_build(folder / "x", len(x), x.shape[1], kind, metric, folder / "into", seed=SEED % 1000, nice=0)
        took = time.perf_counter() - start
        nbytes = sum(path.stat().st_size for path in (folder / "into").iterdir())
        index = kind.open(folder / "into" / STEM, metric, x)
        half = np.ascontiguousarray(queries[::2]), np.ascontiguousarray(queries[1::2])
        truth = [exact.search(part, x, K, metric)[0][:, -1] for part in half]
        chosen: tuple[float, Effort] | None = None
        for base in kind.efforts(len(x)):
            reached = []
            for oversampling in kind.oversamplings:
                effort = replace(base, oversampling=oversampling)
                qps, recall = _measured(index, half[0], truth[0], effort, 1)
                reached.append(recall)
                if recall >= PROMISE and (chosen is None or qps > chosen[0]):
                    chosen = qps, effort
            if chosen is not None and min(reached) >= PROMISE:
                break
        if chosen is None:
            return {"qps": 0.0, "recall": 0.0, "bytes": nbytes, "seconds": took}
        qps, recall = _measured(index, half[1], truth[1], chosen[1], ROUNDS)
        return {"qps": qps, "recall": recall, "effort": chosen[1].to_dict(), "bytes": nbytes, "seconds": took}
    finally:
        shutil.rmtree(folder)


def _measured(index: Any, queries: np.ndarray, least: np.ndarray, effort: Effort, rounds: int) -> tuple[float, float]:
    """QPS of single queries, the best of some rounds, and their recall@10."""
    quickest, found = np.inf, []
    for _ in range(rounds):
        start = time.perf_counter()
        found = [index.search(queries[i : i + 1], K, effort).scores[0] for i in range(len(queries))]
        quickest = min(quickest, time.perf_counter() - start)
    hits = [np.count_nonzero(scores >= cut - 1e-5 * max(1, abs(cut))) / K for scores, cut in zip(found, least, strict=True)]
    return len(queries) / quickest, float(np.mean(hits))


def run(name: str, x: np.ndarray, queries: np.ndarray, metric: Metric) -> dict[str, Any]:
    """The grid on one data set: for each kind its best, and the seconds of all of it."""
    start = time.perf_counter()
    found = {}
    for kind in kinds(*x.shape):
        found[str(kind)] = best_of(kind, x, queries, metric)
        print(f"    {name} {kind}: {found[str(kind)]}", flush=True)
    return {"rows": len(x), "kinds": found, "seconds": time.perf_counter() - start}


def main(scale: float = 1.0) -> None:
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for name, load, metric in (("SIFT", sift, Metric.L2), ("MiniLM", minilm, Metric.COSINE)):
        try:
            x, queries = load()
        except Skipped as reason:
            facts[name] = str(reason)
            continue
        x, queries = x[: int(len(x) * scale)], queries[: max(100, int(len(queries) * scale))]
        grid = run(name, x, queries, metric)
        best = max(grid["kinds"], key=lambda kind: grid["kinds"][kind]["qps"])
        rows.append(row(f"{name}: recall@10 of the best of the grid, {best}", grid["kinds"][best]["recall"], 0.94, ""))
        facts[name] = grid
    report("grid", rows, facts)


if __name__ == "__main__":
    main()
