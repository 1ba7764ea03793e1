"""Files sent to a server: read within bounds, written, and named where they fail. No path is opened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.extract import Failed
from nearfield.extract.worker import Extractor
from nearfield.remote import RemoteDatabase
from nearfield.serve.app import make
from nearfield.serve.extracting import WAITING
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service
from tests.extract import making
from tests.serve.test_app import READ, WRITE, failed

HERE = "/v1/collections/books/files"


def send(client: TestClient, name: str, data: bytes, **headers: str) -> Any:
    told = {"content-type": "application/octet-stream", **headers}
    return client.post(HERE, params={"file": name} if name else {}, content=data, headers=told)


def test_a_file_becomes_a_document_that_is_found(books: TestClient, service: Service) -> None:
    answer = send(books, "notes/Größe.pdf", making.pdf([["zebra crossing"]], title="T"))
    assert answer.status_code == 200
    assert answer.json() == {"added": 1, "commit": service.database["books"].commit}
    found = service.database["books"].get("notes/Größe.pdf")
    assert found.text == "zebra crossing"
    assert found.metadata | {"source": 0, "created": 0} == {
        "path": "notes/Größe.pdf", "name": "Größe.pdf", "kind": "pdf", "title": "T", "author": "An Author", "pages": 1,
        "source": 0, "created": 0,
    }  # fmt: skip
    hits = books.post("/v1/collections/books/search", json={"query": "zebra", "k": 1}).json()["hits"]
    assert hits[0]["id"] == "notes/Größe.pdf"


def test_sent_again_it_is_not_read_again_and_what_is_gone_is_deleted(
    books: TestClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"text\none\ntwo\nthree\n"
    assert send(books, "r.csv", rows).json()["added"] == 3
    with monkeypatch.context() as patched:
        patched.setattr(Extractor, "read", lambda *_: pytest.fail("read again"))
        assert send(books, "r.csv", rows).json()["unchanged"] == 3
    told = send(books, "r.csv", b"text\none\n").json()
    assert (told["replaced"], told["deleted"]) == (1, 2)
    assert [d is None for d in service.database["books"].get(["r.csv#1", "r.csv#2"])] == [False, True]


def test_rows_that_fail_are_named_and_the_rest_go_in(books: TestClient) -> None:
    told = send(books, "r.jsonl", b'{"text": "fine"}\nbad\n{"text": "too"}\n').json()
    assert (told["added"], told["failed"]) == (2, 1)
    assert told["errors"][0] | {"reason": ""} == {"file": "r.jsonl", "number": 2, "reason": ""}


def test_refusals(books: TestClient, tmp_path: Path) -> None:
    assert "no PDF" in failed(send(books, "x.pdf", b"junk"), "invalid_input")["message"]
    assert "zero bytes" in failed(send(books, "x.txt", b"a\0b"), "invalid_input")["message"]
    assert failed(send(books, "x.exe", b"MZ"), "invalid_input")["field"] == "file"
    assert failed(send(books, "", b"x"), "invalid_input")["field"] == "file"
    assert failed(send(books, "x" * 600 + ".txt", b"x"), "invalid_input")["field"] == "file"
    failed(send(books, "x.txt", b"x", **{"content-type": "text/plain"}), "unsupported_media_type")
    failed(
        books.post("/v1/collections/none/files?file=a.txt", headers={"content-type": "application/octet-stream"}), "not_found"
    )
    (tmp_path / "there.txt").write_text("secret")
    for name in (str(tmp_path / "there.txt"), "../there.txt"):
        assert send(books, name, b"sent").json()["added"] == 1
        assert books.get("/v1/collections/books/documents/" + name.replace("/", "%2F")).json()["text"] == "sent"
    assert send(books, "empty.txt", b"").json().get("added", 0) == 0


def test_a_collection_that_embeds_nothing_takes_no_file(client: TestClient) -> None:
    client.post("/v1/collections", json={"name": "books", "embedder": None, "dim": 3})
    assert "embeds no texts" in failed(send(client, "a.txt", b"x"), "invalid_input")["message"]


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[tuple[TestClient, Service]]:
    limits = Limits(file=20_000, extract=1.0, text=1000)
    with nf.open(tmp_path / "bounded") as database:
        database.create("books", embedder="hash:16")
        made = Service(database, limits, recall_share=0)
        with TestClient(make(made, Keys(given={"read": READ, "write": WRITE})), "http://localhost") as found:
            yield found, made
        made.close()


def test_limits_and_keys_hold(bounded: tuple[TestClient, Service]) -> None:
    client, service = bounded
    write, read = {"authorization": f"Bearer {WRITE}"}, {"authorization": f"Bearer {READ}"}
    failed(send(client, "a.txt", b"x"), "unauthorized")
    failed(send(client, "a.txt", b"x", **read), "forbidden")
    failed(send(client, "a.txt", b"x" * 20_001, **write), "too_large")
    assert send(client, "long.txt", b"word " * 1000, **write).json()["added"] == 5
    assert service.database["books"].get("long.txt#5").metadata["parts"] == 5
    service.extracting._waiting = WAITING + 1
    assert failed(send(client, "a.txt", b"x", **write), "overloaded")["retry_after"] == 5
    service.extracting._waiting = 0
    assert client.get("/v1/limits", headers=read).json()["file"] == 20_000


def test_the_library_here_and_over_http_do_the_same(books: TestClient, service: Service, tmp_path: Path) -> None:
    remote = RemoteDatabase("http://localhost", None, 60.0)
    remote._client.close()
    remote._client = books
    local = service.database.create("local", embedder="hash:32")
    path = tmp_path / "ä b.jsonl"
    path.write_text('{"text": "one", "n": 1}\n{"text": 5}\n')
    told: list[Failed] = []
    for collection in (local, remote["books"]):
        done = collection.add_file(path, failed=told.append)
        assert (done.added, done.skipped) == (1, 0)
        assert collection.get("ä b.jsonl#1").metadata["n"] == 1
        (tmp_path / "x.pdf").write_text("no")
        with pytest.raises(nf.InvalidInput, match="no PDF"):
            collection.add_file(tmp_path / "x.pdf")
        with pytest.raises(nf.NearfieldError):
            collection.add_file(tmp_path / "none.txt")
    assert [(f.path, f.number) for f in told] == [("ä b.jsonl", 2)] * 2
    (tmp_path / "same.txt").write_text("x")
    assert [c.add_file(tmp_path / "same.txt").skipped for c in (local, remote["books"]) for _ in range(2)] == [0, 1, 0, 1]
    remote["books"].add_file(tmp_path / "same.txt", name="other.txt")
    assert "other.txt" in remote["books"]


def test_a_row_that_the_collection_refuses_is_named_and_the_others_go_in(books: TestClient, service: Service) -> None:
    deep = b'{"text": "deep", "n": ' + b"[" * 40 + b"]" * 40 + b"}\n"
    told = send(books, "r.jsonl", b'{"text": "one"}\n' + deep + b'{"text": "three"}\n').json()
    assert (told["added"], told["failed"]) == (2, 1)
    assert told["errors"][0]["number"] == 2
    assert "nested too deeply" in told["errors"][0]["reason"]
    assert [d is None for d in service.database["books"].get(["r.jsonl#1", "r.jsonl#2", "r.jsonl#3"])] == [False, True, False]
    failed(send(books, "s.jsonl", deep), "invalid_input")


def test_a_row_that_is_refused_is_told_in_python_too(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b'{"text": "one"}\n{"text": "big", "n": "' + b"x" * (1 << 20) + b'"}\n')
    told: list[Failed] = []
    with nf.open(tmp_path / "db") as database:
        written = database.create("b", embedder="hash:32").add_file(tmp_path / "r.jsonl", failed=told.append)
    assert written.added == 1
    assert [(one.path, one.number) for one in told] == [("r.jsonl", 2)]


def test_a_file_holds_no_more_documents_than_a_request_may(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as database:
        database.create("books", embedder="hash:32")
        made = Service(database, Limits(documents=3), recall_share=0)
        with TestClient(make(made, Keys()), "http://localhost") as client:
            assert send(client, "r.csv", b"text\n1\n2\n3\n").json()["added"] == 3
            assert "more than 3 documents" in failed(send(client, "s.csv", b"text\n1\n2\n3\n4\n"), "invalid_input")["message"]
        made.close()
