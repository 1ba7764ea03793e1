"""A writing process is killed at random moments; what it acknowledged is there, and nothing else.

`make crash ROUNDS=1000` runs more rounds than `make test`.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import nearfield as nf
from tests.durability import operations

ROUNDS = int(os.environ.get("NEARFIELD_CRASH_ROUNDS", "50"))
ROOT = Path(__file__).resolve().parents[2]


def run_and_kill(directory: Path, seed: int, first: int, delay: float, indexes: bool) -> list[str]:
    """The lines a writer said until it was killed `delay` seconds after its first."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.durability.writer", str(directory), str(seed), str(first), "indexes" if indexes else "-"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
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
@pytest.mark.parametrize("lane", range(2))
def test_a_killed_writer_has_lost_nothing(tmp_path: Path, lane: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random_ = random.Random(lane)
    state: operations.State = {}
    number = 1
    directory = tmp_path / "db"
    seen = {"segments": 0, "acknowledged": 0}
    rounds = -(-ROUNDS // 2)
    for round_ in range(rounds):
        indexes = round_ % 5 == 4
        lines = run_and_kill(directory, random_.randrange(2**31), number, random_.uniform(0.01, 0.6), indexes)
        current = None
        for line in lines:
            if line == "done":
                assert current is not None
                state, current = operations.applied(state, current), None
                seen["acknowledged"] += 1
            else:
                current = json.loads(line)
                number = current["number"] + 1
        operations.make_small(monkeypatch.setattr)
        with nf.open(directory) as db:
            if "books" not in db.list():
                assert not state
                continue
            books = db["books"]
            found = operations.read(books)
            choices = operations.possible(state, current)
            assert found in choices, f"round {round_}: {current}"
            state = found
            operations.check_searches(books, state, random_)
            assert books.verify().problems == []
            seen["segments"] += len(books.stats().segments)
    assert seen["acknowledged"] > 5 * rounds
    assert seen["segments"] > 0


def test_a_build_ends_when_its_parent_dies(tmp_path: Path) -> None:
    """The index builder exits when the pipe to its parent closes."""
    child = subprocess.Popen([sys.executable, "-m", "nearfield.index.child"], stdin=subprocess.PIPE)
    assert child.stdin is not None
    orders = {
        "vectors": str(tmp_path / "x"), "rows": 200_000, "dim": 64, "metric": "l2",
        "kind": {"kind": "hnsw", "links": 64, "build_effort": 512}, "into": str(tmp_path), "threads": 1, "nice": 0, "seed": 0,
    }  # fmt: skip
    (tmp_path / "x").write_bytes(os.urandom(1 << 20) * 49)
    child.stdin.write(json.dumps(orders).encode() + b"\n")
    child.stdin.flush()
    time.sleep(0.5)
    child.stdin.close()
    assert child.wait(timeout=60) == 3
