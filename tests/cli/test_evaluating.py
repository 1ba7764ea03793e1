"""`nearfield eval`: BEIR files in, a table or JSON out; modes, rerankers and other models side by side."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, lines


@pytest.fixture
def judged(tmp_path: Path) -> list[str]:
    queries = lines(tmp_path / "queries.jsonl", [{"_id": "1", "text": "the moon"}, {"_id": "2", "text": "red apples"}])
    qrels = tmp_path / "test.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\n1\td\t2\n1\ta\t1\n2\tb\t2\n2\tc\t1\n")
    return ["--queries", str(queries), "--qrels", str(qrels)]


def test_a_table_has_each_mode_and_their_differences(cli: Cli, books: str, judged: list[str]) -> None:
    said = cli("eval", books, *judged)
    assert said.code == 0
    for name in ("dense", "keyword", "hybrid", "nDCG@10", "Recall@100", "2 queries", "ms/query"):
        assert name in said.out
    assert said.out.count("nDCG@10: ") == 3


def test_json_has_means_intervals_and_differences(cli: Cli, books: str, judged: list[str]) -> None:
    found = cli("eval", books, *judged, "--mode", "dense", "--mode", "keyword", "-k", 2, "--depth", 3, "--json").json
    assert list(found["systems"]) == ["dense", "keyword"]
    assert found["systems"]["keyword"]["metrics"]["nDCG@2"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert {d["metric"] for d in found["differences"]} == {"nDCG@2", "MRR@2", "MAP@2", "Recall@2", "Recall@3"}
    assert found["queries"] == 2


def test_a_reranker_is_measured_beside_each_mode(cli: Cli, books: str, judged: list[str]) -> None:
    found = cli("eval", books, *judged, "--mode", "hybrid", "--rerank", "overlap", "--json").json
    assert list(found["systems"]) == ["hybrid", "hybrid + rerank"]
    assert found["systems"]["hybrid + rerank"]["metrics"]["MRR@10"]["mean"] == 1


def test_another_model_is_measured_over_the_same_texts_and_kept_on_request(
    cli: Cli, books: str, judged: list[str], tmp_path: Path
) -> None:
    arguments = ("eval", books, *judged, "--mode", "dense", "--model", "hash:128", "--work", tmp_path / "work", "--json")
    found = cli(*arguments).json
    assert list(found["systems"]) == ["hash:64: dense", "hash:128: dense"]
    assert len(found["differences"]) == 5
    made = tmp_path / "work" / "hash_128"
    assert cli("count", made / "other").out.strip() == "4"
    assert cli("add", made / "other", lines(tmp_path / "more.jsonl", [{"id": "z", "text": "the moon moon moon"}])).code == 0
    again = cli(*arguments).json
    assert cli("count", made / "other").out.strip() == "5"
    assert again["systems"]["hash:64: dense"]["metrics"] == found["systems"]["hash:64: dense"]["metrics"]


def test_exit_codes(cli: Cli, books: str, judged: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.tsv"
    bad.write_text("1\td\n")
    said = cli("eval", books, *judged[:3], bad)
    assert said.code == 2
    assert "bad.tsv:1" in said.err
    assert cli("eval", books, *judged[:3], tmp_path / "nowhere.tsv").code == 1
    assert cli("eval", books, *judged, "--mode", "best").code == 2
    assert cli("eval", books, *judged, "--model", "hash:64").code == 2
    assert json.dumps(judged)
