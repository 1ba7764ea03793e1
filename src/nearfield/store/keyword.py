"""The keyword index of a catalog: SQLite FTS5 tables of rows' texts, and the postings read from them.

Knows rows and texts; nothing of documents, snapshots or ranking. It is derived data with its own version: what it was made
with stands beside it in `settings`, and it can be made anew from the documents' texts. Rows are FTS5's rowids. No text is
kept twice: the tables are contentless (https://sqlite.org/fts5.html#contentless_delete_tables).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from nearfield.store import bigrams, sqlite

VERSION = 1
"""Of how texts become tokens; an index of another version is made anew before it is asked."""
_KEY = "keyword"
_HASH_BYTES = 8 << 20
Rows = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How texts become tokens.

    Attributes:
        stemming: "english": Porter's stemmer, "tides" finds "tide"; None: words as they are written.
    """

    stemming: str | None = "english"


class State(msgspec.Struct, frozen=True):
    """The keyword index of a catalog.

    Attributes:
        version: of the tokens; see VERSION.
        options: how texts become tokens.
        table: number of the table that is searched; None: the first is being made.
        building: number of one that is being made beside it; None: none is.
        next_options: of the one that is being made.
        next_version: likewise.
    """

    version: int
    options: Options
    table: int | None
    building: int | None = None
    next_options: Options | None = None
    next_version: int | None = None


def state(connection: sqlite.Connection) -> State | None:
    """The state as committed; None where there is no keyword index."""
    found = connection.execute("SELECT value FROM settings WHERE key = ?", (_KEY,)).fetchone()
    return None if found is None else msgspec.json.decode(found[0], type=State)


def write_state(connection: sqlite.Connection, new: State | None) -> None:
    """Replaces the state; None: there is no keyword index any more."""
    if new is None:
        connection.execute("DELETE FROM settings WHERE key = ?", (_KEY,))
    else:
        connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (_KEY, msgspec.json.encode(new).decode()))


def name(number: int) -> str:
    """The name of a table."""
    return f"keyword_{number}"


def create(connection: sqlite.Connection, options: Options, number: int) -> None:
    """Makes an empty table."""
    tokenizer = "unicode61 remove_diacritics 2"
    if options.stemming == "english":
        tokenizer = f"porter {tokenizer}"
    table = name(number)
    connection.execute(
        f"CREATE VIRTUAL TABLE {table} USING fts5(text, content='', contentless_delete=1, tokenize='{tokenizer}')"
    )
    connection.execute(f"INSERT INTO {table}({table}, rank) VALUES ('hashsize', {_HASH_BYTES})")


def drop(connection: sqlite.Connection, number: int) -> None:
    """Removes a table."""
    connection.execute(f"DROP TABLE IF EXISTS {name(number)}")


def tables(connection: sqlite.Connection) -> list[str]:
    """The tables that every change must reach."""
    now = state(connection)
    if now is None:
        return []
    return [name(number) for number in (now.table, now.building) if number is not None]


def add(connection: sqlite.Connection, table: str, rows: Iterable[tuple[int, str]]) -> None:
    """Inserts the texts of rows."""
    connection.executemany(f"INSERT INTO {table}(rowid, text) VALUES (?, ?)", ((r, bigrams.spaced(t)) for r, t in rows))


def remove(connection: sqlite.Connection, table: str, rows: Iterable[int]) -> None:
    """Removes rows; those that are not there are passed over."""
    connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", ((int(row),) for row in rows))


def merge(connection: sqlite.Connection) -> None:
    """Rewrites the tables in one piece, so that no token of a removed row remains."""
    for table in tables(connection):
        connection.execute(f"INSERT INTO {table}({table}) VALUES ('optimize')")


def forget_unfinished(connection: sqlite.Connection) -> None:
    """Drops a table that was being made when the process ended."""
    now = state(connection)
    if now is not None and now.building is not None:
        drop(connection, now.building)
        rest = msgspec.structs.replace(now, building=None, next_options=None, next_version=None)
        write_state(connection, None if now.table is None else rest)


def rows_between(connection: sqlite.Connection, table: str, first: int, last: int) -> frozenset[int]:
    """The rows from `first` to `last` that are in a table."""
    found = connection.execute(f"SELECT id FROM {table}_docsize WHERE id BETWEEN ? AND ?", (first, last))
    return frozenset(row for (row,) in found)


def rows_of(connection: sqlite.Connection, table: str) -> Rows:
    """All rows that are in a table, ascending."""
    found = connection.execute(f"SELECT group_concat(id) FROM (SELECT id FROM {table}_docsize ORDER BY id)")
    return _numbers(next(found)[0])


@dataclass(frozen=True, slots=True)
class Term:
    """Something that a text has or has not: a token, a phrase of tokens in order, or the beginning of a token.

    Attributes:
        text: words as they were asked for.
        token: what the table has for them; "" for phrases and beginnings.
        prefix: whether it is the beginning of a token.
    """

    text: str
    token: str = ""
    prefix: bool = False

    @property
    def expression(self) -> str:
        """As FTS5 is asked for it (https://sqlite.org/fts5.html#full_text_query_syntax)."""
        quoted = self.text.replace('"', '""')
        return f'"{quoted}"' + ("*" if self.prefix else "")


@dataclass(frozen=True, slots=True)
class Postings:
    """In which rows a term is: int64 (m,), ascending, and int32 (m,) how often."""

    rows: Rows
    counts: Counts


class Reader:
    """Postings from one table of one catalog. Used by one thread at a time.

    Args:
        connection: a connection of its own.
        number: of the table.
        options: what it was made with.

    Attributes:
        asked: set where anything of rows was read.
    """

    asked = False

    def __init__(self, connection: sqlite.Connection, number: int, options: Options) -> None:
        self._connection, self.table, self.options = connection, name(number), options
        words = ["unicode61", "remove_diacritics", "2"]
        if options.stemming == "english":
            words = ["porter", *words]
        self._tokenize = connection.fts5_tokenizer(words[0], words[1:])
        connection.pragma("query_only", False)  # the file is open for reading only; what is made here is temporary
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.{self.table}_words USING fts5vocab(main, {self.table}, 'instance')"
        )
        connection.register_fts5_function("nearfield_count", _count)

    def tokens(self, text: str) -> list[tuple[str, str]]:
        """(word as written, token) for the words of a text."""
        data = text.encode()
        found: list[tuple[int, int, str]] = self._tokenize(data, _QUERY, None)  # type: ignore[assignment]
        return [(data[start:end].decode(), token) for start, end, token in found]

    def postings(self, term: Term) -> Postings:
        """Every row with a term, as committed now."""
        if not term.token:
            return self.postings_above(term, 0)
        self.asked = True
        table = f"temp.{self.table}_words"
        found = self._connection.execute(f"SELECT group_concat(doc) FROM {table} WHERE term = ?", (term.token,))
        rows, counts = np.unique(_numbers(next(found)[0]), return_counts=True)
        return Postings(rows, counts.astype(np.int32))

    def postings_above(self, term: Term, above: int) -> Postings:
        """Rows above one with a term, as committed now."""
        self.asked = True
        sql = f"SELECT rowid, nearfield_count({self.table}) FROM {self.table} WHERE {self.table} MATCH ? AND rowid > ?"
        found = list(self._connection.execute(sql, (term.expression, above)))
        both = np.array(found, np.int64).reshape(-1, 2)
        return Postings(both[:, 0], both[:, 1].astype(np.int32))

    def lengths(self, first: int, last: int) -> tuple[Rows, Counts]:
        """The rows from `first` to `last` that have a text, ascending, and how many tokens each has."""
        self.asked = True
        sql = f"SELECT id, sz FROM {self.table}_docsize WHERE id BETWEEN ? AND ? ORDER BY id"
        found = list(self._connection.execute(sql, (first, last)))
        rows = np.fromiter((row for row, _ in found), np.int64, len(found))
        return rows, np.fromiter((_varint(size) for _, size in found), np.int32, len(found))

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _count(api: Any, *_: Any) -> int:
    return int(api.inst_count)


_QUERY = 1
"""FTS5_TOKENIZE_QUERY."""


def _numbers(text: str | None) -> Rows:
    return np.empty(0, np.int64) if not text else np.fromstring(text, np.int64, sep=",")


def _varint(data: bytes) -> int:
    """The first number of FTS5's docsize blob, seven bits in a byte, high ones first."""
    value = 0
    for byte in data:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            break
    return value


def terms(reader: Reader, query: str) -> list[Term]:
    """What a query asks for, none twice: words, "phrases in quotes", and beginnings of words written with a star*."""
    out: dict[tuple[str, bool], Term] = {}
    for i, part in enumerate(_plain(query).split('"')):
        if i % 2 and (phrase := _phrase(reader, part)) is not None:
            out.setdefault((phrase.text, phrase.prefix), phrase)
            continue
        for piece in part.split() if "*" in part else [part]:
            found = reader.tokens(bigrams.asked(piece))
            last = len(found) - 1 if piece.endswith("*") else -1
            for at, (word, token) in enumerate(found):
                begins = bigrams.is_letter(token) or at == last
                out.setdefault((token, begins), Term(word, "" if begins else token, begins))
    return list(out.values())


def _phrase(reader: Reader, part: str) -> Term | None:
    """The tokens of a phrase, in order; None: it has one at most, and is a word."""
    text = bigrams.quoted(part)
    found = reader.tokens(text)
    return Term(text, prefix=bigrams.is_letter(found[-1][1])) if len(found) > 1 else None


def _plain(text: str) -> str:
    return text.replace("\u201c", '"').replace("\u201d", '"').replace("\0", " ")
