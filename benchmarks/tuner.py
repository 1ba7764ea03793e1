"""The tuner's choice against the best of the whole grid (`grid`, whose result file is read), and what each took to find.

Both indexes are built again here and asked the queries that chose neither of them, single, on one thread, in rounds that
alternate: once as each is set (the tuner's setting holds a lower bound, the grid's a mean), and once read at equal recall.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks import curves
from benchmarks.common import RESULTS, SEED, Skipped, minilm, report, row, sift
from benchmarks.curves import MEASURE, Truth, qps_at
from nearfield.core.metric import Metric
from nearfield.index import _faiss, encode_kind
from nearfield.index.base import Effort
from nearfield.index.build import STEM, run_build
from nearfield.planning.front import spelled

PROMISE, K, ROUNDS = 0.95, 10, 10
CLOSE, TENTH = 0.9, 0.1


class Built:
    """A kind built of all rows, and its settings near the one chosen."""

    def __init__(self, kind: Any, effort: Effort, x: np.ndarray, metric: Metric, place: Path) -> None:
        into = place / "into"
        into.mkdir(parents=True)
        x.tofile(place / "x")
        run_build(place / "x", len(x), x.shape[1], kind, metric, into, seed=SEED % 1000, nice=0)
        self.index = kind.open(into / STEM, metric, x)
        self.effort = effort
        steps = sorted({(e.nprobe, e.efSearch) for e in kind.efforts(len(x))} | {(effort.nprobe, effort.efSearch)})
        at = steps.index((effort.nprobe, effort.efSearch))
        self.near = [replace(effort, nprobe=n, efSearch=ef) for n, ef in steps[max(0, at - 2) : at + 3]]

    def ask(self, queries: np.ndarray, effort: Effort) -> tuple[float, np.ndarray]:
        """Seconds of single queries, and their answers."""
        _faiss.set_threads(1)
        start = time.perf_counter()
        found = [self.index.search(queries[i : i + 1], K, effort).positions[0] for i in range(len(queries))]
        return time.perf_counter() - start, np.array(found)


def compare(ours: Built, best: Built, truth: Truth) -> dict[str, Any]:
    """QPS of both in alternating rounds, and their ratios with 90 % intervals."""
    queries, rng = truth.halves[MEASURE], np.random.default_rng(SEED)
    as_set = np.empty((ROUNDS, 2))
    equal = np.full((ROUNDS, 2), np.nan)
    recalls = [{e: truth.recall(b.ask(queries, e)[1], MEASURE) for e in [*b.near, b.effort]} for b in (ours, best)]
    for number in range(ROUNDS):
        for which in (0, 1) if number % 2 else (1, 0):
            built = (ours, best)[which]
            as_set[number, which] = len(queries) / built.ask(queries, built.effort)[0]
            qps = np.array([len(queries) / built.ask(queries, e)[0] for e in built.near])
            equal[number, which] = qps_at(np.array([recalls[which][e] for e in built.near]), qps, (PROMISE,))[0]
    out: dict[str, Any] = {
        "recall, tuner's choice": round(recalls[0][ours.effort], 4),
        "recall, grid's best": round(recalls[1][best.effort], 4),
        "QPS, tuner's choice": round(float(as_set[:, 0].mean()), 1),
        "QPS, grid's best": round(float(as_set[:, 1].mean()), 1),
        "as set": curves.ratio(as_set[:, 0], as_set[:, 1], rng),
    }
    if not np.isnan(equal).any():
        out["at equal recall"] = curves.ratio(equal[:, 0], equal[:, 1], rng)
    return out


def _one(name: str, x: np.ndarray, queries: np.ndarray, metric: Metric, grid: dict[str, Any]) -> dict[str, Any]:
    best = max(grid["kinds"], key=lambda kind: grid["kinds"][kind]["qps"])
    folder = Path(tempfile.mkdtemp())
    try:
        with nf.open(folder / "db") as db:
            c = db.create("c", embedder=None, dim=x.shape[1], metric=metric, recall=PROMISE, index=nf.Flat())
            c.load(ids=[f"d{i}" for i in range(len(x))], vectors=x)
            start = time.perf_counter()
            front = c.tune(recall=PROMISE, k=K, queries=queries[::2], progress=lambda line: print(f"    {line}", flush=True))
            took = time.perf_counter() - start
        print(front.table(), flush=True)
        chosen = front.best
        if chosen.kind is None or chosen.measured is None or chosen.measured.effort is None:
            raise Skipped(f"{name}: the tuner built nothing: {chosen.reason}")
        truth = Truth.of(x, (queries[::2], np.ascontiguousarray(queries[1::2])), metric is not Metric.L2, K)
        ours = Built(chosen.kind, Effort(**chosen.measured.effort), x, metric, folder / "ours")
        kind = eval(best, {n: getattr(nf, n) for n in nf.__all__})  # noqa: S307 - a kind as our own result file spells it
        theirs = Built(kind, Effort(**grid["kinds"][best]["effort"]), x, metric, folder / "grid")
        return {
            "tuner's choice": spelled(encode_kind(chosen.kind)),
            "grid's best": best,
            "seconds, tuner": round(took, 1),
            "seconds, grid": round(grid["seconds"], 1),
            **compare(ours, theirs, truth),
        }
    finally:
        shutil.rmtree(folder)


def main(scale: float = 1.0) -> None:
    """Both data sets of the grid's last run, at the grid's scale."""
    path = RESULTS / "grid.json"
    if not path.exists():
        raise Skipped("there is no grid to compare with; run: python -m benchmarks.run grid")
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for name, load, metric in (("SIFT", sift, Metric.L2), ("MiniLM", minilm, Metric.COSINE)):
        grid = json.loads(path.read_text())["facts"].get(name)
        if not isinstance(grid, dict):
            facts[name] = "not in the grid"
            continue
        x, queries = load()
        x, queries = x[: int(len(x) * scale)], queries[: max(100, int(len(queries) * scale))]
        if grid.get("rows", len(x)) != len(x):
            raise Skipped(f"the grid was run on {grid['rows']:,} rows of {name}: run both at one scale")
        found = _one(name, x, queries, metric, grid)
        facts[name] = found
        equal = found.get("at equal recall", found["as set"])
        rows.append(row(f"{name}: the tuner's choice / the grid's best, QPS at equal recall, low end", equal[1], CLOSE))
        rows.append(row(f"{name}: the same as each is set, low end", found["as set"][1], CLOSE))
        share = found["seconds, tuner"] / found["seconds, grid"]
        rows.append(row(f"{name}: time of the tuner / of the grid", share, TENTH, least=False))
    report("tuner", rows, facts)


if __name__ == "__main__":
    main()
