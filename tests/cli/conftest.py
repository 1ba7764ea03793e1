"""The command line as a function: arguments in; exit code, standard output and standard error out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nearfield.cli.main import main


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Said]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Said:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def books(cli: Cli, tmp_path: Path) -> str:
    """A collection of four documents."""
    assert cli("create", "data/books", "--embedder", "hash:64").code == 0
    rows = [
        {"id": "a", "text": "moon and tides", "year": 1999, "tags": ["sea", "sky"]},
        {"id": "b", "text": "red apples", "year": 2001},
        {"id": "c", "text": "green apples and pears", "year": 2010, "in": {"stock": True}},
        {"id": "d", "text": "the moon", "year": 1969},
    ]
    assert cli("add", "data/books", lines(tmp_path / "books.jsonl", rows)).code == 0
    return "data/books"
