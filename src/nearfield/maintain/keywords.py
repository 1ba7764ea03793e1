"""Makes a collection's keyword index anew, beside the one that is searched, and lets it take over in one commit.

Knows tables and texts; decides nothing. Every write meanwhile goes into both tables; rows that were there before are copied
a few thousand at a time, each time only those that are still alive and not there yet, so that it can be stopped, and writes
wait for a few thousand at most.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from nearfield.core.errors import Closed
from nearfield.engine import attached, writes
from nearfield.engine.committer import Transaction
from nearfield.engine.local import LocalEngine
from nearfield.store import keyword
from nearfield.store.keyword import Options, State

STEP = 2048
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Text:
    row: int
    id: str
    text: str


def rebuild(engine: LocalEngine, options: Options | None, cancelled: threading.Event, progress: Progress | None) -> None:
    """Makes the keyword index anew; returns when it has taken over.

    Args:
        engine: whose.
        options: how texts become tokens; None: as they did, "english" where there was no index.
        cancelled: set to stop, as when the database is closed; what was copied stays for the next call until then.
        progress: called with a line for people.

    Raises:
        Closed: it was cancelled.
    """
    number = engine.submit(lambda t: _begin(t, options), alone=True)
    done, total = 0, len(engine.snapshot)
    for texts in _batches(engine):
        if cancelled.is_set():
            raise Closed("the keyword index was not finished, as the database is closed")
        engine.submit(partial(_copy, engine=engine, number=number, texts=texts), alone=True)
        done += len(texts)
        if progress is not None:
            progress(f"keyword index: {min(done, total):,} of {total:,} documents")
    engine.submit(lambda t: _take_over(t, number), alone=True)


def _begin(transaction: Transaction, options: Options | None) -> int:
    """The number of the table to fill: a new one, or one that an earlier call left with the same options."""
    connection = transaction.connection
    now = keyword.state(connection)
    wanted = options or (Options() if now is None else now.options)
    if now is not None and now.building is not None:
        if now.next_options == wanted and now.next_version == keyword.VERSION:
            return now.building
        keyword.drop(connection, now.building)
    top = 0 if now is None else max(now.table or 0, now.building or 0)
    before = State(keyword.VERSION, wanted, None) if now is None else now
    keyword.create(connection, wanted, top + 1)
    state = msgspec.structs.replace(before, building=top + 1, next_options=wanted, next_version=keyword.VERSION)
    keyword.write_state(connection, state)
    return top + 1


def _take_over(transaction: Transaction, number: int) -> None:
    connection = transaction.connection
    now = keyword.state(connection)
    if now is None or now.building != number or now.next_options is None:
        return
    if now.table is not None:
        keyword.drop(connection, now.table)
    keyword.write_state(connection, State(keyword.VERSION, now.next_options, number))


def _copy(transaction: Transaction, engine: LocalEngine, number: int, texts: Sequence[_Text]) -> None:
    """Adds those of `texts` whose rows are alive and not in the table."""
    snapshot, table = engine.snapshot, keyword.name(number)
    there = keyword.rows_between(transaction.connection, table, texts[0].row, texts[-1].row)
    fresh = []
    for one in texts:
        place = None if one.row in there else writes.locate(transaction, snapshot, one.id)
        if place is not None and place.row == one.row:
            fresh.append((one.row, one.text))
    keyword.add(transaction.connection, table, fresh)


def _batches(engine: LocalEngine) -> Iterator[list[_Text]]:
    """Texts of the rows of now, at most STEP at a time, ascending in each."""
    snapshot = engine.snapshot
    for view in snapshot.segments:
        batch: list[_Text] = []
        for row, text in attached.texts(view.segment, frozenset()):
            position = int(view.segment.positions_of_rows([row])[0])
            if view.is_live(position):
                batch.append(_Text(row, view.segment.id(position), text))
            if len(batch) == STEP:
                yield batch
                batch = []
        if batch:
            yield batch
    waiting = [(b.rows[at], b.ids[at], attached.own(b.texts[at], b.metadata[at])) for b, at in snapshot.pending.live_rows()]
    texts = [_Text(int(row), document_id, text) for row, document_id, text in waiting if text is not None]
    for start in range(0, len(texts), STEP):
        yield texts[start : start + STEP]
