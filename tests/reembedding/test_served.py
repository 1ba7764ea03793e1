"""Over HTTP: a job that embeds anew while the server is asked, by a model that the operator allows; and back."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.serve.service import Service
from tests.reembedding.worlds import documents, text_of
from tests.serve.conftest import books as books
from tests.serve.conftest import client as client
from tests.serve.conftest import service as service
from tests.serve.running import running


def ended(client: Any, job: Any) -> dict[str, Any]:
    assert job.status_code == 202, job.text
    end = time.monotonic() + 60
    while True:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job.json()['id']}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def shelf(client: TestClient, service: Service) -> TestClient:
    """A collection of another model than the one that the server allows."""
    service.database.create("shelf", embedder="hash:24").upsert(documents(100))
    return client


def test_a_job_switches_and_another_goes_back(shelf: TestClient) -> None:
    asked = {"embedder": "hash:32", "queries": {"q": text_of(5)}, "qrels": {"q": {"d5": 1}}}
    done = ended(shelf, shelf.post("/v1/collections/shelf/reembed", json=asked))
    assert done["state"] == "done", done
    assert (done["kind"], done["result"]["switched"], done["result"]["overlap"]["queries"]) == ("reembed", True, 1)
    assert shelf.get("/v1/collections/shelf").json()["embedder"] == "hash:32"
    assert shelf.post("/v1/collections/shelf/search", json={"query": text_of(5), "k": 1}).json()["hits"][0]["id"] == "d5"
    (kept,) = shelf.get("/v1/collections/shelf/stats").json()["generations"]
    assert "path" not in kept
    assert "kept" not in done["result"], "where a server keeps its files is nobody's business"
    assert (kept["state"], kept["model"]) == ("old", "hash:24")
    back = ended(shelf, shelf.post("/v1/collections/shelf/reembed/undo", json={}))
    assert back["result"]["model"] == "hash:24"
    assert shelf.get("/v1/collections/shelf").json()["dim"] == 24
    assert shelf.delete("/v1/collections/shelf/reembed").json() == {"removed": True}
    assert ended(shelf, shelf.post("/v1/collections/shelf/reembed/undo", json={}))["error"]["code"] == "not_found"


def test_only_models_that_the_operator_allows(shelf: TestClient) -> None:
    for name in ("hash:48", "/etc/passwd", "openai:http://localhost#m"):
        refused = shelf.post("/v1/collections/shelf/reembed", json={"embedder": name})
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, "embedder")
    assert shelf.post("/v1/collections/nowhere/reembed", json={"embedder": "hash:32"}).status_code == 404


def test_searches_and_min_commit_hold_through_a_switch(shelf: TestClient, service: Service) -> None:
    stop, problems = threading.Event(), []

    def ask(n: int) -> None:
        while not stop.is_set():
            body = {"query": text_of(n), "k": 3, "mode": ("dense", "hybrid")[n % 2]}
            found = shelf.post("/v1/collections/shelf/search", json=body)
            if found.status_code != 200 or (n % 2 == 0 and found.json()["hits"][0]["id"] != f"d{n}"):
                problems.append(found.text)
            new = {"documents": [{"id": f"n{n}", "text": f"new {n}"}]}
            commit = shelf.post("/v1/collections/shelf/documents", json=new).json()["commit"]
            seen = shelf.post("/v1/collections/shelf/search", json={**body, "min_commit": commit})
            if seen.status_code != 200:
                problems.append(seen.text)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            done = ended(shelf, shelf.post("/v1/collections/shelf/reembed", json={"embedder": "hash:32", "queries": ["moon"]}))
            assert done["state"] == "done", done
            assert ended(shelf, shelf.post("/v1/collections/shelf/reembed/undo", json={}))["state"] == "done"
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert not problems, problems[:3]
    assert len(service.database["shelf"]) == 104


def test_embeddings_by_a_model_that_a_collection_had(shelf: TestClient) -> None:
    asked = {"model": "hash:24", "input": ["moon"]}
    before = shelf.post("/v1/embeddings", json=asked).json()["data"][0]["embedding"]
    ended(shelf, shelf.post("/v1/collections/shelf/reembed", json={"embedder": "hash:32"}))
    assert shelf.post("/v1/embeddings", json=asked).json()["data"][0]["embedding"] == before


@pytest.mark.slow
def test_workers_and_a_client_see_the_switch(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        db.create("shelf", embedder="hash:24").upsert(documents(100))
    with running(tmp_path / "db", "--workers", "2", "--model", "hash:32") as server:
        server.until_ready()
        with nf.connect(server.url) as remote:
            said: list[str] = []
            report = remote.reembed("shelf", "hash:32", queries=["moon"], progress=said.append)
            assert report["switched"]
            assert said
            commit = remote["shelf"].upsert([nf.Document("new", "quite new")]).commit
            with server.client() as client:
                body = {"query": "quite new", "k": 1, "min_commit": commit}
                for _ in range(20):
                    found = client.post("/v1/collections/shelf/search", json=body)
                    assert found.json()["hits"][0]["id"] == "new", found.text
            assert remote.generations("shelf")[0]["model"] == "hash:24"
            assert remote.undo_reembed("shelf")["model"] == "hash:24"
            assert remote["shelf"].search("quite new", k=1).ids == ["new"]
            assert remote.forget_generation("shelf")
            with pytest.raises(nf.NotFound):
                remote.undo_reembed("shelf")
            with pytest.raises(nf.InvalidInput):
                remote.reembed("shelf", "hash:99")
