"""The verbs that choose, build and measure indexes."""

import json
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.cli import indexes
from tests.cli.conftest import Cli

DIM, N = 8, 1200


@pytest.fixture
def target(tmp_path: Path) -> str:
    x = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)
    with nf.open(tmp_path / "my db") as db:
        c = db.create("c", embedder=None, dim=DIM, index=nf.Hnsw(links=8, build_effort=16))
        c.load(ids=[str(i) for i in range(N)], vectors=x)
        c.optimize()
    np.save(tmp_path / "queries.npy", x[:40] + 0.1)
    return str(tmp_path / "my db" / "c")


def test_a_kind_is_spelled_in_a_word_or_with_parameters() -> None:
    assert indexes.kind_of("auto") == "auto"
    assert indexes.kind_of("ivf") == nf.Ivf()
    assert indexes.kind_of("hnsw:links=16,storage=float32") == nf.Hnsw(links=16, storage="float32")
    assert indexes.kind_of("usearch") == nf.Usearch()
    for wrong, field in (("tree", "--index"), ("hnsw:links", "--index"), ("hnsw:arms=2", "index"), ("hnsw:links=1", "links")):
        with pytest.raises(nf.InvalidInput, match=field):
            indexes.kind_of(wrong)


def test_rebuild_makes_every_index_anew(cli: Cli, target: str) -> None:
    assert cli("rebuild", target, "--index", "ivf:lists=16", "--json").json["indexed"] == N
    with nf.open(Path(target).parent, read_only=True) as db:
        assert db["c"].stats().segments[0].index.kind["kind"] == "ivf"
    assert cli("rebuild", target, "--index", "tree").code == 2


def test_calibrate_and_record(cli: Cli, target: str, tmp_path: Path) -> None:
    said = cli("calibrate", target, "--queries", tmp_path / "queries.npy")
    assert said.code == 0
    assert "40 given queries" in said.out
    assert "(real queries)" in cli("stats", target).out
    (tmp_path / "bad.npy").write_bytes(b"")
    for queries in ("nowhere.npy", "bad.npy"):
        assert cli("calibrate", target, "--queries", tmp_path / queries).code == 2
    assert cli("calibrate", target).code == 2, "none are recorded"
    assert cli("record", target, 200, "--json").json["recording"] == 200
    assert cli("record", target, 5).code == 2
    assert "deleted" in cli("record", target, 0).out


def test_tune_of_few_rows_says_so_and_its_command_says_everything(cli: Cli, target: str, tmp_path: Path) -> None:
    said = cli("tune", target, "--recall", 0.9, "--latency", "2ms", "--memory", "1GB", "-k", 5, "--report", tmp_path / "report")
    assert said.code == 0
    assert "exact scan is best" in said.out
    assert (tmp_path / "report" / "front.html").read_text().startswith("<!doctype html>")
    told = cli("tune", target, "--recall", 0.9, "--latency", "2ms", "--memory", "1GB", "-k", 5, "--json").json
    words = ["--recall 0.9", "--k 5", "--latency 2ms", "--memory 1000000000", "--apply", f"'{Path(target).resolve()}'"]
    assert all(word in told["apply"] for word in words)
    assert json.loads((tmp_path / "report" / "front.json").read_text())["finished"]
    assert not (tmp_path / "report" / "front.png").exists(), "there is nothing to draw"


@pytest.mark.slow
def test_tune_applies_only_what_was_measured(cli: Cli, tmp_path: Path) -> None:
    n = 21_000
    x = np.random.default_rng(0).standard_normal((n, DIM)).astype(np.float32)
    with nf.open(tmp_path / "db") as db:
        db.create("c", embedder=None, dim=DIM, index=nf.Ivf(lists=16)).load(ids=[str(i) for i in range(n)], vectors=x)
        db["c"].optimize()
    target = str(tmp_path / "db" / "c")
    for options in (("--memory", "1kB"), ("--minutes", 0.001)):
        said = cli("tune", target, *options, "--apply")
        assert said.code == 1
        assert "Nothing was applied." in said.out
    with nf.open(tmp_path / "db", read_only=True) as db:
        assert db["c"].stats().segments[0].index.kind["lists"] == 16
