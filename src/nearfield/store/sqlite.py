"""SQLite connections as nearfield uses them: the only `import apsw`. Knows no table.

Write-ahead log, synchronous=FULL: a COMMIT that returned survives a power cut. Versions below 3.51.3 can lose committed
rows when a write races a checkpoint (https://sqlite.org/releaselog/3_51_3.html), so they are refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import apsw

from nearfield.core.errors import Corrupt, Locked, MissingDependency, NearfieldError, NotFound, OutOfSpace, ReadOnly
from nearfield.store import files

MINIMUM = (3, 51, 3)
Connection = apsw.Connection

vfs: str | None = None
"""The name of a registered apsw VFS through which catalogs are opened; None is SQLite's own. Tests record through it."""


def check_version() -> None:
    """Raises MissingDependency if apsw brings a SQLite that can lose committed rows."""
    if tuple(int(p) for p in apsw.sqlite_lib_version().split(".")) < MINIMUM:
        raise MissingDependency(
            "this apsw bundles a SQLite that can lose committed rows; run: pip install --upgrade apsw",
            field="apsw",
            expected="SQLite >= " + ".".join(map(str, MINIMUM)),
            received=apsw.sqlite_lib_version(),
        )


def connect(path: Path, *, read_only: bool = False, create: bool = False) -> Connection:
    """Opens a SQLite file; raises NotFound, Corrupt, ReadOnly or Locked."""
    check_version()
    if not create and not path.exists():
        raise NotFound(f"there is no {path}", field="path", received=str(path))
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if create:
        flags |= apsw.SQLITE_OPEN_CREATE
    with errors(path):
        connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
        connection.set_busy_timeout(10_000)
        if vfs is not None:
            connection.pragma("locking_mode", "EXCLUSIVE")  # a VFS written in Python has no shared memory
        if not read_only:
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "FULL")
            connection.pragma("wal_autocheckpoint", 4000)
            connection.pragma("journal_size_limit", 64 << 20)
            connection.pragma("temp_store", "MEMORY")
        connection.pragma("cache_size", -65536)
        if read_only:
            connection.pragma("query_only", True)
        connection.pragma("schema_version")
    return connection


@contextlib.contextmanager
def errors(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into nearfield's, naming the file."""
    try:
        yield
    except apsw.FullError as error:
        raise OutOfSpace(f"the disk that holds {path} is full; free space and try again") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise Corrupt(f"{path} is damaged ({error}); restore it from a backup") from error
    except (apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError) as error:
        raise ReadOnly(f"{path} cannot be opened or written ({error}); open with read_only=True") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise Locked(f"{path} is in use by another process ({error})", retry_after=1.0) from error
    except apsw.IOError as error:
        raise ReadOnly(f"the disk under {path} refused a read or write ({error}); reopen after checking it") from error
    except apsw.Error as error:
        raise NearfieldError(f"SQLite refused an operation on {path}: {error}") from error


@contextlib.contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """One consistent read transaction."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("COMMIT")


def data_version(connection: Connection) -> int:
    """A number that changes when another connection has changed the database (PRAGMA data_version)."""
    return int(connection.pragma("data_version"))


def copy(source: Connection, path: Path) -> None:
    """Copies a database, consistent and synced, into a new file at `path` (SQLite's online backup)."""
    with errors(path):
        target = apsw.Connection(str(path), vfs=vfs)
        try:
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(1000)
            target.pragma("journal_mode", "delete")
        finally:
            target.close()
    files.adopt(path)


def version() -> str:
    """The version of the SQLite in use."""
    return str(apsw.sqlite_lib_version())
