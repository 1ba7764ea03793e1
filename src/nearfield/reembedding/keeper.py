"""The generations of an open database: who holds which, which runs, which are removed when their time is up.

Knows the database's names and open collections. What runs can be stopped: a collection that is dropped, or a database that is
closed, waits for that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from nearfield.core.errors import NearfieldError, NotFound, Overloaded
from nearfield.generation import Generation, Held
from nearfield.store import files, layout
from nearfield.store.generations import GONE, Kept

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.database import Database

LONGEST = 86_400.0
"""Seconds after which the clock is looked at again, however far away the next removal is."""


class Keeper:
    """What a database knows of generations; the home of its collections."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._held: WeakSet[Collection] = WeakSet()
        self._running: dict[int, tuple[threading.Event, threading.Event]] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False
        self.given: dict[int, Any] = {}
        """Embedders that were given as objects, by the number of the old generation: for a way back."""

    # -- who holds what

    def add(self, collection: Collection) -> None:
        """From now on it is given every next generation."""
        with self._lock:
            self._held.add(collection)

    def attach(self, number: int, generation: Generation) -> None:
        """Gives all that hold one generation another; the database's own list is put right by `retire`."""
        opened = self._db._open
        with self._lock:
            found = list(self._held)
        for held in found:
            if held._live.number == number:
                held._switch(generation)
        if number in opened:
            opened[generation.number] = opened[number]

    def follow(self, held: Held) -> None:
        """Gives a collection that was opened read-only, and all that hold the same, the newest generation."""
        db, number = self._db, held._live.number
        if not db.read_only or held._is_fixed or db._names.newest(number) == number:
            return
        with db._mutex:
            number, newest = held._live.number, db._names.newest(held._live.number)
            if newest == number:
                return
            before = db._open.get(newest)
            generation = (before or db._collection(held.name, newest, None))._live
            old = held._live
            self.attach(number, generation)
            held._switch(generation)
            db._open.pop(number, None)
            for view in old.engine.snapshot.segments:
                view.place.leave()

    def find(self, number: int) -> None:
        """Before a generation is opened: a collection that holds an earlier one of it is given it."""
        if self._db.read_only:
            for held in list(self._db._open.values()):
                if held._live.number != number and self._db._names.newest(held._live.number) == number:
                    self.follow(held)

    def retire(self, old: Generation, new: Generation) -> None:
        """Stops what works for a generation that is not live any more; who reads it goes on."""
        with self._db._mutex:
            self.attach(old.number, new)  # those that were opened while it was switched
            self._db._open.pop(old.number, None)
        if old.maintainer is not None:
            old.maintainer.close()
        old.engine.retire()

    # -- what is kept

    def kept(self, live: int) -> list[Kept]:
        """What is built for a live generation, or kept of it."""
        return [kept for kept in self._db._names.kept() if kept.live == live and kept.state != GONE]

    def others(self, number: int) -> tuple[dict[str, Any], ...]:
        """The same as JSON values, with the directory and its bytes."""
        out = []
        for kept in self.kept(number):
            place = layout.collection(self._db.path, kept.number)
            size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            told = {"state": kept.state, "model": kept.model, "since": kept.since, "until": kept.until}
            out.append({**told, "path": str(place), "nbytes": size})
        return tuple(out)

    def remove(self, kept: Kept) -> None:
        """Removes a generation that is not live: its row, then its files."""
        with self._db._mutex:
            self._db._names.forget(kept.number)
            self._db._close(kept.number)
            self.given.pop(kept.number, None)
        files.remove_tree(layout.collection(self._db.path, kept.number))

    def sweep(self, *, opening: bool = False) -> None:
        """Removes those whose time is up, and with `opening` the rows of those that are not there; sets the clock anew."""
        now = time.time()
        for kept in self._db._names.kept():
            if kept.state == GONE or kept.live in self._running:
                continue
            there = (layout.collection(self._db.path, kept.number) / layout.CATALOG).exists()
            if kept.until <= now or (opening and not there):
                self.remove(kept)
        self._wind()

    def _wind(self) -> None:
        """Sets the clock for the next one."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None
            due = [kept.until for kept in self._db._names.kept() if kept.state != GONE]
            if due and not self._closed:
                pause = min(LONGEST, max(1.0, min(due) - time.time()))
                self._timer = threading.Timer(pause, self._ring)
                self._timer.daemon = True
                self._timer.start()

    def _ring(self) -> None:
        try:
            if not self._closed:
                self.sweep()
        except NearfieldError:  # the database is being closed, or the disk refuses: the next opening sweeps
            pass

    # -- what runs

    @contextmanager
    def running(self, number: int) -> Iterator[threading.Event]:
        """Marks a collection as being embedded anew; the event is set when that must stop. Overloaded if it is already."""
        stop, ended = threading.Event(), threading.Event()
        with self._lock:
            if self._closed:
                raise NotFound("the database is closed")
            if number in self._running:
                raise Overloaded("this collection is being embedded anew already; wait for it", field="name", retry_after=60.0)
            self._running[number] = (stop, ended)
        try:
            yield stop
        finally:
            with self._lock:
                for key in [key for key, events in self._running.items() if events[1] is ended]:
                    del self._running[key]
            ended.set()

    def running_too(self, number: int, other: int) -> None:
        """What runs for a collection is about to let another generation take over: it runs for that one too."""
        with self._lock:
            self._running[other] = self._running[number]

    def stop(self, number: int | None = None) -> None:
        """Stops what runs for a collection, or all, and waits until it has ended; what was built is kept."""
        with self._lock:
            self._closed |= number is None
            found = [events for n, events in self._running.items() if number in (None, n)]
            if number is None and self._timer is not None:
                self._timer.cancel()
        for stop, _ in found:
            stop.set()
        for _, ended in found:
            ended.wait(60.0)
