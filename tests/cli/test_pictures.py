"""Pictures on the command line: a folder added and added again, what is broken told, searches by a picture's file."""

import json
from pathlib import Path

import pytest

import nearfield as nf
from nearfield.cli.main import main
from tests.pictures.test_collection import png
from tests.pictures.test_folder import BAD, GOOD, photos

__all__ = ["photos"]


def told(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_a_folder_is_added_searched_and_added_again(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = f"{tmp_path}/db/pics"
    assert main(["create", target, "--embedder", "pixels:4", "--json"]) == 0
    capsys.readouterr()
    assert main(["add", target, str(photos), "--json"]) == 0
    done = told(capsys)
    assert (done["added"], done["documents"]) == (8, 8)
    assert sorted(one["file"] for one in done["failed"]) == BAD
    assert main(["add", target, str(photos), "--json", "--no-optimize"]) == 0
    assert {key: value for key, value in told(capsys).items() if key in ("added", "replaced", "unchanged")} == {
        "added": 0, "replaced": 0, "unchanged": 8,
    }  # fmt: skip
    assert main(["search", target, "--image", str(photos / "p3.png"), "-k", "2", "--json"]) == 0
    assert told(capsys)["hits"][0]["id"] == "p3.png"
    assert main(["add", target, str(photos / "p1.png"), "--prefix", "again", "--json"]) == 0
    assert told(capsys)["added"] == 1
    with nf.open(tmp_path / "db") as db:
        assert {d.id for d in db["pics"].scan()} == {*GOOD, "turned.jpg", "again/p1.png"}


def test_a_picture_that_cannot_be_searched_with_is_bad_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = f"{tmp_path}/db/pics"
    main(["create", target, "--embedder", "pixels:4"])
    (tmp_path / "broken.png").write_bytes(png(1)[:50])
    assert main(["search", target, "--image", str(tmp_path / "broken.png")]) == 2
    assert "broken" in capsys.readouterr().err
    assert main(["search", target, "--image", str(tmp_path / "nothing.png")]) == 1
    assert "no such file" in capsys.readouterr().err
    assert main(["search", target, "a text"]) == 2
    assert "pictures only" in capsys.readouterr().err
