"""The process dies at each step: the live generation has all that was acknowledged, and it goes on, either way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from tests.reembedding.worlds import NEW, OLD, check_vectors, documents, state

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("noted", "made", "copying", "copied", "indexed", "written", "named", "switched", "retired")


def run_until_it_dies(directory: Path, what: str, at: str, first: int) -> dict[str, set[str]]:
    """For each id the texts that it may have: the last acknowledged one, and what was begun after it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.reembedding.killed", str(directory), what, at, str(first)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
    )
    assert done.returncode == -9, done.stderr
    allowed: dict[str, set[str]] = {}
    for line in done.stdout.splitlines():
        word, _, number = line.partition(" ")
        name, text = f"w{int(number or 0) % 30}", f"written by {number}"
        if word == "begin":
            allowed.setdefault(name, {""}).add(text)
        elif word == "done":
            allowed[name] = {text}
    return allowed


def check(shelf: nf.Collection, allowed: dict[str, set[str]]) -> None:
    found = state(shelf)
    for document in documents(200):
        assert found.pop(document.id) == (document.text, dict(document.metadata))
    for name, texts in allowed.items():
        assert (found.get(name, ("", {}))[0] or "") in texts, name
    check_vectors(shelf, HashEmbedder(shelf.dim))
    assert shelf.verify().problems == []


@pytest.mark.slow
@pytest.mark.parametrize("at", STEPS)
def test_killed_while_it_is_built_and_switched(tmp_path: Path, at: str) -> None:
    with nf.open(tmp_path / "db") as db:
        db.create("shelf", embedder=OLD).upsert(documents(200))
    allowed = run_until_it_dies(tmp_path / "db", "reembed", at, 0)
    with nf.open(tmp_path / "db") as db:
        shelf = db["shelf"]
        switched = at in ("named", "switched", "retired")
        assert shelf.embedder == (NEW if switched else OLD)
        check(shelf, allowed)
        before = state(shelf)
        if switched:
            assert db.undo_reembed("shelf").switched
        else:
            report = db.reembed("shelf", NEW)
            if at not in ("noted", "made", "copying"):
                assert report.embedded < 100  # the 200 were embedded already
        assert state(shelf) == before
        check(shelf, allowed)
        assert len(list((db.path / "c").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("at", ["copied", "written", "named", "retired"])
def test_killed_on_the_way_back(tmp_path: Path, at: str) -> None:
    with nf.open(tmp_path / "db") as db:
        shelf = db.create("shelf", embedder=OLD)
        shelf.upsert(documents(200))
        db.reembed("shelf", NEW)
        shelf.upsert(nf.Document("w1", "written by 1"))
    allowed = run_until_it_dies(tmp_path / "db", "undo", at, 31)
    allowed.setdefault("w1", set()).add("written by 1")
    with nf.open(tmp_path / "db") as db:
        shelf = db["shelf"]
        assert shelf.embedder == (OLD if at in ("named", "retired") else NEW)
        check(shelf, allowed)
        before = state(shelf)
        db.undo_reembed("shelf")
        assert state(shelf) == before
        check(shelf, allowed)
