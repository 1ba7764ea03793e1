"""`nearfield reembed`: build, look, switch, back; exit codes; what ls and stats say."""

import json
from pathlib import Path

import nearfield as nf
from tests.cli.conftest import Cli, lines
from tests.cli.conftest import books as books
from tests.cli.conftest import cli as cli


def test_build_switch_and_back(cli: Cli, books: str) -> None:
    dry = cli("reembed", books, "--model", "hash:48", "--dry-run", "--json")
    assert (dry.code, dry.json["switched"], dry.json["embedded"]) == (0, False, 4)
    assert "building" in cli("ls", "data", "--json").out
    assert "was built" in cli("stats", books).out
    done = cli("reembed", books, "--model", "hash:48", "--k", 2)
    assert done.code == 0
    assert "overlap@2" in done.out
    assert f"nearfield reembed {books} --undo" in done.out
    assert "0 texts embedded" in done.out  # the dry run had
    assert cli("ls", "data", "--json").json[0]["embedder"] == "hash:48"
    assert "--undo" in cli("ls", "data").out
    assert "--undo" in cli("stats", books).out
    back = cli("reembed", books, "--undo", "--json")
    assert (back.code, back.json["model"], back.json["overlap"]) == (0, "hash:64", None)
    assert cli("search", books, "red apples", "--k", 1, "--json").json["hits"][0]["id"] == "b"
    assert cli("reembed", books, "--forget", "--json").json == {"removed": True}
    assert cli("reembed", books, "--forget", "--json").json == {"removed": False}
    assert cli("reembed", books, "--undo").code == 1


def test_judged_by_files(cli: Cli, books: str, tmp_path: Path) -> None:
    queries = lines(tmp_path / "queries.jsonl", [{"_id": "q1", "text": "apples"}, {"_id": "q2", "text": "the moon"}])
    qrels = tmp_path / "test.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\nq1\tc\t1\nq2\td\t2\n")
    done = cli("reembed", books, "--model", "hash:48", "--queries", queries, "--qrels", qrels, "--json")
    assert done.code == 0, done.err
    assert json.dumps(done.json["evaluation"]).count("nDCG@10") >= 2
    assert done.json["overlap"]["source"] == "given queries"


def test_bad_use_is_two_and_bad_data_is_named(cli: Cli, books: str) -> None:
    assert cli("reembed", books).code == 2
    assert cli("reembed", books, "--model", "hash:48", "--undo").code == 2
    assert cli("reembed", books, "--undo", "--dry-run").code == 2
    assert cli("reembed", books, "--model", "hash:64").code == 2
    assert cli("reembed", "data/nothing", "--model", "hash:48").code == 1
    with nf.open("data") as db:
        db["books"].upsert([nf.Document("bare")], vectors=[[1.0] * 64])
    said = cli("reembed", books, "--model", "hash:48")
    assert said.code == 2
    assert "1 document has no text" in said.err
