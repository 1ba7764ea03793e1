"""The chat client: streams, whole answers, busy servers, answers that break off or are too much."""

import json
from typing import Any

import pytest

import nearfield as nf
from nearfield.answering import chat as chats
from nearfield.answering.chat import Chat, Said
from tests.answering.chatting import Told, chatting, event

MESSAGES = [{"role": "user", "content": "what?"}]


@pytest.mark.parametrize("form", ["stream", "whole"])
def test_an_answer_comes_whole_or_in_pieces(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFIELD_CHAT_API_KEY", "secret")
    heard: list[str] = []
    with chatting(Told(text="鸟在唱歌 and so on, é", form=form, finish="length")) as told:
        chat = Chat.of(told.url, "m")
        said = chat.ask(MESSAGES, most=50, on_text=heard.append)
    assert said.text == "".join(heard) == told.text
    assert (said.finish, said.model) == ("length", "m-1")
    assert told.asked[0] == {"model": "m", "messages": MESSAGES, "stream": True, "max_tokens": 50}
    assert (told.keys, told.paths) == (["Bearer secret"], ["/v1/chat/completions"])
    assert "secret" not in repr(chat)


def test_the_address_may_be_that_of_the_route_and_no_key_is_sent_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEARFIELD_CHAT_API_KEY", raising=False)
    with chatting() as told:
        assert Chat.of(f"{told.url}/chat/completions/", "m").ask(MESSAGES).text == told.text
    assert told.keys == [None]
    assert told.paths == ["/v1/chat/completions"]
    assert "max_tokens" not in told.asked[0]


def test_a_busy_server_is_asked_again_and_a_refusal_is_told() -> None:
    with chatting(Told(statuses=[429, 503])) as told:
        assert Chat.of(told.url, "m").ask(MESSAGES).text == told.text
        told.statuses = [404]
        with pytest.raises(nf.NearfieldError, match="404"):
            Chat.of(told.url, "m").ask(MESSAGES)
        told.statuses = [500, 500, 500]
        with pytest.raises(nf.Overloaded, match="500"):
            Chat.of(told.url, "m").ask(MESSAGES)
        assert len(told.asked) == 7


def test_a_server_that_is_not_there_is_given_up() -> None:
    with pytest.raises(nf.Overloaded, match="ConnectError"):
        Chat.of("http://127.0.0.1:9/v1", "m").ask(MESSAGES)


@pytest.mark.parametrize("form", ["broken", "cut"])
def test_an_answer_that_breaks_off_is_no_answer(form: str) -> None:
    with chatting(Told(form=form)) as told, pytest.raises(nf.NearfieldError, match="broke off"):
        Chat.of(told.url, "m").ask(MESSAGES)


def test_an_answer_has_a_time_and_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with chatting(Told(drip=0.1)) as told, pytest.raises(nf.DeadlineExceeded, match=r"0\.3 s"):
        Chat.of(told.url, "m", timeout=0.3).ask(MESSAGES)
    monkeypatch.setattr(chats, "MOST", 1000)
    with chatting(Told(text="x" * 5000)) as told, pytest.raises(nf.NearfieldError, match="too much"):
        Chat.of(told.url, "m").ask(MESSAGES)


@pytest.mark.parametrize(
    "answer",
    [
        "not json", "[]", "{}", '{"choices": []}', '{"choices": [{"message": {}}]}',
        '{"choices": [{"message": {"content": null}}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_an_answer_of_another_form_is_refused(answer: str) -> None:
    with chatting(Told(text=answer, form="raw")) as told, pytest.raises(nf.NearfieldError, match="form of OpenAI"):
        Chat.of(told.url, "m").ask(MESSAGES)


def test_an_error_inside_a_stream_is_told() -> None:
    with (
        chatting(Told(text=json.dumps({"error": {"message": "no such model"}}), form="raw")) as told,
        pytest.raises(nf.NearfieldError, match="no such model"),
    ):
        Chat.of(told.url, "m").ask(MESSAGES)
    assert event({}) == b"data: {}\n\n"


@pytest.mark.parametrize(
    ("url", "model", "timeout", "field"),
    [
        ("ftp://x", "m", 1.0, "url"), ("http://", "m", 1.0, "url"), (None, "m", 1.0, "url"), ("http://x", "", 1.0, "model"),
        ("http://x", None, 1.0, "model"), ("http://x", "m", 0, "timeout"),
    ],
)  # fmt: skip
def test_what_is_no_chat_is_named(url: Any, model: Any, timeout: float, field: str) -> None:
    with pytest.raises(nf.InvalidInput) as caught:
        Chat.of(url, model, timeout)
    assert caught.value.field == field


@pytest.mark.parametrize("odd", [{"choices": ["x"]}, {"choices": {"a": 1}}, {"choices": 5}, {"choices": [{"delta": "x"}]}, [1]])
def test_an_event_of_another_form_is_refused(odd: Any) -> None:
    with chatting(Told(text=json.dumps(odd), form="events")) as told, pytest.raises(nf.NearfieldError, match="form of OpenAI"):
        Chat.of(told.url, "m").ask(MESSAGES)


def test_what_is_said_beside_the_answer_is_text_or_nothing() -> None:
    odd = {"choices": [{"message": {"content": "a \ud800"}, "finish_reason": ["stop"]}], "model": 5}
    with chatting(Told(text=json.dumps(odd), form="raw")) as told:
        assert Chat.of(told.url, "m").ask(MESSAGES) == Said("a ?", None, None)


def test_a_password_in_the_address_is_told_to_nobody() -> None:
    chat = Chat.of("http://me:secret@127.0.0.1:9/v1@x", "m", timeout=5)
    with pytest.raises(nf.Overloaded, match=r"http://127\.0\.0\.1:9/v1@x") as caught:
        chat.ask(MESSAGES)
    assert "secret" not in f"{caught.value} {chat!r}"
