"""A shelf of documents whose texts follow from their numbers, and how to look at it: shared by the tests here."""

from __future__ import annotations

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed import fingerprint
from nearfield.embed.hashing import HashEmbedder

OLD, NEW = "hash:32", "hash:48"
WORDS = "sea moon tide bread salt flour water apple pear green red night star river stone".split()  # noqa: SIM905


def text_of(i: int) -> str:
    rng = np.random.default_rng(i)
    return f"{' '.join(rng.choice(WORDS, 6))} {i}"


def documents(n: int, start: int = 0) -> list[nf.Document]:
    return [nf.Document(f"d{i}", text_of(i), {"n": i, "odd": bool(i % 2)}) for i in range(start, start + n)]


def state(collection: nf.Collection) -> dict[str, tuple[str | None, dict[str, object]]]:
    return {d.id: (d.text, dict(d.metadata)) for d in collection.scan()}


def check_vectors(collection: nf.Collection, embedder: HashEmbedder) -> None:
    """Every document has the vector that the model gives its text."""
    found = list(collection.scan(vectors=True))
    wanted = embedder.encode([d.text or "" for d in found])
    for document, vector in zip(found, wanted, strict=True):
        assert document.vector is not None
        assert np.allclose(document.vector, vector, atol=1e-5), document.id


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """(dim, text) of all that is embedded as a document."""
    seen: list[tuple[int, str]] = []
    encode, probes = HashEmbedder.encode, {*fingerprint.PROBES, "the same model?"}

    def counted(self: HashEmbedder, items, kind="document", progress=None):
        if kind == "document":
            seen.extend((self.dim, t) for t in items if t not in probes)
        return encode(self, items, kind, progress)

    monkeypatch.setattr(HashEmbedder, "encode", counted)
    return seen


@pytest.fixture
def shelf(db: nf.Database) -> nf.Collection:
    made = db.create("shelf", embedder=OLD, metric="ip", recall=0.9, fields={"day": "timestamp"})
    made.upsert(documents(300))
    return made
