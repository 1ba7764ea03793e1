"""Named vectors: apart, fused, each by its own model, and never compared with another's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores
from nearfield.embed.hashing import HashEmbedder
from nearfield.parts.parted import padded

TITLES = HashEmbedder(8, "titles")
BODIES = HashEmbedder(16)
FIELDS = {
    "title": nf.VectorField("title", embedder=TITLES),
    "body": nf.VectorField(),
    "look": nf.VectorField(embedder=None, dim=4),
}
DOCUMENTS = [
    nf.Document("a", "sun moon tide. river stone cloud bird tree wind. rain fire snow", {"title": "sky"}),
    nf.Document("b", "leaf sand sun", {"title": "beach day"}),
    nf.Document("c", "moon moon moon", {"title": "sky sky"}),
    nf.Document("d", "stone wall", {}),
]


@pytest.fixture
def collection(tmp_path: Path) -> nf.Collection:
    db = nf.open(tmp_path / "db")
    made = db.create("c", embedder=BODIES, passages=nf.Passages(8, 2), vectors=FIELDS)
    made.upsert(DOCUMENTS)
    return made


def best(document: nf.Document, vectors: np.ndarray, query: np.ndarray) -> float:
    return float(scores(prepare(query, Metric.COSINE)[0][0], prepare(vectors, Metric.COSINE)[0], Metric.COSINE).max())


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.float32, (6, 5), elements=st.floats(-8, 8, width=16)),
    st.sampled_from(["cosine", "ip", "l2"]),
    st.integers(6, 40),
)
def test_zeros_behind_change_no_score(x: np.ndarray, metric: str, dim: int) -> None:
    x[:, 0] += 20
    plain, wide = (prepare(v, Metric(metric))[0] for v in (x, padded(x, dim)))
    for query, wider in zip(plain, wide, strict=True):
        expected = scores(query, plain, Metric(metric))
        np.testing.assert_allclose(scores(wider, wide, Metric(metric)), expected, rtol=1e-5, atol=1e-5)


def test_a_search_on_one_name_ranks_its_vectors_alone(collection: nf.Collection) -> None:
    query = TITLES.encode(["sky"], "query")
    expected = {d.id: best(d, TITLES.encode([d.metadata["title"]]), query) for d in DOCUMENTS if "title" in d.metadata}
    hits = collection.search("sky", on="title")
    assert set(hits.ids) == set(expected)
    assert dict(zip(hits.ids, hits.scores.tolist(), strict=True)) == pytest.approx(expected, abs=1e-5)
    assert [hit.passages[0].name for hit in hits] == ["title"] * 3
    assert hits[0].passages[0].text == hits[0].metadata["title"]


def test_fused_ranks_are_the_sum_of_each_names(collection: nf.Collection) -> None:
    weights = {"title": 1.0, "body": 3.0}
    lists = {name: collection.search("sun sky", on=name).ids for name in weights}
    expected: dict[str, float] = {}
    for name, ids in lists.items():
        for rank, found in enumerate(ids, 1):
            expected[found] = expected.get(found, 0) + weights[name] / (60 + rank)
    hits = collection.search("sun sky", on=weights)
    assert hits.mode == "fused"
    assert dict(zip(hits.ids, hits.scores.tolist(), strict=True)) == pytest.approx(expected)
    assert hits.scores.tolist() == sorted(hits.scores.tolist(), reverse=True)
    assert hits.complete
    assert len(hits) == len(DOCUMENTS)


def test_fused_scores_are_brought_to_one_scale(collection: nf.Collection) -> None:
    expected: dict[str, float] = {}
    for name in ("title", "body"):
        found = collection.search("sun sky", on=name)
        low, high = float(found.scores.min()), float(found.scores.max())
        for hit in found:
            expected[hit.id] = expected.get(hit.id, 0) + (hit.score - low) / (high - low)
    hits = collection.search("sun sky", on=["title", "body"], fusion=nf.Fusion("scores"))
    assert dict(zip(hits.ids, hits.scores.tolist(), strict=True)) == pytest.approx(expected, abs=1e-5)


def test_a_text_is_asked_of_every_name_that_takes_one(collection: nf.Collection) -> None:
    assert collection.search("sun sky").scores.tolist() == collection.search("sun sky", on=["title", "body"]).scores.tolist()
    with pytest.raises(nf.InvalidInput, match="takes a text"):
        collection.search("sun", on="look")


def test_a_vector_is_of_one_name_or_given_by_name(collection: nf.Collection) -> None:
    collection.upsert([nf.Document("p", metadata={"kind": "picture"})], vectors={"look": [[1, 2, 3, 4]]})
    hits = collection.search(vector=[1, 2, 3, 4], on="look")
    assert hits.ids == ["p"]
    assert hits[0].score == pytest.approx(1)
    assert hits[0].passage == nf.Passage("", None, None, 0, "look", hits[0].score)
    by_name = {"look": [4.0, 3, 2, 1], "title": TITLES.encode(["sky"])[0]}
    assert set(collection.search(vector=by_name).ids) == {"p", "a", "b", "c"}
    with pytest.raises(nf.InvalidInput, match="one name"):
        collection.search(vector=[1, 2, 3, 4])
    with pytest.raises(nf.DimensionMismatch):
        collection.search(vector=[1, 2, 3], on="look")


def test_more_like_this_goes_by_the_documents_own_vectors(collection: nf.Collection) -> None:
    assert "a" not in collection.search(id="a").ids
    assert collection.search(id="a", on="title").ids[0] == "c"
    with pytest.raises(nf.NotFound, match="no vector named 'title'"):
        collection.search(id="d", on="title")
    with pytest.raises(nf.NotFound, match="no document"):
        collection.search(id="nobody")


def test_words_are_searched_name_by_name(collection: nf.Collection) -> None:
    assert collection.search("sky", mode="keyword").ids[0] in ("a", "c")
    assert collection.search("sky", mode="keyword", on="body").ids == []
    hits = collection.search("rain", mode="keyword")
    assert hits.ids == ["a"]
    assert hits[0].passage is not None
    assert "rain" in hits[0].passage.text
    assert "sun" not in hits[0].passage.text
    assert set(collection.search("moon sky", mode="hybrid").ids) == {"a", "b", "c", "d"}


def test_many_are_as_each_alone(collection: nf.Collection) -> None:
    queries = ["sun", "sky beach", "stone"]
    for on in ("title", ["title", "body"]):
        for text, hits in zip(queries, collection.search_many(queries, on=on), strict=True):
            alone = collection.search(text, on=on)
            assert hits.ids == alone.ids
            assert [h.passages for h in hits] == [h.passages for h in alone]
    vectors = np.eye(4, dtype=np.float32)
    assert len(collection.search_many(vectors, on="look")) == 4
    assert collection.search_many([]) == []


def test_a_key_that_is_embedded_is_not_updated_in_place(collection: nf.Collection) -> None:
    with pytest.raises(nf.InvalidInput, match="upsert the document anew"):
        collection.update("a", metadata={"title": "other"})
    with pytest.raises(nf.InvalidInput, match="upsert the document anew"):
        collection.update("a", remove=["title"])
    collection.update("a", metadata={"seen": True})
    assert collection.search("sky", on="title", filter={"seen": True}).ids == ["a"]


def test_other_models_come_back_with_the_collection(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create(
            "c", embedder="hash:16", vectors={"title": nf.VectorField("title", embedder="hash:8:x"), "body": nf.VectorField()}
        )
        made.upsert(DOCUMENTS)
        before = made.search("sky", on="title").scores.tolist()
    with nf.open(tmp_path / "db") as db:
        assert db["c"].search("sky", on="title").scores.tolist() == before
        stored = db["c"]._engine.settings.parts
        assert set(stored["fingerprints"]) == {"hash:8:x"}  # type: ignore[index]


def test_explain_ranks_documents(collection: nf.Collection) -> None:
    hits = collection.search("rain fire", on="body")
    told = collection.explain("rain fire", id="b", on="body")
    assert (told.rank, told.of) == (hits.ids.index("b") + 1, 4)
    assert told.score == pytest.approx(hits[hits.ids.index("b")].score, abs=1e-5)
    assert "'b' ranks" in told.text()
    assert collection.explain("rain fire", id="b", on="body", k=1).returned == (hits.ids[0] == "b")
    with pytest.raises(nf.NotFound):
        collection.explain("rain", id="d", on="title")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"vectors": {}}, "a dict of 1 to 16 names"),
        ({"vectors": {"a b": nf.VectorField()}}, "not a name"),
        ({"vectors": {"a": "title"}}, "nearfield.VectorField"),
        ({"vectors": {"a": nf.VectorField(embedder=None)}}, "need their dimension"),
        ({"vectors": {"a": nf.VectorField(dim=3)}}, "other vectors"),
        ({"vectors": {"a": nf.VectorField("$x")}}, "not a source"),
        ({"vectors": {"a": nf.VectorField(image=True)}}, "takes images"),
        ({"vectors": {"a": nf.VectorField("t")}, "passages": nf.Passages()}, "no vector is of the documents' texts"),
        ({"passages": nf.Passages(4)}, "8 to 8192"),
        ({"passages": nf.Passages(20, 10)}, "less than half"),
        ({"passages": 200}, "nearfield.Passages"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict, match: str) -> None:
    with nf.open(tmp_path / "db") as db:
        with pytest.raises(nf.InvalidInput, match=match):
            db.create("c", embedder="hash:16", **options)
        assert db.list() == []


def test_on_needs_names(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        plain = db.create("c", embedder="hash:16")
        with pytest.raises(nf.InvalidInput, match="no named vectors"):
            plain.search("a", on="title")


def test_options_work_on_one_names_ranking(collection: nf.Collection) -> None:
    whole = collection.search("sky", on="title")
    assert collection.search("sky", on="title", exclude=[whole.ids[0]]).ids == whole.ids[1:]
    least = float(whole.scores[1])
    near = collection.search("sky", on="title", k=None, min_score=least)
    assert near.ids == whole.ids[:2]
    assert [h.passage.name for h in near if h.passage] == ["title"] * 2
    first = collection.search("sky", on="title", k=1, exclude=["nobody"])
    assert collection.search("sky", on="title", k=5, after=first.next, exclude=["nobody"]).ids == whole.ids[1:]
    assert "a" not in collection.search(id="a", on="title", exclude=["b"]).ids
    with pytest.raises(nf.InvalidInput, match="one ranking"):
        collection.search("sky", exclude=["a"])
    with pytest.raises(nf.InvalidInput, match="background"):
        collection.search("sky", on="title", percentiles=True)


def test_pictures_are_embedded_under_their_name(tmp_path: Path) -> None:
    pictures = pytest.importorskip("tests.pictures.test_collection")
    with nf.open(tmp_path / "db") as db:
        fields = {"body": nf.VectorField(), "look": nf.VectorField(embedder="pixels:4", image=True)}
        both = db.create("c", embedder="hash:16", vectors=fields)
        both.upsert([nf.Document(f"p{i}", f"picture number {i}", image=pictures.png(i)) for i in range(6)])
        assert both.search(image=pictures.png(3)).ids[0] == "p3"
        assert both.search("number 4").ids[0] == "p4"
        assert both.thumbnail("p2") is not None
        failed: list[str] = []
        written = both.upsert(
            [nf.Document("bad", "x", image=b"no picture"), nf.Document("good", "y", image=pictures.png(9))],
            broken=lambda name, why: failed.append(name),
        )
        assert (failed, written.added) == (["bad"], 1)
        with pytest.raises(nf.InvalidInput):
            both.upsert(nf.Document("bad", "x", image=b"no picture"))
        both.optimize()
        assert both.search(image=pictures.png(9), on="look").ids[0] == "good"
        assert both.verify().ok


def test_vectors_of_two_models_are_never_ranked_together(collection: nf.Collection) -> None:
    query = np.ones((1, 16), np.float32)
    request = collection.request()
    with pytest.raises(nf.InvalidInput, match="searched by name"):
        collection.answer(query, request)
    with pytest.raises(nf.InvalidInput, match="searched by name"):
        collection.answer_texts(["sky"], request, "hybrid", vectors=query)
    assert collection.answer_texts(["sky"], request, "keyword")[0].ids == collection.search("sky", mode="keyword").ids


@pytest.mark.parametrize("question", [{"query": "sun moon"}, {"id": "d1"}, {"query": "sun moon", "filter": {"odd": True}}])
def test_pages_of_one_name_are_the_whole_and_of_several_are_refused(
    collection: nf.Collection, question: dict[str, object]
) -> None:
    words = ["sun", "moon", "tide", "river", "stone", "cloud", "bird"]
    some = [
        nf.Document(f"d{i}", f"{words[i % 7]} {words[i % 5]} {i}", {"title": words[i % 3], "odd": bool(i % 2)})
        for i in range(40)
    ]
    collection.upsert(some)
    whole = collection.search(**question, on="body", k=100).ids
    page = collection.search(**question, on="body", k=7)
    ids, number = list(page.ids), 0
    while (after := page.next) is not None:
        collection.update(ids[0], metadata={"seen": number})
        page, number = collection.search(**question, on="body", k=7, after=after), number + 1
        ids += page.ids
    assert ids == whole
    assert number > 1
    with pytest.raises(nf.InvalidInput, match="another search"):
        collection.search(**question, on="title", k=7, after=collection.search(**question, on="body", k=7).next)
    with pytest.raises(nf.InvalidInput, match="one vector"):
        _ = collection.search(**question, k=7).next
