"""Rerankers and the chat model over HTTP: only what the operator allowed, within limits, and no address goes out."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

import nearfield as nf
from nearfield.remote import RemoteDatabase
from nearfield.serve import allowed
from nearfield.serve.allowed import Allowed, ChatModel, chat_of, named
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.server import Options, check
from nearfield.serve.service import Service
from tests.answering.chatting import Told, chatting

RERANK = "/v1/rerank"
ASK = "/v1/collections/books/ask"


def failed(answer: Any, code: str) -> dict[str, Any]:
    told = answer.json()["error"]
    assert told["code"] == code, told
    return told


@pytest.fixture
def chat(service: Service, books: TestClient) -> Iterator[Told]:
    with chatting() as told:
        service.allowed = Allowed(["overlap", "far=jina:http://127.0.0.1:9#m"], ChatModel(told.url, "m"))
        yield told


def test_a_reranker_that_is_allowed_ranks_by_its_own_scores(books: TestClient, service: Service) -> None:
    service.allowed = Allowed(["words=overlap"])
    told = {"query": "the sea", "documents": ["bread", {"text": "the sea"}, "a sea"], "model": "words"}
    found = books.post(RERANK, json=told).json()
    assert [(r["index"], r["relevance_score"]) for r in found["results"]] == [(1, 1.0), (2, 0.5), (0, 0.0)]
    assert [r["index"] for r in books.post(RERANK, json=told | {"top_n": 1}).json()["results"]] == [1]
    assert books.post(RERANK, json=told | {"model": "hash:32"}).status_code == 200


def test_other_names_addresses_and_files_are_refused(books: TestClient, service: Service, tmp_path: Any) -> None:
    service.allowed = Allowed(["words=overlap"])
    for name in ("overlap", "tei:http://127.0.0.1:9", str(tmp_path), "cross-encoder/ms-marco-MiniLM-L6-v2"):
        failed(books.post(RERANK, json={"query": "q", "documents": ["d"], "model": name}), "not_found")
    with pytest.raises(nf.InvalidInput, match="words"):
        service.allowed.reranker("overlap")


def test_limits_hold_for_rerankers(books: TestClient, service: Service, chat: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "x" * (service.limits.text + 1)
    failed(books.post(RERANK, json={"query": long, "documents": ["d"], "model": "overlap"}), "invalid_input")
    told = failed(books.post(RERANK, json={"query": "q", "documents": ["d", long], "model": "overlap"}), "invalid_input")
    assert told["field"] == "documents[1]"
    failed(books.post(RERANK, json={"query": " ", "documents": ["d"], "model": "overlap"}), "invalid_input")
    monkeypatch.setattr(allowed, "THREADS", 0)
    monkeypatch.setattr(allowed, "WAITING", 0)
    answer = books.post(RERANK, json={"query": "q", "documents": ["d"], "model": "overlap"})
    failed(answer, "overloaded")
    assert answer.headers["retry-after"] == "5"


def test_a_model_server_that_fails_is_told_without_its_address(
    books: TestClient, service: Service, chat: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nearfield.embed.rerank_remote.TRIES", 1)
    answer = books.post(RERANK, json={"query": "q", "documents": ["d"], "model": "far"})
    failed(answer, "overloaded")
    assert "127.0.0.1" not in answer.text
    chat.statuses = [400]
    answer = books.post(ASK, json={"question": "moon?"})
    failed(answer, "upstream")
    assert answer.status_code == 502
    assert "127.0.0.1" not in answer.text


def test_a_question_is_answered_with_citations(books: TestClient, chat: Told) -> None:
    found = books.post(ASK, json={"question": "the moon and tides", "k": 2, "mode": "dense"}).json()
    assert found["answer"] == chat.text
    assert [(c["number"], c["id"]) for c in found["citations"]] == [(1, "moon"), (2, "sea"), (9, None)]
    assert (found["sources"], found["unknown"], found["model"], found["finish"]) == (["moon", "sea"], [9], "m-1", "stop")
    assert [p["id"] for p in found["passages"]] == ["moon", "sea"]
    assert found["took"]["ask"] > 0
    nothing = books.post(ASK, json={"question": "moon?", "filter": {"year": 1}}).json()
    assert (nothing["answer"], nothing["passages"]) == (None, [])
    assert len(chat.asked) == 1


def test_options_of_a_question_go_through_and_a_reranker_by_its_name(books: TestClient, chat: Told) -> None:
    told = {"question": "flour", "k": 1, "rerank": "overlap", "mode": "hybrid", "answer_tokens": 9, "filter": {"year": 2020}}
    found = books.post(ASK, json=told).json()
    assert [p["id"] for p in found["passages"]] == ["a/b?c"]
    assert chat.asked[0]["max_tokens"] == 9
    failed(books.post(ASK, json=told | {"rerank": "/etc"}), "invalid_input")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://127.0.0.1:9"}, {"model": "x"}, {"k": 0}, {"k": 101}, {"tokens": 1}, {"mode": "best"}, {"question": ""},
        {"question": "x" * 100_001},
    ],
)  # fmt: skip
def test_a_request_names_no_address_and_keeps_to_limits(books: TestClient, chat: Told, wrong: dict[str, Any]) -> None:
    failed(books.post(ASK, json={"question": "moon?"} | wrong), "invalid_input")
    assert chat.asked == []


def test_without_a_chat_model_no_question_is_answered(books: TestClient) -> None:
    told = failed(books.post(ASK, json={"question": "moon?"}), "invalid_input")
    assert "--chat-url" in told["message"]


def test_models_are_listed_as_openai_does(books: TestClient, service: Service, chat: Told) -> None:
    found = books.get("/v1/models").json()
    assert [(m["id"], m["kind"]) for m in found["data"]] == [
        ("hash:32", "embedder"), ("overlap", "reranker"), ("far", "reranker"), ("m", "chat"),
    ]  # fmt: skip
    assert found["object"] == "list"


def test_a_remote_collection_asks_the_server_or_an_address_of_its_own(service: Service, chat: Told) -> None:
    with TestClient(make(service, Keys()), "http://localhost", raise_server_exceptions=False) as client:
        database = RemoteDatabase("http://localhost", None, 30)
        database._client.close()
        database._client = client
        books = database["books"]
        heard: list[str] = []
        local = service.database["books"].ask("the moon", url=chat.url, model="m", k=2)
        assert books.ask("the moon", k=2, on_text=heard.append) == local
        assert heard == [local.text]
        assert books.ask("the moon", k=2, url=chat.url, model="m") == local
        queries, qrels = {"1": "the moon"}, {"1": {"moon": 1}}
        there = books.evaluate(queries, qrels).to_dict()["differences"]
        assert there == service.database["books"].evaluate(queries, qrels).to_dict()["differences"]


def test_what_the_command_line_says_is_checked_before_the_server_starts(tmp_path: Any) -> None:
    assert named(["a=jina:http://h/v1?x=1#m", "jina:http://h/v1?x=1#m", "/m=n"]) == {
        "a": "jina:http://h/v1?x=1#m", "jina:http://h/v1?x=1#m": "jina:http://h/v1?x=1#m", "/m=n": "/m=n",
    }  # fmt: skip
    with pytest.raises(nf.InvalidInput, match="twice"):
        named(["a=overlap", "a=overlap"])
    assert chat_of(None, None) is None
    for url, model, field in ((None, "m", "chat-url"), ("ftp://x", "m", "chat-url"), ("http://x", None, "chat-model")):
        with pytest.raises(nf.InvalidInput) as caught:
            check(Options(tmp_path, chat_url=url, chat_model=model), Keys())
        assert caught.value.field == field


def test_where_a_reranker_is_stays_with_the_operator(
    books: TestClient, service: Service, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.allowed = Allowed([f"gone={tmp_path / 'none'}", "fine=jina:http://me:secret@127.0.0.1:9#m"])
    wanted = {"query": "sea", "rerank": "gone"}
    for answer in (
        books.post("/v1/collections/books/search", json=wanted),
        books.post(RERANK, json={"query": "q", "documents": ["d"], "model": "gone"}),
    ):
        assert failed(answer, "upstream")["received"] == "gone"
        assert str(tmp_path) not in answer.text
    monkeypatch.setattr("nearfield.embed.rerank_remote.RemoteReranker._request", lambda _, query, texts: [1.0] * len(texts))
    found = books.post("/v1/collections/books/search", json=wanted | {"rerank": "fine"})
    assert found.json()["plan"]["rerank"]["name"] == "fine"
    assert "127.0.0.1" not in found.text
