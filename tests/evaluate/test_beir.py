"""BEIR's files are read; a bad line is named with its file and number."""

import json
from pathlib import Path

import pytest

import nearfield as nf
from nearfield.evaluate import beir


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_corpus_has_titles_before_texts(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "corpus.jsonl",
        {"_id": "1", "title": "Tides", "text": "the moon", "metadata": {"year": 1}},
        "",
        {"_id": 2, "title": "", "text": "bread"},
        {"_id": "3", "text": "sea"},
    )
    found = list(beir.corpus(path))
    assert [(e.id, e.title, e.text) for e in found] == [("1", "Tides", "Tides the moon"), ("2", "", "bread"), ("3", "", "sea")]
    assert found[0].metadata == {"year": 1}


def test_queries_come_as_json_lines_or_as_two_columns(tmp_path: Path) -> None:
    expected = {"q1": "what moves the sea", "7": "bread"}
    assert (
        beir.queries(lines(tmp_path / "q.jsonl", {"_id": "q1", "text": expected["q1"]}, {"_id": 7, "text": "bread"}))
        == expected
    )
    assert beir.queries(lines(tmp_path / "q.tsv", f"q1\t{expected['q1']}", "7\tbread")) == expected


def test_judgements_come_with_a_heading_without_one_or_in_trecs_form(tmp_path: Path) -> None:
    expected = {"1": {"a": 2.0, "b": 0.0}, "2": {"a": -1.0}}
    rows = [("1", "a", "2"), ("1", "b", "0"), ("2", "a", "-1")]
    heading = lines(tmp_path / "a.tsv", "query-id\tcorpus-id\tscore", *("\t".join(r) for r in rows))
    plain = lines(tmp_path / "b.tsv", *("\t".join(r) for r in rows), "1\ta\t2")
    trec = lines(tmp_path / "c.txt", *(f"{q} 0 {d} {g}" for q, d, g in rows))
    assert beir.qrels(heading) == beir.qrels(plain) == beir.qrels(trec) == expected


@pytest.mark.parametrize(
    ("read", "rows", "said"),
    [
        (beir.qrels, ["query-id\tcorpus-id\tscore", "1\ta"], ":2"),
        (beir.qrels, ["1\ta\t1", "1\ta\thigh"], ":2"),
        (beir.qrels, ["1\ta\t1", "1\ta\tnan"], ":2"),
        (beir.qrels, ["1\ta\t1", "1\ta\t2"], ":2"),
        (beir.qrels, [], "no judgement"),
        (beir.queries, ['{"_id": "1", "text": "a"}', "{"], ":2"),
        (beir.queries, ['{"_id": "1", "text": "a"}', '{"_id": "1", "text": "b"}'], "twice"),
        (beir.queries, ['{"_id": "1", "text": " "}'], ":1"),
        (beir.queries, ['{"text": "a"}'], "no id"),
        (beir.queries, ["[1]"], "object"),
        (beir.queries, [], "no query"),
        (lambda p: list(beir.corpus(p)), ['{"_id": "1", "title": "x"}'], "no text"),
        (lambda p: list(beir.corpus(p)), ['{"_id": "1", "text": "x", "metadata": 3}'], "metadata"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, read, rows: list[str], said: str) -> None:
    with pytest.raises(nf.InvalidInput, match=said) as caught:
        read(lines(tmp_path / "file.jsonl", *rows))
    assert "file.jsonl" in str(caught.value)


def test_what_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(nf.NotFound, match=r"nowhere\.tsv"):
        beir.qrels(tmp_path / "nowhere.tsv")
    (tmp_path / "q.jsonl").write_bytes(b'{"_id": "1", "text": "\xff"}\n')
    with pytest.raises(nf.InvalidInput, match=r"q\.jsonl:1.*UTF-8"):
        beir.queries(tmp_path / "q.jsonl")
