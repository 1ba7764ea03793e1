"""A process that writes documents in parts is killed at random: each document is there whole, as it was or as it became."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import nearfield as nf
from tests.parts.killed_writer import State, applied
from tests.test_docs import ROOT, environment

ROUNDS = int(os.environ.get("NEARFIELD_CRASH_ROUNDS", "12")) // 2 or 1


def lines_until_killed(directory: Path, seed: int, delay: float) -> list[str]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.parts.killed_writer", str(directory), str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment(), "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
    )
    assert child.stdout is not None
    lines = [child.stdout.readline()]
    timer = threading.Timer(delay, child.kill)
    timer.start()
    lines += child.stdout.readlines()
    child.wait()
    timer.cancel()
    child.stdout.close()
    assert child.returncode == -9, "the writer failed by itself"
    return [line.strip() for line in lines if line.endswith("\n")]


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_killed_writer_leaves_whole_documents(tmp_path: Path) -> None:
    rng = random.Random(7)
    state: State = {}
    acknowledged = 0
    for _ in range(ROUNDS):
        current = None
        for line in lines_until_killed(tmp_path / "db", rng.randrange(2**31), rng.uniform(0.05, 0.6)):
            if line == "done":
                assert current is not None
                state, current = applied(state, current), None
                acknowledged += 1
            else:
                current = json.loads(line)
        with nf.open(tmp_path / "db") as db:
            if "c" not in db.list():
                assert not state
                continue
            collection = db["c"]
            found = {d.id: (d.text, d.metadata["n"]) for d in collection.scan()}
            assert found in ([state] if current is None else [state, applied(state, current)])
            state = {name: (text or "", n) for name, (text, n) in found.items()}
            assert collection.verify().problems == []
            assert len(collection.search("moon", k=50)) == len(state)
    assert acknowledged > 5 * ROUNDS


@pytest.mark.parametrize("step", ["remove", "add"])
def test_a_replacement_that_fails_in_the_middle_changes_nothing(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nearfield.store import catalog

    text = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen fifteen."
    with nf.open(tmp_path / "db") as db:
        collection = db.create("c", embedder="hash:8", passages=nf.Passages(8, 2))
        collection.upsert([nf.Document("a", text), nf.Document("b", text)])
        before = [d for d in collection.scan()]
        real, calls = catalog.drop_pending, []

        def failing(*arguments: object) -> None:
            calls.append(arguments)
            if step == "remove" and len(calls) == 4:
                raise RuntimeError("in the middle")
            real(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(catalog, "drop_pending", failing)
        if step == "add":
            monkeypatch.setattr(catalog, "add_pending", lambda *_: (_ for _ in ()).throw(RuntimeError("in the middle")))
        with pytest.raises(RuntimeError, match="in the middle"):
            collection.upsert([nf.Document("a", "New."), nf.Document("b", "New.")])
        monkeypatch.undo()
        assert list(collection.scan()) == before
        assert collection.verify().ok
        collection.upsert(nf.Document("a", "New."))
        assert collection.get("a").text == "New."
    with nf.open(tmp_path / "db") as db:
        assert db["c"].verify().ok
        assert db["c"].stats().rows == 4
