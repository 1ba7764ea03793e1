"""Where an inverted file's centroids come from: FAISS's own k-means, or a card's where there is one and it pays.

FAISS takes centroids that are there already as trained (Level1Quantizer::train_q1: nothing is to do where the quantizer holds
nlist vectors) and goes on with codes. Without a card everything is as FAISS does it, and PyTorch is not even loaded.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from nearfield.core.errors import MissingDependency
from nearfield.core.metric import Vectors
from nearfield.device import _torch, cards, kmeans

log = logging.getLogger("nearfield.index")

WORTH = 2e11
"""Rows x lists x dim from which a card is asked: below, FAISS is done (2 x 10 rounds of it, 4 TFLOP: seconds on a server's
processors, half a minute on two) about when PyTorch and the card's driver have started, which takes seconds too."""


def training_device() -> str | None:
    """The card with the most memory free, as PyTorch names it, or None. Loads PyTorch only where a card may be."""
    if cards.plainly_none():
        return None
    try:
        device, _ = cards.choose("auto")
    except (MissingDependency, OSError, RuntimeError) as error:
        log.warning("no card trains centroids (%s); `nearfield doctor` says more", error)
        return None
    return None if device == "cpu" else device


def train(index: Any, sample: Vectors) -> None:
    """Trains an empty FAISS index: an IndexIVF that `coarse.prepare` has seen, or one behind a transform.

    Args:
        index: the index; its transform, centroids and codes are trained.
        sample: float32 (n, dim), C order, as the index takes them.
    """
    from nearfield.index._faiss import faiss

    inner = faiss.downcast_index(index.index) if isinstance(index, faiss.IndexPreTransform) else index
    rows = min(len(sample), inner.cp.max_points_per_centroid * inner.nlist)
    if len(sample) > inner.nlist and float(rows) * inner.nlist * inner.d >= WORTH:
        device = training_device()
        if device is not None:
            if inner is not index:
                before = faiss.downcast_VectorTransform(index.chain.at(0))
                if not before.is_trained:
                    before.train(sample)
                _on_card(inner, before.apply(_some(sample, rows, inner.cp.seed)), device)
            else:
                _on_card(inner, _some(sample, rows, inner.cp.seed), device)
    index.train(sample)


def _some(sample: Vectors, rows: int, seed: int) -> Vectors:
    """As many rows of the sample, drawn as FAISS draws them: without order."""
    if rows >= len(sample):
        return sample
    return np.ascontiguousarray(sample[np.random.default_rng(seed).choice(len(sample), rows, replace=False)])


def _on_card(inner: Any, rows: Vectors, device: str) -> None:
    """Gives an IndexIVF its centroids, found on a card; leaves them to FAISS where the card fails, and says so."""
    start = time.perf_counter()
    cp = inner.cp
    try:
        found = kmeans.kmeans(
            rows,
            inner.nlist,
            rounds=cp.niter,
            by_product=inner.metric_type == 0,
            spherical=cp.spherical,
            seed=cp.seed,
            device=device,
        )
    except (RuntimeError, MemoryError) as error:
        if not (_torch.out_of_memory(error) or _torch.lost(error)):
            raise
        log.warning("centroids were not trained on %s; FAISS trains them on the processor: %s", device, error)
        return
    inner.quantizer.add(found.centroids)
    log.info("%s trained %d centroids in %.1f s", device, inner.nlist, time.perf_counter() - start)
