"""Copies that can be trusted: a collection, a whole database, and back again. Every byte copied is checked.

A copy is made while writes go on: the catalog is copied consistently first, then the segment files it names, which never
change; if a merge takes one away meanwhile, the copy begins again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path

import msgspec

from nearfield.core.errors import AlreadyExists, Corrupt, InvalidInput, NotFound
from nearfield.store import catalog, files, layout, sqlite
from nearfield.store.catalog import FileRecord
from nearfield.store.names import Names

BACKUP = "backup.json"
_TRIES = 20


class BackupRecord(msgspec.Struct, frozen=True):
    """What backup.json says: the format, and size and SHA-256 of every other file, by path."""

    format: int
    files: dict[str, FileRecord]


def copy_collection(source: Path, target: Path, *, link: bool) -> dict[str, FileRecord]:
    """Copies a collection directory, consistent and durable, into the new directory `target`.

    Args:
        source: a collection directory, perhaps being written.
        target: must not exist; its parent is the caller's to sync.
        link: link the files that never change in place of copying them, where the file system can.

    Returns:
        Size and SHA-256 of each file, by its path inside the directory.

    Raises:
        Corrupt: a source file is not what was written; nothing of `target` is left.
    """
    for attempt in range(_TRIES):
        try:
            return _copy_once(source, target, link)
        except FileNotFoundError:
            files.remove_tree(target)
            if attempt == _TRIES - 1:
                raise
            time.sleep(0.05)
        except BaseException:
            files.remove_tree(target)
            raise
    raise AssertionError


def _copy_once(source: Path, target: Path, link: bool) -> dict[str, FileRecord]:
    files.make_directory(target)
    files.make_directory(target / layout.SEGMENTS)
    connection = sqlite.connect(source / layout.CATALOG, read_only=True)
    try:
        sqlite.copy(connection, target / layout.CATALOG)
    finally:
        connection.close()
    done = {layout.CATALOG: _record(target / layout.CATALOG)}
    for number, wanted in _named(target / layout.CATALOG):
        origin, place = layout.segment(source, number), layout.segment(target, number)
        files.make_directory(place)
        for name, record in wanted.items():
            _copy_file(origin / name, place / name, record, link)
            done[f"{layout.SEGMENTS}/{place.name}/{name}"] = record
        files.sync_directory(place)
    files.sync_directory(target / layout.SEGMENTS)
    files.sync_directory(target)
    return done


def _named(path: Path) -> list[tuple[int, dict[str, FileRecord]]]:
    """The files that a catalog names, by segment."""
    connection = sqlite.connect(path, read_only=True)
    try:
        indexes = catalog.indexes(connection)
        found = []
        for segment in catalog.segments(connection):
            wanted = dict(segment.files)
            if segment.number in indexes:
                wanted |= indexes[segment.number].files
            found.append((segment.number, wanted))
        return found
    finally:
        connection.close()


def _copy_file(origin: Path, place: Path, record: FileRecord, link: bool) -> None:
    if link:
        with contextlib.suppress(OSError):
            os.link(origin, place)
            return
    writer = files.Writer(place)
    try:
        with open(origin, "rb") as file:
            while block := file.read(1 << 22):
                writer.write(block)
        written = writer.commit()
    except BaseException:
        writer.abort()
        raise
    if written != (record.size, record.sha256):
        raise Corrupt(f"{origin} is not what was written; run: nearfield verify", received=f"{written[0]} bytes")


def _record(path: Path) -> FileRecord:
    return FileRecord(path.stat().st_size, files.sha256(path))


def database(root: Path, target: Path) -> None:
    """Copies a whole database directory into the new directory `target`.

    Raises:
        AlreadyExists: `target` is there; nothing is overwritten.
        Corrupt: a file is not what was written.
    """
    if target.exists():
        raise AlreadyExists("the target exists; name a new directory", field="path", received=str(target))
    if not target.parent.is_dir():
        raise NotFound("the target's parent is not a directory", field="path", received=str(target.parent))
    aside = target.with_name(f"{layout.TEMPORARY}{target.name}-{os.getpid()}")
    files.remove_tree(aside)
    files.make_directory(aside)
    try:
        files.make_directory(aside / layout.COLLECTIONS)
        names = Names(root, read_only=True)
        try:
            names.copy(aside / layout.DATABASE)
        finally:
            names.close()
        record = BackupRecord(layout.FORMAT, {layout.DATABASE: _record(aside / layout.DATABASE)})
        for number in sorted(set(_collections(aside).values())):
            place = layout.collection(aside, number)
            done = copy_collection(layout.collection(root, number), place, link=False)
            record.files.update({f"{layout.COLLECTIONS}/{place.name}/{name}": r for name, r in done.items()})
        files.sync_directory(aside / layout.COLLECTIONS)
        files.write_file(aside / BACKUP, msgspec.json.format(msgspec.json.encode(record)))
        files.sync_directory(aside)
        files.rename(aside, target)
        files.sync_directory(target.parent)
    except BaseException:
        files.remove_tree(aside)
        raise


def _collections(root: Path) -> dict[str, int]:
    names = Names(root, read_only=True)
    try:
        return names.all()[0]
    finally:
        names.close()


def check(backup: Path) -> list[str]:
    """Reads a whole backup and returns what is wrong with it; nothing if it can be restored."""
    record = _read_record(backup)
    problems = []
    for name, expected in record.files.items():
        path = _inside(backup, name)
        if not path.is_file() or path.is_symlink():
            problems.append(f"{name} is missing")
        elif _record(path) != expected:
            problems.append(f"{name} is not what was written")
    return problems


def _inside(root: Path, name: str) -> Path:
    """A path of a backup's list, refused if it leads out of the directory."""
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts:
        raise Corrupt(f"{root / BACKUP} names a path outside the backup", received=name)
    return root / name


def _read_record(backup: Path) -> BackupRecord:
    path = backup / BACKUP
    if not path.is_file():
        raise NotFound(
            "this is not a backup made by nearfield", field="backup", expected=f"a {BACKUP} in it", received=str(backup)
        )
    try:
        record = msgspec.json.decode(path.read_bytes(), type=BackupRecord)
    except msgspec.DecodeError as error:
        raise Corrupt(f"{path} is damaged: {error}") from error
    if record.format != layout.FORMAT:
        raise InvalidInput(
            "the backup was written in a format this nearfield cannot read",
            field="format",
            expected=str(layout.FORMAT),
            received=record.format,
        )
    return record


def restore(backup: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Makes a database directory from a backup, checking every byte first; open it with `nearfield.open`.

    Raises:
        NotFound: `backup` is not one.
        AlreadyExists: `path` is there; nothing is overwritten.
        Corrupt: the backup is damaged; nothing is left of `path`.
    """
    source, target = Path(backup), Path(path)
    record = _read_record(source)
    if target.exists():
        raise AlreadyExists("the target exists; name a new directory", field="path", received=str(target))
    if problems := check(source):
        raise Corrupt(f"the backup is damaged: {'; '.join(problems[:3])}", field="backup", received=str(source))
    with files.storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{layout.TEMPORARY}{target.name}-{os.getpid()}")
    files.remove_tree(aside)
    try:
        for name, expected in record.files.items():
            place = _inside(aside, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(_inside(source, name), place, expected, link=False)
        (aside / layout.COLLECTIONS).mkdir(exist_ok=True)
        for number in _collections(aside).values():
            (layout.collection(aside, number) / layout.SEGMENTS).mkdir(exist_ok=True)
        for place in sorted((p for p in aside.rglob("*") if p.is_dir()), reverse=True):
            files.sync_directory(place)
        files.sync_directory(aside)
        files.rename(aside, target)
        files.sync_directory(target.parent)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
