import json
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.cli.main import VERBS
from tests.cli.conftest import Cli


def test_every_verb_has_help_and_json(cli: Cli) -> None:
    for verb in VERBS:
        said = cli(verb, "--help")
        assert said.code == 0
        assert ("--json" in said.out) == (verb != "serve"), verb


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").out.strip() == f"nearfield {nf.__version__}"
    assert "search" in cli("--help").out


def test_search_by_text_document_and_vector(cli: Cli, books: str) -> None:
    found = cli("search", books, "the moon", "-k", 2, "--json").json
    assert [hit["id"] for hit in found["hits"]] == ["d", "a"]
    assert found["complete"] is True
    assert cli("search", books, "--id", "b", "-k", 1, "--json").json["hits"][0]["id"] == "c"
    vector = cli("get", books, "b", "--vectors", "--json").json[0]["vector"]
    assert cli("search", books, "--vector", json.dumps(vector), "--exact", "--json").json["hits"][0]["id"] == "b"
    shown = cli("search", books, "apples", "--plan")
    assert "red apples" in shown.out
    assert "exact" in shown.out


def test_search_with_a_filter_and_offset(cli: Cli, books: str) -> None:
    found = cli("search", books, "moon", "-f", '{"year": {"$gte": 2000}}', "--json").json["hits"]
    assert {hit["id"] for hit in found} == {"b", "c"}
    all_ids = [h["id"] for h in cli("search", books, "moon", "--json").json["hits"]]
    assert [h["id"] for h in cli("search", books, "moon", "--offset", 1, "--json").json["hits"]] == all_ids[1:]


def test_explain_says_why_not(cli: Cli, books: str) -> None:
    said = cli("explain", books, "b", "the moon", "-k", 2)
    assert said.code == 0
    assert said.out.splitlines()[0].startswith("'b' ranks ")
    assert "does not return it" in said.out
    found = cli("explain", books, "d", "the moon", "-f", '{"year": {"$lt": 1990}}', "--json").json
    assert (found["rank"], found["of"], found["returned"], found["segment"]) == (1, 1, True, 0)
    vector = json.dumps(cli("get", books, "b", "--vectors", "--json").json[0]["vector"])
    assert cli("explain", books, "b", "--vector", vector, "--json").json["rank"] == 1
    cli("rm", books, "a")
    for arguments, code, words in [
        (("a", "moon"), 1, "no document has this id"),
        (("zz", "moon"), 1, "no document has this id"),
        (("b",), 2, "exactly one"),
    ]:
        done = cli("explain", books, *arguments)
        assert (done.code, done.out) == (code, "")
        assert words in done.err


def test_stats_tell_the_history_of_an_index(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with nf.open(tmp_path / "data") as db:
        c = db.create("v", embedder=None, dim=8, index=nf.Hnsw(links=4, build_effort=8))
        c.load(ids=[f"d{i}" for i in range(2000)], vectors=rng.standard_normal((2000, 8)))
        c.optimize()
        c.calibrate(rng.standard_normal((40, 8)))
        c.record_queries(100)
    said = cli("stats", "data/v").out
    assert "HNSW4,SQ8" in said
    assert "0 min ago" in said
    assert "with 40 given queries" in said
    assert "0 of at most 100" in said
    index = cli("stats", "data/v", "--json").json["segments"][0]["index"]
    assert index["queries"] == 40
    assert index["planned_bytes"] > 0


def test_get_update_rm_count_ls(cli: Cli, books: str) -> None:
    assert cli("get", books, "a", "--json").json[0]["metadata"] == {"year": 1999, "tags": ["sea", "sky"]}
    done = cli("update", books, "a", "--set", "year=2000", "--set", "name=some text", "--remove", "tags", "--json")
    assert done.json["metadata"] == {"year": 2000, "name": "some text"}
    assert cli("rm", books, "a", "nothing", "--json").json == {"deleted": 1}
    assert cli("rm", books, "-f", '{"in.stock": true}', "--json").json == {"deleted": 1}
    assert cli("count", books).out.strip() == "2"
    assert cli("count", books, "-f", '{"year": 1969}').out.strip() == "1"
    assert {d["id"] for d in cli("ls", books, "--json").json} == {"b", "d"}
    assert cli("ls", "data", "--json").json[0]["name"] == "books"
    assert "books" in cli("ls", "data").out


def test_rename_and_drop(cli: Cli, books: str) -> None:
    assert cli("rename", books, "novels").code == 0
    assert cli("count", "data/novels").out.strip() == "4"
    assert cli("count", books).code == 1
    assert cli("rm", "data/novels", "--collection").code == 0
    assert cli("ls", "data", "--json").json == []


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_export_and_import(cli: Cli, books: str, tmp_path: Path, suffix: str) -> None:
    assert cli("export", books, f"out{suffix}", "--json").json["documents"] == 4
    cli("create", "data/again", "--embedder", "hash:64")
    assert cli("import", "data/again", f"out{suffix}", "--json").json == {"added": 4, "replaced": 0}
    both = [cli("ls", name, "--json").json for name in (books, "data/again")]
    assert both[0] == both[1]
    assert cli("export", books, f"out{suffix}").code == 1  # it exists


def test_stats_optimize_verify_purge_repair(cli: Cli, books: str) -> None:
    cli("rm", books, "a")
    assert cli("optimize", books, "--json").json["segments"] == 1
    cli("rm", books, "b")
    assert cli("purge", books, "--json").json["tombstones"] == 0
    assert cli("stats", books, "--json").json["documents"] == 2
    assert "exact scan" in cli("stats", "data").out
    assert cli("verify", "data", "--json").json["ok"] is True
    assert cli("repair", books).code == 0


def test_verify_says_no_where_bytes_changed(cli: Cli, books: str, tmp_path: Path) -> None:
    cli("optimize", books)
    vectors = next((tmp_path / "data").rglob("vectors.bin"))
    damaged = bytearray(vectors.read_bytes())
    damaged[5] ^= 0xFF
    vectors.write_bytes(bytes(damaged))
    said = cli("verify", books, "--json")
    assert said.code == 1
    assert said.json["ok"] is False


def test_backup_and_restore(cli: Cli, books: str) -> None:
    assert cli("backup", "data", "copy").code == 0
    assert cli("restore", "copy", "data2").code == 0
    assert cli("ls", "data2/books", "--json").json == cli("ls", books, "--json").json
    assert cli("backup", "data", "copy").code == 1
    assert cli("restore", "data", "data3").code == 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("search", "nowhere/books", "x"), 1, "nearfield create"),
        (("search", "data/none", "x"), 1, "data/none"),
        (("search", "data", "x"), 2, "names no collection"),
        (("search", "data/books", "x", "-k", "0"), 2, "k: "),
        (("search", "data/books", "x", "-f", "{"), 2, "--filter: not JSON"),
        (("search", "data/books", "x", "-f", '{"a": {"$near": 1}}'), 2, "$near"),
        (("search", "data/books"), 2, "exactly one thing"),
        (("search", "data/books", "x", "--vector", "[1]"), 2, "exactly one thing"),
        (("search", "data/books", "--vector", "[1]"), 2, "dimension"),
        (("search", "data/books", "x", "--colour", "red"), 2, "--colour"),
        (("get", "data/books", "zz"), 1, "'zz'"),
        (("update", "data/books", "a"), 2, "nothing to change"),
        (("update", "data/books", "zz", "--set", "a=1"), 1, "zz"),
        (("rm", "data/books"), 2, "what to delete"),
        (("create", "data/books"), 1, "has this name"),
        (("create", "data/ bad"), 2, "not a name"),
        (("create", "data/x", "--index", "tree"), 2, "--index"),
        (("create", "data/x", "--embedder", "none"), 2, "dim"),
        (("create", "data/x", "--embedder", "hash:16", "--metric", "manhattan"), 2, "metric"),
        (("create", "data/x", "--embedder", "hash:16", "--field", "day"), 2, "--field"),
        (("add", "data/books", "none.jsonl"), 1, "no such file"),
        (("frobnicate",), 2, "frobnicate"),
    ],
)
def test_errors_have_one_clear_line_and_a_code(cli: Cli, books: str, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = cli(*arguments)
    assert done.code == code, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_a_locked_directory_can_be_read(cli: Cli, books: str) -> None:
    with nf.open("data"):
        assert cli("search", books, "moon").code == 0
        assert cli("stats", "data").code == 0
        assert cli("doctor", "data", "--quick", "--json").code == 0
        done = cli("rm", books, "a")
    assert done.code == 1
    assert "open for writing by process" in done.err


def test_options_can_come_from_the_environment(cli: Cli, books: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEARFIELD_SEARCH_K", "1")
    assert len(cli("search", books, "moon", "--json").json["hits"]) == 1
    assert len(cli("search", books, "moon", "-k", 2, "--json").json["hits"]) == 2
    monkeypatch.setenv("NEARFIELD_SERCH_K", "1")
    done = cli("search", books, "moon")
    assert done.code == 2
    assert "did you mean 'NEARFIELD_SEARCH_K'" in done.err


def test_a_declared_field_compares_instants(cli: Cli, tmp_path: Path) -> None:
    cli("create", "data/e", "--embedder", "hash:16", "--field", "at=timestamp")
    (tmp_path / "e.jsonl").write_text('{"id": "a", "text": "x", "at": "2024-01-01T00:00:00+02:00"}\n')
    cli("add", "data/e", "e.jsonl")
    assert cli("count", "data/e", "-f", '{"at": {"$lt": "2023-12-31T23:00:00Z"}}').out.strip() == "1"
