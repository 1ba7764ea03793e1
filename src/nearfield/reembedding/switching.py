"""The moment at which another generation takes over: the last writes are repeated while new ones wait, then names lead to it.

Runs on the turn of the live engine's committer, so that nothing is committed to it meanwhile; searches wait for nothing. The
order is what makes it safe: the new generation has everything, durably; one transaction lets the names lead to it; whoever
holds the collection is given it; only then are later writes refused by the old one, and made again by their callers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from nearfield.core.errors import Closed, NearfieldError, NotFound, OutOfSpace
from nearfield.engine.committer import Committer
from nearfield.engine.local import LocalEngine
from nearfield.reembedding.copying import Copy, Say, too_busy
from nearfield.store.generations import OLD, Kept
from nearfield.store.names import Names

if TYPE_CHECKING:
    from nearfield.collection import Collection

observer: Callable[[str], None] | None = None
"""Called with the name of each step as it is done; tests stop there. None in production."""


TRIES = 50
"""Turns at which too much was left, after which it is given up."""


def reached(step: str) -> None:
    """Tells the observer."""
    if observer is not None:
        observer(step)


class Later(Exception):
    """Not now: a load runs, or too much was written; nothing was changed."""

    def __init__(self, loading: bool) -> None:
        super().__init__("not now")
        self.loading = loading


def _committer(engine: LocalEngine) -> Committer:
    assert engine._committer is not None, "opened read-only"
    return engine._committer


class Switch:
    """One switch.

    Args:
        copy: caught up.
        source: the live collection, fixed.
        target: the other generation.
        names: of the database.
        until: when the old one is removed, in seconds since 1970.
        attach: gives whoever holds the collection the other generation; fails never.

    Attributes:
        done: whether names lead to the other generation.
        held: seconds for which writes waited.
    """

    def __init__(
        self, copy: Copy, source: Collection, target: Collection, names: Names, until: float, attach: Callable[[], None]
    ) -> None:
        self._copy, self._source, self._target = copy, source, target
        self._names, self._until, self._attach = names, until, attach
        self._ended, self._stop = threading.Event(), threading.Event()
        self.done, self.held = False, 0.0

    def run(self, stop: threading.Event, say: Say) -> None:
        """Catches up and switches, as often as something comes between; `stop` ends that."""
        said, tries = False, 0
        while not self.done:
            most = self._copy.catch_up()
            try:
                self._turn(most)
            except Later as later:
                tries += not later.loading
                if tries > TRIES:
                    raise too_busy() from None
                if later.loading and not said:
                    said = True
                    say("waiting for a load to end")
                if stop.wait(0.05 if later.loading else 0):
                    raise Closed("stopped before the switch; what was built is kept") from None

    def _turn(self, most: int) -> None:
        """Takes one turn of the committer; after Ctrl-C it is known whether the switch was made."""
        engine = self._source._engine
        self._ended.clear()
        try:
            _committer(engine).outside(lambda _: self._operate(engine, most))
        except (Later, NearfieldError):
            raise
        except BaseException:
            self._stop.set()
            self._ended.wait(60.0)
            raise

    def _operate(self, engine: LocalEngine, most: int) -> None:
        start = time.monotonic()
        try:
            if self._stop.is_set():
                return
            now = engine.snapshot
            left = self._copy.left(now)
            if engine.in_chunks or len(left) > 4 * most:
                raise Later(bool(engine.in_chunks))
            self._copy.repeat(left, now)
            mark = self._finish(engine, now.commit)
            reached("written")
            if self._stop.is_set():
                return
            self._change_names(engine, mark)
            reached("named")
            self._attach()
            _committer(engine).moved = True
            reached("switched")
        finally:
            self.held = time.monotonic() - start
            self._ended.set()

    def _finish(self, engine: LocalEngine, commit: int) -> int:
        """Carries over what was set meanwhile; commit numbers go on from the live one's. Returns the mark for a way back."""
        new = self._target._engine
        old, own = engine.settings, new.settings
        carried = msgspec.structs.replace(old, dim=own.dim, embedder=own.embedder, fingerprint=own.fingerprint)
        if carried != own:
            new.write_settings(carried)
        if new.pin != engine.pin:
            new.write_pin(engine.pin, move=False)
        new.submit(lambda _: _committer(new).advance(commit), alone=True)
        return _committer(new).reserve_rows(1)

    def _change_names(self, engine: LocalEngine, mark: int) -> None:
        old, new = self._source._generation, self._target._generation
        kept = Kept(old.number, new.number, OLD, old.embedder.name, mark, time.time(), self._until)
        try:
            self._names.switch(kept)
        except (NotFound, OutOfSpace):
            raise
        except BaseException as error:
            _committer(engine).failed = error  # it may be durable or not: nothing more is written here until it is reopened
            raise
        self.done = True
