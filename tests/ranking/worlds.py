"""Small collections whose every answer can be computed by a loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores

DIM = 8


def filled(
    db: nf.Database, rng: np.random.Generator, n: int = 300, metric: str = "cosine", name: str = "world"
) -> nf.Collection:
    """Documents d0, d1, ...: a third of them sealed into a segment, a few deleted, the rest pending; some exact copies."""
    made = db.create(name, embedder=None, dim=DIM, metric=metric)
    vectors = rng.normal(size=(n, DIM)).astype(np.float32)
    vectors[7::10] = vectors[6::10][: len(vectors[7::10])]
    kinds: list[Any] = ["a", "b", "c", "d", None, 1, True, ["a", "e"], ["f", "b"], []]
    documents = []
    for i in range(n):
        metadata: dict[str, Any] = {"n": i, "in": {"kind": f"k{i % 7}"}}
        value = kinds[int(rng.integers(len(kinds)))]
        if value is not None:
            metadata["kind"] = value
        documents.append(nf.Document(f"d{i}", f"text {i} of {'word ' * (i % 5)}" if i % 3 else None, metadata))
    third = n // 3
    made.upsert(documents[:third], vectors=vectors[:third])
    made.optimize()
    made.upsert(documents[third:], vectors=vectors[third:])
    made.delete([f"d{i}" for i in range(0, n, 17)])
    return made


class Truth:
    """What a collection holds, and how it ranks, by brute force."""

    def __init__(self, collection: nf.Collection) -> None:
        self.metric = Metric(collection.metric)
        found = list(collection.scan(vectors=True))
        self.ids = [d.id for d in found]
        self.metadata: Mapping[str, Any] = {d.id: d.metadata for d in found}
        self.text = {d.id: d.text for d in found}
        raw = np.stack([d.vector for d in found if d.vector is not None])
        self.vectors = prepare(raw, self.metric)[0]
        self.place = {one: i for i, one in enumerate(self.ids)}

    def ranked(self, query: np.ndarray) -> list[tuple[str, float]]:
        """(id, score) of all documents, best first, ties in the order of writing."""
        prepared = prepare(query[None, :], self.metric)[0][0]
        found = scores(prepared, self.vectors, self.metric)
        order = np.lexsort((np.arange(len(found)), -found.round(5)))
        return [(self.ids[i], float(found[i])) for i in order]


def same(hits: nf.Hits, expected: list[tuple[str, float]]) -> None:
    """The same scores, and the same documents but for those whose scores are equal."""
    assert np.allclose(hits.scores, [score for _, score in expected], atol=2e-5)
    known = dict(expected)
    for found, score in zip(hits.ids, hits.scores.tolist(), strict=True):
        assert found in known or abs(score - expected[-1][1]) < 2e-5
