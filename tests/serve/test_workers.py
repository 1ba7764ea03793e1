"""Several workers behind one port: what one passes on to the other arrives as it came, and within the same limits."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest

import nearfield as nf
from tests.serve.running import running
from tests.serve.test_server import DIM, make, until

pytestmark = pytest.mark.slow


def test_ids_of_any_spelling_reach_the_writer_as_they_are(tmp_path: Path) -> None:
    """A path is not decoded twice, and dots in it lead nowhere, whichever worker takes the connection."""
    ids = ["..", ".", "../../other", "x/../..", "a%41", "aA", "a?b", "a#b", "a b", "\\", "%2e%2e", "ü", "a;b", "a+b", "//"]
    with running(tmp_path / "db", "--workers", "2") as server:
        with server.client() as client:
            make(client)
            client.post("/v1/collections", json={"name": "other", "dim": DIM})
            documents = [{"id": id, "vector": [1.0] * DIM} for id in ids]
            told = client.post("/v1/collections/c/documents", json={"documents": documents}).json()
            assert told["added"] == len(ids)
        port = int(server.url.rpartition(":")[2])

        def asked(method: str, id: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
            one = http.client.HTTPConnection("127.0.0.1", port, timeout=30)  # it leaves paths alone
            path = "/v1/collections/c/documents/" + "".join(f"%{b:02X}" for b in id.encode())
            one.request(method, path, body, {} if body is None else {"content-type": "application/json"})
            answer = one.getresponse()
            raw = answer.read()
            one.close()
            return answer.status, json.loads(raw)

        for turn in range(8):
            for id in ids:
                status, told = asked("POST", id, json.dumps({"metadata": {"turn": turn}}).encode())
                assert (status, told["replaced"]) == (200, 1), id
                status, told = asked("GET", id)
                assert (status, told["id"]) == (200, id)
            assert asked("DELETE", f"absent%41{turn}")[1].get("deleted", 0) == 0
        for id in ids:
            assert asked("DELETE", id)[1]["deleted"] == 1, id
            assert asked("DELETE", id)[1].get("deleted", 0) == 0, id
        with server.client() as client:
            assert {c["name"] for c in client.get("/v1/collections").json()["collections"]} == {"c", "other"}


def test_a_reader_has_the_limits_of_the_writer(tmp_path: Path) -> None:
    """Bodies too large are refused at once and slow ones in time, whichever worker takes the connection."""
    with running(tmp_path / "db", "--workers", "2", "--limit", "read=1s", "--limit", "body=1MB") as server:
        with server.client() as client:
            make(client)
        port = int(server.url.rpartition(":")[2])
        head = b"POST /v1/collections/c/documents HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        for begin, code in (
            (head + b"content-length: 100000000000\r\n\r\n", b" 413 "),
            (head + b"content-length: 99\r\n\r\n{", b" 408 "),
        ):
            for _ in range(8):
                with socket.create_connection(("127.0.0.1", port)) as s:
                    s.settimeout(20)
                    s.sendall(begin)
                    assert code in s.recv(4096).partition(b"\r\n")[0]
        for _ in range(8):
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.sendall(head + b"content-length: 99\r\n\r\n{")
        with server.client() as client:
            assert client.get("/healthz", headers={"x-request-id": "not plain!"}).status_code == 200
        assert server.stop() == 0
        assert not server.others, "the interpreter said something of its own"
        assert not [line for line in server.lines if line["level"] == "error"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_only_reads_sees_what_another_process_writes(tmp_path: Path, workers: str) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=2)
        with running(tmp_path / "db", "--read-only", "--workers", workers) as server:
            with server.client() as client:

                def count(name: str) -> int | None:
                    return client.post(f"/v1/collections/{name}/count", json={}).json().get("count")

                assert count("c") == 0
                c.upsert([nf.Document("a")], vectors=[[1.0, 0.0]])
                until(lambda: count("c") == 1)
                db.alias("other", "c")
                until(lambda: count("other") == 1)
                db.drop("c")
                until(lambda: count("c") is None and count("other") is None)
                db.create("c", embedder=None, dim=3)
                until(lambda: count("c") == 0)
                told = client.post("/v1/collections/c/documents", json={"documents": [{"id": "x", "vector": [1, 2, 3]}]})
                assert told.status_code == 403
            assert server.stop() == 0
