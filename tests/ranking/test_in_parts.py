"""Options on documents in passages: a document ranks by its best passage, and every option is about documents."""

import numpy as np
import pytest

import nearfield as nf

WORDS = ["moon", "sea", "tide", "bread", "salt", "water", "flour", "star", "sun", "wind", "rain", "snow"]


@pytest.fixture
def letters(db: nf.Database, rng: np.random.Generator) -> nf.Collection:
    made = db.create("letters", embedder="hash:64", passages=nf.Passages(tokens=8, overlap=0))
    texts = [". ".join(" ".join(rng.choice(WORDS, 6)) for _ in range(5)) for _ in range(60)]
    made.upsert([nf.Document(f"d{i}", text, {"kind": f"k{i % 4}"}) for i, text in enumerate(texts[:40])])
    made.optimize()
    made.upsert([nf.Document(f"d{i}", text, {"kind": f"k{i % 4}"}) for i, text in enumerate(texts) if i >= 40])
    return made


def test_pages_and_exclusions_are_of_documents(letters: nf.Collection) -> None:
    whole = letters.search("moon tide", k=60)
    assert letters.search("moon tide", k=5, exclude=whole.ids[:3]).ids == whole.ids[3:8]
    ids, token = [], None
    while True:
        page = letters.search("moon tide", k=7, after=token)
        ids += page.ids
        token = page.next
        if token is None:
            break
    assert ids == whole.ids


def test_groups_hold_documents_with_their_passages(letters: nf.Collection) -> None:
    whole = letters.search("moon tide", k=60)
    first: dict[str, list[str]] = {}
    for hit in whole:
        first.setdefault(hit.metadata["kind"], []).append(hit.id)
    found = letters.search("moon tide", k=3, group_by="kind", group_size=2)
    assert [(g.value, [h.id for h in g.hits]) for g in found.groups or []] == [(k, v[:2]) for k, v in list(first.items())[:3]]
    assert all(hit.passage is not None and hit.passage.score == pytest.approx(hit.score) for hit in found)
    assert all(set(hit.metadata) == {"kind"} for hit in found), "keys of parts stay hidden"


def test_a_reranker_reads_the_passage_that_was_found(letters: nf.Collection) -> None:
    read: list[str] = []

    class Reader:
        name = "reader"

        def score(self, query: str, texts: list[str]) -> np.ndarray:
            read.extend(texts)
            return np.arange(len(texts), dtype=np.float32)

    plain = letters.search("moon tide", k=10)
    found = letters.search("moon tide", k=10, rerank=Reader(), rerank_depth=10)
    assert read == [hit.passage.text for hit in plain if hit.passage]
    assert found.ids == plain.ids[::-1]


@pytest.mark.parametrize("strategy", ["average", "best"])
def test_recommendations_are_documents(letters: nf.Collection, strategy: str) -> None:
    found = letters.recommend(like=["d1"], unlike=["d2"], strategy=strategy, k=60)
    assert len(found) == 58
    assert len(set(found.ids)) == 58
    assert not {"d1", "d2"} & set(found.ids)


def test_diversity_and_percentiles(letters: nf.Collection) -> None:
    found = letters.search("moon tide", k=5, diversity=0.5, percentiles=True)
    assert found.ids[0] == letters.search("moon tide", k=1).ids[0]
    assert all(hit.percentile is not None for hit in found)


def test_what_named_vectors_do_not_have_yet_is_said(db: nf.Database) -> None:
    made = db.create("named", embedder="hash:64", vectors={"title": nf.VectorField("title"), "body": nf.VectorField()})
    made.upsert([nf.Document("a", "the body", {"title": "a title"})])
    for ask in (lambda: made.recommend(["a"]), made.background):
        with pytest.raises(nf.InvalidInput, match="named vectors"):
            ask()
    assert made.search("a", on="title", exclude=["b"]).ids == ["a"]
