"""Keyword search against BM25 written out over a dict: after any history of writes, seals, merges, deletes and reopening."""

import math
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.engine import keyword as engine_keyword

WORDS = ["tide", "moon", "sea", "river", "bank", "loan", "money", "water", "boat", "sail", "wind", "storm", "calm", "deep"]
HAN = ["天气", "预报", "明天", "下雨", "大海", "月亮"]


class Model:
    """A dict of documents and BM25 by its formula, one text at a time."""

    def __init__(self) -> None:
        self.documents: dict[str, nf.Document] = {}

    def tokens(self, text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    def scores(self, query: Sequence[str], allowed: Any = lambda d: True) -> dict[str, float]:
        texts = {i: Counter(self.tokens(d.text)) for i, d in self.documents.items() if d.text is not None}
        lengths = {i: sum(c.values()) for i, c in texts.items()}
        texts = {i: c for i, c in texts.items() if lengths[i]}
        n, average = len(texts), sum(lengths.values()) / max(1, len(texts))
        out: dict[str, float] = {}
        for word in dict.fromkeys(query):
            df = sum(word in c for c in texts.values())
            idf = math.log(1 + max(0.0, n - df + 0.5) / (df + 0.5))
            for i, c in texts.items():
                if word in c and allowed(self.documents[i]):
                    tf = c[word]
                    out[i] = out.get(i, 0.0) + idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * lengths[i] / average))
        return out


def same(hits: nf.Hits, expected: dict[str, float], k: int) -> None:
    assert len(hits) == min(k, len(expected))
    best = sorted(expected.values(), reverse=True)[:k]
    assert hits.scores.tolist() == pytest.approx(best, rel=1e-4)
    for hit in hits:
        assert hit.score == pytest.approx(expected[hit.id], rel=1e-4)
        assert hit.parts == {"keyword": hit.score}


@pytest.mark.parametrize("seed", range(4))
def test_any_history_ends_in_the_same_scores(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, model = random.Random(seed), Model()
    if seed == 3:
        monkeypatch.setattr(engine_keyword, "KEPT_BYTES", 2000)
    db = nf.open(tmp_path)
    collection = db.create("c", embedder=None, dim=2, keyword="plain")

    def check() -> None:
        query = rng.sample(WORDS, 3)
        k = rng.choice([1, 5, 100])
        same(collection.search(" ".join(query), mode="keyword", k=k), model.scores(query), k)
        expected = model.scores(query, lambda d: d.metadata["n"] < 3)
        same(collection.search(" ".join(query), mode="keyword", k=k, filter={"n": {"$lt": 3}}), expected, k)

    def document() -> nf.Document:
        text = None if rng.random() < 0.1 else " ".join(rng.choices(WORDS, k=rng.randrange(12)))
        return nf.Document(str(rng.randrange(300)), text or None, {"n": rng.randrange(6)})

    for _ in range(60):
        move = rng.choice(["put", "put", "put", "delete", "update", "filter", "load", "optimize", "reopen", "search"])
        if move == "put":
            batch = {d.id: d for d in (document() for _ in range(rng.randrange(1, 30)))}
            collection.upsert(list(batch.values()), vectors=np.ones((len(batch), 2), np.float32))
            model.documents |= batch
        elif move == "delete" and model.documents:
            gone = rng.sample(sorted(model.documents), min(5, len(model.documents)))
            collection.delete(gone)
            model.documents = {i: d for i, d in model.documents.items() if i not in gone}
        elif move == "update" and model.documents:
            one = rng.choice(sorted(model.documents))
            old = model.documents[one]
            collection.update(one, metadata={"n": 1})
            model.documents[one] = nf.Document(one, old.text, {"n": 1})
        elif move == "filter":
            collection.delete(filter={"n": 5})
            model.documents = {i: d for i, d in model.documents.items() if d.metadata["n"] != 5}
        elif move == "load":
            batch = {d.id: d for d in (document() for _ in range(40))}
            monkeypatch.setattr("nearfield.intake.BULK", 20)
            collection.load(
                ids=list(batch), vectors=np.ones((len(batch), 2), np.float32), texts=[d.text for d in batch.values()],
                metadata=[dict(d.metadata) for d in batch.values()],
            )  # fmt: skip
            model.documents |= batch
        elif move == "optimize":
            collection.optimize()
        elif move == "reopen":
            db.close()
            db = nf.open(tmp_path)
            collection = db["c"]
        check()
    report = collection.verify()
    assert report.ok, report.problems
    db.close()


def test_both_ways_of_summing_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    found = [
        engine_keyword.Kept(np.sort(rng.choice(4000, many, replace=False)), rng.integers(1, 5, many).astype(np.int32), 4000)
        for many in (300, 3000, 20)
    ]
    assert [kept.common for kept in found] == [True, True, False]
    tokens = rng.integers(1, 30, 4000).astype(np.int32)
    weights = [1.0, 0.5, 2.0]
    nowhere, scores = engine_keyword._sum(found, weights, tokens, 15.0)
    assert nowhere is None
    monkeypatch.setattr(engine_keyword, "SPARSE", 0)
    monkeypatch.setattr(engine_keyword, "COMMON", 0)
    apart = [engine_keyword.Kept(kept.positions, kept.counts, 4000) for kept in found]
    positions, values = engine_keyword._sum(apart, weights, tokens, 15.0)
    assert positions is not None
    assert np.array_equal(positions, np.flatnonzero(scores))
    assert np.allclose(values, scores[positions], rtol=1e-6)


@pytest.mark.parametrize("k", [1, 10, 100, 5000])
def test_the_best_are_those_of_a_full_sort(k: int) -> None:
    rng = np.random.default_rng(6)
    scores = np.round(rng.random(3000, np.float32), 2)
    scores[rng.random(3000) < 0.5] = 0
    mask = rng.random(3000) < 0.7
    every = engine_keyword.Scored(None, None, scores, mask)  # type: ignore[arg-type]
    some = engine_keyword.Scored(None, np.flatnonzero(scores), scores[scores > 0], mask)  # type: ignore[arg-type]
    there = [i for i in np.argsort(-scores, kind="stable").tolist() if mask[i] and scores[i] > 0][:k]
    for one in (every, some):
        values, positions = one.best(k)
        assert positions.tolist() == there
        assert np.array_equal(values, scores[there])
        assert one.matched == int(np.count_nonzero(mask & (scores > 0)))


@pytest.fixture
def small(tmp_path: Path) -> Any:
    with nf.open(tmp_path) as db:
        collection = db.create("c", embedder="hash:64")
        collection.upsert(
            [
                nf.Document("moon", "Moons and the tides of the sea"),
                nf.Document("tables", "Tide tables for Ürgüp", {"year": 1999}),
                nf.Document("weather", "天气预报说明天下雨"),
                nf.Document("sea", "月亮和大海"),
                nf.Document("maths", 'non-linear regression, "quoted" things'),
                nf.Document("kanji", "東京に行くカメラ"),
                nf.Document("hangul", "검색 엔진은 빠르다"),
            ]
        )
        yield collection


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tides", {"moon", "tables"}),
        ("TIDE", {"moon", "tables"}),
        ("urgup", {"tables"}),
        ("天气", {"weather"}),
        ("明天下雨", {"weather"}),
        ("雨", {"weather"}),
        ("天", {"weather"}),
        ("大海", {"sea"}),
        ("カメラ", {"kanji"}),
        ("東京", {"kanji"}),
        ("엔진", {"hangul"}),
        ('"tide tables"', {"tables"}),
        ('"tables tide"', set()),
        ("“tides of the sea”", {"moon"}),
        ('"预报说"', {"weather"}),
        ('"报预"', set()),
        ("regr*", {"maths"}),
        ("linear", {"maths"}),
        ("non-linear", {"maths"}),
        ("quoted", {"maths"}),
        ('"', set()),
        ("*", set()),
        ("AND OR NOT NEAR(", {"moon"}),
        ("nothing here", set()),
        ("text:tide) OR (", {"moon", "tables"}),
    ],
)
def test_words_phrases_and_beginnings(small: nf.Collection, query: str, found: set[str]) -> None:
    assert set(small.search(query, mode="keyword").ids) == found


def test_sealed_documents_are_found_by_the_same_words(small: nf.Collection) -> None:
    before = {q: small.search(q, mode="keyword").scores.tolist() for q in ("tides", "天气", '"tide tables"', "regr*")}
    small.optimize()
    assert {q: small.search(q, mode="keyword").scores.tolist() for q in before} == before


def test_the_plan_says_what_was_looked_for(small: nf.Collection) -> None:
    hits = small.search('tides "tide tables"', mode="keyword", filter={"year": 1999})
    assert hits.ids == ["tables"]
    assert hits.mode == "keyword"
    assert hits.plan.keyword is not None
    assert hits.plan.keyword.terms == ("tides", "tide tables")
    assert hits.plan.keyword.matched == 1
    with pytest.raises(nf.InvalidInput, match="compares no vectors"):
        _ = hits[0].distance


def test_a_collection_without_a_keyword_index_names_the_remedy(tmp_path: Path) -> None:
    with nf.open(tmp_path) as db:
        collection = db.create("c", embedder="hash", keyword=None)
        collection.upsert(nf.Document("a", "tides"))
        with pytest.raises(nf.InvalidInput, match=r"rebuild\(keyword=True\)"):
            collection.search("tides", mode="keyword")
        collection.rebuild(keyword=True)
        assert collection.search("tide", mode="keyword").ids == ["a"]


def test_readers_beside_a_writer_see_what_they_refreshed_to(small: nf.Collection, tmp_path: Path) -> None:
    with nf.open(tmp_path, read_only=True) as other:
        seen = other["c"]
        assert seen.search("tides", mode="keyword").ids == small.search("tides", mode="keyword").ids
        small.upsert(nf.Document("new", "tides tides"))
        small.delete("moon")
        assert "new" not in seen.search("tides", mode="keyword").ids
        seen.refresh()
        assert set(seen.search("tides", mode="keyword").ids) == {"tables", "new"}
        small.rebuild(keyword="plain")
        assert set(seen.search("tides", mode="keyword").ids) == {"new"}


def test_purging_leaves_no_word_of_what_was_deleted(small: nf.Collection, tmp_path: Path) -> None:
    small.upsert(nf.Document("secret", "xylophonist"))
    small.optimize()
    small.delete("secret")
    small.optimize(purge=True)
    left = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"lophonist" not in left


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('"天气，预报"', ["comma"]),
        ('"手机iPhone"', ["mixed"]),
        ('"iPhone 很贵"', ["mixed"]),
        ('"今天天"', ["comma"]),
        ('"说：下"', ["comma"]),
        ('"贵 下雨"', []),
        ('"天气！"', ["comma"]),
    ],
)
def test_phrases_go_over_commas_and_from_script_to_script(tmp_path: Path, query: str, found: list[str]) -> None:
    with nf.open(tmp_path) as db:
        made = db.create("c", embedder="hash")
        made.upsert([nf.Document("comma", "今天天气，预报说：下雨"), nf.Document("mixed", "买手机iPhone 很贵，不下雨")])
        assert made.search(query, mode="keyword").ids == found


def test_nul_in_a_query_is_a_blank(small: nf.Collection) -> None:
    assert small.search('"tide\0tables"', mode="keyword").ids == small.search('"tide tables"', mode="keyword").ids == ["tables"]
    assert small.search("tide\0", mode="keyword").ids == small.search("tide", mode="keyword").ids


def test_a_star_is_of_its_own_word(tmp_path: Path) -> None:
    with nf.open(tmp_path) as db:
        made = db.create("c", embedder="hash", keyword="plain")
        made.upsert([nf.Document("cat", "cat"), nf.Document("catalog", "catalog"), nf.Document("concat", "concatenate")])
        assert sorted(made.search("cat concat*", mode="keyword").ids) == ["cat", "concat"]
        assert sorted(made.search("concat* cat*", mode="keyword").ids) == ["cat", "catalog", "concat"]


@pytest.mark.parametrize("query", [" ".join(f"w{i}" for i in range(20_000)), " ".join(f"w{i}*" for i in range(20_000))])
def test_a_query_of_very_many_words_ends_in_its_time(small: nf.Collection, query: str) -> None:
    with pytest.raises(nf.DeadlineExceeded):
        small.search(query, mode="keyword", timeout=0.02)
    assert small.search("tides", mode="keyword").ids


def test_bad_modes_are_named(small: nf.Collection) -> None:
    with pytest.raises(nf.InvalidInput, match="mode"):
        small.search("x", mode="fuzzy")
    with pytest.raises(nf.InvalidInput, match="by text"):
        small.search(id="moon", mode="keyword")
    with pytest.raises(nf.InvalidInput, match="by text"):
        small.search(vector=np.ones(64), mode="keyword")
    with pytest.raises(nf.InvalidInput, match="weight"):
        small.search("x", mode="hybrid", fusion=nf.Fusion(weight=2))
