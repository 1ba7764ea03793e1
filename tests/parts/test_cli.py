"""Documents in parts on the command line."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, cli, lines

__all__ = ["cli"]
TEXT = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen fifteen."
ROWS = [{"id": "a", "text": TEXT, "title": "numbers"}, {"id": "b", "text": "moon tide."}]


def test_a_search_shows_the_passage(cli: Cli, tmp_path: Path) -> None:
    made = cli("create", "db/c", "--embedder", "hash:16", "--passages", 8, "--json")
    assert made.json["parts"] == {"passages": {"tokens": 8, "overlap": 1}, "vectors": {}}
    assert cli("add", "db/c", lines(tmp_path / "d.jsonl", ROWS)).code == 0
    said = cli("search", "db/c", "thirteen", "--k", 1)
    assert "Twelve thirteen fourteen fifteen." in said.out
    assert "One two" not in said.out
    hit = cli("search", "db/c", "thirteen", "--passages-per-document", 2, "--json").json["hits"][0]
    assert hit["text"] == TEXT
    assert [TEXT[p["start"] : p["end"]] for p in hit["passages"]] == [p["text"] for p in hit["passages"]]
    assert len(hit["passages"]) == 2
    assert cli("stats", "db/c", "--json").json["rows"] == 4


def test_named_vectors_are_made_and_searched(cli: Cli, tmp_path: Path) -> None:
    assert cli("create", "db/n", "--embedder", "hash:16", "--named", "title=title", "--named", "body=").code == 0
    assert cli("add", "db/n", lines(tmp_path / "d.jsonl", ROWS)).code == 0
    assert cli("search", "db/n", "numbers", "--on", "title", "--json").json["hits"][0]["id"] == "a"
    both = cli("search", "db/n", "numbers", "--on", "title=2", "--on", "body", "--json").json["hits"]
    assert [h["id"] for h in both] == ["a", "b"]
    shown = cli("get", "db/n", "a", "--vectors", "--json").json[0]["parts"]
    assert [(p["name"], len(p["vector"])) for p in shown] == [("title", 16), ("body", 16)]
    assert "vector 1 body" in cli("get", "db/n", "a", "--vectors").out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("create", "db/x", "--embedder", "hash:16", "--overlap", 3), "--overlap"),
        (("create", "db/x", "--embedder", "hash:16", "--named", "title"), "--named"),
        (("create", "db/x", "--embedder", "hash:16", "--passages", 20, "--overlap", 15), "passages.overlap"),
        (("search", "db/c", "a", "--on", "title=x"), "--on"),
    ],
)
def test_bad_use_is_named(cli: Cli, arguments: tuple, named: str) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    said = cli(*arguments)
    assert said.code == 2
    assert named in said.err
