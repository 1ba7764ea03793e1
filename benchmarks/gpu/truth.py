"""The true neighbours of queries, in float32 on the device, block by block; and the recall of what was found.

Plain products choose a few rows of each block, TF32 off; direct products or differences decide. Knows no scan of nearfield's.
"""

from __future__ import annotations

from typing import Any

import torch

SPARE = 6
"""Rows of a block beyond k that are compared directly: products of rows that are nearly as near may be in another order."""
BLOCK = 1 << 17


def nearest(rows: Any, queries: Any, k: int, *, by_distance: bool = False) -> tuple[Any, Any]:
    """The k best rows of each query.

    Args:
        rows: float32 (n, dim): a tensor on the device, or anything of that shape whose slices are.
        queries: float32 (m, dim) there.
        k: how many.
        by_distance: by least squared distance; else by highest inner product.

    Returns:
        Scores float32 (m, k), higher is better, and positions int64 (m, k), best first.
    """
    if torch.backends.cuda.matmul.allow_tf32:
        raise RuntimeError("truth is computed in float32: TF32 must be off")
    best = torch.full((len(queries), k), float("-inf"), device=queries.device)
    where = torch.full((len(queries), k), -1, dtype=torch.int64, device=queries.device)
    for start in range(0, rows.shape[0], BLOCK):
        part = rows[start : min(start + BLOCK, rows.shape[0])]
        rough = queries @ part.T
        if by_distance:
            rough -= 0.5 * (part * part).sum(dim=1)
        near = rough.topk(min(k + SPARE, len(part)), dim=1).indices
        del rough
        scores = direct(part[near], queries, by_distance)
        best, order = torch.cat([best, scores], dim=1).topk(k, dim=1)
        where = torch.cat([where, near + start], dim=1).gather(1, order)
    return best, where


def direct(some: Any, queries: Any, by_distance: bool) -> Any:
    """Float32 scores (m, w) of rows (m, w, dim), each query's own."""
    if by_distance:
        return -(some.float() - queries[:, None, :]).square().sum(dim=2)
    return (some.float() * queries[:, None, :]).sum(dim=2)


def recall(found: Any, true: Any) -> float:
    """Mean share of the true positions (m, k) among those found (m, w); equal ones in another's place do not count."""
    return float((true[:, :, None] == found[:, None, : true.shape[1]]).any(dim=2).float().mean())
