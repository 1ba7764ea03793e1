"""A collection's truth: which documents wait, which segments live, which rows are dead. One SQLite file.

Knows tables and records; nothing of vectors' meaning, search or threads. Whoever writes does so inside a transaction
that the committer opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nearfield.core.errors import Corrupt, InvalidInput
from nearfield.store import keyword, layout, sqlite

_SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (one INTEGER PRIMARY KEY CHECK (one = 1), next_row INTEGER NOT NULL, next_segment INTEGER NOT NULL,
                       next_index INTEGER NOT NULL, committed INTEGER NOT NULL);
CREATE TABLE pending (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT, metadata BLOB NOT NULL,
                      vector BLOB NOT NULL, norm REAL);
CREATE TABLE segments (number INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE tombstones (segment INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (segment, row)) WITHOUT ROWID;
CREATE TABLE indexes (segment INTEGER PRIMARY KEY, record TEXT NOT NULL);
INSERT INTO counters VALUES (1, 1, 1, 1, 0);
"""


class FileRecord(msgspec.Struct, frozen=True):
    """What a file must be: its size in bytes and SHA-256."""

    size: int
    sha256: str


class SegmentRecord(msgspec.Struct, frozen=True):
    """A segment as the catalog names it: rows count, the range of row numbers, and its files."""

    number: int
    rows: int
    min_row: int
    max_row: int
    files: dict[str, FileRecord]


class IndexRecord(msgspec.Struct, frozen=True):
    """A segment's index: kind and measured curve as JSON values, its files, and how it was built.

    Attributes:
        seconds: that building took.
        created: when, in seconds since 1970; 0 of indexes built before this was kept.
        calibrated: when it was last measured with queries that were recorded or given; 0: never.
        calibrated_by: "recorded queries" or "given queries"; "" if never.
        queries: how many those were.
        arrived: how many recorded queries had arrived then.
    """

    segment: int
    number: int
    kind: dict[str, Any]
    curve: dict[str, Any]
    files: dict[str, FileRecord]
    seconds: float
    reason: str
    created: float = 0.0
    calibrated: float = 0.0
    calibrated_by: str = ""
    queries: int = 0
    arrived: int = 0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a collection was created with; the embedder's fingerprint is written once its model was first used."""

    format: int
    dim: int
    metric: str
    embedder: str | None
    index: dict[str, Any] | None
    recall: float
    fields: dict[str, str]
    seed: int
    fingerprint: dict[str, Any] | None = None
    parts: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class PendingRow(msgspec.Struct, frozen=True):
    """A document that is committed but not yet in a segment; `vector` is prepared float32 bytes."""

    row: int
    id: str
    text: str | None
    metadata: bytes
    vector: bytes
    norm: float | None


@dataclass(frozen=True, slots=True)
class Counters:
    """The next numbers to give out, and the number of the last commit."""

    next_row: int
    next_segment: int
    next_index: int
    commit: int


def create(path: Path, settings: Settings, words: keyword.Options | None = None) -> None:
    """Makes a new catalog file with `settings`, and a keyword index where `words` says how.

    It is durable when this returns; the directory is the caller's to sync.
    """
    connection = sqlite.connect(path, create=True)
    try:
        with sqlite.errors(path), connection:
            connection.execute(_SCHEMA)
            write_settings(connection, settings)
            if words is not None:
                keyword.create(connection, words, 1)
                keyword.write_state(connection, keyword.State(keyword.VERSION, words, 1))
    finally:
        connection.close()


def write_settings(connection: sqlite.Connection, settings: Settings) -> None:
    """Replaces the settings."""
    connection.execute("INSERT OR REPLACE INTO settings VALUES ('collection', ?)", (msgspec.json.encode(settings).decode(),))


def read_settings(connection: sqlite.Connection, path: Path) -> Settings:
    """The settings; raises Corrupt if they are missing and InvalidInput for a format this version cannot read."""
    with sqlite.errors(path):
        found = connection.execute("SELECT value FROM settings WHERE key = 'collection'").fetchone()
    if found is None:
        raise Corrupt(f"{path} has no settings; restore it from a backup")
    version = msgspec.json.decode(found[0]).get("format")
    if version != layout.FORMAT:
        raise InvalidInput(
            f"{path} was written in a format this nearfield cannot read; install the version that wrote it, or export there",
            field="format",
            expected=str(layout.FORMAT),
            received=version,
        )
    return msgspec.json.decode(found[0], type=Settings)


def counters(connection: sqlite.Connection) -> Counters:
    """The counters as committed."""
    return Counters(*next(connection.execute("SELECT next_row, next_segment, next_index, committed FROM counters")))


def write_commit(connection: sqlite.Connection, next_row: int, commit: int) -> None:
    """Sets what every commit moves: the next row number and the commit's own."""
    connection.execute("UPDATE counters SET next_row = ?, committed = ?", (next_row, commit))


def segments(connection: sqlite.Connection) -> list[SegmentRecord]:
    """The live segments, in order of their numbers."""
    found = connection.execute("SELECT record FROM segments ORDER BY number")
    return [msgspec.json.decode(record, type=SegmentRecord) for (record,) in found]


def add_segment(connection: sqlite.Connection, record: SegmentRecord) -> None:
    """Makes a segment live."""
    connection.execute("INSERT INTO segments VALUES (?, ?)", (record.number, msgspec.json.encode(record).decode()))


def drop_segment(connection: sqlite.Connection, number: int) -> None:
    """Forgets a segment, its tombstones and its index."""
    connection.execute("DELETE FROM segments WHERE number = ?", (number,))
    connection.execute("DELETE FROM tombstones WHERE segment = ?", (number,))
    connection.execute("DELETE FROM indexes WHERE segment = ?", (number,))


def indexes(connection: sqlite.Connection) -> dict[int, IndexRecord]:
    """The live index of each segment that has one."""
    found = connection.execute("SELECT segment, record FROM indexes")
    return {segment: msgspec.json.decode(record, type=IndexRecord) for segment, record in found}


def set_index(connection: sqlite.Connection, segment: int, record: IndexRecord | None) -> None:
    """Gives a segment its index, or takes it away."""
    if record is None:
        connection.execute("DELETE FROM indexes WHERE segment = ?", (segment,))
    else:
        encoded = msgspec.json.encode(record).decode()
        connection.execute("INSERT OR REPLACE INTO indexes VALUES (?, ?)", (segment, encoded))


def tombstones(connection: sqlite.Connection, segment: int) -> list[int]:
    """The dead rows of a segment, ascending."""
    return [r for (r,) in connection.execute("SELECT row FROM tombstones WHERE segment = ? ORDER BY row", (segment,))]


def is_dead(connection: sqlite.Connection, segment: int, row: int) -> bool:
    """Whether a row of a segment has a tombstone."""
    found = connection.execute("SELECT 1 FROM tombstones WHERE segment = ? AND row = ?", (segment, row)).fetchone()
    return found is not None


def bury(connection: sqlite.Connection, segment: int, rows: Iterable[int]) -> None:
    """Writes tombstones."""
    connection.executemany("INSERT INTO tombstones VALUES (?, ?)", ((segment, int(row)) for row in rows))


def pending(connection: sqlite.Connection, after: int = 0) -> Iterator[PendingRow]:
    """Pending rows above `after`, ascending."""
    sql = "SELECT row, id, text, metadata, vector, norm FROM pending WHERE row > ? ORDER BY row"
    for found in connection.execute(sql, (after,)):
        yield PendingRow(*found)


def pending_rows(connection: sqlite.Connection) -> list[int]:
    """The numbers of all pending rows, ascending."""
    return [row for (row,) in connection.execute("SELECT row FROM pending ORDER BY row")]


def pending_row_of(connection: sqlite.Connection, document_id: str) -> int | None:
    """The pending row of an id, or None."""
    found = connection.execute("SELECT row FROM pending WHERE id = ?", (document_id,)).fetchone()
    return None if found is None else int(found[0])


def add_pending(connection: sqlite.Connection, rows: Sequence[PendingRow]) -> None:
    """Inserts pending rows."""
    connection.executemany(
        "INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?)",
        ((r.row, r.id, r.text, r.metadata, r.vector, r.norm) for r in rows),
    )


def drop_pending(connection: sqlite.Connection, rows: Iterable[int]) -> None:
    """Removes pending rows."""
    connection.executemany("DELETE FROM pending WHERE row = ?", ((int(row),) for row in rows))
