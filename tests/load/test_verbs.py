"""`nearfield bench` on a directory and on a server: the same collection, the same queries, truthful figures."""

import base64
import inspect
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import nearfield as nf
from nearfield.cli.main import build
from nearfield.load.targets import arguments, packed
from nearfield.serve.wire import EffortIn, FusionIn, SearchRequest
from tests.serve.running import running

N, DIM = 3000, 16


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("load") / "db"
    rng = np.random.default_rng(0)
    with nf.open(path) as db:
        c = db.create("c", embedder=None, dim=DIM, index=nf.Hnsw(links=8, build_effort=40))
        x = rng.standard_normal((N, DIM)).astype(np.float32)
        c.load(ids=[str(i) for i in range(N)], vectors=x, metadata={"even": [i % 2 == 0 for i in range(N)]})
        c.optimize()
    return path


def bench(*arguments: object) -> Result:
    short = ["--seconds", "0.5", "--rate", "100", "--compared", "50"]
    return CliRunner().invoke(build(), ["bench", *map(str, arguments), *short])


def truthful(told: dict, path: Path, **options: object) -> None:
    """Counts add up, and recall is that of the collection asked in this process."""
    (load,) = told["loads"]
    assert load["answered"] == 50
    assert load["errors"] == {}
    assert 0 < load["latency"]["p50"] <= load["latency"]["p99"] <= load["latency"]["max"]
    assert told["peak"] is None
    assert told["recall_queries"] == 50
    from nearfield.load.queries import made
    from nearfield.load.targets import unpacked

    with nf.open(path, read_only=True) as db:
        c = db["c"]
        good = 0
        for request in made(c, False)[:50]:
            q = unpacked(request["vector"])
            truth = c.search(vector=q, k=10, exact=True, filter=options.get("filter"))
            good += len({*truth.ids} & {*c.search(vector=q, k=10, **options).ids})
    assert told["recall"] == pytest.approx(good / 500, abs=0.005)


def test_a_directory(directory: Path, tmp_path: Path) -> None:
    done = bench(f"{directory}/c", "--json", "--recall", "0.8", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    truthful(told, directory, recall=0.8)
    assert json.loads((tmp_path / "out" / "bench.json").read_text())["recall"] == told["recall"]
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_filter_holds_for_every_query(directory: Path) -> None:
    done = bench(directory, "--filter", '{"even": true}', "--json")
    assert done.exit_code == 0, done.output
    truthful(json.loads(done.stdout), directory, filter={"even": True})


def test_a_table_for_people(directory: Path) -> None:
    done = bench(directory)
    assert done.exit_code == 0, done.output
    assert "P99.9" in done.stdout
    assert "The first answer took" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--queries", "none.txt"], "no such file"),
        (["--collection", "other"], "other"),
        (["--filter", '{"even": {"$no": 1}}'], "$no"),
        (["--vectors", "--queries", "wide.npy"], "(n, 16)"),
        (["--queries", "bad.jsonl"], "line 2"),
    ],
)
def test_what_is_wrong_is_said(
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list,
    told: str,
) -> None:
    from nearfield.cli.main import main

    monkeypatch.chdir(tmp_path)
    np.save("wide.npy", np.zeros((2, 5), np.float32))
    Path("bad.jsonl").write_text('[1, 2]\n{"a": \n')
    assert main(["bench", str(directory), "--seconds", "0.2", *arguments]) != 0
    assert told in capsys.readouterr().err


@pytest.mark.slow
def test_a_server(directory: Path) -> None:
    with running(directory, "--log-level", "warning") as server:
        server.until_ready("?for=vector")
        done = bench(server.url, "--json")
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout)
        truthful(told, directory)
        assert set(told["loads"][0]["stages"]) >= {"search"}
        assert bench(server.url, "--collection", "none").exit_code != 0
    gone = bench(server.url)
    assert gone.exit_code == 1
    assert server.url in gone.output


def test_every_option_of_a_request_that_is_logged_can_be_asked_again() -> None:
    made = SearchRequest(
        query="sea", vector=packed(np.ones(2)), image="aaaa", vector_by_name={"a": packed(np.ones(2))}, pages=True,
        min_commit=3, fusion=FusionIn(method="ranks"), effort=EffortIn(nprobe=2),
    )  # fmt: skip
    found = arguments(msgspec.to_builtins(made))
    assert set(found) <= set(inspect.signature(nf.Collection.search).parameters)
    assert found["fusion"] == nf.Fusion("ranks")
    assert found["image"] == base64.b64decode("aaaa")
    assert found["vector"]["a"].tolist() == [1.0, 1.0]
