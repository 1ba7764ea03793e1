"""Where a command works: DIR/COLLECTION on the command line, resolved and opened. Knows no verb.

The collection is the last part of the path; the directory before it is the one that holds the database.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.core.errors import InvalidInput, NotFound
from nearfield.store import layout

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.database import Database


@dataclass(frozen=True, slots=True)
class Place:
    """A database directory, and the name of a collection or alias in it where one was given."""

    directory: Path
    collection: str | None


def is_database(path: Path) -> bool:
    """Whether `path` holds a database's file."""
    return (path / layout.DATABASE).is_file()


def split(target: str) -> Place:
    """The place of DIR/COLLECTION, whether or not anything is there.

    Raises:
        InvalidInput: `target` names a directory only.
    """
    path = Path(target)
    if is_database(path) or not path.name or path.name == "..":
        raise InvalidInput(
            "this names no collection",
            field="DIR/COLLECTION",
            expected=f"{path}/NAME; see: nearfield ls {path}",
            received=target,
        )
    return Place(path.parent, path.name)


def find(target: str) -> Place:
    """The place of DIR or DIR/COLLECTION, where a database is.

    Raises:
        NotFound: neither is one.
    """
    path = Path(target)
    if is_database(path):
        return Place(path, None)
    if path.name and is_database(path.parent):
        return Place(path.parent, path.name)
    raise NotFound(f"there is no database in {path} or {path.parent}; make one with: nearfield create {path}")


@contextlib.contextmanager
def database(directory: Path, *, write: bool = False) -> Iterator[Database]:
    """Opens a database directory that is there; for reading, beside a process that writes, unless `write`."""
    if not is_database(directory):
        raise NotFound(f"there is no database in {directory}; make one with: nearfield create {directory}/NAME")
    import nearfield

    with nearfield.open(directory, read_only=not write) as opened:
        yield opened


@contextlib.contextmanager
def collection(target: str, *, write: bool = False) -> Iterator[Collection]:
    """Opens DIR/COLLECTION."""
    place = split(target)
    with database(place.directory, write=write) as opened:
        name = place.collection or ""
        try:
            found = opened[name]
        except NotFound as error:
            error.message += f"; make it with: nearfield create {target}"
            raise
        yield found
