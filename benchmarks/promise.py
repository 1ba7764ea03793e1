"""Recall promised against recall measured: builds with fresh seeds, and SIFT, whose queries are another distribution."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, Skipped, report, row, sift
from nearfield.core.metric import Metric, scores
from nearfield.index import exact
from nearfield.index.build import STEM, run_build

PROMISES = (0.90, 0.95, 0.99)
DIM = 32


def main(scale: float = 1.0) -> None:
    rows, facts = [], {}
    for kind in (nf.Hnsw(), nf.Ivf()):
        kept = [_generated(kind, seed) for seed in range(max(2, int(10 * scale)))]
        rows.append(row(f"builds that keep all promises, {kind.name}", np.mean(kept), 0.95, ""))
    try:
        _sift(rows, facts)
    except Skipped as reason:
        facts["sift"] = str(reason)
    report("promise", rows, facts)


def _build(kind, x: np.ndarray, metric: Metric, seed: int, queries: np.ndarray | None = None):
    folder = Path(tempfile.mkdtemp())
    x.tofile(folder / "x")
    (folder / "into").mkdir()
    given = None
    if queries is not None:
        given = folder / "q"
        queries.tofile(given)
    built = run_build(folder / "x", len(x), x.shape[1], kind, metric, folder / "into", seed=seed, nice=0, queries=given)
    return kind.open(folder / "into" / STEM, metric, x), built.curve


def _recall(index, curve, x: np.ndarray, queries: np.ndarray, promise: float, metric: Metric) -> float:
    point = curve.effort_for(promise, 10)
    if point is None:
        return 1.0
    found = index.search(queries, 10, point.effort).positions
    least = exact.search(queries, x, 10, metric)[0][:, -1:]
    reached = np.stack([scores(q, x[np.maximum(row, 0)], metric) for q, row in zip(queries, found, strict=True)])
    return float(((reached >= least) & (found >= 0)).mean())


def _generated(kind, seed: int) -> bool:
    rng = np.random.default_rng([SEED, seed])
    centres = rng.standard_normal((200, DIM))
    spread = rng.uniform(0.3, 1.0)
    x = (centres[rng.integers(0, 200, 21_000)] + spread * rng.standard_normal((21_000, DIM))).astype(np.float32)
    index, curve = _build(kind, x[:20_000], Metric.L2, seed)
    return all(_recall(index, curve, x[:20_000], x[20_000:], p, Metric.L2) >= p - 0.01 for p in PROMISES)


def _sift(rows: list, facts: dict) -> None:
    x, queries = sift()
    index, curve = _build(nf.Hnsw(), x, Metric.L2, 0)
    gaps = {p: round(_recall(index, curve, x, queries, p, Metric.L2) - p, 4) for p in PROMISES}
    facts["SIFT, calibrated on held-out rows: recall minus promise"] = gaps
    index, curve = _build(nf.Hnsw(), x, Metric.L2, 0, np.ascontiguousarray(queries[::2]))
    for promise in PROMISES:
        found = _recall(index, curve, x, np.ascontiguousarray(queries[1::2]), promise, Metric.L2)
        rows.append(
            row(f"SIFT recall@10, calibrated on half the queries, promise {promise}", found, round(promise - 0.01, 2), "")
        )


if __name__ == "__main__":
    main()
