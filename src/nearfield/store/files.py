"""Files that survive a power cut: the only place that writes, syncs, renames, removes or locks.

Knows nothing of what the bytes mean. The discipline, used by everyone: write the file, sync it, sync its directory,
and only then name it in a transaction. `observer` sees every step in order, so that a test can rebuild the disk as it
would be had the power gone at any of them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from nearfield.core.errors import Locked, OutOfSpace, ReadOnly

observer: Callable[[str, Path, Any], None] | None = None
"""Called as (step, path, detail): "create", "write" (detail: (offset, bytes)), "sync", "sync_directory", "rename"
(detail: the new path), "mkdir", "remove". None in production."""

_BLOCK = 1 << 22


def _tell(step: str, path: Path, detail: Any = None) -> None:
    if observer is not None:
        observer(step, path, detail)


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals into nearfield's errors, naming `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace(f"the disk that holds {path} is full; free space and try again") from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise ReadOnly(
                f"{path} cannot be written ({error.strerror}); make it writable or open with read_only=True"
            ) from error
        raise


class Writer:
    """A new file, written once from start to end. Close it with `commit`, which syncs; leaving early discards it."""

    def __init__(self, path: Path) -> None:
        with storage_errors(path):
            self._file: IO[bytes] = open(path, "xb", buffering=0)  # noqa: SIM115 - closed by commit or abort
        _tell("create", path)
        self.path = path
        self.size = 0
        self._hash = hashlib.sha256()

    def write(self, data: Any) -> None:
        """Appends a bytes-like object (a C-contiguous array is one) whole."""
        view = memoryview(data).cast("B")
        hashing = None
        if len(view) >= _BLOCK:
            hashing = threading.Thread(target=self._hash.update, args=(view,))
            hashing.start()
        else:
            self._hash.update(view)
        try:
            with storage_errors(self.path):
                done = 0
                while done < len(view):
                    done += os.write(self._file.fileno(), view[done : done + (1 << 30)])
        finally:
            if hashing is not None:
                hashing.join()
        if observer is not None:
            _tell("write", self.path, (self.size, bytes(view)))
        self.size += len(view)

    def commit(self) -> tuple[int, str]:
        """Syncs and closes; returns (size in bytes, SHA-256 in hex)."""
        with storage_errors(self.path):
            sync_file(self._file.fileno(), self.path)
        self._file.close()
        return self.size, self._hash.hexdigest()

    def abort(self) -> None:
        """Closes and removes the file."""
        self._file.close()
        with contextlib.suppress(FileNotFoundError):
            remove(self.path)


def sync_file(descriptor: int, path: Path) -> None:
    """Fsync of an open file."""
    os.fsync(descriptor)
    _tell("sync", path)


def write_file(path: Path, data: Any) -> tuple[int, str]:
    """Writes and syncs a new file whole; returns (size, SHA-256). The directory is the caller's to sync."""
    writer = Writer(path)
    try:
        writer.write(data)
        return writer.commit()
    except BaseException:
        writer.abort()
        raise


def adopt(path: Path) -> tuple[int, str]:
    """Syncs a file that a child process wrote; returns (size, SHA-256)."""
    with storage_errors(path), open(path, "rb") as file:
        if observer is not None:
            _tell("create", path)
            _tell("write", path, (0, path.read_bytes()))
        sync_file(file.fileno(), path)
    return path.stat().st_size, sha256(path)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    _tell("sync_directory", path)


def make_directory(path: Path) -> None:
    """Makes one new directory; its parent is the caller's to sync."""
    with storage_errors(path):
        os.mkdir(path)
    _tell("mkdir", path)


def rename(old: Path, new: Path) -> None:
    """Renames within one file system; the directory is the caller's to sync."""
    with storage_errors(new):
        os.rename(old, new)
    _tell("rename", old, new)


def remove(path: Path) -> None:
    """Removes a file."""
    with storage_errors(path):
        os.unlink(path)
    _tell("remove", path)


def remove_tree(path: Path) -> None:
    """Removes a directory and all in it; missing is fine."""
    with storage_errors(path):
        shutil.rmtree(path, ignore_errors=True)
    _tell("remove", path)


def sha256(path: Path) -> str:
    """SHA-256 of a whole file, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class DirectoryLock:
    """The one-writer lock: flock on a file that holds the writer's pid and host."""

    def __init__(self, path: Path) -> None:
        with storage_errors(path):
            self._file = open(path, "a+")  # noqa: SIM115 - held for the database's life
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise Locked(
                f"{path.parent} is open for writing by {holder}; close it there, or open with read_only=True",
                retry_after=1.0,
            ) from None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._file.flush()

    def release(self) -> None:
        """Gives the lock back."""
        self._file.close()
