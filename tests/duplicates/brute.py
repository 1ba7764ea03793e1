"""The simple way: compare every pair by the metric's own function, walk the graph."""

from __future__ import annotations

import numpy as np

from nearfield.core.metric import Metric, prepare, scores
from nearfield.duplicates.rows import Rows


class Holder:
    """Vectors where a segment would be."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors


def rows(x: np.ndarray, metric: Metric) -> Rows:
    """Rows of vectors as callers give them."""
    ready, _ = prepare(np.ascontiguousarray(x, np.float32), metric)
    n = len(ready)
    return Rows(metric, x.shape[1], np.arange(n), (Holder(ready),), np.zeros(n, np.int32), np.arange(n))  # type: ignore[arg-type]


def pairs(of: Rows, above: float) -> dict[tuple[int, int], float]:
    """Every pair of at least `above`; copies are one under cosine, where a vector's product with itself may be rounded down."""
    x = of.take(slice(None))
    out = {}
    for i in range(len(x)):
        found = scores(x[i], x[i + 1 :], of.metric)
        same = (x[i + 1 :] == x[i]).all(axis=1) & (of.metric is not Metric.IP)
        for j in np.flatnonzero((found >= above) | same).tolist():
            out[i, i + 1 + j] = float(found[j])
    return out


def groups(n: int, edges: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """Connected parts of two or more, each ascending, by their first."""
    near: dict[int, list[int]] = {}
    for a, b in edges:
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)
    seen: set[int] = set()
    out = []
    for start in range(n):
        if start in seen or start not in near:
            continue
        part, todo = {start}, [start]
        while todo:
            for other in near[todo.pop()]:
                if other not in part:
                    part.add(other)
                    todo.append(other)
        seen |= part
        out.append(tuple(sorted(part)))
    return out


def planted(n: int, dim: int, twins: int, noise: float, seed: int = 0) -> np.ndarray:
    """Vectors in loose clusters, of which the last `twins` are near copies of the first, at many distances."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(4, n // 200), dim))
    x = centres[random.integers(len(centres), size=n)] + 0.8 * random.standard_normal((n, dim))
    x *= np.linspace(3, 0.5, dim)
    scale = noise * random.random((twins, 1)) * np.linalg.norm(x[:twins], axis=1, keepdims=True) / np.sqrt(dim)
    x[n - twins :] = x[:twins] + scale * random.standard_normal((twins, dim))
    return x.astype(np.float32)
