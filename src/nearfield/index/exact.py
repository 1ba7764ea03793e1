"""Exact search by scanning: the truth every index is measured against, and the way for few rows.

Candidates come from matrix products over blocks; more than k are kept, all that rounding could have pushed out, and those
are scored by `metric.scores`, so that the order is that of the final scores, ties by ascending position.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, Positions, Scores, Vectors, rough_scores, scores

ALONE, MANY = 4, 256
"""Up to so many queries over at least so many scattered rows: rows are read where they lie instead of being copied."""
BLOCK_BYTES = 32 << 20
"""Bytes of vectors read, or of scores made, at a time."""


def search(
    queries: Vectors,
    x: Vectors,
    k: int,
    metric: Metric,
    allow: npt.NDArray[np.bool_] | None = None,
    positions: Positions | None = None,
) -> tuple[Scores, Positions]:
    """The k best of x for each query.

    Args:
        queries: prepared float32 (m, dim).
        x: prepared float32 (n, dim), perhaps memory-mapped.
        k: how many, at least 1.
        metric: which comparison.
        allow: bool (n,), which rows may be returned; None for all.
        positions: int64 (r,), ascending: the same, where few are and the caller knows them; None otherwise.

    Returns:
        Final scores (m, k) and positions (m, k), best first; -inf and -1 where fewer than k are allowed.
    """
    if positions is not None:
        n = len(positions)
    elif allow is not None:
        allowed = np.flatnonzero(allow)
        if len(allowed) * 2 < len(x):
            positions = allowed
        n = len(allowed)
    else:
        n = len(x)
    k_real = min(k, n)
    out_scores = np.full((len(queries), k), -np.inf, np.float32)
    out_positions = np.full((len(queries), k), -1, np.int64)
    if k_real == 0:
        return out_scores, out_positions
    if positions is not None and len(queries) <= ALONE and len(positions) >= MANY:
        for i, query in enumerate(queries):
            found = _near(query, x, positions, k_real, metric)
            final = scores(query, x[found], metric)
            best = np.lexsort((found, -final))[:k_real]
            out_scores[i, :k_real], out_positions[i, :k_real] = final[best], found[best]
        return out_scores, out_positions
    step = max(1, min(len(queries), BLOCK_BYTES // (4 * 4096)))
    for start in range(0, len(queries), step):
        some = queries[start : start + step]
        for i, found in enumerate(_candidates(some, x, k_real, metric, allow, positions)):
            final = scores(some[i], x[found], metric)
            best = np.lexsort((found, -final))[:k_real]
            out_scores[start + i, : len(best)] = final[best]
            out_positions[start + i, : len(best)] = found[best]
    return out_scores, out_positions


def _near(query: npt.NDArray[np.float32], x: Vectors, positions: Positions, k: int, metric: Metric) -> Positions:
    """Of scattered positions those that surely include the k best: scored where they lie, without copying rows."""
    from nearfield.index import _faiss

    rough = _faiss.scores_at(query, x, positions, metric is Metric.L2)
    if len(positions) <= k:
        return positions
    some = np.argpartition(-rough, min(len(rough), k + 64) - 1)[: k + 64]
    cut = float(np.sort(rough[some])[-k])
    unit, dim = 2.0**-24, x.shape[1]
    if metric is Metric.L2:
        slack = 8 * dim * unit * abs(cut)
    else:
        rows = x[positions[some]]
        longest = float(np.sqrt(np.einsum("ij,ij->i", rows, rows).max() * np.dot(query, query)))
        slack = 4 * dim * unit * max(longest, abs(cut))
    near: Positions = positions[rough >= cut - slack]
    return near


def _candidates(
    queries: Vectors,
    x: Vectors,
    k: int,
    metric: Metric,
    allow: npt.NDArray[np.bool_] | None,
    positions: Positions | None,
) -> list[Positions]:
    """For each query positions that surely include its k best, rounding considered."""
    m, dim = queries.shape
    n = len(x) if positions is None else len(positions)
    rows = max(256, BLOCK_BYTES // (4 * max(dim, m)))
    kept: list[list[tuple[Scores, Positions]]] = [[] for _ in range(m)]
    cuts = np.full(m, -np.inf, np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    longest = 0.0
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        block = x[start:stop] if positions is None else x[positions[start:stop]]
        rough = rough_scores(queries, block, metric)
        if metric is not Metric.COSINE:
            largest = float(np.sqrt(np.einsum("ij,ij->i", block, block).max()))
            longest = max(longest, largest)
        if positions is None and allow is not None:
            rough[:, ~allow[start:stop]] = -np.inf
        for i in range(m):
            _keep(rough[i], k, start, cuts, i, kept[i], _slack(lengths[i], longest, dim, metric))
    out = []
    for i in range(m):
        values = np.concatenate([v for v, _ in kept[i]])
        found = np.concatenate([p for _, p in kept[i]])
        sure = found[values >= cuts[i] - _slack(lengths[i], longest, dim, metric)]
        out.append(sure if positions is None else positions[sure])
    return out


def _slack(length: float, longest: float, dim: int, metric: Metric) -> float:
    """Twice a bound of how far rounding moves a rough score: gamma_dim x |q| x |x| (Higham 2002, section 3.1)."""
    unit = 2.0**-24
    if metric is Metric.COSINE:
        return 4 * dim * unit * max(1.0, length)
    if metric is Metric.IP:
        return 4 * dim * unit * length * longest
    return 8 * dim * unit * (length + longest) ** 2


def _keep(rough: Scores, k: int, start: int, cuts: Scores, i: int, kept: list[tuple[Scores, Positions]], slack: float) -> None:
    """Adds a block's candidates and raises the cut: the k-th best rough score so far."""
    at = np.flatnonzero(rough >= cuts[i] - slack if np.isfinite(cuts[i]) else rough > -np.inf)
    if not len(at):
        return
    values = rough[at]
    if len(at) > k:
        cut = np.partition(values, len(values) - k)[len(values) - k]
        if cut > cuts[i]:
            cuts[i] = cut
        near = values >= cuts[i] - slack
        at, values = at[near], values[near]
    kept.append((values, at + start))
    if len(kept) > 8:
        values = np.concatenate([v for v, _ in kept])
        found = np.concatenate([p for _, p in kept])
        if len(values) > k:
            cuts[i] = max(cuts[i], np.partition(values, len(values) - k)[len(values) - k])
        near = values >= cuts[i] - slack
        kept[:] = [(values[near], found[near])]
