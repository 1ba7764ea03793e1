"""Documents in parts over HTTP, and by the remote collection: the same answers as in the library."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.remote.database import RemoteDatabase
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service

TEXT = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen fifteen."
NAMED = {
    "name": "named",
    "embedder": "hash:16",
    "passages": {"tokens": 8, "overlap": 2},
    "vectors": {"title": {"source": "title", "embedder": "hash:8"}, "body": {}, "look": {"embedder": None, "dim": 3}},
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[nf.Database]:
    with nf.open(tmp_path / "db") as made:
        yield made


@pytest.fixture
def client(database: nf.Database) -> Iterator[TestClient]:
    service = Service(database, Limits(), models=("hash:16", "hash:8"), recall_share=0)
    with TestClient(make(service, Keys()), "http://localhost", raise_server_exceptions=False) as found:
        plain = {"name": "c", "embedder": "hash:16", "passages": {"tokens": 8, "overlap": 2}}
        for one in (plain, NAMED):
            assert found.post("/v1/collections", json=one).status_code == 201
        documents = [{"id": "a", "text": TEXT, "metadata": {"title": "numbers"}}, {"id": "b", "text": "moon tide."}]
        for name in ("c", "named"):
            assert found.post(f"/v1/collections/{name}/documents", json={"documents": documents}).json()["added"] == 2
        yield found
    service.close()


@pytest.fixture
def remote(client: TestClient) -> RemoteDatabase:
    made = RemoteDatabase.__new__(RemoteDatabase)
    made._client = client  # type: ignore[assignment]
    return made


def test_a_hit_shows_its_passage(client: TestClient) -> None:
    answer = client.post("/v1/collections/c/search", json={"query": "thirteen", "k": 2, "passages_per_document": 2})
    assert answer.status_code == 200, answer.text
    hit = answer.json()["hits"][0]
    assert hit["id"] == "a"
    assert hit["document"]["text"] == TEXT
    assert "thirteen" in hit["passages"][0]["text"]
    assert len(hit["passages"]) == 2
    first = hit["passages"][0]
    assert TEXT[first["start"] : first["end"]] == first["text"]
    assert client.get("/v1/collections/c").json()["parts"] == {"passages": {"tokens": 8, "overlap": 2}, "vectors": {}}
    many = client.post("/v1/collections/c/search_many", json={"queries": ["thirteen", "moon"], "k": 1}).json()["results"]
    assert [r["hits"][0]["passages"][0]["number"] for r in many] == [2, 0]
    words = client.post("/v1/collections/c/search", json={"query": "thirteen", "mode": "keyword"}).json()["hits"]
    assert [len(h["passages"]) for h in words] == [1]


def test_names_are_searched_apart_and_fused(client: TestClient, database: nf.Database) -> None:
    here = database["named"]
    for on in ("title", ["title", "body"], {"title": 2.0, "body": 1.0}, None):
        told = client.post("/v1/collections/named/search", json={"query": "numbers moon", "on": on})
        assert told.status_code == 200, told.text
        hits = here.search("numbers moon", on=on)
        assert [h["id"] for h in told.json()["hits"]] == hits.ids
        assert [h["score"] for h in told.json()["hits"]] == pytest.approx(hits.scores.tolist())
    many = client.post("/v1/collections/named/search_many", json={"queries": ["moon", "ten"], "on": "body"}).json()["results"]
    assert [r["hits"][0]["id"] for r in many] == ["b", "a"]
    why = client.post("/v1/collections/named/explain", json={"query": "moon", "id": "b", "on": "body"})
    assert why.json()["rank"] == 1, why.text
    few = client.post("/v1/collections/named/search", json={"query": "moon", "on": "body", "exclude": ["b"]})
    assert [h["id"] for h in few.json()["hits"]] == ["a"], few.text
    like = client.post("/v1/collections/named/search", json={"id": "a", "on": "body"}).json()
    assert [h["id"] for h in like["hits"]] == ["b"]


def test_what_is_wrong_is_named(client: TestClient) -> None:
    for body, field in [
        ({"query": "a", "on": "other"}, "on"),
        ({"vector": [1, 2]}, "on"),
        ({"vector": [1, 2], "on": "look"}, "vector"),
        ({"query": "a", "on": {"title": 0}}, "on"),
        ({"query": "a", "passages_per_document": 0}, "passages_per_document"),
    ]:
        answer = client.post("/v1/collections/named/search", json=body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert field in answer.text
    assert client.post("/v1/collections/c/search", json={"query": "a", "on": "title"}).status_code in (400, 422)
    other = {**NAMED, "name": "other", "vectors": {"a": {"source": "t", "embedder": "hash:4"}}}
    answer = client.post("/v1/collections", json=other)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "embedder"), answer.text
    client.post("/v1/collections", json={"name": "plain", "dim": 2})
    document = {"id": "a", "parts": [{"vector": [1, 2]}]}
    answer = client.post("/v1/collections/plain/documents", json={"documents": [document]})
    assert "no parts" in answer.text


def test_the_remote_collection_does_the_same(remote: RemoteDatabase, database: nf.Database) -> None:
    there, here = remote["named"], database["named"]
    assert there.names == ("title", "body", "look")
    there.upsert([nf.Document("p", metadata={"kind": "x"}), nf.Document("q")], vectors={"look": np.eye(2, 3)})
    assert len(there) == len(here) == 4
    for options in (
        {"query": "ten eleven", "on": "body", "passages_per_document": 2},
        {"query": "numbers"},
        {"query": "ten", "mode": "keyword"},
        {"query": "ten moon", "mode": "hybrid"},
        {"vector": [1.0, 0, 0], "on": "look"},
        {"vector": {"look": [1.0, 0, 0]}},
        {"id": "a"},
    ):
        told, hits = there.search(**options), here.search(**options)  # type: ignore[arg-type]
        assert told.ids == hits.ids
        assert told.mode == hits.mode
        for one, other in zip(told, hits, strict=True):
            assert one.document == other.document
            assert [(p.text, p.name, p.start) for p in one.passages] == [(p.text, p.name, p.start) for p in other.passages]
    assert [h.ids for h in there.search_many(np.eye(3), on="look")] == [h.ids for h in here.search_many(np.eye(3), on="look")]
    document = there.get("a", vectors=True)
    assert [(p.name, p.start, p.end) for p in document.parts] == [
        (p.name, p.start, p.end) for p in here.get("a", vectors=True).parts
    ]
    again = remote.create("again", embedder="hash:16", passages=nf.Passages(8, 2), vectors={"body": nf.VectorField(dim=16)})
    again.upsert(nf.Document("a", TEXT, parts=tuple(p for p in document.parts if p.name == "body")))
    assert again.search("thirteen")[0].passage.number == 2  # type: ignore[union-attr]


def test_many_searches_by_name_end_when_their_time_does(client: TestClient) -> None:
    told = {"queries": ["moon"] * 1000, "on": ["title", "body"], "timeout": 1e-6}
    answer = client.post("/v1/collections/named/search_many", json=told)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    whole = client.post(
        "/v1/collections/named/search_many", json={"queries": ["moon", "ten"] * 20, "on": "body", "k": 1}
    ).json()
    assert [hits["hits"][0]["id"] for hits in whole["results"]] == ["b", "a"] * 20
