"""Collections of documents in parts against a dict of documents, each with its passages scored one by one."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores
from nearfield.embed.hashing import HashEmbedder
from nearfield.parts.split import split, word_starts

WORDS = ["sun", "moon", "tide", "river", "stone", "cloud", "bird", "tree", "wind", "rain", "fire", "snow", "leaf", "sand"]
DIM = 16
EMBEDDER = HashEmbedder(DIM)
TOKENS, OVERLAP = 10, 3


def text_of(rng: random.Random, most: int = 60) -> str:
    out = []
    for _ in range(rng.randint(1, most)):
        out.append(rng.choice(WORDS) + rng.choice(["", "", "", "", ".", "\n\n"]))
    return " ".join(out)


class Model:
    """The documents of a collection with passages, and searches of them by brute force."""

    def __init__(self, metric: str) -> None:
        self.metric = Metric(metric)
        self.documents: dict[str, nf.Document] = {}
        self.order = itertools.count()
        self.written: dict[str, int] = {}

    def put(self, document: nf.Document) -> None:
        self.documents[document.id] = document
        self.written[document.id] = next(self.order)

    def passages(self, text: str) -> list[tuple[int, int]]:
        return [(p.start, p.end) for p in split(text, word_starts(text), TOKENS, OVERLAP)]

    def ranked(self, query: np.ndarray, low: int) -> list[tuple[str, float, list[tuple[float, int, int]]]]:
        """(id, score, passages best first) of all documents with n >= low, best first."""
        out = []
        for document in self.documents.values():
            if document.metadata["n"] < low:
                continue
            places = self.passages(document.text or "")
            vectors = prepare(EMBEDDER.encode([document.text[a:b] for a, b in places]), self.metric)[0]
            found = scores(prepare(query, self.metric)[0][0], vectors, self.metric).tolist()
            best = sorted(zip(found, places, strict=True), key=lambda p: -p[0])
            out.append((document.id, best[0][0], [(s, a, b) for s, (a, b) in best]))
        return sorted(out, key=lambda d: (-d[1], self.written[d[0]]))


def check(collection: nf.Collection, model: Model, rng: random.Random) -> None:
    assert len(collection) == len(model.documents)
    low = rng.randint(0, 9)
    matching = {d.id for d in model.documents.values() if d.metadata["n"] >= low}
    assert collection.count({"n": {"$gte": low}}) == len(matching)
    assert {d.id for d in collection.scan(filter={"n": {"$gte": low}})} == matching
    for document in collection.scan():
        assert document == model.documents[document.id]
    for name in [*rng.sample(sorted(model.documents), min(3, len(model.documents))), "nobody"]:
        found = collection.get([name], vectors=True)[0]
        assert found == model.documents.get(name)
        if found is not None:
            assert [(p.start, p.end) for p in found.parts] == model.passages(found.text or "")
    query = text_of(rng, 4)
    vector = EMBEDDER.encode([query])
    k, offset, shown = rng.randint(1, 12), rng.choice([0, 0, 3]), rng.choice([1, 1, 3])
    hits = collection.search(
        query,
        k=k,
        offset=offset,
        filter={"n": {"$gte": low}},
        exact=rng.random() < 0.5,
        recall=1.0,
        passages_per_document=shown,
    )
    truth = model.ranked(vector, low)[offset : offset + k]
    assert hits.complete
    assert len(hits) == len(truth)
    np.testing.assert_allclose(hits.scores, [score for _, score, _ in truth], atol=2e-6)
    by_id = {name: (score, passages) for name, score, passages in truth}
    assert len(set(hits.ids)) == len(hits)
    for hit in hits:
        document = model.documents[hit.id]
        assert hit.document == document
        if hit.id in by_id:  # equal scores may have been cut elsewhere
            passages = by_id[hit.id][1][:shown]
            assert len(hit.passages) == len(passages)
            np.testing.assert_allclose([p.score for p in hit.passages], [s for s, _, _ in passages], atol=2e-6)
        for passage in hit.passages:
            assert passage.text == (document.text or "")[passage.start : passage.end]
        assert hit.passage is not None
        assert hit.passage.score == hit.score


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("seed", range(4))
def test_random_operations_are_as_of_a_dict_of_documents(tmp_path: Path, seed: int, metric: str) -> None:
    rng = random.Random(seed)
    model = Model(metric)
    options = {"embedder": f"hash:{DIM}", "metric": metric, "passages": nf.Passages(tokens=TOKENS, overlap=OVERLAP)}
    db = nf.open(tmp_path / "db")
    collection = db.create("c", **options)
    for _ in range(60):
        act = rng.choice(
            ["upsert"] * 5 + ["update", "delete", "filter", "skip", "load", "optimize", "reopen", "check", "check"]
        )
        some = [
            nf.Document(f"d{rng.randint(0, 30)}/{i}", text_of(rng), {"n": rng.randint(0, 9), "tag": rng.choice("xyz")})
            for i in range(rng.randint(1, 4))
        ]
        if act == "upsert":
            written = collection.upsert(some)
            assert written.replaced == sum(d.id in model.documents for d in some)
            assert written.added == len(some) - written.replaced
            for document in some:
                model.put(document)
        elif act in ("skip", "load"):
            there = "skip" if act == "skip" else "replace"
            ids, texts, metadata = [d.id for d in some], [d.text for d in some], [dict(d.metadata) for d in some]
            written = collection.load(ids=ids, texts=texts, metadata=metadata, if_exists=there)
            known = sum(d.id in model.documents for d in some)
            assert (written.skipped if act == "skip" else written.replaced) == known
            for document in some:
                if act == "load" or document.id not in model.documents:
                    model.put(document)
        elif act == "update" and model.documents:
            name = rng.choice(sorted(model.documents))
            old = model.documents[name]
            collection.update(name, metadata={"n": 5}, remove=["tag"])
            model.put(nf.Document(name, old.text, {"n": 5}))
        elif act == "delete" and model.documents:
            names = rng.sample(sorted(model.documents), min(2, len(model.documents)))
            assert collection.delete([*names, "nobody"]).deleted == len(names)
            for name in names:
                del model.documents[name]
        elif act == "filter":
            n = rng.randint(0, 9)
            gone = [d.id for d in model.documents.values() if d.metadata["n"] == n]
            assert collection.delete(filter={"n": n}).deleted == len(gone)
            for name in gone:
                del model.documents[name]
        elif act == "optimize":
            collection.optimize(purge=rng.random() < 0.5)
        elif act == "reopen":
            db.close()
            db = nf.open(tmp_path / "db")
            collection = db["c"]
        check(collection, model, rng)
    assert collection.verify().ok
    rows = len(collection._engine.snapshot)
    assert rows == sum(len(model.passages(d.text or "")) for d in model.documents.values())
    db.close()
