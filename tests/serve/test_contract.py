"""One contract, two collections: in this process, and behind the API. What one answers or refuses the other does too."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.remote import RemoteDatabase
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.service import Service

X = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32)


@pytest.fixture(params=["local", "remote"])
def database(request: pytest.FixtureRequest, service: Service) -> Iterator[Any]:
    if request.param == "local":
        yield service.database
        return
    with TestClient(make(service, Keys()), "http://localhost", raise_server_exceptions=False) as client:
        made = RemoteDatabase("http://localhost", None, 30)
        made._client.close()
        made._client = client
        yield made


@pytest.fixture
def mine(database: Any) -> Any:
    c = database.create("mine", embedder=None, dim=8, metric="l2", recall=0.9)
    documents = [nf.Document(f"d/{i}?", f"text {i}", {"n": i, "odd": bool(i % 2)}) for i in range(50)]
    assert c.upsert(documents, X).added == 50
    return c


def test_it_says_what_it_is(database: Any, mine: Any) -> None:
    assert database.list() == ["mine"]
    assert "mine" in database
    assert "other" not in database
    found = database["mine"]
    assert (found.name, found.dim, found.metric.value, found.recall, found.embedder) == ("mine", 8, "l2", 0.9, None)
    assert len(found) == 50
    assert found.commit == mine.commit > 0


def test_searches_agree_with_brute_force(mine: Any) -> None:
    query = X[7] + 0.01
    order = np.argsort(((X - query) ** 2).sum(1), kind="stable")
    hits = mine.search(vector=query, k=5)
    assert hits.ids == [f"d/{i}?" for i in order[:5]]
    assert np.allclose(hits.scores, -((X[order[:5]] - query) ** 2).sum(1), atol=1e-4)
    assert hits.complete
    assert hits[0].document.metadata == {"n": 7, "odd": True}
    assert hits[0].distance == pytest.approx(-hits[0].score)
    odd = [i for i in order if i % 2]
    assert mine.search(vector=query, k=5, filter={"odd": True}, offset=2).ids == [f"d/{i}?" for i in odd[2:7]]
    assert mine.search(id="d/7?", k=1).ids == [f"d/{order[1] if order[0] == 7 else order[0]}?"]
    assert mine.search(vector=query, k=3, documents=False)[0].document is None
    assert np.allclose(mine.search(vector=query, k=1, vectors=True)[0].document.vector, X[7], atol=1e-5)
    assert [h.ids for h in mine.search_many(X[:3], k=1)] == [["d/0?"], ["d/1?"], ["d/2?"]]
    assert mine.search_many([]) == []
    assert sum(step.allowed for step in hits.plan.segments) == 50


def test_documents_come_back_as_they_went_in(mine: Any) -> None:
    assert mine.get("d/3?").metadata == {"n": 3, "odd": True}
    assert np.allclose(mine.get("d/3?", vectors=True).vector, X[3], atol=1e-5)
    assert [d and d.id for d in mine.get(["d/1?", "nothing"])] == ["d/1?", None]
    assert mine.get("d/3?", fields=["n"]).metadata == {"n": 3}
    assert "d/3?" in mine
    assert "nothing" not in mine
    assert mine.count() == 50
    assert mine.count({"n": {"$lt": 10}}) == 10
    assert sorted(d.metadata["n"] for d in mine.scan(filter={"odd": True})) == list(range(1, 50, 2))
    assert mine.update("d/3?", metadata={"new": None}, remove=["odd"]).replaced == 1
    assert mine.get("d/3?").metadata == {"n": 3, "new": None}
    assert mine.delete("d/3?").deleted == 1
    assert mine.delete(filter={"n": {"$gte": 40}}).deleted == 10
    assert len(mine) == 39


def test_upserts_are_idempotent_and_if_exists_is_kept(mine: Any) -> None:
    one = nf.Document("d/0?", "text 0", {"n": 0, "odd": False})
    assert mine.upsert(one, X[:1]).replaced == 1
    assert mine.upsert(one, X[:1], if_exists="skip").skipped == 1
    with pytest.raises(nf.AlreadyExists):
        mine.upsert(one, X[:1], if_exists="error")
    assert len(mine) == 50


def plain(found: Any) -> Any:
    """A report of the library as JSON values, which is what a server's is."""
    return found if isinstance(found, dict) else json.loads(json.dumps(found.to_dict()))


def test_pins_and_reports_are_the_same(database: Any, mine: Any, service: Service) -> None:
    from nearfield.maintain import tasks

    tasks.seal(service.database["mine"]._engine)
    assert mine.pin("cold") is None
    stats = plain(mine.stats())
    assert stats == plain(service.database["mine"].stats())
    assert (stats["pin"], [s["tier"] for s in stats["segments"]]) == ("cold", ["cold"])
    assert mine.search(vector=X[0], k=1).plan.tiers == ("cold",)
    tiers = plain(database.tiers())
    assert tiers == plain(service.database.tiers())
    assert tiers["segments"] == {"mine": {"hot": 0, "warm": 0, "cold": 1}}
    mine.pin(None)
    assert plain(mine.stats())["segments"][0]["tier"] == "warm"
    for wrong in ("hot", "lukewarm", 3):
        with pytest.raises(nf.InvalidInput):
            mine.pin(wrong)


def test_both_refuse_the_same(database: Any, mine: Any) -> None:
    for wrong, error in (
        (lambda: database["nothing"], nf.NotFound),
        (lambda: database.create("mine", embedder=None, dim=8), nf.AlreadyExists),
        (lambda: mine.get("nothing"), nf.NotFound),
        (lambda: mine.search(vector=X[0], k=0), nf.InvalidInput),
        (lambda: mine.search(vector=X[0, :3]), nf.DimensionMismatch),
        (lambda: mine.search(vector=X[0] * np.nan), nf.InvalidInput),
        (lambda: mine.search(vector=X[0], recall=1.5), nf.InvalidInput),
        (lambda: mine.search(vector=X[0], filter={"n": {"$near": 1}}), nf.FilterError),
        (lambda: mine.search(), nf.InvalidInput),
        (lambda: mine.search(id="nothing"), nf.NotFound),
        (lambda: mine.upsert(nf.Document("x"), X[:1, :3]), nf.DimensionMismatch),
        (lambda: mine.upsert(nf.Document(""), X[:1]), nf.InvalidInput),
        (lambda: mine.update("nothing", metadata={}), nf.NotFound),
        (lambda: mine.delete(), nf.InvalidInput),
    ):
        with pytest.raises(error):
            wrong()
    assert len(mine) == 50


def test_searches_by_words_and_by_both(mine: Any) -> None:
    hits = mine.search("text 7", mode="keyword", k=3)
    assert hits.ids[0] == "d/7?"
    assert hits.mode == "keyword"
    assert hits[0].parts == {"keyword": pytest.approx(hits[0].score)}
    assert hits.plan.keyword.terms == ("text", "7")
    assert hits.plan.keyword.matched == 50
    odd = mine.search("text", mode="keyword", k=100, filter={"odd": True})
    assert len(odd) == 25
    both = mine.search("text 7", vector=X[3], mode="hybrid", k=4, fusion=nf.Fusion("scores", 0.5, depth=20))
    assert set(both.ids[:2]) == {"d/7?", "d/3?"}
    assert (both.plan.keyword.fusion, both.plan.keyword.weight, both.plan.keyword.depth) == ("scores", 0.5, 20)
    assert set(both[0].parts) == {"dense", "keyword"}
    many = mine.search_many(["text 7", "text 9"], mode="keyword", k=1)
    assert [h.ids for h in many] == [["d/7?"], ["d/9?"]]


def test_searches_by_words_are_refused_alike(mine: Any) -> None:
    for wrong in ({"vector": X[0], "mode": "keyword"}, {"id": "d/3?", "mode": "keyword"}):
        with pytest.raises(nf.InvalidInput, match="by text"):
            mine.search(**wrong)
    with pytest.raises(nf.InvalidInput):
        mine.search("text", mode="fuzzy")
    with pytest.raises(nf.InvalidInput, match="embedder"):
        mine.search("text", mode="hybrid")


def test_collections_may_do_without_words(database: Any) -> None:
    plain = database.create("plain", embedder="hash:32", keyword=None)
    plain.upsert(nf.Document("a", "tides"))
    with pytest.raises(nf.InvalidInput, match="no keyword index"):
        plain.search("tides", mode="keyword")
    assert plain.search("tides", k=1).ids == ["a"]
    english = database.create("english", embedder="hash:32")
    english.upsert(nf.Document("a", "tides"))
    assert english.search("tide", mode="hybrid", k=1).ids == ["a"]
