"""What exact scans are compared with on the same device: PyTorch's product and topk, tiled to fit, and FAISS-GPU Flat.

Both are given the codes that nearfield scans, where they lie: the same type, no copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.common import Skipped
from benchmarks.gpu.common import Here, faiss_on, seconds
from nearfield.device.codes import Codes

SCORES = 4 << 30
"""Bytes of a tile's scores, at most."""
TILES = (1 << 22, 1 << 20, 1 << 18, 1 << 16)
"""Rows of a tile that are tried; the quickest is taken."""
Search = Callable[[Any], Any]
"""Positions int64 (b, k) of float32 queries (b, dim)."""


def by_torch(codes: Codes, queries: Any, k: int) -> tuple[Search, int]:
    """torch.matmul and torch.topk over tiles of the codes, and the rows of the tile that was quickest for these queries.

    On a card the product is of float16 numbers and its scores are float16, as PyTorch gives them: half the bytes of float32.
    """
    kind = torch.float16 if codes.device.startswith("cuda") else torch.float32
    rows = codes.codes[: codes.n, : codes.dim]
    scale = None if codes.scale is None else codes.scale[: codes.n].to(kind)

    def made(tile: int) -> Search:
        def search(some: Any) -> Any:
            q = some.to(kind)
            values, where = [], []
            for start in range(0, codes.n, tile):
                part = rows[start : start + tile]
                scores = torch.matmul(q, part.to(kind).T)
                if scale is not None:
                    scores *= scale[start : start + tile]
                found = scores.topk(min(k, len(part)), dim=1)
                values.append(found.values)
                where.append(found.indices + start)
            order = torch.cat(values, dim=1).topk(k, dim=1).indices
            return torch.cat(where, dim=1).gather(1, order)

        return search

    fit = [tile for tile in TILES if len(queries) * tile * kind.itemsize <= SCORES] or [TILES[-1]]
    fit = [tile for tile in fit if tile <= codes.n] or [fit[-1]]
    took = {}
    for tile in fit:
        search = made(tile)
        search(queries)
        took[tile] = seconds(lambda search=search: search(queries), codes.device)
    best = min(took, key=lambda tile: took[tile])
    return made(best), best


def by_faiss(at: Here, codes: Codes, k: int) -> Search:
    """FAISS's brute force over the same tensor: what its GpuIndexFlat with useFloat16 runs; raises Skipped where it cannot."""
    faiss = faiss_on(at.device)
    if codes.dtype != "float16":
        raise Skipped("FAISS-GPU Flat keeps float32 or float16, not int8")
    if not at.cuda:
        index = faiss.IndexFlatIP(codes.dim)
        index.add(codes.codes[: codes.n, : codes.dim].float().contiguous())
        return lambda some: index.search(some.contiguous(), k)[1]
    rows = codes.codes[: codes.n, : codes.dim]
    if not rows.is_contiguous():
        raise Skipped("FAISS wants rows without padding: a dim that is a multiple of 16")
    resources = faiss.StandardGpuResources()
    number = torch.device(codes.device).index or 0

    def search(some: Any) -> Any:
        return faiss.knn_gpu(resources, some.half().contiguous(), rows, k, metric=faiss.METRIC_INNER_PRODUCT, device=number)[1]

    try:
        search(torch.zeros((1, codes.dim), device=codes.device))
    except RuntimeError as error:
        raise Skipped(f"FAISS failed on this card: {str(error)[:200]}") from error
    return search
