"""Evaluations: what is counted and what is left out, passages rolled up, reranked runs, tables and differences."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.evaluate.run import System, evaluate, roll_up
from nearfield.evaluate.systems import systems

QUERIES = {"q1": "one", "q2": "two", "q3": "three", "q4": "four"}
QRELS = {"q1": {"a": 2, "b": 1}, "q2": {"c": 1}, "q3": {"a": 0}, "q9": {"a": 1}}


def fixed(rankings: dict[str, list[str]]):
    return lambda texts, wanted: [rankings.get(text, [])[:wanted] for text in texts]


GOOD = System("good", fixed({"one": ["a", "b", "c"], "two": ["c", "a"]}))
BAD = System("bad", fixed({"one": ["c", "b"], "two": ["b"]}))


def test_means_are_over_queries_with_a_relevant_document_and_the_others_are_counted() -> None:
    found = evaluate([GOOD, BAD], QUERIES, QRELS, k=2, depth=3, draws=200)
    assert found.queries == ("q1", "q2")
    assert (found.left_out, found.unasked) == (2, 1)
    assert found.metrics == ("nDCG@2", "MRR@2", "MAP@2", "Recall@2", "Recall@3")
    assert [found.estimate("good", metric).mean for metric in found.metrics] == [1, 1, 1, 1, 1]
    assert found.estimate("bad", "MRR@2").mean == pytest.approx(0.25)
    assert found.estimate("bad", "Recall@2").mean == pytest.approx(0.25)
    assert found.per_query("bad", "MRR@2") == {"q1": 0.5, "q2": 0.0}


def test_differences_are_paired_named_and_in_the_table() -> None:
    rng = np.random.default_rng(0)
    texts = {f"q{i}": f"text {i}" for i in range(80)}
    qrels = {key: {"a": 1} for key in texts}
    ranks = {text: int(rng.integers(0, 6)) for text in texts.values()}
    worse = System("keyword", fixed({t: [*"xyzuvw"[: r + 1], "a"] for t, r in ranks.items()}))
    better = System("hybrid", fixed({t: [*"xyzuvw"[:r], "a"] for t, r in ranks.items()}))
    found = evaluate([worse, better], texts, qrels, draws=500)
    apart = found.difference("hybrid", "keyword")
    assert found.differences()[0] == apart
    assert apart.clear
    assert apart.low < apart.mean < apart.high
    assert str(apart).startswith(f"nDCG@10: hybrid - keyword: +{apart.mean:.3f} [+{apart.low:.3f}, ")
    same = found.difference("hybrid", "hybrid")
    assert (same.mean, same.low, same.high, same.clear) == (0, 0, 0, False)
    table = found.table()
    assert str(apart) in table
    assert "80 queries" in table
    told = json.loads(json.dumps(found.to_dict()))
    assert told["systems"]["hybrid"]["metrics"]["nDCG@10"]["mean"] == pytest.approx(
        found.estimate("hybrid", "nDCG@10").mean, abs=1e-6
    )
    assert {d["metric"] for d in told["differences"]} == set(found.metrics)
    with pytest.raises(nf.InvalidInput, match="not evaluated"):
        found.difference("hybrid", "dense")
    with pytest.raises(nf.InvalidInput, match="not measured"):
        found.estimate("hybrid", "nDCG@5")


def test_passages_count_once_at_their_best_place_and_more_are_asked_for() -> None:
    asked: list[int] = []

    def search(texts, wanted: int) -> list[list[str]]:
        asked.append(wanted)
        return [[*(f"x#{i}" for i in range(30)), "a#7", "b#0", "a#1"][:wanted] for _ in texts]

    found = evaluate([System("passages", search)], {"q1": "one"}, {"q1": {"a": 1, "b": 1}}, k=3, depth=3)
    assert asked == [3, 12, 48]
    assert found.estimate("passages", "Recall@3").mean == 1
    assert found.estimate("passages", "MRR@3").mean == pytest.approx(1 / 2)
    assert roll_up(["a#2", "b", "a#0", "c#x"]) == ["a", "b", "c#x"]


def test_judged_ids_that_look_like_passages_are_left_as_they_are() -> None:
    search = System("s", fixed({"one": ["a#2", "a#1"]}))
    found = evaluate([search], {"q1": "one"}, {"q1": {"a#1": 1}}, k=2, depth=2)
    assert found.estimate("s", "MRR@2").mean == 0.5


def test_files_and_progress(tmp_path: Path) -> None:
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text("".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in QUERIES.items()))
    rows = "".join(f"{q}\t{d}\t{g}\n" for q, grades in QRELS.items() for d, g in grades.items())
    qrels.write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    told: list[tuple[str, int, int]] = []
    found = evaluate([GOOD], str(queries), qrels, progress=lambda *now: told.append(now))
    assert found.to_dict() | {"systems": 0} == evaluate([GOOD], QUERIES, QRELS).to_dict() | {"systems": 0}
    assert told == [("good", 2, 2)]


@pytest.mark.parametrize(
    ("queries", "qrels", "options", "field"),
    [
        ({"x": "text"}, QRELS, {}, "qrels"),
        ({}, QRELS, {}, "qrels"),
        (["a"], QRELS, {}, "queries"),
        ({"q1": ""}, QRELS, {}, "queries"),
        (QUERIES, [1], {}, "qrels"),
        (QUERIES, {"q1": {"a": "high"}}, {}, "qrels"),
        (QUERIES, QRELS, {"k": 20, "depth": 10}, "depth"),
        (QUERIES, QRELS, {"level": 95}, "level"),
        (QUERIES, QRELS, {"k": 0}, "k"),
    ],
)
def test_bad_input_is_named(queries: Any, qrels: Any, options: dict[str, Any], field: str) -> None:
    with pytest.raises(nf.InvalidInput) as caught:
        evaluate([GOOD], queries, qrels, **options)
    assert str(caught.value.field).startswith(field)


class Fake:
    """Searches that say what they were asked."""

    name = "fake"

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def search(self, query: str, **options: Any) -> Any:
        self.asked.append(("search", options))
        return SimpleNamespace(ids=["c", "a", "b"][: options["k"]])

    def search_many(self, queries: list[str], **options: Any) -> Any:
        self.asked.append(("search_many", options))
        return [SimpleNamespace(ids=["a", "b", "c", "d"][: options["k"]]) for _ in queries]


def test_a_reranked_run_keeps_what_was_not_reranked_behind_it_and_asks_the_first_stage_once() -> None:
    fake = Fake()
    plain, again = systems(fake, ["hybrid"], rerank="overlap", rerank_depth=3, filter={"x": 1}, label="m: ")
    assert (plain.name, again.name) == ("m: hybrid", "m: hybrid + rerank")
    assert plain.search(["t", "u"], 4) == [["a", "b", "c", "d"]] * 2
    assert again.search(["t", "u"], 4) == [["c", "a", "b", "d"]] * 2
    assert again.search(["v"], 2) == [["c", "a"]]
    assert [name for name, _ in fake.asked] == ["search_many", "search", "search", "search_many", "search"]
    assert fake.asked[1][1] == {
        "k": 3, "filter": {"x": 1}, "documents": False, "mode": "hybrid", "rerank": "overlap", "rerank_depth": 3,
    }  # fmt: skip


@pytest.mark.parametrize("modes", [[], ["dense", "dense"], ["best"]])
def test_bad_modes_are_named(modes: list[str]) -> None:
    with pytest.raises(nf.InvalidInput, match="modes"):
        systems(Fake(), modes)
