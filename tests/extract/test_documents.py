"""From files to documents: ids, metadata, what is passed over, what is named."""

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import nearfield as nf
from nearfield import Document, InvalidInput, NotFound
from nearfield.core.inputs import MAX_TEXT_BYTES
from nearfield.extract import Failed, Limits, files
from nearfield.extract.documents import FileRead, read_documents, read_files
from nearfield.extract.splitting import split
from nearfield.extract.walking import mark_of, walk
from nearfield.extract.worker import Extractor
from tests.extract import making


class Shelf:
    """A collection that is a dict."""

    def __init__(self) -> None:
        self.there: dict[str, Document] = {}

    def get(self, ids: list[str]) -> Sequence[Document | None]:
        return [self.there.get(id) for id in ids]

    def take(self, reads: Sequence[FileRead]) -> None:
        for read in reads:
            for id in read.stale:
                self.there.pop(id, None)
            self.there |= {d.id: d for d in read.documents}


def put(root: Path, name: str, content: bytes | str, age: float = 100) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    now = path.stat().st_mtime
    os.utime(path, (now - age, now - age))
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened."""
    seen: list[str] = []
    once = files._once

    def watching(path: Path, limits: Limits) -> object:
        seen.append(path.name)
        return once(path, limits)

    monkeypatch.setattr(files, "_once", watching)
    return seen


Look = Callable[[], list[FileRead]]


@pytest.fixture
def look(tmp_path: Path, extractor: Extractor) -> tuple[Look, Shelf]:
    shelf = Shelf()

    def run() -> list[FileRead]:
        out = list(read_files(walk(tmp_path).files, extractor, mark_of(tmp_path), shelf))
        shelf.take(out)
        return out

    return run, shelf


def test_a_folder_of_mixed_kinds(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "two\nlines\n")
    put(tmp_path, "sub/a.md", "# One\n\ntext")
    put(tmp_path, "sub/deep/p.pdf", making.pdf([["Page one"]], title="The title"))
    put(tmp_path, "w.docx", making.word())
    put(tmp_path, "t.csv", "text,path\nfirst,mine\nsecond,\n")
    put(tmp_path, "m.eml", making.mail())
    put(tmp_path, ".hidden/x.txt", "no")
    put(tmp_path, ".x.txt", "no")
    put(tmp_path, "~$w.docx", "no")
    put(tmp_path, "x.exe", b"MZ")
    put(tmp_path, "blank.txt", " \n")
    found = {d.id: d for d in nf.read_documents(tmp_path)}
    assert list(found) == ["b.txt", "m.eml", "sub/a.md", "sub/deep/p.pdf", "t.csv#1", "t.csv#2", "w.docx"]
    metadata = dict(found["sub/deep/p.pdf"].metadata)
    source = metadata.pop("source")
    assert metadata.keys() == {"path", "name", "kind", "modified", "title", "author", "created", "pages"}
    assert (metadata["path"], metadata["name"], metadata["kind"]) == ("sub/deep/p.pdf", "p.pdf", "pdf")
    assert source["folder"] == hashlib.sha256(os.path.realpath(tmp_path).encode()).hexdigest()[:12]
    row = found["t.csv#1"].metadata
    assert (row["path"], row["row_path"], row["kind"]) == ("t.csv", "mine", "csv")
    assert found["b.txt"].text == "two\nlines\n"


def test_modified_is_the_files_own_word_or_else_its_time(tmp_path: Path) -> None:
    os.utime(put(tmp_path, "a.txt", "x"), (86400, 86400))
    put(tmp_path, "b.md", "---\nupdated: 2020-02-03\n---\nx")
    found = {d.id: d.metadata["modified"] for d in read_documents(tmp_path)}
    assert found == {"a.txt": "1970-01-02T00:00:00Z", "b.md": "2020-02-03T00:00:00Z"}


def test_what_fails_is_named_and_the_rest_go_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, "a.txt", b"a\0b")
    put(tmp_path, "b.txt", "good")
    put(tmp_path, "c.jsonl", '{"text": "x"}\nbad\n')
    put(tmp_path, "d.pdf", making.scan())
    (tmp_path / "e.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "f.txt").symlink_to(tmp_path / "f.txt")
    os.mkfifo(tmp_path / "g.txt")
    failed: list[Failed] = []
    assert [d.id for d in read_documents(tmp_path, failed=failed.append)] == ["b.txt", "c.jsonl#1"]
    assert [(f.path, f.number) for f in failed] == [
        ("a.txt", None), ("c.jsonl", 2), ("d.pdf", None), ("e.txt", None), ("f.txt", None), ("g.txt", None),
    ]  # fmt: skip
    assert all(word in f.reason for f, word in zip(failed, ["zero", "JSON", "OCR", "nowhere", "itself", "pipe"], strict=True))
    with caplog.at_level(logging.WARNING):
        list(read_documents(tmp_path))
    assert [r.getMessage().split(":")[1].strip() for r in caplog.records] == [str(f).split(":")[0] for f in failed]


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path: Path) -> None:
    put(tmp_path, "in/sub/a.txt", "a")
    (tmp_path / "in/sub/loop").symlink_to(tmp_path / "in")
    (tmp_path / "in/b.txt").symlink_to(put(tmp_path, "out.txt", "b"))
    assert [d.id for d in read_documents(tmp_path / "in")] == ["b.txt", "sub/a.txt"]


def test_a_folder_that_cannot_be_entered_is_named(tmp_path: Path, closed: Callable[[Path], None]) -> None:
    closed(put(tmp_path, "no/a.txt", "a").parent)
    failed: list[Failed] = []
    assert list(read_documents(tmp_path, failed=failed.append)) == []
    assert [f.path for f in failed] == ["no/"]


def test_names_that_are_no_unicode_or_too_long_are_named(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt"))).write_text("x")
    put(tmp_path, f"{'d' * 200}/{'e' * 200}/{'f' * 200}.txt", "x")
    failed: list[Failed] = []
    assert list(read_documents(tmp_path, failed=failed.append)) == []
    assert ["Unicode" in f.reason or "too long" in f.reason for f in failed] == [True, True]
    assert all(f.path.isprintable() for f in failed)


def test_a_single_file_and_what_is_none(tmp_path: Path) -> None:
    (only,) = read_documents(put(tmp_path, "sub/a.txt", "x"))
    assert only.id == "a.txt"
    with pytest.raises(NotFound):
        list(read_documents(tmp_path / "none"))
    with pytest.raises(InvalidInput, match="unknown kind"):
        list(read_documents(put(tmp_path, "x.exe", "x")))


def test_a_prefix_keeps_folders_apart(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "x")
    (only,) = read_documents(tmp_path, prefix="notes")
    assert (only.id, only.metadata["path"], only.metadata["name"]) == ("notes/a.txt", "notes/a.txt", "a.txt")


def test_a_second_look_opens_nothing(tmp_path: Path, look: tuple[Look, Shelf], opened: list[str]) -> None:
    run, shelf = look
    put(tmp_path, "a.txt", "x")
    put(tmp_path, "b.csv", "text\none\ntwo\n")
    put(tmp_path, "c.txt", "y" * (2 * MAX_TEXT_BYTES))
    put(tmp_path, "fresh.txt", "z", age=0)
    run()
    assert sorted(shelf.there) == ["a.txt", "b.csv#1", "b.csv#2", "c.txt#1", "c.txt#2", "fresh.txt"]
    assert [shelf.there[f"c.txt#{n}"].metadata["parts"] for n in (1, 2)] == [2, 2]
    opened.clear()
    again = run()
    assert [read.unchanged for read in again] == [1, 2, 2, 1]
    assert not any(read.documents for read in again)
    assert opened == ["fresh.txt"]  # its time may hide a second change: its bytes are compared


def test_a_file_that_was_only_touched_is_unchanged(tmp_path: Path, look: tuple[Look, Shelf], opened: list[str]) -> None:
    run, _ = look
    path = put(tmp_path, "a.txt", "x")
    run()
    os.utime(path, (5, 5))
    opened.clear()
    assert [(read.unchanged, read.documents) for read in run()] == [(1, [])]
    assert opened == ["a.txt"]


def test_a_change_within_the_resolution_of_time_is_seen(tmp_path: Path, look: tuple[Look, Shelf]) -> None:
    run, shelf = look
    path = put(tmp_path, "a.txt", "one", age=0)
    before = path.stat()
    run()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    run()
    assert shelf.there["a.txt"].text == "two"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("text\na\nb\nc\n", "text\na\n"),
        ("text\na\n", "text\na\nb\nc\n"),
        ("text\na\nb\n", ""),
        ("text\na\nb\n", 'text\n"a"x\n'),
    ],
)
def test_rows_that_are_gone_are_stale(tmp_path: Path, look: tuple[Look, Shelf], before: str, after: str) -> None:
    run, shelf = look
    put(tmp_path, "a.csv", before)
    run()
    put(tmp_path, "a.csv", after, age=50)
    last = run()
    alone = Shelf()
    alone.take([FileRead("a.csv", last[0].documents)])
    if last[0].failed:
        assert len(shelf.there) == 2  # what was read of it before stays while it cannot be read
    else:
        assert shelf.there.keys() == alone.there.keys()


def test_a_text_that_grows_into_parts_and_shrinks_again(tmp_path: Path, look: tuple[Look, Shelf]) -> None:
    run, shelf = look
    for size, wanted in ((10, ["a.txt"]), (MAX_TEXT_BYTES + 10, ["a.txt#1", "a.txt#2"]), (20, ["a.txt"])):
        put(tmp_path, "a.txt", "x" * size, age=size)
        run()
        assert sorted(shelf.there) == wanted


@pytest.mark.parametrize("kept", range(4))
def test_a_write_that_was_cut_off_is_done_again(tmp_path: Path, look: tuple[Look, Shelf], kept: int) -> None:
    run, shelf = look
    put(tmp_path, "a.csv", "text\na\nb\nc\n")
    (read,) = run()
    shelf.there.clear()
    shelf.take([FileRead("a.csv", read.documents[:kept])])
    (again,) = run()
    assert (len(again.documents), again.unchanged) == ((3, 0) if kept < 3 else (0, 3))
    assert [d.text for d in shelf.there.values()] == ["a", "b", "c"]


def test_rows_that_stay_are_the_same_documents_when_a_row_is_added(tmp_path: Path, look: tuple[Look, Shelf]) -> None:
    run, shelf = look
    put(tmp_path, "a.csv", "text\n\n" + "".join(f"row {i}\n" for i in range(9)))
    run()
    before = dict(shelf.there)
    put(tmp_path, "a.csv", "text\n\n" + "".join(f"row {i}\n" for i in range(10)), age=50)
    run()
    changed = [id for id in shelf.there if before.get(id) != shelf.there[id]]
    assert changed == ["a.csv#1", "a.csv#9", "a.csv#10"]


def test_a_file_of_which_something_failed_is_read_again_and_named_again(tmp_path: Path, look: tuple[Look, Shelf]) -> None:
    run, _ = look
    put(tmp_path, "a.jsonl", 'bad\n{"text": "x"}\n')
    assert [len(read.failed) for _ in range(2) for read in run()] == [1, 1]


def test_a_file_that_moved_to_another_folder_is_stamped_anew(tmp_path: Path, extractor: Extractor) -> None:
    shelf = Shelf()
    for name in ("one", "two"):
        put(tmp_path, f"{name}/a.txt", "x")
        (read,) = read_files(walk(tmp_path / name).files, extractor, mark_of(tmp_path / name), shelf)
        shelf.take([read])
        assert read.replaces == (name == "two")
        assert shelf.there["a.txt"].metadata["source"]["folder"] == mark_of(tmp_path / name)


def test_a_file_that_changes_while_it_is_read_is_named(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, "a.txt", "begun")
    real, ends = os.fstat, threading.Event()

    def growing(descriptor: int) -> os.stat_result:
        if not ends.is_set():
            with open(path, "a") as file:
                file.write("more")
        return real(descriptor)

    monkeypatch.setattr(files.os, "fstat", growing)
    (read,) = read_files(walk(tmp_path).files, extractor, "m")
    assert "changes while it is read" in read.failed[0].reason
    ends.set()
    (read,) = read_files(walk(tmp_path).files, extractor, "m")
    assert read.documents[0].text == path.read_text()


def test_parts_hold_all_words_and_no_more_bytes_than_may_be() -> None:
    text = "\n\n".join(f"paragraph {i} mit Größe und 字字字 " * (i % 7 + 1) for i in range(300))
    for most in (40, 100, 999, 10_000, 1 << 20):
        parts = split(text, most)
        assert all(0 < len(p.encode()) <= most and p == p.strip() for p in parts)
        assert "".join("".join(parts).split()) == "".join(text.split())
    assert split("字" * 10, 7) == ["字字"] * 5
    assert split("  \n ", 10) == []
    assert split("one two\n\nthree four", 16) == ["one two", "three four"]
