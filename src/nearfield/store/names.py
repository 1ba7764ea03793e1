"""The database file: which names and aliases mean which collection number. Knows no collection's inside.

Names and aliases share one namespace, compared without regard to case. A number is never used twice. Creating, dropping,
renaming, aliasing and switching to another generation are each one transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearfield.core.errors import AlreadyExists, Corrupt, InvalidInput, NotFound
from nearfield.store import files, generations, layout, sqlite
from nearfield.store.generations import Kept

_SCHEMA = """
CREATE TABLE format (version INTEGER NOT NULL, next_collection INTEGER NOT NULL);
CREATE TABLE names (name TEXT PRIMARY KEY COLLATE NOCASE, collection INTEGER NOT NULL, alias INTEGER NOT NULL);
"""


class Names:
    """The open database file."""

    def __init__(self, root: Path, *, read_only: bool) -> None:
        self._path = root / layout.DATABASE
        self._connection = sqlite.connect(self._path, read_only=read_only)
        self._lock = threading.Lock()
        self._read_only = read_only
        self._version: object = None
        self._known: dict[str, int] = {}
        self._followed: dict[int, int] = {}
        try:
            with sqlite.errors(self._path):
                found = self._connection.execute("SELECT version FROM format").fetchone()
        except BaseException:
            self._connection.close()
            raise
        if found is None:
            raise Corrupt(f"{self._path} has no format version; restore it from a backup")
        if found[0] != layout.FORMAT:
            self._connection.close()
            raise InvalidInput(
                f"{self._path} was written in a format this nearfield cannot read; install the version that wrote it",
                field="format",
                expected=str(layout.FORMAT),
                received=found[0],
            )

    @staticmethod
    def create(root: Path) -> None:
        """Makes a new database file in an existing directory; it appears under its name only when it is whole."""
        aside = root / f"{layout.TEMPORARY}{layout.DATABASE}"
        for left in root.glob(f"{aside.name}*"):
            files.remove(left)
        connection = sqlite.connect(aside, create=True)
        try:
            with sqlite.errors(aside), connection:
                connection.execute(_SCHEMA)
                connection.execute("INSERT INTO format VALUES (?, 1)", (layout.FORMAT,))
        finally:
            connection.close()
        files.rename(aside, root / layout.DATABASE)
        files.sync_directory(root)

    def all(self) -> tuple[dict[str, int], dict[str, int]]:
        """(names, aliases), each to a collection number, in the order of the names."""
        with self._lock, sqlite.errors(self._path):
            found = list(self._connection.execute("SELECT name, collection, alias FROM names ORDER BY name"))
        return {n: c for n, c, alias in found if not alias}, {n: c for n, c, alias in found if alias}

    def find(self, name: str) -> int | None:
        """The collection number of a name or alias, or None."""
        with self._lock, sqlite.errors(self._path):
            self._look()
            key = name.lower()
            if key in self._known:
                return self._known[key]
            found = self._connection.execute("SELECT collection FROM names WHERE name = ?", (name,)).fetchone()
            number = None if found is None else int(found[0])
            if number is not None:  # names that are not there are without end
                self._known[key] = number
            return number

    def _look(self) -> None:
        """Forgets what was known where another process has changed it."""
        if self._read_only and (version := sqlite.data_version(self._connection)) != self._version:
            self._known, self._followed, self._version = {}, {}, version

    def newest(self, number: int) -> int:
        """The number that a collection's names lead to by now, where they led to `number` once."""
        with self._lock, sqlite.errors(self._path):
            self._look()
            if number not in self._followed:
                self._followed[number] = generations.newest(self._connection, number)
            return self._followed[number]

    def kept(self) -> list[Kept]:
        """The generations that are not live."""
        with self._lock, sqlite.errors(self._path):
            return generations.read(self._connection)

    def keep(self, kept: Kept) -> None:
        """Writes a generation down."""
        with self._changing():
            generations.write(self._connection, kept)

    def forget(self, number: int) -> None:
        """A generation is removed; its files are the caller's."""
        with self._changing():
            generations.remove(self._connection, number)

    def switch(self, old: Kept) -> None:
        """Lets the names of `old` lead to `old.live`, and keeps `old`, in one transaction; NotFound if it has no name."""
        with self._changing():
            found = self._connection.execute("SELECT 1 FROM names WHERE collection = ?", (old.number,)).fetchone()
            if found is None:
                raise NotFound("the collection was dropped meanwhile", field="name")
            generations.switch(self._connection, old)

    def name_of(self, number: int) -> str | None:
        """The name of a collection number, or None."""
        with self._lock, sqlite.errors(self._path):
            found = self._connection.execute("SELECT name FROM names WHERE collection = ? AND NOT alias", (number,)).fetchone()
        return None if found is None else str(found[0])

    def take_number(self) -> int:
        """A collection number never given before, durable when it returns."""
        with self._changing():
            (number,) = next(self._connection.execute("SELECT next_collection FROM format"))
            self._connection.execute("UPDATE format SET next_collection = next_collection + 1")
        return int(number)

    def add(self, name: str, number: int, *, alias: bool = False) -> None:
        """Gives a number a name; an alias may be moved, a name may not."""
        with self._changing():
            found = self._connection.execute("SELECT alias FROM names WHERE name = ?", (name,)).fetchone()
            if found is not None and not (alias and found[0]):
                raise AlreadyExists("a collection or alias has this name", field="name", received=name)
            self._connection.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?)", (name, number, int(alias)))

    def rename(self, old: str, new: str) -> None:
        """Changes a name or alias."""
        with self._changing():
            taken = self._connection.execute("SELECT name FROM names WHERE name = ?", (new,)).fetchone()
            if taken is not None and taken[0].lower() != old.lower():
                raise AlreadyExists("a collection or alias has this name", field="new", received=new)
            self._connection.execute("UPDATE names SET name = ? WHERE name = ?", (new, old))
            if not self._connection.changes():
                raise NotFound("no collection has this name", field="old", received=old)

    def drop(self, name: str) -> None:
        """Forgets a collection's name, every alias and every other generation of it."""
        with self._changing():
            found = self._connection.execute("SELECT collection FROM names WHERE name = ?", (name,)).fetchone()
            if found is not None:
                self._connection.execute("DELETE FROM names WHERE collection = ?", found)
                generations.remove_all(self._connection, found[0])

    def drop_alias(self, name: str) -> None:
        """Forgets one alias."""
        with self._changing():
            self._connection.execute("DELETE FROM names WHERE name = ? AND alias", (name,))
            if not self._connection.changes():
                raise NotFound("no alias has this name", field="alias", received=name)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """A transaction, after which nothing that was known counts."""
        with self._lock, sqlite.errors(self._path):
            self._known, self._followed = {}, {}
            with self._connection:
                yield

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()

    def copy(self, path: Path) -> None:
        """Copies the database file, consistent and synced."""
        with self._lock:
            sqlite.copy(self._connection, path)
