"""Near-duplicates over HTTP are those of the library; deletion needs a key that may write; comparing is bounded."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.routes import duplicates as routes
from nearfield.serve.service import Service
from tests.duplicates import brute
from tests.serve.test_app import READ, WRITE, failed

HERE = "/v1/collections/c"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[TestClient, Service]]:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=12)
        x = brute.planted(400, 12, 120, 0.5, seed=3)
        made.upsert([nf.Document(f"d{i}", metadata={"i": i}) for i in range(400)], vectors=x)
        service = Service(db, Limits(duplicates=500), preload=[])
        with TestClient(
            make(service, Keys(given={"read": READ, "write": WRITE})),
            "http://localhost",
            headers={"authorization": f"Bearer {WRITE}"},
        ) as client:
            yield client, service


def lines(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def done(client: TestClient, job: Any) -> dict[str, Any]:
    assert job.status_code == 202, job.text
    told = job.json()
    end = time.monotonic() + 60
    while told["state"] in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.01)
        told = client.get(f"/v1/jobs/{told['id']}").json()
    return told


def test_groups_come_as_lines_after_how_they_were_found(served: tuple[TestClient, Service]) -> None:
    client, service = served
    told = {"above": 0.97, "keep": {"field": "i", "order": "max"}, "filter": {"i": {"$gte": 20}}}
    first, *groups = lines(client.post(f"{HERE}/duplicates", json=told))
    found = service.database["c"].duplicates(0.97, keep=nf.KeepBy("i"), filter={"i": {"$gte": 20}})
    assert groups == json.loads(json.dumps([g.to_dict() for g in found]))
    assert groups
    assert first["join"]["exact"] is True
    assert first["join"]["documents"] == 380


@pytest.mark.parametrize(
    "told",
    [{}, {"above": 2}, {"above": 0.9, "keep": "last"}, {"above": 0.9, "recall": 0}, {"above": "x"}, {"above": 0.9, "a": 1}],
)
def test_bad_requests_are_refused(served: tuple[TestClient, Service], told: dict[str, Any]) -> None:
    for path in ("duplicates", "dedup"):
        failed(served[0].post(f"{HERE}/{path}", json=told), "invalid_input")


def test_a_large_collection_is_left_to_a_job(served: tuple[TestClient, Service]) -> None:
    client, service = served
    service.limits = Limits(duplicates=399)
    error = failed(client.post(f"{HERE}/duplicates", json={"above": 0.97}), "invalid_input")
    assert error["field"] == "documents"
    assert done(client, client.post(f"{HERE}/dedup", json={"above": 0.97}))["state"] == "done"


def test_one_comparison_at_a_time(served: tuple[TestClient, Service]) -> None:
    client, service = served
    with routes._alone(service):
        failed(client.post(f"{HERE}/duplicates", json={"above": 0.97}), "overloaded")
        failed(client.post(f"{HERE}/suggest_threshold", json={}), "overloaded")
    assert client.post(f"{HERE}/duplicates", json={"above": 0.97}).status_code == 200


def test_dedup_is_a_job_that_deletes_only_when_told(served: tuple[TestClient, Service]) -> None:
    client, service = served
    made = service.database["c"]
    wanted = made.dedup(0.97)
    report = done(client, client.post(f"{HERE}/dedup", json={"above": 0.97}))["result"]
    assert (report["dry_run"], report["documents"], report["deleted"]) == (True, wanted.documents, 0)
    assert report["found"] == len(wanted.groups)
    assert report["groups"] == json.loads(json.dumps([g.to_dict() for g in wanted.groups]))
    assert len(made) == 400
    report = done(client, client.post(f"{HERE}/dedup", json={"above": 0.97, "dry_run": False}))["result"]
    assert report["deleted"] == wanted.documents > 0
    assert len(made) == 400 - wanted.documents


def test_a_key_that_only_reads_deletes_nothing(served: tuple[TestClient, Service]) -> None:
    client, _ = served
    headers = {"authorization": f"Bearer {READ}"}
    assert client.post(f"{HERE}/duplicates", json={"above": 0.97}, headers=headers).status_code == 200
    failed(client.post(f"{HERE}/dedup", json={"above": 0.97}, headers=headers), "forbidden")


def test_a_threshold_is_suggested_or_not(served: tuple[TestClient, Service]) -> None:
    client, service = served
    told = client.post(f"{HERE}/suggest_threshold", json={"sample": 200}).json()
    wanted = service.database["c"].suggest_threshold(sample=200)
    assert told["above"] == wanted.above
    assert told["reason"] == wanted.reason
    failed(client.post(f"{HERE}/suggest_threshold", json={"sample": 5}), "invalid_input")


def test_what_arrives_and_is_like_another_is_named(served: tuple[TestClient, Service]) -> None:
    client, service = served
    vector = service.database["c"].get("d0", vectors=True).vector
    assert vector is not None
    documents = [{"id": "new", "vector": vector.tolist()}, {"id": "other", "vector": (-np.ones(12)).tolist()}]
    told = {"documents": documents, "skip_duplicates_above": 0.999}
    answer = client.post(f"{HERE}/documents", json=told).json()
    assert (answer["added"], answer["skipped"]) == (1, 1)
    assert [(a["id"], a["like"]) for a in answer["alike"]] == [("new", "d0")]
    failed(client.post(f"{HERE}/documents", json={**told, "skip_duplicates_above": 3}), "invalid_input")


def test_a_request_that_compares_for_too_long_ends_and_lets_the_next_one_in(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=12)
        made.upsert([nf.Document(f"d{i}") for i in range(400)], vectors=brute.planted(400, 12, 120, 0.5, seed=3))
        service = Service(db, Limits(compare=1e-9), preload=[])
        with TestClient(make(service, Keys()), "http://localhost") as client:
            for _ in range(2):
                told = failed(client.post(f"{HERE}/duplicates", json={"above": -1}), "deadline_exceeded")
                assert "dedup" in told["expected"]
        service.close()
