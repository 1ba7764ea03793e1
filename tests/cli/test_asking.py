"""`nearfield ask`: passages without a model; with one an answer, its sources, and a word about what it made up."""

from pathlib import Path

import pytest

from tests.answering.chatting import Told, chatting
from tests.cli.conftest import Cli


def test_without_a_url_the_passages_are_printed_with_their_ids(cli: Cli, books: str) -> None:
    said = cli("ask", books, "moon tides", "-k", 2)
    assert said.code == 0
    assert said.out.startswith("[1]  a  ")
    assert "moon and tides\n" in said.out
    assert "[2]  " in said.out
    assert "[3]" not in said.out


def test_an_answer_comes_with_its_sources_and_what_it_made_up_is_told(cli: Cli, books: str) -> None:
    with chatting() as told:
        said = cli("ask", books, "moon tides", "--url", told.url, "--model", "m", "-k", 2, "--mode", "keyword")
    assert said.code == 0
    assert said.out.startswith(told.text)
    assert "\n[1] a: moon and tides" in said.out
    assert "no passage has the number 9" in said.err
    assert told.asked[0]["model"] == "m"


def test_json_has_passages_citations_and_what_is_unknown(cli: Cli, books: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with chatting() as told:
        monkeypatch.setenv("NEARFIELD_ASK_URL", told.url)
        monkeypatch.setenv("NEARFIELD_ASK_MODEL", "m")
        monkeypatch.setenv("NEARFIELD_CHAT_API_KEY", "secret")
        found = cli("ask", books, "moon tides", "--json", "--filter", '{"year": {"$lt": 2002}}').json
    assert (found["answer"], found["unknown"], found["sources"][0]) == (told.text, [9], "a")
    assert [p["number"] for p in found["passages"]] == list(range(1, len(found["passages"]) + 1))
    assert told.keys == ["Bearer secret"]


def test_exit_codes(cli: Cli, books: str, tmp_path: Path) -> None:
    assert cli("ask", books, "moon", "--filter", '{"year": 1}').code == 1
    assert cli("ask", books, "moon", "--url", "http://127.0.0.1:9/v1").code == 2
    assert cli("ask", books, "moon", "--url", "here", "--model", "m").code == 2
    assert cli("ask", books, "").code == 2
    assert cli("ask", books, "moon", "--mode", "best").code == 2
    with chatting(Told(form="broken")) as told:
        said = cli("ask", books, "moon", "--url", told.url, "--model", "m")
    assert said.code == 1
    assert "broke off" in said.err
