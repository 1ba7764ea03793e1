"""Database directories: sound, none at all, damaged, on a bad disk."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

import nearfield as nf
from nearfield import doctor
from nearfield.doctor import directory
from tests.doctor.conftest import levels, only

GB = 1 << 30


def quick(path: Path) -> list[doctor.Finding]:
    return list(doctor.examine(path, quick=True))


def test_a_sound_database_is_found_sound(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        db.create("c", embedder="hash:8").upsert([nf.Document("a", "t")])
        found = quick(tmp_path / "db")
    assert "error" not in levels(found)
    assert any("c: 1 documents" in finding.what for finding in found)
    assert any("has it open" in finding.what for finding in found)
    assert all(finding.fix for finding in found if finding.level != "ok")
    assert [finding.check for finding in found][-5:] == [check.name for check in doctor.DIRECTORY]


def test_what_is_no_database_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    last = quick(tmp_path)[-1]
    assert last.level == "error"
    assert last.check == "database"
    assert "nearfield create" in last.fix


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db"):
        pass
    (tmp_path / "db" / "nearfield.sqlite").write_bytes(b"no database at all, but long enough to have a header" * 100)
    last = quick(tmp_path / "db")[-1]
    assert (last.level, last.check) == ("error", "database")


def test_a_collection_that_does_not_open_and_a_damaged_index_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stats(name: str) -> Any:
        if name == "broken":
            raise nf.Corrupt("a segment is damaged")
        return SimpleNamespace(damaged={1: "cut short"}, documents=5, indexed=0)

    class Opened(dict[str, Any]):
        def __enter__(self) -> "Opened":
            return self

        def __exit__(self, *_: object) -> None: ...

        def list(self) -> list[str]:
            return list(self)

    opened = Opened({name: SimpleNamespace(stats=lambda name=name: stats(name)) for name in ("broken", "hurt")})
    monkeypatch.setattr(nf, "open", lambda *_, **__: opened)
    broken, hurt = directory.collections(tmp_path)
    assert (broken.level, broken.fix) == ("error", f"nearfield verify {tmp_path}/broken")
    assert (hurt.level, hurt.fix) == ("warn", f"nearfield repair {tmp_path}/hurt")


def test_a_database_that_cannot_be_opened_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise nf.Corrupt("written by a later version")

    monkeypatch.setattr(nf, "open", refuse)
    found = only(directory.collections(tmp_path))
    assert found.level == "error"
    assert "restore" in found.fix


@pytest.mark.parametrize(("free", "level"), [(5_000_000, "error"), (GB // 2, "warn"), (50 * GB, "ok")])
def test_little_space_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    monkeypatch.setattr(directory.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert only(directory.space(tmp_path)).level == level


def test_a_file_that_goes_while_sizes_are_added_harms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: iter([gone]))
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    assert only(directory.space(tmp_path)).level in ("ok", "warn")


def mounted(kind: str, place: Path) -> Callable[..., list[Any]]:
    return lambda all: [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(place), fstype=kind)]


def test_a_network_disk_is_an_error_and_a_local_one_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", mounted("nfs4", tmp_path.resolve()))
    assert only(directory.file_system(tmp_path)).level == "error"
    monkeypatch.setattr(psutil, "disk_partitions", mounted("xfs", tmp_path.resolve()))
    assert only(directory.file_system(tmp_path)).what == "file system: xfs"


def test_a_directory_that_cannot_be_written_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", mounted("ext4", tmp_path))
    monkeypatch.setattr(directory.os, "access", lambda path, mode: False)
    assert only(directory.file_system(tmp_path)).level == "warn"


def test_no_writer_is_told_too(tmp_path: Path) -> None:
    assert "no process" in only(directory.writer(tmp_path)).what
