"""The API over HTTP: what goes in comes out as the library says, and every refusal has one documented shape."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.serve.app import SECURITY, make
from nearfield.serve.failures import CODES
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.logs import SlowQueries
from nearfield.serve.routes import ALL
from nearfield.serve.service import Service
from nearfield.serve.telemetry import STAGES

READ, WRITE = "r" * 24, "w" * 24


def failed(answer: Any, code: str) -> dict[str, Any]:
    """The error of an answer, which must be of this code and status."""
    assert answer.status_code == CODES[code].status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


def test_search_says_what_the_library_says(books: TestClient, service: Service) -> None:
    answer = books.post("/v1/collections/books/search", json={"query": "sea and moon", "k": 2}).json()
    hits = service.database["books"].search("sea and moon", k=2)
    assert [h["id"] for h in answer["hits"]] == hits.ids
    assert np.allclose([h["score"] for h in answer["hits"]], hits.scores)
    assert answer["hits"][0]["document"]["text"] == hits[0].document.text  # type: ignore[union-attr]
    assert answer["complete"] is True
    assert answer["plan"]["segments"][0]["method"] == "exact"
    assert set(answer["took"]) == {"read", "embed", "search"}


def test_search_by_vector_in_both_forms_and_by_document(books: TestClient, service: Service) -> None:
    x = np.random.default_rng(0).standard_normal(32).astype(np.float32)
    wanted = service.database["books"].search(vector=x).ids
    for vector in (x.tolist(), base64.b64encode(x.tobytes()).decode()):
        answer = books.post("/v1/collections/books/search", json={"vector": vector, "vectors": "base64"}).json()
        assert [h["id"] for h in answer["hits"]] == wanted
        assert len(base64.b64decode(answer["hits"][0]["document"]["vector"])) == 4 * 32
    like = books.post("/v1/collections/books/search", json={"id": "sea", "k": 5}).json()
    assert [h["id"] for h in like["hits"]] == service.database["books"].search(id="sea", k=5).ids


def test_search_many_and_filters_and_fields(books: TestClient) -> None:
    told = {"queries": ["sea", "bread"], "k": 1, "filter": {"year": {"$gte": 2000}}, "fields": []}
    answer = books.post("/v1/collections/books/search_many", json=told).json()
    assert [r["hits"][0]["id"] for r in answer["results"]] == ["moon", "a/b?c"]
    assert answer["results"][0]["hits"][0]["document"]["metadata"] == {}
    assert books.post("/v1/collections/books/search_many", json={"vectors_in": [[0.5] * 32]}).json()["results"][0]["hits"]


def test_documents_are_got_updated_counted_scanned_and_deleted(books: TestClient) -> None:
    here = "/v1/collections/books"
    assert books.get(f"{here}/documents/a%2Fb%3Fc").json()["text"].startswith("flour")
    assert len(books.get(f"{here}/documents/sea?vectors=true").json()["vector"]) == 32
    failed(books.get(f"{here}/documents/nowhere"), "not_found")
    assert books.post(f"{here}/documents/sea", json={"metadata": {"read": True}, "remove": ["year"]}).json()["replaced"] == 1
    assert books.get(f"{here}/documents/sea").json()["metadata"] == {"read": True}
    assert books.post(f"{here}/count", json={"filter": {"year": {"$exists": True}}}).json() == {"count": 2}
    got = books.post(f"{here}/get", json={"ids": ["moon", "nowhere"]}).json()["documents"]
    assert (got[0]["id"], got[1]) == ("moon", None)
    lines = books.post(f"{here}/scan", json={}).text.splitlines()
    assert sorted(json.loads(line)["id"] for line in lines) == ["a/b?c", "moon", "sea"]
    assert len(books.post(f"{here}/scan", json={"limit": 2}).text.splitlines()) == 2
    assert books.post(f"{here}/delete", json={"filter": {"year": 2005}}).json()["deleted"] == 1
    assert books.delete(f"{here}/documents/sea").json()["deleted"] == 1
    assert books.post(f"{here}/count", json={}).json() == {"count": 1}


def test_a_stream_of_lines_names_the_bad_ones_and_writes_the_others(books: TestClient) -> None:
    lines = [
        b'{"id": "one", "text": "first"}',
        b'{"id": "two", "txt": "typo"}',
        b"not json",
        b"",
        b'{"id": "", "text": "no id"}',
        b'{"id": "three", "text": "again"}',
        b'{"id": "three", "text": "the last one wins"}',
    ]
    kind = {"content-type": "application/x-ndjson"}
    answer = books.post("/v1/collections/books/documents", content=b"\n".join(lines), headers=kind).json()
    assert (answer["added"], answer["replaced"], answer["failed"]) == (2, 1, 3)
    assert {e["line"]: e["error"]["code"] for e in answer["errors"]} == {2: "invalid_input", 3: "malformed", 5: "invalid_input"}
    assert books.get("/v1/collections/books/documents/three").json()["text"] == "the last one wins"


def test_a_stream_of_arrow_batches(client: TestClient, service: Service) -> None:
    client.post("/v1/collections", json={"name": "c", "dim": 8})
    x = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    table = pa.table(
        {
            "id": [f"d{i}" for i in range(300)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 8),
            "year": list(range(300)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    raw, kind = sink.getvalue().to_pybytes(), {"content-type": "application/vnd.apache.arrow.stream"}
    assert client.post("/v1/collections/c/documents", content=raw, headers=kind).json()["added"] == 300
    hits = service.database["c"].search(vector=x[7], k=1, filter={"year": 7})
    assert hits.ids == ["d7"]
    for bad in (b"junk", b"", raw[: len(raw) // 2], raw[:8] + b"\xff" * 40):
        failed(client.post("/v1/collections/c/documents", content=bad, headers=kind), "invalid_input")


def test_collections_are_made_listed_aliased_and_dropped(client: TestClient) -> None:
    made = client.post("/v1/collections", json={"name": "c", "dim": 8, "index": {"kind": "hnsw", "links": 16}, "recall": 0.9})
    assert made.status_code == 201
    assert made.json()["recall"] == 0.9
    failed(client.post("/v1/collections", json={"name": "c", "dim": 8}), "already_exists")
    assert client.post("/v1/collections/c/aliases", json={"alias": "other"}).json()["aliases"] == ["other"]
    assert client.get("/v1/collections/other").json()["name"] == "c"
    failed(client.delete("/v1/collections/other"), "not_found")
    assert client.delete("/v1/aliases/other").status_code == 204
    assert [c["name"] for c in client.get("/v1/collections").json()["collections"]] == ["c"]
    assert client.get("/v1/collections/c/stats").json()["documents"] == 0
    assert client.delete("/v1/collections/c").status_code == 204
    failed(client.get("/v1/collections/c"), "not_found")


def test_a_request_loads_no_model_that_was_not_allowed(client: TestClient) -> None:
    for name in ("/etc/passwd", "../x", "openai:http://127.0.0.1:1/v1#m", "sentence-transformers/all-mpnet-base-v2"):
        error = failed(client.post("/v1/collections", json={"name": "c", "embedder": name}), "invalid_input")
        assert error["field"] == "embedder"
        failed(client.post("/v1/embeddings", json={"input": "x", "model": name}), "not_found")


def test_jobs_run_and_tell(books: TestClient) -> None:
    job = books.post("/v1/collections/books/optimize", json={})
    assert job.status_code == 202
    for _ in range(500):
        found = books.get(f"/v1/jobs/{job.json()['id']}").json()
        if found["state"] in ("done", "failed"):
            break
        time.sleep(0.02)
    assert found["state"] == "done", found
    failed(books.get("/v1/jobs/nowhere"), "not_found")
    failed(books.post("/v1/collections/books/rebuild", json={"index": {"kind": "hnsw", "links": -1}}), "invalid_input")
    for name in ("../out", "/tmp/x", "a/b", ""):
        failed(books.post("/v1/collections/books/backup", json={"name": name}), "invalid_input")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"query": "x", "k": 0}, "k"),
        ({"query": "x", "k": 10**9}, "k"),
        ({"query": "x", "recal": 0.9}, "recal"),
        ({"query": "x", "recall": 2}, "recall"),
        ({"query": "x", "vector": [1.0]}, "query"),
        ({}, "query"),
        ({"vector": "***"}, "vector"),
        ({"vector": ["a"]}, "vector[0]"),
        ({"vector": [float(i) for i in range(31)]}, "vector"),
        ({"query": "x" * 200_000}, "query"),
        ({"query": "x", "filter": {"year": {"$near": 1}}}, "year"),
        ({"query": "x", "timeout": "soon"}, "timeout"),
        ({"query": "x", "min_commit": 10**9}, "min_commit"),
    ],
)
def test_bad_searches_name_the_field(books: TestClient, body: dict[str, Any], field: str) -> None:
    answer = books.post("/v1/collections/books/search", json=body)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert field in (error.get("field") or "") or field in error["message"], error
    assert error["remedy"]


def test_what_is_not_json_or_no_route_is_refused_in_the_same_shape(books: TestClient) -> None:
    here = "/v1/collections/books/search"
    kind = {"content-type": "application/json"}
    failed(books.post(here, content=b"{", headers=kind), "malformed")
    failed(books.post(here, content=b"\xff\xfe", headers=kind), "malformed")
    assert books.post(here, content=b"[" * 100_000, headers=kind).status_code == 400
    failed(books.post(here, content=b"{}", headers={"content-type": "text/xml"}), "unsupported_media_type")
    failed(books.get("/v2/nothing"), "no_route")
    failed(books.delete(here), "method_not_allowed")


def test_a_body_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as database:
        service = Service(database, Limits(query=1000, line=500), models=(), recall_share=0)
        database.create("c", embedder=None, dim=4)
        with TestClient(make(service, Keys()), "http://localhost") as client:
            failed(client.post("/v1/collections/c/search", content=b"x" * 2000), "too_large")
            failed(client.post("/v1/collections/c/search", content=(b"x" * 300 for _ in range(10))), "too_large")
            kind = {"content-type": "application/x-ndjson"}
            failed(client.post("/v1/collections/c/documents", content=b"x" * 2000, headers=kind), "too_large")
        service.close()


def test_keys_are_checked_before_anything_else(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# who may\nread {READ}\nwrite {WRITE}\n")
    with nf.open(tmp_path / "db") as database:
        service, keys = Service(database, Limits(), models=(), recall_share=0), Keys(path)
        with TestClient(make(service, keys)) as client:

            def asked(method: str, path: str, key: str | None, **more: Any) -> Any:
                return client.request(method, path, headers={"authorization": f"Bearer {key}"} if key else {}, **more)

            assert asked("GET", "/healthz", None).status_code == 200
            for key in (None, "x" * 24, READ[:-1], f"{READ} "[:0]):
                assert failed(asked("GET", "/v1/collections", key), "unauthorized")
            assert asked("GET", "/v1/collections", READ).status_code == 200
            failed(asked("POST", "/v1/collections", READ, content=b"{" * 1000), "forbidden")
            assert asked("POST", "/v1/collections", WRITE, json={"name": "c", "dim": 4}).status_code == 201
            path.write_text(f"read {READ}\n")
            keys.reload()
            failed(asked("GET", "/v1/collections", WRITE), "unauthorized")
            path.write_text("nonsense")
            with pytest.raises(nf.InvalidInput, match="line 1"):
                keys.reload()
            assert asked("GET", "/v1/collections", READ).status_code == 200
        service.close()


def test_every_answer_has_an_id_and_security_headers(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    for name, value in SECURITY.items():
        assert answer.headers[name] == value
    assert client.get("/healthz", headers={"x-request-id": 'bad"\t id'}).headers["x-request-id"] != 'bad"\t id'
    assert "access-control-allow-origin" not in client.get("/healthz", headers={"origin": "http://evil"}).headers


def test_a_page_elsewhere_cannot_write(books: TestClient, service: Service) -> None:
    """What a browser sends across origins without asking first: forms, plain text, bodies without a type, other hosts."""
    body = b'{"filter": {}}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        headers = {} if kind is None else {"content-type": kind}
        failed(books.post("/v1/collections/books/delete", content=body, headers=headers), "unsupported_media_type")
    assert len(service.database["books"]) == 3
    failed(books.get("/v1/collections", headers={"host": "evil.example"}), "forbidden")
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000"):
        assert books.get("/v1/collections", headers={"host": host}).status_code == 200


def test_an_unexpected_error_tells_nothing(client: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise RuntimeError("secret path /home/x")

    monkeypatch.setattr(service, "collection", broken)
    answer = client.get("/v1/collections/c/stats")
    failed(answer, "internal")
    assert "secret" not in answer.text


def test_embeddings_and_rerank(books: TestClient, service: Service) -> None:
    answer = books.post("/v1/embeddings", json={"input": ["a sea", "a moon"], "model": "hash:32"}).json()
    found = np.array([d["embedding"] for d in answer["data"]], np.float32)
    assert np.allclose(found, service.database["books"].embed(["a sea", "a moon"], "document"), atol=1e-6)
    told = {"query": "sea", "documents": ["bread", {"text": "the sea"}], "model": "hash:32", "top_n": 1}
    ranked = books.post("/v1/rerank", json=told | {"return_documents": True}).json()["results"]
    assert [(r["index"], r["document"]["text"]) for r in ranked] == [(1, "the sea")]
    failed(books.post("/v1/embeddings", json={"input": [[1, 2]], "model": "hash:32"}), "invalid_input")


def test_metrics_count_what_was_asked(books: TestClient) -> None:
    for _ in range(3):
        books.post("/v1/collections/books/search", json={"query": "sea"})
    text = books.get("/metrics").text
    assert 'nearfield_requests_total{route="POST /v1/collections/{name}/search",status="200"} 3.0' in text
    summary = books.get("/metrics-summary").json()
    assert summary["request_seconds"]["route=POST /v1/collections/{name}/search"]["count"] == 3
    stages = summary["stage_seconds"]
    assert {stage: stages[f"stage={stage}"]["count"] for stage in ("queue", "embed", "search")} == {
        "queue": 6, "embed": 3, "search": 3,
    }  # fmt: skip
    assert stages["stage=read"]["count"] >= 3
    assert stages["stage=encode"]["count"] >= 3
    assert {key.removeprefix("stage=") for key in stages} <= set(STAGES)


def test_the_description_has_every_route_and_its_statuses(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {(m.upper(), p) for p, methods in document["paths"].items() for m in methods}
    assert len(described) == len(ALL)
    names = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))
    refs = {r.split("/")[-1] for r in _refs(document)}
    assert refs <= set(document["components"]["schemas"])
    assert msgspec.json.decode(client.get("/openapi.json").content)


def _refs(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [r for v in value.values() for r in _refs(v)]
    return [r for v in value for r in _refs(v)] if isinstance(value, list) else []


def test_gauges_say_what_is_there(books: TestClient) -> None:
    text = books.get("/metrics").text
    assert 'nearfield_documents{collection="books"} 3.0' in text
    assert 'nearfield_queue_depth{lane="search"} 0.0' in text


def test_slow_searches_are_written_down_with_their_plan(books: TestClient, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    service.slow = SlowQueries(path, 0.0)
    told = {"query": "sea", "k": 2}
    answer = books.post("/v1/collections/books/search", json=told, headers={"x-request-id": "slow-1"}).json()
    line = json.loads(path.read_text())
    assert (line["request_id"], line["collection"], line["request"]["query"]) == ("slow-1", "books", "sea")
    assert line["ids"] == [h["id"] for h in answer["hits"]]
    assert line["plan"]["segments"][0]["method"] == "exact"
    assert path.stat().st_mode & 0o777 == 0o600
    service.slow.threshold = 1000.0
    books.post("/v1/collections/books/search", json={"query": "sea"})
    assert len(path.read_text().splitlines()) == 1
