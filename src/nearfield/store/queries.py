"""Recorded queries in a catalog: a few prepared vectors, in numbered slots, and how they were drawn.

Knows two tables; a catalog that never recorded has no `queries`. Whoever writes does so inside the committer's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from nearfield.core.metric import Vectors
from nearfield.store import sqlite

_KEY = "queries"
_TABLE = "CREATE TABLE IF NOT EXISTS queries (slot INTEGER PRIMARY KEY, vector BLOB NOT NULL)"


class State(msgspec.Struct, frozen=True):
    """How queries are recorded.

    Attributes:
        capacity: the most that are kept; 0: none are.
        seen: searches that could have been kept since it was turned on.
        arrived: how many of them were, those included that others have taken the place of.
    """

    capacity: int = 0
    seen: int = 0
    arrived: int = 0


def read_state(connection: sqlite.Connection) -> State:
    """The state as committed."""
    found = connection.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return State() if found is None else msgspec.json.decode(found[0], type=State)


def read(connection: sqlite.Connection, dim: int) -> Vectors:
    """The vectors kept, float32 (m, dim), in order of their slots."""
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'queries'").fetchone()
    if there is None:
        return nothing(dim)
    found = [vector for (vector,) in connection.execute("SELECT vector FROM queries ORDER BY slot")]
    return np.frombuffer(b"".join(found), np.float32).reshape(-1, dim).copy()


def nothing(dim: int) -> Vectors:
    """No vectors, (0, dim)."""
    return np.empty((0, dim), np.float32)


def write(connection: sqlite.Connection, state: State, slots: Mapping[int, bytes]) -> None:
    """Sets the state and the vectors of some slots (float32 bytes)."""
    connection.execute(_TABLE)
    connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_KEY, msgspec.json.encode(state).decode()))
    connection.executemany("INSERT OR REPLACE INTO queries VALUES (?, ?)", slots.items())


def restart(connection: sqlite.Connection, state: State) -> None:
    """Forgets every vector, and sets the state; with a capacity of 0 nothing says any more that anything was recorded."""
    connection.execute("DROP TABLE IF EXISTS queries")
    connection.execute("DELETE FROM settings WHERE key = ?", (_KEY,))
    if state.capacity:
        write(connection, state, {})
