"""Tiers over HTTP: pins, budgets, metrics, alarms, and a device that fails while it is searched.

The processor stands in for a card, and searches are made to prefer it by a time of nothing.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.device import scan
from nearfield.device.resident import OnDevices
from nearfield.maintain import tasks
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service
from tests.serve.running import running

DIM, N = 16, 3000
X = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)
LOST = "CUDA error: an illegal memory access was encountered"


def fill(db: nf.Database, name: str = "c") -> nf.Collection:
    made = db.create(name, embedder=None, dim=DIM, metric="l2")
    made.load(ids=[str(i) for i in range(N)], vectors=X)
    tasks.seal(made._engine)
    return made


@pytest.fixture
def tiered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with a device that searches always prefer, and two collections."""
    monkeypatch.setattr(OnDevices, "seconds", lambda self, m: 0.0)
    with nf.open(tmp_path / "db", gpu_memory="100MB", memory="1GB", device="cpu") as db:
        fill(db)
        fill(db, "d")
        made = Service(db, Limits(), recall_share=0)
        made.warming.run()
        yield made
        made.close()


@pytest.fixture
def http(tiered: Service) -> Iterator[TestClient]:
    with TestClient(make(tiered, Keys()), "http://localhost", raise_server_exceptions=False) as client:
        yield client


def searched(http: TestClient, i: int, name: str = "c") -> dict[str, Any]:
    """A search near row i, whose hits must be those of brute force; its plan."""
    query = X[i] + 0.1
    told = http.post(f"/v1/collections/{name}/search", json={"vector": query.tolist(), "k": 5, "recall": 1.0})
    assert told.status_code == 200, told.text
    wanted = np.argsort(((X - query) ** 2).sum(1), kind="stable")[:5]
    assert [hit["id"] for hit in told.json()["hits"]] == [str(row) for row in wanted]
    return told.json()["plan"]["segments"][0]


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """The samples of one metric of Prometheus's text, by the values of their labels; the type must be told once."""
    (family,) = [f for f in text_string_to_metric_families(text) if f.name == f"nearfield_{name}"]
    return {tuple(s.labels.values()): s.value for s in family.samples}


def test_a_pin_moves_segments_and_everything_tells_it(http: TestClient, tiered: Service) -> None:
    assert searched(http, 3)["tier"] == "warm"
    assert http.post("/v1/collections/c/pin", json={"tier": "hot"}).json() == {
        "pin": "hot", "segments": {"hot": 1, "warm": 0, "cold": 0},
    }  # fmt: skip
    step = searched(http, 3)
    assert (step["tier"], step["device"], step["method"]) == ("hot", "cpu", "exact")
    stats = http.get("/v1/collections/c/stats").json()
    (segment,) = stats["segments"]
    assert (stats["pin"], segment["tier"], segment["device"], segment["device_form"]) == ("hot", "hot", "cpu", "float16")
    assert segment["searches"] >= 2
    told = http.get("/v1/tiers").json()
    assert told == json.loads(json.dumps(tiered.database.tiers().to_dict()))
    assert told["segments"] == {"c": {"hot": 1, "warm": 0, "cold": 0}, "d": {"hot": 0, "warm": 1, "cold": 0}}
    assert told["nbytes"]["c"]["hot"] == segment["device_bytes"] > 0
    assert told["memory"] == 1_000_000_000
    assert http.post("/v1/collections/c/pin", json={"tier": "cold"}).json()["segments"]["cold"] == 1
    assert searched(http, 4)["tier"] == "cold"
    assert http.post("/v1/collections/c/pin", json={"tier": None}).json()["pin"] is None
    assert tiered.database["c"].stats().pin is None


@pytest.mark.parametrize("body", [{}, {"tier": "lukewarm"}, {"tier": 1}, {"tier": "hot", "for": "ever"}])
def test_a_pin_that_is_none_changes_nothing(http: TestClient, tiered: Service, body: dict[str, Any]) -> None:
    told = http.post("/v1/collections/c/pin", json=body)
    assert (told.status_code, told.json()["error"]["code"]) == (400, "invalid_input")
    assert tiered.database["c"].stats().pin is None
    assert http.post("/v1/collections/none/pin", json={"tier": "hot"}).status_code == 404


def test_looking_takes_a_key_to_read_and_pinning_one_to_write(tiered: Service) -> None:
    keys = Keys(None, {"read": "a-key-to-read-with", "write": "a-key-to-write-with"})
    with TestClient(make(tiered, keys), "http://localhost") as client:
        reader = {"authorization": "Bearer a-key-to-read-with"}
        writer = {"authorization": "Bearer a-key-to-write-with"}
        assert client.get("/v1/tiers").status_code == 401
        assert client.get("/v1/tiers", headers=reader).status_code == 200
        assert client.post("/v1/collections/c/pin", json={"tier": "hot"}, headers=reader).status_code == 403
        assert client.post("/v1/collections/c/pin", json={"tier": "hot"}, headers=writer).status_code == 200


def test_without_a_budget_nothing_can_be_hot(books: TestClient) -> None:
    told = books.post("/v1/collections/books/pin", json={"tier": "hot"})
    assert (told.status_code, told.json()["error"]["field"]) == (400, "tier")
    assert "--gpu-memory" in told.json()["error"]["message"]
    tiers = books.get("/v1/tiers").json()
    assert (tiers["devices"], tiers["memory"], tiers["alarms"]) == ([], None, [])


def test_metrics_say_what_the_report_says(http: TestClient, tiered: Service) -> None:
    for tier in ("hot", "cold", "hot"):
        assert http.post("/v1/collections/c/pin", json={"tier": tier}).status_code == 200
    text, told = http.get("/metrics").text, tiered.database.tiers()
    (use,) = told.devices
    assert values(text, "tier_segments")["c", "hot"] == 1
    assert values(text, "tier_segments")["d", "hot"] == 0
    assert values(text, "tier_bytes")["c", "hot"] == told.nbytes["c"]["hot"]
    assert values(text, "tier_bytes")["d", "warm"] == told.nbytes["d"]["warm"]
    assert values(text, "tier_budget_bytes") == {("cpu",): use.budget, ("memory",): told.memory}
    assert values(text, "tier_reserved_bytes") == {("cpu",): use.reserved, ("memory",): told.memory_used}
    assert values(text, "device_lost") == {("cpu",): 0}
    assert values(text, "tier_moves") == {("hot",): 2, ("warm",): 0, ("cold",): 1}
    assert "# TYPE nearfield_tier_moves_total counter" in text
    summary = http.get("/metrics-summary").json()
    assert summary["tier_moves"] == {"to=hot": 2, "to=warm": 0, "to=cold": 1}
    assert summary["device_lost"] == {"device=cpu": 0}


def test_a_lost_device_is_told_everywhere_and_nobody_waits_for_it(
    http: TestClient, tiered: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("c", "d"):
        assert http.post(f"/v1/collections/{name}/pin", json={"tier": "hot"}).json()["segments"]["hot"] == 1
    assert searched(http, 1)["device"] == "cpu"

    def broken(*arguments: Any) -> Any:
        raise RuntimeError(LOST)

    monkeypatch.setattr(scan.blocks, "maxima", broken)
    with ThreadPoolExecutor(8) as threads:
        steps = list(threads.map(lambda i: searched(http, i, "cd"[i % 2]), range(40)))
    assert all("device" not in step for step in steps)
    told = http.get("/v1/tiers").json()
    assert LOST in told["devices"][0]["lost"]
    assert len(told["alarms"]) == 1, "it is told once, however many searches met it"
    assert "cpu is lost" in told["alarms"][0]
    assert LOST in told["alarms"][0]
    assert values(http.get("/metrics").text, "device_lost") == {("cpu",): 1}
    assert http.get("/metrics-summary").json()["device_lost"] == {"device=cpu": 1}
    assert http.get("/readyz").status_code == http.get("/healthz").status_code == 200, "it answers: nothing should restart it"
    assert tiered.database.tiers().segments["d"]["hot"] == 0
    assert http.post("/v1/collections/c/pin", json={"tier": "warm"}).json()["segments"]["warm"] == 1
    searched(http, 2)


@pytest.mark.slow
def test_options_reach_the_database_and_the_log(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        fill(db)
    options = ("--gpu-memory", "100MB", "--memory", "1GB", "--device", "cpu", "--spread", "replicate")
    with running(tmp_path / "db", *options) as server, server.client() as client:
        server.until_ready()
        assert client.post("/v1/collections/c/pin", json={"tier": "hot"}).json()["segments"]["hot"] == 1
        told = client.get("/v1/tiers").json()
        assert (told["devices"][0]["device"], told["devices"][0]["budget"]) == ("cpu", 100_000_000)
        assert told["memory"] == 1_000_000_000
        assert any("budgets: cpu: " in str(line["message"]) for line in server.lines)
    hidden = {"CUDA_VISIBLE_DEVICES": "", "NEARFIELD_SERVE_GPU_MEMORY": "20GB"}
    with running(tmp_path / "db", **hidden) as server, server.client() as client:
        server.until_ready()
        assert "searches go by the processor" in client.get("/v1/tiers").json()["alarms"][0], "it comes up without its card"
        assert any("no card" in str(line["message"]) for line in server.lines)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_where_there_is_no_card_nothing_is_loaded_or_said(tmp_path: Path, workers: str) -> None:
    with nf.open(tmp_path / "db") as db:
        fill(db)
    with running(tmp_path / "db", "--workers", workers, CUDA_VISIBLE_DEVICES="") as server, server.client() as client:
        server.until_ready()
        assert values(client.get("/metrics").text, "tier_moves") == {("hot",): 0, ("warm",): 0, ("cold",): 0}
        for _ in range(4):  # whichever worker takes it
            told = client.post("/v1/collections/c/pin", json={"tier": "cold"})
            assert told.json() == {"pin": "cold", "segments": {"hot": 0, "warm": 0, "cold": 1}}
            text = client.get("/metrics").text
            assert values(text, "tier_moves") == {("hot",): 0, ("warm",): 0, ("cold",): 1}
            assert values(text, "tier_segments")["c", "cold"] == 1
            assert "device_lost" not in text
            searched(client, 5)
        assert client.get("/v1/tiers").json()["alarms"] == []
        maps = Path(f"/proc/{server.process.pid}/maps")
        assert not maps.exists() or "libtorch" not in maps.read_text()
        assert not [line for line in server.lines if "card" in str(line["message"]) or line["level"] == "error"]
