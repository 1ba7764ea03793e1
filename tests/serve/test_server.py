"""The server as a process: signals, keys, workers, kills, clients that misbehave."""

import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

import nearfield as nf
from nearfield.serve import connections
from tests.serve.running import running

pytestmark = pytest.mark.slow
DIM = 8


def make(client: httpx.Client, name: str = "c") -> None:
    assert client.post("/v1/collections", json={"name": name, "embedder": None, "dim": DIM}).status_code == 201


def write(client: httpx.Client, ids: list[str], name: str = "c") -> httpx.Response:
    documents = [{"id": i, "vector": np.random.default_rng(int(i)).random(DIM).tolist()} for i in ids]
    return client.post(f"/v1/collections/{name}/documents", json={"documents": documents})


def test_it_stops_in_good_order(tmp_path: Path) -> None:
    with running(tmp_path / "db") as server:
        with server.client() as client:
            make(client)
            assert write(client, ["1"]).status_code == 200
        assert server.stop() == 0
    with nf.open(tmp_path / "db") as db:
        assert len(db["c"]) == 1


def test_what_was_accepted_is_answered_before_it_stops(tmp_path: Path) -> None:
    with running(tmp_path / "db") as server, server.client() as client:
        make(client)

        def body():
            yield b'{"documents": [{"id": "7", "vector": [1,2,3,4,5,6,7'
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            yield b",8]}]}"

        answer = client.post("/v1/collections/c/documents", content=body(), headers={"content-type": "application/json"})
        assert answer.status_code == 200
        assert server.process.wait(30) == 0


def test_keys_are_read_again(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("read first-key-of-them\n")
    keys.chmod(0o600)
    with running(tmp_path / "db", "--key-file", str(keys)) as server, server.client() as client:

        def status(key: str) -> int:
            return client.get("/v1/collections", headers={"authorization": f"Bearer {key}"}).status_code

        assert (status("first-key-of-them"), status("second-key-of-them")) == (200, 401)
        keys.write_text("read second-key-of-them\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: status("second-key-of-them") == 200)
        assert status("first-key-of-them") == 401
        keys.write_text("nonsense\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: any("stay as they were" in str(line["message"]) for line in server.lines))
        assert status("second-key-of-them") == 200


def until(true, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path, workers: int) -> None:
    acknowledged: list[str] = []
    with running(tmp_path / "db", "--workers", str(workers)) as server:
        with server.client() as client:
            make(client)

        def writer(number: int) -> None:
            with server.client() as own:
                for i in range(100_000):
                    name = f"{number}{i:06d}"
                    try:
                        answer = write(own, [name])
                    except httpx.HTTPError:
                        return
                    if answer.status_code == 200:
                        acknowledged.append(name)

        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(writer, n) for n in range(1, 5)]
            until(lambda: len(acknowledged) > 300)
            os.killpg(server.process.pid, signal.SIGKILL)
            for each in asked:
                each.result()
        server.process.wait()
    with nf.open(tmp_path / "db") as db:
        found = db["c"].get(list(acknowledged))
        assert all(d is not None for d in found)
        assert db["c"].verify().ok


def test_workers_see_each_others_writes_and_are_replaced(tmp_path: Path) -> None:
    with running(tmp_path / "db", "--workers", "3") as server:
        with server.client() as client:
            make(client)
        for i in range(40):
            with server.client() as one, server.client() as other:  # connections go to whichever worker takes them
                commit = write(one, [str(i)]).json()["commit"]
                vector = np.random.default_rng(i).random(DIM).tolist()
                told = other.post("/v1/collections/c/search", json={"vector": vector, "k": 1, "min_commit": commit}).json()
                assert told["hits"][0]["id"] == str(i)
                assert told["plan"]["commit"] >= commit
        with server.client() as client:
            summary = client.get("/metrics-summary").json()
            counted = sum(n for key, n in summary["requests"].items() if "/search" in key)
            assert counted == 40, "each is counted once, whoever answered"
        children = psutil.Process(server.process.pid).children()
        assert len(children) == 3
        for victim in (children[0], children[-1]):
            victim.kill()
            with server.client() as client:
                until(lambda: answers(client))
        with server.client() as client:
            assert write(client, ["77"]).status_code == 200
            assert client.get("/v1/collections/c").json()["documents"] == 41
        assert server.stop() == 0
        assert not server.others, "the interpreter said something of its own"
        assert not any(child.is_running() and child.status() != "zombie" for child in children)


def answers(client: httpx.Client) -> bool:
    """Whether a write goes through, which needs worker 0 and whoever accepted the connection."""
    try:
        return (
            write(client, ["78"]).status_code == 200
            and client.post("/v1/collections/c/delete", json={"ids": ["78"]}).status_code == 200
        )
    except httpx.HTTPError:
        return False


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    with running(tmp_path / "db", "--workers", "2") as server:
        server.until_ready()
        children = psutil.Process(server.process.pid).children()
        server.process.kill()
        server.process.wait()
        _, alive = psutil.wait_procs(children, timeout=40)
        assert not alive


def test_slow_and_vanishing_clients_do_not_keep_others_waiting(tmp_path: Path) -> None:
    """Half-open connections, bodies that never come, clients that go away: others are answered, memory stays bounded."""
    with running(tmp_path / "db", "--limit", "read=1s") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with server.client() as client:
            make(client)
            assert write(client, ["1", "2"]).status_code == 200
            vector = {"vector": [1.0] * DIM, "k": 1}
            assert client.post("/v1/collections/c/search", json=vector).status_code == 200
            process = psutil.Process(server.process.pid)
            before = process.memory_info().rss
            held = []
            head = b"POST /v1/collections/c/documents HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            for i in range(900):
                one = socket.create_connection((host, int(port)))
                one.sendall(
                    (b"", head, head + b"content-length: 1000000\r\n\r\n[", head + b"content-length: 90\r\n\r\n")[i % 4]
                )
                held.append(one)
            for one in held[::5]:
                one.close()
            times = []
            for _ in range(50):
                start = time.perf_counter()
                assert client.post("/v1/collections/c/search", json=vector).status_code == 200
                times.append(time.perf_counter() - start)
            assert process.memory_info().rss - before < 64 << 20
            held[2].settimeout(20)
            told = held[2].recv(1 << 16)
            assert told.startswith(b"HTTP/1.1 408"), "a body that does not come is not waited for"
            for one in held:
                one.close()
            assert client.post("/v1/collections/c/search", json=vector).status_code == 200
            assert client.get("/v1/collections/c").json()["documents"] == 2


def test_who_says_nothing_is_shown_out(tmp_path: Path) -> None:
    with running(tmp_path / "db") as server:
        host, port = server.url.removeprefix("http://").split(":")
        said = (b"", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET")
        held = [socket.create_connection((host, int(port)), timeout=connections.HEAD + 20) for _ in said]
        start = time.monotonic()
        for one, what in zip(held, said, strict=True):
            one.sendall(what)
        assert held[2].recv(1 << 16).startswith(b"HTTP/1.1 200")
        for one in held:
            assert closed(one)
            one.close()
        assert time.monotonic() - start > connections.HEAD / 2, "they had time"


def closed(one: socket.socket) -> bool:
    try:
        while one.recv(1 << 16):  # what was still on its way
            pass
        return True
    except ConnectionResetError:
        return True


def test_too_much_at_once_is_refused_not_queued_without_end(tmp_path: Path) -> None:
    with running(tmp_path / "db", "--limit", "queue=4") as server:
        with server.client() as client:
            make(client)
            rows = np.random.default_rng(0).random((20_000, DIM)).tolist()
            for start in range(0, 20_000, 5_000):
                documents = [{"id": str(start + i), "vector": v} for i, v in enumerate(rows[start : start + 5_000])]
                assert client.post("/v1/collections/c/documents", json={"documents": documents}).status_code == 200
        seen: list[tuple[int, str | None]] = []

        def ask() -> None:
            with server.client() as own:
                for _ in range(20):
                    told = {"vector": rows[0], "k": 5_000, "exact": True}
                    answer = own.post("/v1/collections/c/search", json=told)
                    seen.append((answer.status_code, answer.headers.get("retry-after")))

        threads = [threading.Thread(target=ask) for _ in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = {status for status, _ in seen}
        assert statuses == {200, 429}
        assert all(after is not None for status, after in seen if status == 429)


def test_the_slow_log_can_be_asked_again(tmp_path: Path) -> None:
    log = tmp_path / "slow.jsonl"
    with running(tmp_path / "db", "--slow-log", str(log), "--slow", "0") as server, server.client() as client:
        make(client)
        assert write(client, [str(i) for i in range(50)]).status_code == 200
        for i in range(20):
            vector = np.random.default_rng(i).random(DIM).tolist()
            assert client.post("/v1/collections/c/search", json={"vector": vector, "k": 3}).json()["hits"][0]["id"] == str(i)
    assert log.stat().st_mode & 0o077 == 0
    from typer.testing import CliRunner

    from nearfield.cli.main import build

    told = CliRunner().invoke(build(), ["replay", str(log), "--against", str(tmp_path / "db"), "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert (found["asked"], found["overlap"], found["same"], found["recall"]) == (20, 1.0, 1.0, 1.0)
    with nf.open(tmp_path / "db") as db:
        db["c"].delete(["3"])
    told = CliRunner().invoke(
        build(), ["replay", str(log), "--against", str(tmp_path / "db"), "--json", "--least-overlap", "0.999"]
    )
    assert told.exit_code == 1
    assert json.loads(told.stdout)["worst"]
