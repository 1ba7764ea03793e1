"""Options of searches and recommendations over HTTP: the same answers as the library's, the same errors, the limits kept."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from nearfield.remote import RemoteDatabase
from nearfield.serve.allowed import Allowed
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service

PATH = "/v1/collections/shelf"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with nf.open(tmp_path / "db") as database:
        made = Service(database, Limits(k=60, documents=50), recall_share=0)
        made.allowed = Allowed(["quick=overlap"])
        shelf = database.create("shelf", embedder="hash:32")
        words = ["moon", "sea", "tide", "bread", "salt", "water", "flour", "star", "sun", "wind", "rain", "snow"]
        rng = np.random.default_rng(1)
        texts = [" ".join(rng.choice(words, 5)) for _ in range(80)]
        shelf.upsert([nf.Document(f"d{i}", text, {"kind": f"k{i % 5}"}) for i, text in enumerate(texts)])
        yield made
        made.close()


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with TestClient(make(service, Keys()), "http://localhost", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def shelf(service: Service) -> nf.Collection:
    return service.database["shelf"]


@pytest.fixture
def remote(client: TestClient) -> nf.Collection:
    database = RemoteDatabase("http://localhost", None, 30)
    database._client.close()
    database._client = client  # type: ignore[assignment]
    return database["shelf"]  # type: ignore[return-value]


OPTIONS = [
    {"exclude": ["d1", "d2", "d3"]},
    {"min_score": 0.3},
    {"k": None, "min_score": 0.4},
    {"min_percentile": 90.0},
    {"percentiles": True},
    {"diversity": 0.4},
    {"group_by": "kind", "group_size": 2, "k": 3},
    {"mode": "keyword", "exclude": ["d5"]},
    {"mode": "hybrid", "diversity": 0.3},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_searches_are_the_librarys(remote: nf.Collection, shelf: nf.Collection, options: dict) -> None:
    here, there = shelf.search("moon tide", **options), remote.search("moon tide", **options)
    assert there.ids == here.ids
    assert np.allclose(there.scores, here.scores, atol=1e-5)
    assert there.complete == here.complete
    assert there.mode == here.mode
    for i, hit in enumerate(here):
        assert there[i].percentile == pytest.approx(hit.percentile)
        assert there[i].document == hit.document
    told = [
        None if found.groups is None else [(g.value, [h.id for h in g.hits]) for g in found.groups] for found in (here, there)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize("strategy", ["average", "best"])
def test_recommendations_are_the_librarys(remote: nf.Collection, shelf: nf.Collection, strategy: str) -> None:
    options = {"unlike": [nf.Text("bread and salt")], "strategy": strategy, "k": 7, "exclude": ["d9"]}
    for like in (["d1", nf.Text("moon"), shelf.embed(["tide"])[0]], "d1", nf.Text("moon"), shelf.embed(["a", "b"])):
        here, there = shelf.recommend(like, **options), remote.recommend(like, **options)
        assert there.ids == here.ids
        assert np.allclose(there.scores, here.scores, atol=1e-5)


def test_rerankers_are_those_that_the_operator_allowed(remote: nf.Collection, shelf: nf.Collection) -> None:
    here = shelf.search("moon tide", k=5, rerank="overlap", rerank_depth=20)
    there = remote.search("moon tide", k=5, rerank="quick", rerank_depth=20)
    assert there.ids == here.ids
    assert there.plan.rerank is not None
    assert here.plan.rerank is not None
    assert there.plan.rerank.reranked == here.plan.rerank.reranked == 20
    assert there[0].parts == pytest.approx(here[0].parts)
    assert there.mode == "dense"
    with pytest.raises(nf.InvalidInput, match="no such reranker"):
        remote.search("moon tide", rerank="overlap")
    with pytest.raises(nf.InvalidInput, match="cannot be sent"):
        remote.search("moon tide", rerank=object())


def test_pages_go_on_where_they_ended(remote: nf.Collection, shelf: nf.Collection) -> None:
    whole = shelf.search("moon tide", k=80).ids
    ids, token = [], None
    while True:
        page = remote.search("moon tide", k=11, pages=True, after=token)
        ids += page.ids
        token = page.next
        if token is None:
            break
    assert ids == whole
    with pytest.raises(nf.InvalidInput, match="pages=True"):
        _ = remote.search("moon tide").next


def test_a_range_is_bounded_by_the_servers_limit(client: TestClient) -> None:
    first = client.post(f"{PATH}/search", json={"query": "moon", "k": None, "min_score": -2}).json()
    assert len(first["hits"]) == 60
    assert not first["complete"]
    told = {"query": "moon", "k": None, "min_score": -2, "after": first["next"]}
    second = client.post(f"{PATH}/search", json=told).json()
    assert len(second["hits"]) == 20
    assert second["complete"]
    assert "next" not in second


def test_the_background_is_told(client: TestClient, shelf: nf.Collection, remote: nf.Collection) -> None:
    told = client.get(f"{PATH}/background").json()
    assert told == shelf.background().to_dict()
    assert remote.background() == told


@pytest.mark.parametrize(
    ("route", "body", "field"),
    [
        ("search", {"query": "moon", "exclude": [f"d{i}" for i in range(51)]}, "exclude"),
        ("search", {"query": "moon", "group_by": "kind", "group_size": 7}, "group_size"),
        ("search", {"query": "moon", "k": None}, "k"),
        ("search", {"query": "moon", "after": "x"}, "after"),
        ("search", {"query": "moon", "pages": True, "diversity": 0.5}, "after"),
        ("search", {"query": "moon", "vector": [0.0] * 32, "exclude": ["a"]}, "query"),
        ("search", {"id": "d1", "rerank": "quick"}, "rerank"),
        ("search", {"mode": "keyword", "id": "d1", "exclude": ["a"]}, "query"),
        ("search", {"query": "moon", "rerank": "quick", "rerank_depth": 2000}, "rerank_depth"),
        ("recommend", {}, "like"),
        ("recommend", {"like": [{"text": "a", "id": "d1"}]}, "like[0]"),
        ("recommend", {"like": [{"vector": [1.0]}]}, "like[0]"),
        ("recommend", {"like": ["d1"], "mode": "keyword"}, "mode"),
        ("recommend", {"like": ["d1"], "k": 100}, "k"),
        ("recommend", {"like": ["d1"] * 2000}, "like"),
    ],
)
def test_what_is_wrong_is_named(client: TestClient, route: str, body: dict, field: str) -> None:
    answer = client.post(f"{PATH}/{route}", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["field"] == field


def test_an_example_that_is_not_there_is_not_found(client: TestClient) -> None:
    answer = client.post(f"{PATH}/recommend", json={"like": ["nobody"]})
    assert answer.status_code == 404
    assert answer.json()["error"]["received"] == "nobody"


def test_deadlines_hold(client: TestClient) -> None:
    for body in ({"query": "moon", "diversity": 0.5}, {"query": "moon", "rerank": "quick"}):
        answer = client.post(f"{PATH}/search", json={**body, "timeout": 1e-7})
        assert answer.json()["error"]["code"] == "deadline_exceeded"
    answer = client.post(f"{PATH}/recommend", json={"like": ["d1"], "timeout": 1e-7})
    assert answer.json()["error"]["code"] == "deadline_exceeded"


def test_texts_that_are_liked_are_embedded_within_the_time_given(
    service: Service, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[int] = []
    slow = HashEmbedder.encode

    def encode(self: HashEmbedder, items: list[str], **more: object) -> object:
        time.sleep(0.05)
        embedded.append(len(items))
        return slow(self, items, **more)

    monkeypatch.setattr(HashEmbedder, "encode", encode)
    like = [{"text": f"{i} " * 5000} for i in range(40)]
    answer = client.post(f"{PATH}/recommend", json={"like": like, "timeout": 0.2})
    assert answer.json()["error"]["code"] == "deadline_exceeded"
    assert sum(embedded) < len(like)
