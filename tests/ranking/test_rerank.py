"""Reranking in searches, with rerankers made here."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

import nearfield as nf
from nearfield.ranking.reranking import rerank


class ByLength:
    """The longer the text, the better; keeps what it was given."""

    name = "by-length"

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []

    def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
        self.calls.append((query, list(texts)))
        return np.array([len(text) for text in texts], np.float32)


@pytest.fixture
def shelf(db: nf.Database) -> nf.Collection:
    made = db.create("shelf", embedder="hash:64")
    made.upsert([nf.Document(f"d{i:02}", f"moon {'and tide ' * (i % 9)}{i}", {"part": i % 4}) for i in range(40)])
    made.upsert([nf.Document(f"mute{i}") for i in range(5)], vectors=made.embed(["moon"] * 5))
    return made


def test_the_candidates_come_back_in_the_rerankers_order(shelf: nf.Collection) -> None:
    reranker = ByLength()
    plain = shelf.search("moon", k=20)
    found = shelf.search("moon", k=20, rerank=reranker, rerank_depth=20)
    texts = {hit.id: hit.text for hit in plain}
    read = [i for i in plain.ids if texts[i]]
    assert reranker.calls == [("moon", [texts[i] for i in read])]
    expected = sorted(read, key=lambda i: -len(texts[i] or ""))
    assert found.ids == expected + [i for i in plain.ids if not texts[i]], "those without text last, as they were ranked"
    assert [hit.score for hit in found][: len(read)] == [float(len(texts[i] or "")) for i in expected]


def test_what_it_was_made_of_is_told(shelf: nf.Collection) -> None:
    plain = dict(zip(*(lambda h: (h.ids, h.scores.tolist()))(shelf.search("moon", k=20)), strict=True))
    found = shelf.search("moon", k=5, rerank=ByLength(), rerank_depth=20)
    step = found.plan.rerank
    assert step is not None
    assert (step.name, step.candidates, step.reranked, step.without_text) == ("by-length", 20, 15, 5)
    assert step.seconds >= 0
    for hit in found:
        assert hit.parts["rerank"] == hit.score
        assert hit.parts["dense"] == pytest.approx(plain[hit.id])
        assert hit.distance == pytest.approx(1 - plain[hit.id])


def test_thresholds_and_exclusions_come_before(shelf: nf.Collection) -> None:
    plain = shelf.search("moon", k=45)
    least = float(plain.scores[12])
    reranker = ByLength()
    found = shelf.search("moon", k=3, rerank=reranker, rerank_depth=10, exclude=plain.ids[:2], min_score=least)
    allowed = [i for i, s in zip(plain.ids, plain.scores.tolist(), strict=True) if s >= least][2:12]
    assert set(found.ids) <= set(allowed)
    assert found.plan.rerank is not None
    assert found.plan.rerank.candidates == len(allowed)


def test_groups_and_diversity_come_after(shelf: nf.Collection) -> None:
    order = shelf.search("moon", k=40, rerank=ByLength(), rerank_depth=40)
    first: dict[int, list[str]] = {}
    for hit in order:
        if "part" in hit.metadata:
            first.setdefault(hit.metadata["part"], []).append(hit.id)
    found = shelf.search("moon", k=4, rerank=ByLength(), rerank_depth=40, group_by="part", group_size=2)
    assert [[h.id for h in g.hits] for g in found.groups or [] if g.value is not None] == [
        first[g.value][:2] for g in found.groups or [] if g.value is not None
    ]
    diverse = shelf.search("moon", k=10, rerank=ByLength(), rerank_depth=40, diversity=0.5)
    assert diverse.ids[0] == order.ids[0], "the first is the most relevant"
    assert set(diverse.ids) <= set(order.ids)


@pytest.mark.parametrize("mode", ["dense", "keyword", "hybrid"])
def test_it_follows_every_mode(shelf: nf.Collection, mode: str) -> None:
    found = shelf.search("tide", k=5, mode=mode, rerank="overlap", rerank_depth=10)
    assert found.plan.rerank is not None
    assert found.plan.rerank.name == "overlap"
    assert found.mode == mode
    assert set(found[0].parts) == {
        "rerank",
        *{"dense": ["dense"], "keyword": ["keyword"], "hybrid": ["dense", "keyword"]}[mode],
    }


def test_only_texts_are_reranked(shelf: nf.Collection) -> None:
    for options in ({"vector": shelf.embed(["moon"])[0]}, {"id": "d01"}):
        with pytest.raises(nf.InvalidInput, match="by text"):
            shelf.search(**options, rerank="overlap")


def test_a_reranker_that_is_slow_is_stopped_in_time(shelf: nf.Collection) -> None:
    class Slow(ByLength):
        def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
            time.sleep(0.15)
            return super().score(query, texts)

    reranker = Slow()
    with pytest.raises(nf.DeadlineExceeded):
        shelf.search("moon", k=5, rerank=reranker, rerank_depth=40, timeout=0.2)
    assert len(reranker.calls) < 3, "it is asked for a few texts at a time where time is short"


@pytest.mark.parametrize("given", [[1.0], [1.0, float("nan")], [[1.0, 2.0]], [1.0, 2.0, 3.0]])
def test_scores_that_are_none_are_refused(given: list) -> None:
    class Odd(ByLength):
        def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
            return np.array(given, np.float32)

    with pytest.raises(nf.NearfieldError, match="by-length"):
        rerank(Odd(), "q", ["a", "b"], lambda: None)


def test_equal_scores_keep_their_order() -> None:
    class Same(ByLength):
        def score(self, query: str, texts: Sequence[str]) -> np.ndarray:
            return np.zeros(len(texts), np.float32)

    done = rerank(Same(), "q", ["a", None, "b", "", "c"], lambda: None)
    assert done.order.tolist() == [0, 2, 4, 1, 3]


def test_a_name_that_means_nothing_is_refused(shelf: nf.Collection) -> None:
    with pytest.raises(nf.NearfieldError):
        shelf.search("moon", k=2, rerank="")
