"""A database directory: is it one, can it be trusted where it lies, does all of it open? Takes no lock, changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from nearfield.core.config import format_size
from nearfield.core.errors import NearfieldError
from nearfield.doctor.finding import Finding, error, ok, warn
from nearfield.doctor.machine import LOW_SPACE
from nearfield.store import layout

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "lustre")


def database(directory: Path) -> Iterator[Finding]:
    """The directory is a database of a format that this version reads."""
    from nearfield.store.names import Names

    if not (directory / layout.DATABASE).is_file():
        yield error(f"{directory} is not a database", f"nearfield create {directory}/NAME")
        return
    try:
        names = Names(directory, read_only=True)
        collections, aliases = names.all()
        names.close()
    except NearfieldError as problem:
        yield error(str(problem), "install the version that wrote it, or: nearfield restore BACKUP DIR")
        return
    yield ok(f"{directory}: format {layout.FORMAT}, {len(collections)} collections, {len(aliases)} aliases")


def space(directory: Path) -> Iterator[Finding]:
    """The disk has room for a merge, which writes its result beside what it merges."""
    found = shutil.disk_usage(directory)
    size = sum(_size(path) for path in directory.rglob("*"))
    said = f"disk: {format_size(found.free)} free, the database takes {format_size(size)}"
    if found.free < LOW_SPACE // 10:
        yield error(said, "free space on this disk: writes will fail")
    elif found.free < max(LOW_SPACE, size):
        yield warn(said, "free space: a merge can need as much again as the database takes")
    else:
        yield ok(said)


def _size(path: Path) -> int:
    """Bytes of a file; none of what a writer has removed since it was listed."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def file_system(directory: Path) -> Iterator[Finding]:
    """The disk is local (locks and memory-mapping over a network cannot be trusted) and can be written."""
    import psutil

    mounts = sorted((p for p in psutil.disk_partitions(all=True)), key=lambda p: len(p.mountpoint))
    path = directory.resolve()
    kind = next((p.fstype for p in reversed(mounts) if path.is_relative_to(p.mountpoint)), "unknown")
    if kind in NETWORK:
        yield error(f"{directory} is on a network file system ({kind})", "move it to a local disk")
    elif not os.access(directory, os.W_OK):
        yield warn(f"{directory} cannot be written by this user", "reading works; to write, change its permissions")
    else:
        yield ok(f"file system: {kind}")


def writer(directory: Path) -> Iterator[Finding]:
    """Who wrote last, and whether that process still runs."""
    import psutil

    try:
        said = (directory / layout.LOCK).read_text()
    except OSError:
        said = ""
    match = re.fullmatch(r"process (\d+) on (.+)", said.strip())
    if match and match[2] == socket.gethostname() and psutil.pid_exists(int(match[1])):
        yield ok(f"{said.strip()} has it open, or wrote last and still runs; others can only read meanwhile")
    else:
        yield ok("no process of this machine has it open for writing")


def collections(directory: Path) -> Iterator[Finding]:
    """Every collection opens, with every index."""
    import nearfield

    try:
        opened = nearfield.open(directory, read_only=True)
    except NearfieldError as problem:
        yield error(str(problem), "install the version that wrote it, or: nearfield restore BACKUP DIR")
        return
    with opened as db:
        for name in db.list():
            try:
                found = db[name].stats()
            except NearfieldError as problem:
                yield error(f"{name}: {problem}", f"nearfield verify {directory}/{name}")
                continue
            if found.damaged:
                fix = f"nearfield repair {directory}/{name}"
                yield warn(f"{name}: {len(found.damaged)} damaged indexes, searched exactly meanwhile", fix)
            else:
                yield ok(f"{name}: {found.documents:,} documents, {found.indexed:,} of them indexed")


__all__ = ["collections", "database", "file_system", "space", "writer"]
