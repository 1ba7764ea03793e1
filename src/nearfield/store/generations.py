"""The generations of collections in the database file: what is built beside a live one, what is kept of one, who followed whom.

Knows a table, which a database that never had two generations lacks; no collection's inside. Whoever writes does so inside
a transaction of `Names`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from nearfield.store import sqlite

BUILDING, OLD, GONE = "building", "old", "gone"
"""What a generation that is not live is: built beside the live one; kept for who wants to go back; removed."""

_TABLE = """
CREATE TABLE IF NOT EXISTS generations (
  collection INTEGER PRIMARY KEY, live INTEGER NOT NULL, state TEXT NOT NULL, model TEXT, mark INTEGER NOT NULL,
  since REAL NOT NULL, until REAL NOT NULL);
"""


class Kept(msgspec.Struct, frozen=True):
    """A generation that is not the live one.

    Attributes:
        number: its collection number, which names its directory.
        live: the number it belongs to: the live one that it is built for, or the one that came after it.
        state: BUILDING, OLD or GONE; of one that is gone only who came after it is known.
        model: the name of its embedder.
        mark: of an old one: the live one's rows below this number are all in it, as far as they are alive.
        since: when it was begun or became old, in seconds since 1970.
        until: when it is removed, in seconds since 1970.
    """

    number: int
    live: int
    state: str
    model: str | None
    mark: int
    since: float
    until: float


def read(connection: sqlite.Connection) -> list[Kept]:
    """All of them, the oldest first."""
    return list(_rows(connection)) if _there(connection) else []


def _there(connection: sqlite.Connection) -> bool:
    sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'generations'"
    return connection.execute(sql).fetchone() is not None


def _rows(connection: sqlite.Connection) -> Iterator[Kept]:
    sql = "SELECT collection, live, state, model, mark, since, until FROM generations ORDER BY collection"
    for found in connection.execute(sql):
        yield Kept(*found)


def write(connection: sqlite.Connection, kept: Kept) -> None:
    """Writes one down, in place of what was said of its number."""
    connection.execute(_TABLE)
    values = (kept.number, kept.live, kept.state, kept.model, kept.mark, kept.since, kept.until)
    connection.execute("INSERT OR REPLACE INTO generations VALUES (?, ?, ?, ?, ?, ?, ?)", values)


def remove(connection: sqlite.Connection, number: int) -> None:
    """Forgets one that nobody held; of one that was live, who came after it stays known."""
    if _there(connection):
        connection.execute("DELETE FROM generations WHERE collection = ? AND state = ?", (number, BUILDING))
        connection.execute("UPDATE generations SET state = ? WHERE collection = ?", (GONE, number))


def remove_all(connection: sqlite.Connection, live: int) -> None:
    """Forgets all that lead to a collection, as it is dropped."""
    if _there(connection):
        chain = "WITH RECURSIVE led(n) AS (SELECT ? UNION SELECT collection FROM generations JOIN led ON live = n) "
        connection.execute(f"{chain}DELETE FROM generations WHERE collection IN (SELECT n FROM led)", (live,))


def switch(connection: sqlite.Connection, old: Kept) -> None:
    """Lets all names and aliases of one generation lead to that which it is now kept for; others kept for it are gone."""
    connection.execute(_TABLE)
    connection.execute("UPDATE names SET collection = ? WHERE collection = ?", (old.live, old.number))
    connection.execute("DELETE FROM generations WHERE collection = ?", (old.live,))
    connection.execute("UPDATE generations SET state = ? WHERE live = ? AND state = ?", (GONE, old.number, OLD))
    connection.execute("DELETE FROM generations WHERE live = ? AND state = ?", (old.number, BUILDING))
    write(connection, old)


def newest(connection: sqlite.Connection, number: int) -> int:
    """The number that came last after one that was live; the number itself if none did."""
    followed = {kept.number: kept.live for kept in read(connection) if kept.state != BUILDING}
    while number in followed:
        number = followed[number]
    return number
