"""Thumbnails of documents that were written with a picture: a table of the catalog, by row, made when the first one comes.

Knows rows and bytes. Rows are numbered once, so that a thumbnail stays where it is while its row moves into a segment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from nearfield.store import sqlite

_SCHEMA = "CREATE TABLE IF NOT EXISTS thumbnails (row INTEGER PRIMARY KEY, image BLOB NOT NULL)"


def present(connection: sqlite.Connection) -> bool:
    """Whether any document ever had one."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'thumbnails'").fetchone() is not None


def write(connection: sqlite.Connection, images: Mapping[int, bytes]) -> None:
    """Adds thumbnails of new rows."""
    if images:
        connection.execute(_SCHEMA)
        connection.executemany("INSERT INTO thumbnails VALUES (?, ?)", images.items())


def move(connection: sqlite.Connection, old: int, new: int) -> None:
    """Gives a row's thumbnail, if it has one, to another row."""
    if present(connection):
        connection.execute("UPDATE thumbnails SET row = ? WHERE row = ?", (new, old))


def remove(connection: sqlite.Connection, rows: Iterable[int]) -> None:
    """Removes those of rows that died."""
    if present(connection):
        connection.executemany("DELETE FROM thumbnails WHERE row = ?", ((int(row),) for row in rows))


def read(connection: sqlite.Connection, rows: Sequence[int]) -> dict[int, bytes]:
    """The thumbnails of those of `rows` that have one."""
    if not present(connection):
        return {}
    found = {}
    for row in rows:
        image = connection.execute("SELECT image FROM thumbnails WHERE row = ?", (int(row),)).fetchone()
        if image is not None:
            found[int(row)] = bytes(image[0])
    return found


def which(connection: sqlite.Connection, rows: Sequence[int]) -> set[int]:
    """Those of `rows` that have one."""
    if not present(connection):
        return set()
    sql = "SELECT 1 FROM thumbnails WHERE row = ?"
    return {int(row) for row in rows if connection.execute(sql, (int(row),)).fetchone() is not None}
