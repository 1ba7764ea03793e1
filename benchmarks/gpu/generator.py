"""Is the made data as hard for lists as SIFT? The share of lists needed for recall 0.95, at equal rows and rows to a list.

SIFT is ../shared/data's, 200,000 descriptors; where it is absent this is skipped. At several sizes, since the made data is used
at a hundred million: where its share falls no quicker with rows than SIFT's, it stays as hard. On a processor, with FAISS.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from benchmarks.common import SEED, sift
from benchmarks.gpu import common, rooflines
from benchmarks.gpu.common import line
from benchmarks.gpu.made import QUERIES, Made

SIZES = (50_000, 100_000, 200_000)
LISTS = (100, 400, 1600)
"""Rows to a list, on average; at a hundred million 1,526 are 65,536 lists."""
ASKED, K, RECALL = 500, 10, 0.95
PROBED = 4096
"""Lists that are ranked for a query; what lies beyond counts as if all were needed."""


def needed(x: np.ndarray, queries: np.ndarray, size: int) -> tuple[float, float]:
    """The share of lists needed, and the share of the rows that are in them.

    Args:
        x: float32 (n, dim).
        queries: float32 (m, dim).
        size: rows to a list, on average.
    """
    import faiss

    n, dim = x.shape
    lists = max(2, n // size)
    means = faiss.Kmeans(dim, lists, niter=10, seed=SEED % 10_000, min_points_per_centroid=1, max_points_per_centroid=64)
    means.train(x)
    of = means.index.search(x, 1)[1][:, 0]
    flat = faiss.IndexFlatL2(dim)
    flat.add(x)
    true = flat.search(queries, K)[1]
    ranked = means.index.search(queries, min(lists, PROBED))[1]
    rank = np.full((len(queries), lists), lists, np.int64)
    np.put_along_axis(rank, ranked, np.broadcast_to(np.arange(1, ranked.shape[1] + 1), ranked.shape), axis=1)
    share = rooflines.needed_share(np.take_along_axis(rank, of[true], axis=1), lists, RECALL)
    sizes = np.bincount(of, minlength=lists)
    probed = sizes[ranked[:, : max(1, round(share * lists))]].sum(axis=1)
    return share, float(probed.mean()) / n


def main(argv: list[str] | None = None) -> None:
    asked = common.arguments(__doc__).parse_args(argv)
    asked.device = "cpu"
    at = common.here(asked)
    base, queries = sift()
    base, queries = base[np.random.default_rng(at.seed).permutation(len(base))], queries[:ASKED]
    recipe = common.recipe(base.shape[1], int(len(base) * at.scale), unit=False)
    made_queries = Made(ASKED, recipe, "cpu", at.seed, QUERIES).whole().numpy()
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] = {"recipe": dataclasses.asdict(recipe)}
    ratios: dict[int, list[float]] = {size: [] for size in LISTS}
    for n in (int(n * at.scale) for n in SIZES):
        made = Made(n, recipe, "cpu", at.seed).whole().numpy()
        for size in (size for size in LISTS if n // size >= 16):
            theirs, ours = needed(base[:n], queries, size), needed(made, made_queries, size)
            ratios[size].append(ours[0] / theirs[0])
            name = f"{n:,} rows, {size} to a list: share of lists needed, made data over SIFT"
            lines.append(line(name, ours[0] / theirs[0], 1.0, "x"))
            facts[f"{n:,} rows, {size} to a list"] = {
                "SIFT: share of lists, of rows": [round(v, 5) for v in theirs],
                "made: share of lists, of rows": [round(v, 5) for v in ours],
            }
            print(f"  {name}: {ours[0] / theirs[0]:.2f}", flush=True)
    for size, found in ratios.items():
        if len(found) > 1:
            lines.append(line(f"{size} to a list: that ratio at the most rows over the fewest", found[-1] / found[0], 0.9, "x"))
    common.report("generator", "SIFT", at, asked.out, lines, facts, judged=at.scale == 1)


if __name__ == "__main__":
    common.script(main)
