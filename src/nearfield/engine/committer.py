"""The one committer: every change goes through its thread and its write connection, many callers sharing one fsync.

Knows transactions, not what is in them. Each caller's operation runs in a savepoint of the group's transaction, so one
failure fails alone; a caller hears back only after COMMIT returned. An `alone` operation gets a group of its own, so that
the published snapshot is exactly what its transaction sees.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from nearfield.core.errors import Closed, DeadlineExceeded, NearfieldError, OutOfSpace, Overloaded, ReadOnly
from nearfield.engine.snapshot import Delta
from nearfield.store import sqlite

T = TypeVar("T")
_GROUP = 256


class Moved(Overloaded):
    """A write came after another generation of the collection had taken over: it was not written, and is made there."""

    def __init__(self) -> None:
        super().__init__("the collection was embedded anew just now; try again", retry_after=0.1)


class Ticket(Generic[T]):
    """One caller's operation and, later, its outcome."""

    __slots__ = ("_done", "alone", "error", "operation", "plain", "result", "started")

    def __init__(self, operation: Callable[[Transaction], T], alone: bool, plain: bool = False) -> None:
        self.operation, self.alone, self.plain = operation, alone, plain
        self.result: T | None = None
        self.error: BaseException | None = None
        self.started = False
        self._done = threading.Lock()
        self._done.acquire()

    def finish(self) -> None:
        """Wakes the caller."""
        self._done.release()

    def wait(self, timeout: float) -> bool:
        """Waits for the outcome; False if the time ran out."""
        return self._done.acquire(timeout=timeout)


class Transaction:
    """What an operation is given: the connection, inside its savepoint, and the delta it must fill."""

    __slots__ = ("connection", "delta", "reserve_rows")

    def __init__(self, connection: sqlite.Connection, reserve_rows: Callable[[int], int]) -> None:
        self.connection = connection
        self.delta = Delta()
        self.reserve_rows = reserve_rows


class Committer:
    """Runs operations in groups.

    Args:
        connection: the write connection; no one else uses it.
        path: the catalog file, for messages.
        first_row: the next row number to give.
        write_counters: called inside the transaction with (connection, next_row, commit number).
        publish: called after COMMIT with the deltas of the operations that succeeded and the commit number.
        commit: the number of the last commit.

    Attributes:
        failed: why nothing is written any more, or None; moved: set by an operation, after which each is refused with Moved.
    """

    def __init__(
        self,
        connection: sqlite.Connection,
        path: Path,
        *,
        first_row: int,
        commit: int,
        write_counters: Callable[[sqlite.Connection, int, int], None],
        publish: Callable[[Sequence[Delta], int], None],
    ) -> None:
        self._connection, self._path = connection, path
        self._write_counters, self._publish = write_counters, publish
        self._next_row = first_row
        self._rows = threading.Lock()
        self._commit = commit
        self._queue: deque[Ticket[Any]] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._closing = False
        self.failed: BaseException | None = None
        self.moved = False
        self._thread = threading.Thread(target=self._run, name="nearfield-committer", daemon=True)
        self._thread.start()

    def reserve_rows(self, n: int) -> int:
        """The first of `n` consecutive row numbers, never given to anyone else."""
        with self._rows:
            first = self._next_row
            self._next_row += n
            return first

    def submit(
        self, operation: Callable[[Transaction], T], *, alone: bool = False, plain: bool = False, timeout: float = 600.0
    ) -> T:
        """Runs `operation` inside a transaction and returns its result once that is durable.

        Raises:
            DeadlineExceeded: it had not begun within `timeout` seconds; it will not run.
            ReadOnly: an earlier write to disk failed; nothing more is written until the database is reopened.
            Moved: another generation has taken over.
            Closed: the database is closed.
        """
        ticket = Ticket(operation, alone, plain)
        with self._wake:
            if self.moved:
                raise Moved
            if self._closing:
                raise Closed("the database is closed; open it again")
            self._queue.append(ticket)
            self._wake.notify()
        if not ticket.wait(timeout):
            with self._wake:
                withdrawn = not ticket.started and ticket in self._queue
                if withdrawn:
                    self._queue.remove(ticket)
            if withdrawn:
                raise DeadlineExceeded("the write waited too long and was withdrawn; nothing of it was written")
            ticket.wait(-1)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[return-value]

    def advance(self, commit: int) -> None:
        """The next commits have numbers above `commit`; called by an operation, on its turn."""
        self._commit = max(self._commit, commit)

    def outside(self, work: Callable[[sqlite.Connection], None]) -> None:
        """Runs `work` on the write connection, on this thread's turn, outside any transaction."""
        self.submit(lambda transaction: work(transaction.connection), alone=True, plain=True)

    def close(self) -> None:
        """Finishes what was submitted, then stops and closes the connection."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    break
                group = self._take_group()
            try:
                self._commit_group(group)
            except BaseException as error:
                for ticket in group:
                    if ticket.error is None:
                        ticket.error = error
            for ticket in group:
                ticket.finish()
        self._connection.close()

    def _take_group(self) -> list[Ticket[Any]]:
        group = [self._queue.popleft()]
        while self._queue and not group[0].alone and not self._queue[0].alone and len(group) < _GROUP:
            group.append(self._queue.popleft())
        for ticket in group:
            ticket.started = True
        return group

    def _commit_group(self, group: list[Ticket[Any]]) -> None:
        if self.moved:
            raise Moved
        if self.failed is not None:
            raise ReadOnly(
                f"an earlier write to {self._path.parent} failed ({self.failed}); close and reopen the database"
            ) from self.failed
        connection = self._connection
        if group[0].plain:
            with sqlite.errors(self._path):
                group[0].operation(Transaction(connection, self.reserve_rows))
            return
        with sqlite.errors(self._path):
            connection.execute("BEGIN IMMEDIATE")
        deltas: list[Delta] = []
        try:
            for ticket in group:
                self._run_one(ticket, deltas)
            if not deltas:
                connection.execute("ROLLBACK")
                return
            with self._rows:
                next_row = self._next_row
            self._write_counters(connection, next_row, self._commit + 1)
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._finish(deltas)

    def _finish(self, deltas: list[Delta]) -> None:
        try:
            with sqlite.errors(self._path):
                self._connection.execute("COMMIT")
        except BaseException as error:
            if not isinstance(error, OutOfSpace):
                self.failed = error
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        self._commit += 1
        self._publish(deltas, self._commit)

    def _run_one(self, ticket: Ticket[Any], deltas: list[Delta]) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT one")
        transaction = Transaction(connection, self.reserve_rows)
        try:
            with sqlite.errors(self._path):
                ticket.result = ticket.operation(transaction)
            connection.execute("RELEASE one")
        except BaseException as error:
            ticket.error = error
            if not connection.in_transaction:
                raise NearfieldError(f"SQLite ended the transaction: {error}") from error
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
            return
        deltas.append(transaction.delta)
