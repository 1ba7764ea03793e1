"""The scores of random pairs of a collection, drawn when they are first asked for and again when it has changed.

Knows an engine's snapshot and recorded queries; nothing of searches. Two thousand vectors are read and a million pairs scored,
whatever the size of the collection.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, Scores, Vectors, rough_scores
from nearfield.engine.lookup import last_row, sample
from nearfield.engine.recording import LEAST
from nearfield.ranking.background import Background

if TYPE_CHECKING:
    from nearfield.engine.local import LocalEngine
    from nearfield.engine.snapshot import Snapshot

SIDE = 1024
"""Vectors drawn on each side: 1,048,576 pairs, of which a hundred score above the 99.99 % quantile."""
FEWEST = 20
"""Documents below which there is no distribution to speak of."""
CHANGED = 0.1
"""The share of documents written or deleted since, from which on it is drawn again."""
SEED = 6


class Sampler:
    """The background of one collection, kept in memory.

    Args:
        engine: whose.
    """

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: Background | None = None
        self._row = 0

    def get(self) -> Background:
        """The background of now, or of a short while ago: drawn again once a tenth of the documents changed.

        Raises:
            InvalidInput: there are too few documents.
        """
        with self._lock:
            snapshot = self._engine.snapshot
            if self._known is None or self._stale(self._known, snapshot):
                self._known, self._row = self._drawn(snapshot), last_row(snapshot)
            return self._known

    def _stale(self, known: Background, snapshot: Snapshot) -> bool:
        if snapshot.commit == known.commit:
            return False
        if (self._engine.recorder.kept >= LEAST) != (known.source == "recorded queries"):
            return True
        written = last_row(snapshot) - self._row
        deleted = max(0, known.size + written - len(snapshot))
        return max(written, deleted) >= CHANGED * known.size

    def _drawn(self, snapshot: Snapshot) -> Background:
        n, rng = len(snapshot), np.random.default_rng(SEED)
        if n < FEWEST:
            raise InvalidInput(
                "too few documents to say what a usual score is; use min_score, or add documents",
                field="percentiles",
                expected=f"at least {FEWEST} documents",
                received=n,
            )
        asked = self._engine.recorder.read() if self._engine.recorder.kept >= LEAST else None
        if asked is not None and len(asked) >= LEAST:
            queries = asked[np.sort(rng.choice(len(asked), min(len(asked), SIDE), replace=False))]
            documents = _documents(snapshot, rng, min(n, SIDE * SIDE // len(queries)))
            found = pairs(queries, documents, snapshot.metric)
            return Background.of(found, "recorded queries", len(queries), len(documents), n, snapshot.commit, SEED)
        both = _documents(snapshot, rng, min(n, 2 * SIDE))
        if n < 2 * SIDE:
            found = pairs(both, both, snapshot.metric, among=True)
            return Background.of(found, "documents", n, n, n, snapshot.commit, SEED)
        order = rng.permutation(len(both))
        one, other = both[order[:SIDE]], both[order[SIDE:]]
        return Background.of(pairs(one, other, snapshot.metric), "documents", SIDE, SIDE, n, snapshot.commit, SEED)


_samplers: WeakKeyDictionary[LocalEngine, Sampler] = WeakKeyDictionary()
_making = threading.Lock()


def of(engine: LocalEngine) -> Background:
    """The background of an engine's collection, kept as long as the engine; raises InvalidInput for too few documents."""
    with _making:
        sampler = _samplers.get(engine)
        if sampler is None:
            sampler = _samplers[engine] = Sampler(engine)
    return sampler.get()


def _documents(snapshot: Snapshot, rng: np.random.Generator, count: int) -> Vectors:
    """`count` different documents' vectors, drawn evenly."""
    picked = rng.choice(len(snapshot), count, replace=False, shuffle=False)
    return sample(snapshot, np.sort(picked).astype(np.int64))


def pairs(queries: Vectors, documents: Vectors, metric: Metric, *, among: bool = False) -> Scores:
    """Scores of every query (m, dim) with every document (n, dim), prepared, by matrix product: float32 (m x n,).

    Args:
        queries: one side.
        documents: the other.
        metric: how they are compared.
        among: both sides are the same documents: each two different ones once, float32 (n (n - 1) / 2,).
    """
    found = rough_scores(queries, documents, metric)
    if metric is Metric.L2:
        found -= np.einsum("ij,ij->i", queries, queries)[:, None]
        np.minimum(found, 0.0, out=found)
    elif metric is Metric.COSINE:
        np.clip(found, -1.0, 1.0, out=found)
    return np.asarray(found[np.triu_indices(len(queries), 1)] if among else found.ravel(), np.float32)
