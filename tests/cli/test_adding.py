import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from tests.cli.conftest import Cli, lines


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were embedded as documents."""
    seen: list[str] = []
    encode = HashEmbedder.encode

    def counting(self: HashEmbedder, items: Any, kind: str = "document", progress: Any = None) -> Any:
        seen.extend(items)
        return encode(self, items, kind, progress)

    monkeypatch.setattr(HashEmbedder, "encode", counting)
    return seen


def rows(n: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"d{i}", "text": f"word{i} of {i % 7}", "n": i} for i in range(start, start + n)]


def test_a_second_run_writes_and_embeds_nothing(cli: Cli, tmp_path: Path, embedded: list[str]) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    path = lines(tmp_path / "x.jsonl", rows(50))
    assert cli("add", "db/c", path, "--batch", 8, "--json").json | {"seconds": 0} == {
        "added": 50,
        "replaced": 0,
        "unchanged": 0,
        "documents": 50,
        "seconds": 0,
    }
    embedded.clear()
    again = cli("add", "db/c", path, "--json").json
    assert (again["added"], again["replaced"], again["unchanged"]) == (0, 0, 50)
    assert embedded == []


def test_changed_text_is_embedded_and_changed_metadata_is_not(cli: Cli, tmp_path: Path, embedded: list[str]) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    data = rows(10)
    cli("add", "db/c", lines(tmp_path / "x.jsonl", data))
    embedded.clear()
    data[3]["n"] = 3.0  # another JSON value than 3
    data[4]["text"] = "new"
    done = cli("add", "db/c", lines(tmp_path / "x.jsonl", data), "--json").json
    assert (done["added"], done["replaced"], done["unchanged"]) == (0, 2, 8)
    assert [text for text in embedded if not text.startswith(("The", "the"))].count("new") == 1
    assert "word3 of 3" not in embedded


def test_a_malformed_line_leaves_what_came_before(cli: Cli, tmp_path: Path) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    path = lines(tmp_path / "x.jsonl", rows(10))
    with open(path, "a") as file:
        file.write("{oops\n" + json.dumps(rows(1, 10)[0]) + "\n")
    said = cli("add", "db/c", path, "--batch", 4)
    assert said.code == 2
    assert "x.jsonl, line 11" in said.err
    assert "8 documents were committed" in said.err
    assert cli("count", "db/c").out.strip() == "8"  # the batch with the bad line is not written


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": "x" * 600, "text": "t"}, "line 3"),
        ({"id": "e", "text": " "}, "line 3"),
        ({"id": "e", "text": "t" * (10 << 20)}, "line 3"),
        ({"id": "e"}, "line 3"),
    ],
)
def test_a_document_that_is_wrong_is_named_by_its_line(cli: Cli, tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    done = cli("add", "db/c", lines(tmp_path / "x.jsonl", [*rows(2), wrong]))
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert cli("count", "db/c").out.strip() == "0"


def test_vectors_are_taken_and_compared(cli: Cli, tmp_path: Path) -> None:
    cli("create", "db/v", "--embedder", "none", "--dim", 3, "--metric", "l2")
    array = np.random.default_rng(0).standard_normal((20, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    assert cli("add", "db/v", tmp_path / "x.npy", "--json").json["added"] == 20
    assert cli("add", "db/v", tmp_path / "x.npy", "--json").json["unchanged"] == 20
    array[5] += 1
    np.save(tmp_path / "x.npy", array)
    done = cli("add", "db/v", tmp_path / "x.npy", "--json").json
    assert (done["replaced"], done["unchanged"]) == (1, 19)
    found = cli("search", "db/v", "--vector", json.dumps(array[5].tolist()), "-k", 1, "--json").json
    assert found["hits"][0]["id"] == "5"


@pytest.mark.parametrize("vector", [[1, 2], [1, 2, float("nan")], [1, 2, 1e300], [0, 0, 0]])
def test_bad_vectors_are_refused(cli: Cli, tmp_path: Path, vector: list[float]) -> None:
    cli("create", "db/v", "--embedder", "none", "--dim", 3)
    np_rows = [{"id": "good", "vector": [1, 2, 3]}, {"id": "bad", "vector": vector}]
    done = cli("add", "db/v", lines(tmp_path / "x.jsonl", np_rows))
    assert done.code == 2
    assert "x.jsonl, line" in done.err
    assert cli("count", "db/v").out.strip() == "0"


def test_of_two_lines_with_one_id_the_later_stays(cli: Cli, tmp_path: Path) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    cli("add", "db/c", lines(tmp_path / "x.jsonl", [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}]))
    assert cli("get", "db/c", "a", "--json").json[0]["text"] == "two"


def test_several_files_and_a_folder(cli: Cli, tmp_path: Path) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "n.txt").write_text("a note")
    (tmp_path / "x.csv").write_text("id,text\n1,from csv\n")
    assert cli("add", "db/c", tmp_path / "x.csv", tmp_path / "notes").code == 0
    assert cli("count", "db/c", "--json").json == {"count": 2}


@pytest.mark.slow
def test_interrupted_it_keeps_what_was_written_and_goes_on(cli: Cli, tmp_path: Path) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    path = lines(tmp_path / "x.jsonl", rows(300))
    command = [sys.executable, "-m", "nearfield", "add", "db/c", "-", "--batch", "50"]
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdin is not None
    assert child.stderr is not None
    child.stdin.write(b"".join(path.read_bytes().splitlines(keepends=True)[:201]))
    child.stdin.flush()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.2)
        try:
            with nf.open(tmp_path / "db", read_only=True) as db:
                if len(db["c"]) == 200:
                    break
        except nf.NearfieldError:
            continue
    child.send_signal(signal.SIGINT)
    code = child.wait(60)
    said = child.stderr.read().decode()
    for pipe in (child.stdin, child.stdout, child.stderr):
        assert pipe is not None
        pipe.close()
    assert code == 130, said
    assert "200 documents were written and are safe; run the same command to go on" in said
    done = cli("add", "db/c", path, "--json").json
    assert (done["added"], done["unchanged"]) == (100, 200)
