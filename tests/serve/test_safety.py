"""What must not be had: by pages of other origins, by an emptied file of keys, by many large bodies, by who has no key."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield import embed
from nearfield.core.errors import Overloaded
from nearfield.serve import asking
from nearfield.serve.app import make
from nearfield.serve.body import Held, Share
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.logs import SlowQueries
from nearfield.serve.server import _again
from nearfield.serve.service import Service
from tests.serve.test_app import READ, WRITE, failed


def test_a_page_elsewhere_cannot_begin_a_job(books: TestClient) -> None:
    """A POST without a body needs no leave from the browser, so that its origin is looked at."""
    for origin in ("http://evil.example", "http://localhost:9999", "null", "https://localhost.evil.example"):
        failed(books.post("/v1/collections/books/optimize", headers={"origin": origin}), "forbidden")
        failed(books.get("/v1/collections", headers={"origin": origin}), "forbidden")
    assert books.get("/v1/jobs").json()["jobs"] == []
    assert books.post("/v1/collections/books/optimize", headers={"origin": "http://localhost"}).status_code == 202


def test_an_emptied_file_of_keys_does_not_open_the_door(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# none yet\n")
    with pytest.raises(nf.InvalidInput, match="everyone may write"):
        Keys(path)
    path.write_text(f"read {READ}\n")
    keys = Keys(path)
    path.write_text("")
    with pytest.raises(nf.InvalidInput, match="key_file"):
        keys.reload()
    assert keys.right_of(None) is None
    assert keys.right_of(f"Bearer {READ}") == "read"
    path.write_text("")
    assert Keys(path, {"write": WRITE}).right_of(f"Bearer {WRITE}") == "write"


def test_readiness_names_nothing(books: TestClient, service: Service) -> None:
    service.warming.run()
    answer = books.get("/readyz")
    assert answer.json() == {"ready": True, "warm": 1, "waiting": 0, "failed": 0}
    assert "books" not in answer.text


def test_a_collection_that_cannot_be_warmed_is_counted(
    books: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no weights")

    monkeypatch.setattr(service.database["books"], "prepared", broken)
    service.warming.run()
    assert books.get("/readyz").json() == {"ready": True, "warm": 0, "waiting": 0, "failed": 1}
    assert "books did not warm up: RuntimeError: no weights" in caplog.text


def test_shares_of_what_bodies_may_take_add_up() -> None:
    held = Held(100)
    one, two = Share(held), Share(held)
    one.take(60)
    two.take(40)
    with pytest.raises(Overloaded, match="large bodies"):
        two.take(1)
    assert held.now == 100
    one.keep(10)
    two.take(50)
    one.keep(99)
    assert held.now == 100
    one.keep(0)
    two.keep(0)
    assert held.now == 0


def test_bodies_of_all_requests_together_are_bounded(tmp_path: Path) -> None:
    """While one large body hangs, a second is told to come again and small ones are served; then all is given back."""
    with nf.open(tmp_path / "db") as database:
        service = Service(database, Limits(bodies=100_000), models=("hash:8",), recall_share=0)
        database.create("c", embedder="hash:8")
        app = make(service, Keys())
        texts = {"documents": [{"id": str(i), "text": "x" * 700} for i in range(100)]}
        large = json.dumps(texts).encode()
        assert len(large) < 100_000

        async def main() -> None:
            go = asyncio.Event()

            async def slow() -> Any:
                yield large[:60_000]
                await go.wait()
                yield large[60_000:]

            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
                kind = {"content-type": "application/json"}
                here = "/v1/collections/c/documents"
                first = asyncio.create_task(client.post(here, content=slow(), headers=kind))
                while service.bodies.now < 60_000:
                    await asyncio.sleep(0.005)
                refused = await client.post(here, content=large, headers=kind)
                assert failed(refused, "overloaded")
                assert refused.headers["retry-after"]
                small = await client.post(here, json={"documents": [{"id": "small", "text": "y"}]})
                assert small.status_code == 200
                go.set()
                assert (await first).json()["added"] == 100
                assert service.bodies.now == 0

        asyncio.run(main())
        service.close()


def test_a_stream_holds_no_more_than_a_step_of_it(tmp_path: Path) -> None:
    """Ten times what bodies may take goes through as a stream: what was written is let go."""
    with nf.open(tmp_path / "db") as database:
        service = Service(database, Limits(bodies=100_000, line=20_000), models=("hash:8",), recall_share=0)
        database.create("c", embedder="hash:8")
        lines = [json.dumps({"id": str(i), "text": "word " * 200}).encode() + b"\n" for i in range(1000)]

        async def pieces() -> Any:
            for i in range(0, 1000, 10):
                yield b"".join(lines[i : i + 10])

        async def main() -> Any:
            transport = httpx.ASGITransport(make(service, Keys()))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
                kind = {"content-type": "application/x-ndjson"}
                return await client.post("/v1/collections/c/documents", content=pieces(), headers=kind)

        answer = asyncio.run(main())
        assert answer.json()["added"] == 1000, answer.text
        assert service.bodies.now == 0
        service.close()


def test_what_waits_for_a_thread_is_bounded(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as database:
        service = Service(database, Limits(queue=8), models=(), recall_share=0)
        go = threading.Event()

        async def main() -> None:
            waiting = [asyncio.create_task(service.aside(go.wait)) for _ in range(8)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await service.aside(go.wait)
            begun = asyncio.create_task(service.aside(go.wait, begun=True))
            await asyncio.sleep(0)
            go.set()
            assert all(await asyncio.gather(*waiting, begun))
            assert await service.aside(lambda: True)

        asyncio.run(main())
        service.close()


def test_loading_a_model_keeps_nobody_waiting(books: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = threading.Event(), threading.Event()
    load = embed.load

    def slow(name: str) -> Any:
        begun.set()
        assert go.wait(30)
        return load("hash:32")

    monkeypatch.setattr(embed, "load", slow)
    service._models = ("other",)
    found: list[Any] = []
    asking_for = threading.Thread(
        target=lambda: found.append(books.post("/v1/embeddings", json={"model": "other", "input": "sea"}))
    )
    asking_for.start()
    assert begun.wait(30)
    start = time.monotonic()
    assert books.get("/healthz").status_code == 200
    assert not found
    assert time.monotonic() - start < 25
    go.set()
    asking_for.join(30)
    assert len(found[0].json()["data"][0]["embedding"]) == 32


def test_asks_of_a_collection_made_anew_are_not_mixed_with_those_of_the_old(service: Service) -> None:
    from nearfield.serve.wire import SearchRequest

    wanted = SearchRequest(vector=[1.0, 0.0], filter={"a": {"$in": list(range(10_000))}})
    made, kinds = [], []
    for _ in range(2):
        made.append(service.database.create("c", embedder=None, dim=2))
        kinds.append(asking.request_of(wanted, made[-1], service.limits, time.monotonic(), 0.9)[1])
        assert kinds[-1] == asking.request_of(wanted, made[-1], service.limits, time.monotonic(), 0.9)[1]
        service.database.drop("c")
    assert kinds[0] != kinds[1]
    assert len(repr(kinds[0])) < 300


def test_what_a_job_held_is_let_go(books: TestClient, service: Service) -> None:
    import gc
    import weakref

    big = np.zeros(10)
    seen = weakref.ref(big)
    job = service.jobs.submit("x", None, lambda _, held=big: float(held[0]))
    del big
    while job.ended is None:
        time.sleep(0.005)
    gc.collect()
    assert job.state == "done"
    assert seen() is None


def test_a_new_collection_shows_nothing_of_the_one_before_it(client: TestClient, service: Service) -> None:
    fields = []
    for key in ("secret", "fresh"):
        client.post("/v1/collections", json={"name": "f", "dim": 2})
        documents = [{"id": "a", "vector": [1, 0], "metadata": {key: "value"}}]
        client.post("/v1/collections/f/documents", json={"documents": documents})
        service.monitor.follow(service.collection("f"), 0.02 if key == "secret" else 0.0)
        fields.append([f["name"] for f in client.get("/v1/collections/f/fields").json()["fields"]])
        margin = client.get("/v1/collections/f/recall").json()["margin"]
        assert (margin > 0) == (key == "secret")
        client.get("/metrics")
        client.delete("/v1/collections/f")
    assert fields == [["secret"], ["fresh"]]


def test_answers_have_a_size(tmp_path: Path) -> None:
    limits = Limits(answer=50_000, hits=20, fields=3)
    with nf.open(tmp_path / "db") as database:
        service = Service(database, limits, models=(), recall_share=0)
        c = database.create("c", embedder=None, dim=2)
        documents = [nf.Document(str(i), text="x" * 1000, metadata={"a": ["y" * 500] * 2, "b": i}) for i in range(60)]
        c.upsert(documents, vectors=np.ones((60, 2)))
        with TestClient(make(service, Keys()), "http://localhost") as client:
            here = "/v1/collections/c"
            ids = [str(i) for i in range(60)]
            failed(client.post(f"{here}/get", json={"ids": ids}), "answer_too_large")
            assert len(client.post(f"{here}/get", json={"ids": ids[:20]}).json()["documents"]) == 20
            assert failed(client.post(f"{here}/get", json={"ids": ["1", "1"]}), "invalid_input")["field"] == "ids"
            failed(client.post(f"{here}/search", json={"vector": [1, 0], "k": 60}), "answer_too_large")
            told = {"vector": [1, 0], "k": 60, "documents": False}
            assert len(client.post(f"{here}/search", json=told).json()["hits"]) == 60
            many = {"vectors_in": [[1, 0]] * 3, "k": 10}
            assert failed(client.post(f"{here}/search_many", json=many), "invalid_input")["field"] == "k"
            for path, more in (("search", {"vector": [1, 0]}), ("get", {"ids": ["1"]}), ("scan", {})):
                told = {"fields": ["a", "b", "c", "d"], **more}
                assert failed(client.post(f"{here}/{path}", json=told), "invalid_input")["field"] == "fields"
        service.close()


def test_explain_has_the_limits_of_a_search(books: TestClient) -> None:
    here = "/v1/collections/books/explain"
    large = {"id": "sea", "query": "sea", "filter": {"a": {"$in": ["x" * 100] * 11_000}}}
    assert failed(books.post(here, json=large), "invalid_input")["field"] == "filter"
    assert failed(books.post(here, json={"id": "sea", "query": "x" * 100_001}), "invalid_input")["field"] == "query"
    long = {"documents": [{"id": "x", "text": "y " * 60_000}]}
    assert failed(books.post("/v1/collections/books/documents", json=long), "invalid_input")["field"] == "documents[0].text"


def test_a_log_that_cannot_be_written_fails_no_search(
    books: TestClient, service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    service.slow = SlowQueries(Path("/dev/full"), 0.0)
    for _ in range(3):
        assert books.post("/v1/collections/books/search", json={"query": "sea"}).status_code == 200
    assert caplog.text.count("cannot be written") == 1
    service.slow.close()
    folder = tmp_path / "logs"
    folder.mkdir()
    service.slow = SlowQueries(folder / "slow.log", 0.0)
    folder.rename(tmp_path / "moved")
    _again(service, Keys())
    assert "stays as it was" in caplog.text
    assert books.post("/v1/collections/books/search", json={"query": "sea"}).status_code == 200
    assert len((tmp_path / "moved" / "slow.log").read_bytes().splitlines()) == 1


def test_one_collection_that_cannot_be_read_leaves_the_others_fresh(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the threads of the pool are all taken."""
    with nf.open(tmp_path / "db") as writer:
        for name in ("aaa", "zzz"):
            writer.create(name, embedder=None, dim=2)
        with nf.open(tmp_path / "db", read_only=True) as reader:
            service = Service(reader, Limits(), models=(), recall_share=0)
            reader["aaa"].refresh = lambda: 1 / 0  # type: ignore[method-assign]
            seen = reader["zzz"]
            go = threading.Event()

            async def main() -> None:
                taken = [asyncio.create_task(service.aside(go.wait)) for _ in range(8)]
                fresh = asyncio.create_task(service.freshness.keep(None))
                writer["zzz"].upsert([nf.Document("new")], vectors=[[1.0, 0.0]])
                end = time.monotonic() + 20
                while not len(seen) and time.monotonic() < end:
                    await asyncio.sleep(0.01)
                assert len(seen) == 1
                fresh.cancel()
                go.set()
                await asyncio.gather(*taken)

            asyncio.run(main())
            assert caplog.text.count("aaa cannot be refreshed: ZeroDivisionError") == 1
            service.close()


def test_a_collection_that_cannot_be_opened_hides_no_other(
    books: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.post("/v1/collections", json={"name": "bad", "dim": 2})
    find = nf.Database.__getitem__

    def broken(self: nf.Database, name: str) -> nf.Collection:
        if name == "bad":
            raise nf.Corrupt("damaged")
        return find(self, name)

    monkeypatch.setattr(nf.Database, "__getitem__", broken)
    told = books.get("/v1/collections").json()["collections"]
    assert {c["name"]: c.get("problem") for c in told} == {"bad": "corrupt", "books": None}
