"""Centroids by k-means, for who divides vectors into cells without keeping an index of them.

Knows FAISS through `centroids`, which uses a card where there is one and it pays.
"""

from __future__ import annotations

import numpy as np

from nearfield.core.metric import Vectors
from nearfield.index import centroids

PER_CELL = 64
"""Training vectors for each cell that are used at most."""


def train(sample: Vectors, cells: int, seed: int, rounds: int) -> Vectors:
    """Centroids by Euclidean distance, float32 (cells, dim).

    Args:
        sample: float32 (m, dim), at least `cells` of them.
        cells: how many.
        seed: of the first choice.
        rounds: of k-means.
    """
    from nearfield.index._faiss import faiss, use_threads

    use_threads(len(sample))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(sample.shape[1]), sample.shape[1], cells)
    index.own_fields = False
    index.cp.niter, index.cp.seed = rounds, 1 + seed % (1 << 30)
    index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, PER_CELL
    centroids.train(index, np.ascontiguousarray(sample))
    return np.asarray(index.quantizer.reconstruct_n(0, cells), np.float32)
