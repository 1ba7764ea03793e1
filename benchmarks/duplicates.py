"""Near-duplicates: recall of pairs and time, against a tiled self-join of the upper triangle in the same run; and a million.

The self-join is written for speed: float32 products of tiles of 2,048 rows on all cores, thresholded in place, the quicker of
two ways to use the cores (one product on all of them; a product on each), on all of MiniLM's 112,659 vectors. Its time does not
depend on the threshold, so it runs once, between two runs of ours at each. The truth is its pairs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from benchmarks.common import SEED, minilm, report, row, seconds
from nearfield.core.metric import Metric, pair_scores, prepare, scores
from nearfield.duplicates import joining
from nearfield.duplicates.rows import Rows
from nearfield.index import threads

T = TypeVar("T")
THRESHOLDS = (0.8, 0.9, 0.97)
TILE = 2048
MILLION = 1_000_000


class Held:
    """Vectors where a segment would be."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors


def rows_of(x: np.ndarray, metric: Metric = Metric.COSINE) -> Rows:
    """The rows of an array, as a join takes them."""
    n = len(x)
    return Rows(metric, x.shape[1], np.arange(n), (Held(x),), np.zeros(n, np.int32), np.arange(n))  # type: ignore[arg-type]


def tiled(x: np.ndarray, above: float, *, each: bool) -> np.ndarray:
    """Every pair of at least `above`, int64 (p, 2), by products of tiles; `each`: a product on each core, else on all."""
    tiles = [(i, j) for i in range(0, len(x), TILE) for j in range(i, len(x), TILE)]

    def one(tile: tuple[int, int]) -> np.ndarray:
        i, j = tile
        product = x[i : i + TILE] @ x[j : j + TILE].T
        found = np.flatnonzero(product >= above)
        a, b = np.divmod(found, product.shape[1])
        pairs = np.stack([a + i, b + j], axis=1)
        return pairs[pairs[:, 0] < pairs[:, 1]]

    if not each:
        return np.concatenate([one(tile) for tile in tiles])
    with threads.one_for_each(), ThreadPoolExecutor(threads.cores()) as pool:
        return np.concatenate(list(pool.map(one, tiles)))


def found_pairs(x: np.ndarray, above: float) -> tuple[np.ndarray, joining.Linked]:
    """The pairs that a join found, all of them, and its links."""
    kept: list[np.ndarray] = []
    add = joining.Forest.add

    def note(self: joining.Forest, first: np.ndarray, second: np.ndarray, found: np.ndarray) -> None:
        kept.append(np.stack([first, second], axis=1))
        add(self, first, second, found)

    joining.Forest.add = note  # type: ignore[method-assign]
    try:
        linked = joining.link(rows_of(x), above, 0.99)
    finally:
        joining.Forest.add = add  # type: ignore[method-assign]
    return np.concatenate(kept), linked


def million() -> np.ndarray:
    """1,000,000 vectors of 384: MiniLM's, and eight more around each of most: mixed with a neighbour's direction and noise.

    So that clusters are as real ones are, and near-duplicates are among them at every distance.
    """
    base, _ = minilm()
    random = np.random.default_rng(SEED)
    out = np.empty((MILLION, base.shape[1]), np.float32)
    out[: len(base)] = base
    at = len(base)
    while at < MILLION:
        many = min(50_000, MILLION - at)
        one, other = random.integers(len(base), size=(2, many))
        share = random.uniform(0.0, 1.0, (many, 1)).astype(np.float32)
        noise = random.standard_normal((many, base.shape[1])).astype(np.float32) / np.sqrt(base.shape[1])
        made = base[one] + 0.8 * share * base[other] + (0.05 + 0.6 * share) * noise
        out[at : at + many] = made / np.linalg.norm(made, axis=1, keepdims=True)
        at += many
    return out


def sampled_recall(x: np.ndarray, above: float, pairs: np.ndarray, count: int) -> tuple[float, int]:
    """The share of pairs found among those of `count` documents drawn here, compared with all others exactly."""
    random = np.random.default_rng(SEED + 1)
    known = set(map(tuple, np.sort(pairs, axis=1).tolist()))
    hits = total = 0
    for i in np.sort(random.choice(len(x), count, replace=False)).tolist():
        near = np.flatnonzero(x @ x[i] >= above - 1e-4)
        near = near[scores(x[i], x[near], Metric.COSINE) >= above]
        for j in near[near != i].tolist():
            total += 1
            hits += (min(i, j), max(i, j)) in known
    return hits / max(1, total), total


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """What a call returns, and its seconds."""
    start = time.perf_counter()
    found = call()
    return found, time.perf_counter() - start


def main(scale: float = 1.0) -> None:
    """Measures and reports."""
    base, _ = minilm()
    x = prepare(base[: int(len(base) * scale)], Metric.COSINE)[0]
    rows, facts = [], {"vectors": f"{len(x):,} x {x.shape[1]} (MiniLM of WordNet)", "baseline": "tiles of 2,048, float32"}
    small = x[:20_000]
    tiled(small, 0.8, each=True)
    each = seconds(lambda: tiled(small, 0.8, each=True)) <= seconds(lambda: tiled(small, 0.8, each=False))
    facts["baseline_products"] = "one on each core" if each else "one on all cores"
    before = {above: timed(lambda above=above: found_pairs(x, above)) for above in THRESHOLDS}
    truth, self_join = timed(lambda: tiled(x, min(THRESHOLDS), each=each))
    after = {above: timed(lambda above=above: found_pairs(x, above)) for above in THRESHOLDS}
    exactly = np.concatenate([pair_scores(x[p[:, 0]], x[p[:, 1]], Metric.COSINE) for p in np.array_split(truth, 64)])
    facts["self_join_seconds"] = round(self_join, 2)
    for above in THRESHOLDS:
        (pairs, linked), _ = before[above]
        took = [before[above][1], after[above][1]]
        wanted, found = set(map(tuple, truth[exactly >= above].tolist())), set(map(tuple, pairs.tolist()))
        recall = len(wanted & found) / max(1, len(wanted))
        rows.append(row(f"pairs of at least {above}: recall against the self-join", recall, 0.99, ""))
        rows.append(row(f"pairs of at least {above}: self-join's time / ours", self_join / float(np.mean(took)), 10.0))
        join = linked.join
        facts[f"above {above}"] = {
            "pairs": len(wanted),
            "found": len(wanted & found),
            "seconds": [round(t, 2) for t in took],
            "exact": join.exact,
            "measured_recall": join.recall,
            "interval": [join.low, join.high],
            "sampled_pairs": join.sampled_pairs,
            "compared": round(join.compared, 4),
            "reason": join.reason,
        }
    report("duplicates", rows, facts)
    if scale >= 1:
        x = million()
        for above in (0.9,):
            start = time.perf_counter()
            pairs, linked = found_pairs(x, above)
            minutes = (time.perf_counter() - start) / 60
            recall, sampled = sampled_recall(x, above, pairs, 400)
            rows.append(row(f"1,000,000 vectors, pairs of at least {above}: minutes", minutes, 10.0, "min", least=False))
            rows.append(row(f"1,000,000 vectors: recall of {sampled} pairs sampled anew", recall, 0.99, ""))
            facts[f"million above {above}"] = {
                "vectors": "112,659 of MiniLM and 887,341 made around them (see million())",
                "pairs": linked.join.pairs,
                "join": {k: v for k, v in linked.join.to_dict().items() if v is not None},
            }
        report("duplicates", rows, facts)


if __name__ == "__main__":
    main()
