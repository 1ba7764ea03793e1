"""The verb `dedup`: shows by default, deletes when told, and suggests a threshold."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from tests.cli.conftest import Cli, lines
from tests.duplicates import brute


@pytest.fixture
def target(tmp_path: Path) -> str:
    with nf.open(tmp_path / "data") as db:
        made = db.create("v", embedder=None, dim=2)
        near = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [-1, -1]], np.float32)
        documents = [nf.Document(i, f"text of {i}", {"n": n}) for n, i in enumerate("abcde")]
        made.upsert(documents, vectors=near)
    return "data/v"


def ids() -> list[str]:
    with nf.open("data", read_only=True) as db:
        return sorted(d.id for d in db["v"].scan())


def test_nothing_is_deleted_by_default(cli: Cli, target: str) -> None:
    said = cli("dedup", target, "--above", "0.99")
    assert said.code == 0
    assert "2 groups; 2 documents would be deleted; to delete them: --delete" in said.out
    assert "keep   a  0.9999  text of a" in said.out.splitlines()[0].replace("1.0000", "0.9999")
    assert "every pair was looked for" in said.err
    assert ids() == list("abcde")


def test_json_is_the_whole_report(cli: Cli, target: str) -> None:
    told = cli("dedup", target, "--above", "0.99", "--keep", "field:n", "--json").json
    assert [(g["ids"], g["keep"]) for g in told["groups"]] == [(["a", "b"], "b"), (["c", "d"], "d")]
    assert (told["dry_run"], told["documents"], told["deleted"], told["join"]["exact"]) == (True, 2, 0, True)


def test_delete_deletes_all_but_the_one_that_stays(cli: Cli, target: str) -> None:
    said = cli("dedup", target, "--above", "0.99", "--keep", "newest", "--filter", '{"n": {"$lt": 3}}', "--delete")
    assert "1 groups; 1 documents deleted" in said.out
    assert ids() == list("bcde")


@pytest.mark.parametrize(
    "options",
    [
        ("--above", "2"),
        ("--above", "0.9", "--keep", "last"),
        ("--above", "0.9", "--recall", "0"),
        ("--delete",),
        ("--above", "0.9", "--delete", "--suggest"),
    ],
)
def test_bad_use_is_refused(cli: Cli, target: str, options: tuple[str, ...]) -> None:
    assert cli("dedup", target, *options).code == 2
    assert ids() == list("abcde")


def test_a_threshold_is_suggested_or_the_data_say_no(cli: Cli, target: str, tmp_path: Path) -> None:
    said = cli("dedup", target)
    assert (said.code, said.out.strip()) == (1, "no threshold stands out")
    random = np.random.default_rng(0)
    x = random.standard_normal((1000, 24)).astype(np.float32)
    x[:50] = x[50:100] + 0.01 * random.standard_normal((50, 24)).astype(np.float32)
    with nf.open(tmp_path / "data") as db:
        db.create("w", embedder=None, dim=24).upsert([nf.Document(str(i)) for i in range(1000)], vectors=x)
    said = cli("dedup", "data/w", "--suggest", "--json")
    assert said.code == 0
    above = said.json["above"]
    with nf.open(tmp_path / "data", read_only=True) as db:
        assert len(list(db["w"].duplicates(above))) == 50
    assert len(brute.pairs(brute.rows(x, nf.Metric.COSINE), above)) == 50


def test_adding_leaves_out_near_duplicates_where_asked(cli: Cli, books: str, tmp_path: Path) -> None:
    rows = lines(tmp_path / "more.jsonl", [{"id": "e", "text": "the moon"}, {"id": "f", "text": "ripe plums"}])
    done = cli("add", books, rows, "--skip-duplicates-above", 0.98, "--json").json
    assert (done["added"], done["skipped"], done["documents"]) == (1, 1, 5)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "g.txt").write_text("ripe plums\n")
    said = cli("add", books, tmp_path / "texts", "--skip-duplicates-above", 0.98)
    assert "near-duplicates left out 1" in said.out
    assert cli("count", books, "--json").json == {"count": 5}


def test_a_collection_in_parts_refuses_that_before_anything_is_read(cli: Cli, tmp_path: Path) -> None:
    cli("create", "data/parts", "--embedder", "hash:16", "--passages", 8)
    rows = lines(tmp_path / "one.jsonl", [{"id": "e", "text": "the moon"}])
    said = cli("add", "data/parts", rows, "--skip-duplicates-above", 0.98)
    assert said.code == 2
    assert "skip_duplicates_above" in said.err
    assert cli("count", "data/parts", "--json").json == {"count": 0}
