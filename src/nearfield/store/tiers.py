"""Where segments are kept, and where a collection is pinned to, in its catalog: so that a restart goes on as it was.

Knows a table and a key; a catalog that never moved a segment has neither. Whoever writes does so inside the committer's
transaction. A segment without a row is warm.
"""

from __future__ import annotations

from collections.abc import Mapping

from nearfield.store import sqlite

_KEY = "pin"
_TABLE = "CREATE TABLE IF NOT EXISTS tiers (segment INTEGER PRIMARY KEY, tier TEXT NOT NULL)"


def read(connection: sqlite.Connection) -> dict[int, str]:
    """The tier of each segment that has one written."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'tiers'").fetchone()
    return {} if there is None else {int(number): str(tier) for number, tier in connection.execute("SELECT * FROM tiers")}


def write(connection: sqlite.Connection, tiers: Mapping[int, str]) -> None:
    """Sets the tiers of segments, and forgets segments that are gone."""
    connection.execute(_TABLE)
    connection.executemany("INSERT OR REPLACE INTO tiers VALUES (?, ?)", tiers.items())
    connection.execute("DELETE FROM tiers WHERE segment NOT IN (SELECT number FROM segments)")


def read_pin(connection: sqlite.Connection) -> str | None:
    """The tier that the collection is pinned to, or None."""
    found = connection.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return None if found is None else str(found[0])


def write_pin(connection: sqlite.Connection, tier: str | None) -> None:
    """Pins the collection, or with None lets it go."""
    connection.execute("DELETE FROM settings WHERE key = ?", (_KEY,))
    if tier is not None:
        connection.execute("INSERT INTO settings VALUES (?, ?)", (_KEY, tier))
