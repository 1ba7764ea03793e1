"""The example answers from a folder's texts with citations, prints passages without a model, and goes on where it stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.answering.chatting import Told, chatting

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag.py"


def run(where: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(EXAMPLE), *map(str, arguments), "--db", str(where / "db"), "--embedder", "hash:64"]
    return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    (folder / "in").mkdir(parents=True)
    (folder / "sea.md").write_text("# Tides\n\nThe moon moves the sea twice a day.\n\nWind moves waves.\n")
    (folder / "in" / "bread.txt").write_text("Bread is flour, water and salt.\n")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_it_is_one_page() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 100


def test_without_an_address_the_passages_are_printed(tmp_path: Path, texts: Path) -> None:
    done = run(tmp_path, "what moves the sea?", "--texts", texts)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[1] sea.md#2: The moon moves the sea twice a day.")
    assert "in/bread.txt#1" in done.stdout


def test_with_one_it_answers_with_citations_and_embeds_nothing_twice(tmp_path: Path, texts: Path) -> None:
    with chatting(Told(text="The moon does [1], they say [9].")) as told:
        for _ in range(2):
            done = run(tmp_path, "what moves the sea?", "--texts", texts, "--url", told.url, "--model", "m")
            assert done.returncode == 0, done.stderr
            assert done.stdout == (
                "The moon does [1], they say [9].\n\n[1] sea.md#2: The moon moves the sea twice a day.\n"
                "[9] names no passage: do not trust what is said there\n"
            )
    assert "4 passages" in done.stderr
    assert "The moon moves the sea twice a day." in told.asked[0]["messages"][1]["content"]


def test_an_empty_folder_has_no_answer(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path, "what?", "--texts", tmp_path / "empty")
    assert (done.returncode, done.stdout) == (1, "nothing was found\n")


@pytest.mark.slow
def test_the_sample_of_wordnet_answers_without_a_folder(tmp_path: Path) -> None:
    done = run(tmp_path, "tide the periodic rise and fall of the sea level")
    assert done.returncode == 0, done.stderr
    assert "tide" in done.stdout.splitlines()[0]
