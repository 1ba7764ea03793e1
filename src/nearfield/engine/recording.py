"""A bounded sample of what was asked: query vectors, drawn evenly from all searches since recording was turned on.

Vitter's algorithm R ("Random sampling with a reservoir", 1985): the i-th query takes a random one of i places, and is kept if
that is one of the reservoir's. A search pays for that and for a copy of its vector; a thread of its own, which runs only while
recording is on, writes what is new every few seconds, and `close` writes the rest. A killed process forgets the last seconds.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

from nearfield.core.errors import NearfieldError
from nearfield.core.metric import Vectors
from nearfield.engine.committer import Transaction
from nearfield.store import queries
from nearfield.store.queries import State

EVERY = 5.0
"""Seconds between two writes."""
LEAST, MOST = 100, 10_000
"""Queries that can be kept; fewer than the least decide nothing by themselves."""

Submit = Callable[[Callable[[Transaction], Any]], Any]


class Recorder:
    """The sample of one collection.

    Args:
        state: as the catalog has it.
        dim: numbers in each vector.
        submit: runs an operation in a transaction, durably; None where nothing can be written, then nothing is recorded.

    Attributes:
        problem: why the last write failed, or None; it is tried again.
    """

    def __init__(self, state: State, dim: int, submit: Submit | None) -> None:
        self._state, self._dim, self._submit = state, dim, submit
        self._new: dict[int, bytes] = {}
        self._written = state
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._changing = threading.Lock()
        self._random = random.Random()
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None
        self.problem: str | None = None
        self._start()

    @property
    def state(self) -> State:
        """As of now, written or not."""
        return self._state

    @property
    def kept(self) -> int:
        """Queries in the sample."""
        return min(self._state.capacity, self._state.seen)

    def offer(self, asked: Vectors) -> None:
        """Takes note of prepared queries (m, dim)."""
        if not self._state.capacity or self._submit is None:
            return
        with self._lock:
            capacity, seen, arrived = self._state.capacity, self._state.seen, self._state.arrived
            for query in asked if capacity else ():
                place = seen if seen < capacity else self._random.randrange(seen + 1)
                seen += 1
                if place < capacity:
                    self._new[place] = query.tobytes()
                    arrived += 1
            self._state = State(capacity, seen, arrived)

    def record(self, n: int) -> bool:
        """Keeps up to n queries from now on, 0: none; a sample of another size is deleted, and True returned."""
        with self._changing:
            if self._submit is None or n == self._state.capacity:
                return False
            before = self._state.capacity
            self._end()
            with self._writing:
                with self._lock:
                    self._new, self._state = {}, State()
                self._submit(lambda t: queries.restart(t.connection, State(n)))
                with self._lock:
                    self._written = self._state = State(n)
            self._start()
            return before > 0

    def write(self, *, all: bool = False) -> None:
        """Makes the sample durable: what is new of it, or with `all` the number of searches seen too."""
        with self._writing:
            with self._lock:
                new, state, self._new = self._new, self._state, {}
            if self._submit is None or not (new or (all and state != self._written)):
                return
            try:
                self._submit(lambda t: queries.write(t.connection, state, new))
            except BaseException:
                with self._lock:
                    self._new = {**new, **self._new}
                raise
            self._written = state

    def read(self) -> Vectors:
        """The sample, float32 (m, dim), written first."""
        if self._submit is None or not self._state.capacity:
            return queries.nothing(self._dim)
        self.write()
        found: Vectors = self._submit(lambda t: queries.read(t.connection, self._dim))
        return found

    def close(self) -> None:
        """Writes what is new and stops."""
        self._end()
        with contextlib.suppress(NearfieldError):
            self.write(all=True)

    def _start(self) -> None:
        if self._state.capacity and self._submit is not None:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stop,), name="nearfield-queries", daemon=True)
            self._thread.start()

    def _end(self) -> None:
        if self._stop is not None and self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._stop = self._thread = None

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(EVERY):
            try:
                self.write()
                self.problem = None
            except NearfieldError as error:
                self.problem = str(error)
