"""`nearfield add` with folders and documents: what goes in, what is named, what a second run and a watch do."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nearfield as nf
from nearfield.cli import documents, following
from nearfield.cli.adding import Counts
from nearfield.extract.following import Follower
from nearfield.extract.walking import mark_of
from nearfield.extract.worker import Extractor
from tests.cli.conftest import Cli
from tests.extract import making

Add = Callable[..., Any]


@pytest.fixture
def add(cli: Cli) -> Add:
    """Adds to a collection of hashed texts; the JSON that is said."""
    assert cli("create", "db/c", "--embedder", "hash:16").code == 0
    return lambda *arguments: cli("add", "db/c", *arguments, "--json").json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("a plain text")
    (root / "sub" / "b.md").write_text("# Two\n\nwords")
    (root / "p.pdf").write_bytes(making.pdf([["A page"]]))
    (root / "w.docx").write_bytes(making.word())
    (root / "m.eml").write_bytes(making.mail())
    (root / "h.html").write_text("<title>T</title><p>page")
    (root / "rows.csv").write_text("text,n\none,1\ntwo,2\n")
    (root / "x.exe").write_bytes(b"MZ")
    for path in root.rglob("*.*"):
        os.utime(path, (1000, 1000))
    return root


def ids(directory: Path) -> list[str]:
    with nf.open(directory / "db", read_only=True) as db:
        return sorted(d.id for d in db["c"].scan())


ALL = ["a.txt", "h.html", "m.eml", "p.pdf", "rows.csv#1", "rows.csv#2", "sub/b.md", "w.docx"]


def test_a_folder_goes_in_and_a_second_run_does_nothing(
    add: Add, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = add(folder)
    assert (done["added"], done["failed"], done["passed_over"]) == (8, [], {".exe": 1})
    assert ids(tmp_path) == ALL
    monkeypatch.setattr(Extractor, "read", lambda *_: pytest.fail("a file was read again"))
    again = add(folder)
    assert (again["added"], again["replaced"], again["unchanged"]) == (0, 0, 8)


def test_what_is_read_can_be_filtered_by_its_metadata(add: Add, cli: Cli, folder: Path) -> None:
    add(folder)
    found = cli("search", "db/c", "page", "--filter", '{"kind": "pdf", "pages": 1}', "--json").json
    assert [hit["id"] for hit in found["hits"]] == ["p.pdf"]
    assert cli("count", "db/c", "--filter", '{"from": {"$contains": "ada@"}}').out.strip() == "1"


def test_failures_are_named_counted_and_decide_the_exit_code_when_strict(
    cli: Cli, add: Add, folder: Path, tmp_path: Path
) -> None:
    (folder / "bad.txt").write_bytes(b"a\0b")
    (folder / "scan.pdf").write_bytes(making.scan())
    (folder / "rows.jsonl").write_text('{"text": "fine"}\nnot json\n')
    said = cli("add", "db/c", folder)
    assert said.code == 0
    assert [line.split(":")[1].strip() for line in said.err.splitlines() if line.startswith("not read")][:3] == [
        "bad.txt",
        "rows.jsonl#2",
        "scan.pdf",
    ]
    assert "not read: 3" in said.err
    assert ids(tmp_path) == sorted([*ALL, "rows.jsonl#1"])
    strict = cli("add", "db/c", folder, "--strict", "--json")
    assert strict.code == 1
    assert [f["file"] for f in strict.json["failed"]] == ["bad.txt", "rows.jsonl", "scan.pdf"]


def test_where_nothing_could_be_read_the_exit_code_says_so(cli: Cli, add: Add, tmp_path: Path) -> None:
    del add
    (tmp_path / "x.pdf").write_text("no")
    said = cli("add", "db/c", "x.pdf")
    assert said.code == 1
    assert "x.pdf: this is no PDF" in said.err
    assert cli("add", "db/c", "none.pdf").code == 1
    (tmp_path / "empty").mkdir()
    assert cli("add", "db/c", "empty").code == 2


def test_a_document_that_the_collection_refuses_is_named_and_the_rest_go_in(add: Add, folder: Path) -> None:
    deep = {"x": 1}
    for _ in range(40):
        deep = {"x": deep}  # type: ignore[dict-item]
    (folder / "deep.jsonl").write_text(json.dumps({"text": "t", "x": deep}) + "\n" + json.dumps({"text": "u"}))
    done = add(folder)
    assert done["added"] == 9
    assert [f["file"] for f in done["failed"]] == ["deep.jsonl#1"]
    assert "nested too deeply" in done["failed"][0]["reason"]


def test_rows_that_are_gone_are_deleted_when_their_file_is_read_again(add: Add, folder: Path, tmp_path: Path) -> None:
    add(folder)
    (folder / "rows.csv").write_text("text,n\none,1\n")
    done = add(folder)
    assert (done["deleted"], done["replaced"], done["unchanged"]) == (1, 1, 6)
    assert "rows.csv#2" not in ids(tmp_path)


def test_files_of_documents_and_of_rows_in_one_command(add: Add, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "own", "text": "row"}\n')
    done = add(folder / "p.pdf", tmp_path / "r.jsonl", folder / "sub" / "b.md")
    assert done["added"] == 3
    assert ids(tmp_path) == ["b.md", "own", "p.pdf"]


def test_the_kind_can_be_said_and_texts_can_be_taken_as_they_are(add: Add, cli: Cli, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("<p>text")
    add(tmp_path / "page", "--format", "html")
    assert cli("get", "db/c", "page", "--json").json[0]["text"] == "text"
    assert add(folder, "--format", "pdf")["added"] == 1
    (tmp_path / "n.md").write_text("# *as it is*")
    add(tmp_path / "n.md", "--format", "text")
    assert cli("get", "db/c", "n.md", "--json").json[0] == {"id": "n.md", "text": "# *as it is*", "metadata": {"path": "n.md"}}


def test_folders_with_the_same_names_are_kept_apart_by_a_prefix(add: Add, cli: Cli, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("another")
    add(folder)
    add(other, "--prefix", "more")
    assert {"a.txt", "more/a.txt"} <= set(ids(tmp_path))
    assert "--prefix" in cli("add", "db/c", other).err


def test_a_collection_without_an_embedder_takes_no_documents(cli: Cli, folder: Path) -> None:
    cli("create", "db/v", "--embedder", "none", "--dim", 3)
    said = cli("add", "db/v", folder)
    assert said.code == 2
    assert "without an embedder" in said.err


def test_only_folders_are_watched(cli: Cli, add: Add, folder: Path) -> None:
    del add
    assert cli("add", "db/c", folder / "a.txt", "--watch").code == 2
    assert cli("add", "db/c", folder, "--watch", "--format", "pdf").code == 2


@pytest.fixture
def watch(cli: Cli, folder: Path, tmp_path: Path) -> Iterator[Callable[[], following.Watch]]:
    """Watches of a folder, each as a run of its own begins it."""
    cli("create", "db/c", "--embedder", "hash:16")
    with nf.open(tmp_path / "db") as db, Extractor() as extractor:
        yield lambda: following.Watch(db["c"], Follower(folder), None, False, extractor)


def there(watch: following.Watch) -> list[str]:
    return sorted(d.id for d in watch.collection.scan())


def test_a_watch_follows_what_is_new_changed_and_deleted(watch: Callable[[], following.Watch], folder: Path) -> None:
    one = watch()
    one.look(set())
    assert there(one) == ALL
    (folder / "new.txt").write_text("new")
    (folder / "a.txt").write_text("changed")
    (folder / "rows.csv").unlink()
    (folder / "sub" / "b.md").rename(folder / "moved.md")
    one.look({"something"})
    assert there(one) == ["a.txt", "h.html", "m.eml", "moved.md", "new.txt", "p.pdf", "w.docx"]
    assert one.collection.get("a.txt").text == "changed"


def test_a_watch_catches_up_with_what_happened_while_it_was_not_running(
    watch: Callable[[], following.Watch], folder: Path, tmp_path: Path
) -> None:
    one = watch()
    one.collection.upsert(nf.Document("own", "of no folder", {"path": "a.txt"}))
    documents.add_files(
        one.collection, [], mark_of(tmp_path), Counts(), documents.Tally(), one.extractor, None, lambda *_: None
    )
    one.look(set())
    (folder / "a.txt").unlink()
    (folder / "sub" / "b.md").write_text("changed meanwhile")
    again = watch()
    again.look(set())
    assert there(again) == sorted(["own", *(id for id in ALL if id != "a.txt")])
    assert again.collection.get("sub/b.md").text == "changed meanwhile"


def test_a_folder_that_is_empty_or_away_loses_nothing_and_is_caught_up_with(
    watch: Callable[[], following.Watch], folder: Path
) -> None:
    one = watch()
    one.look(set())
    aside = folder.with_name("aside")
    for put in ("away", "empty"):
        folder.rename(aside)
        if put == "empty":
            folder.mkdir()
        one.look({"x"})
        assert there(one) == ALL
        assert (again := watch()).look(set()) is None
        assert there(again) == ALL
        if put == "empty":
            folder.rmdir()
        aside.rename(folder)
    (folder / "a.txt").unlink()
    one.look({"x"})
    assert there(one) == [id for id in ALL if id != "a.txt"]


def test_a_file_that_breaks_keeps_what_was_read_of_it(
    watch: Callable[[], following.Watch], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = watch()
    one.look(set())
    (folder / "p.pdf").write_text("broken")
    os.utime(folder / "p.pdf", (2000, 2000))
    one.look({"x"})
    assert "p.pdf: this is no PDF" in capsys.readouterr().err
    assert there(one) == ALL
    one.look({"x"})
    assert "p.pdf" not in capsys.readouterr().err  # it is tried again when it changes


@pytest.mark.slow
def test_a_watch_runs_until_ctrl_c(cli: Cli, folder: Path, tmp_path: Path) -> None:
    cli("create", "db/c", "--embedder", "hash:16")
    child = subprocess.Popen(
        [sys.executable, "-m", "nearfield", "add", "db/c", str(folder), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        for step, wanted in enumerate((ALL, sorted([*ALL, "later.txt"]))):
            deadline = time.monotonic() + 60
            found: list[str] = []
            while found != wanted and time.monotonic() < deadline:
                time.sleep(0.2)
                try:
                    found = ids(tmp_path)
                except nf.NearfieldError:
                    continue
            assert found == wanted
            if step == 0:
                (folder / "later.txt").write_text("later")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0
    assert b"stopped watching" in err
