"""Documents out of one generation of a collection into another: in batches, then what was written meanwhile, until both agree.

Knows two collections by their public methods, and which ids have changed; no names, no switch. A document is read as it is by
now, which may be later than the change that is repeated: then that comes again. `put` is the one place where documents enter a
generation, `take_out` the one where they leave.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from nearfield.core.errors import Closed, InvalidInput, Overloaded
from nearfield.core.types import Document
from nearfield.engine.snapshot import Snapshot
from nearfield.reembedding import changes
from nearfield.reembedding.changes import Changes, Rows
from nearfield.store import metadata as encoding

if TYPE_CHECKING:
    import threading

    from nearfield.collection import Collection

BATCH = 512
"""Documents that are embedded and committed at a time: what is embedded again after a kill is less."""
HOLD = 0.25
"""Seconds of embedding for which writes may wait at a switch, once it has been caught up with them."""
LEAST, MOST = 16, 5_000
"""Documents that may be left for the switch, whatever a document takes."""
ROUNDS = 40
"""How often it is caught up before it is given up: writes come as fast as they are embedded."""

Say = Callable[[str], None]


class Copy:
    """One generation that is made to agree with another.

    Args:
        source: the live collection.
        target: the other generation.
        stop: set by who wants it to end.
        say: called with a line for people, at most about every second.

    Attributes:
        embedded: texts that the target's model was given.
        removed: documents taken out of the target.
        rounds: how often it was caught up.
    """

    def __init__(self, source: Collection, target: Collection, stop: threading.Event, say: Say) -> None:
        self._source, self._target, self._stop, self._say = source, target, stop, say
        self._before: Snapshot | None = None
        self._each, self._said = 1.0, 0.0
        self.embedded = self.removed = self.rounds = 0

    def all(self) -> None:
        """Copies every document that is not in the target as it is, and takes out those that are gone."""
        self._first(None)

    def since(self, mark: int) -> None:
        """The same where the target has all documents of rows below `mark`."""
        self._first(mark)

    def _first(self, mark: int | None) -> None:
        snapshot = self._source.snapshot()
        if len(self._target):
            self.take_out(changes.stale(self._target.snapshot(), snapshot))
        start = time.monotonic()
        self._write(snapshot, None if mark is None else changes.since(snapshot, mark))
        self._each = max(1e-6, time.monotonic() - start) / max(1, len(snapshot))
        self._before = snapshot

    def catch_up(self) -> int:
        """Repeats what was written since, until little enough is left for a switch; returns how much that may be.

        Raises:
            Overloaded: more is written than can be embedded.
        """
        for _ in range(ROUNDS):
            self._check()
            now = self._source.snapshot()
            found = self.left(now)
            most = max(LEAST, min(MOST, round(HOLD / self._each)))
            if len(found) <= most:
                return most
            self._say(f"catching up with {len(found):,} writes")
            self.repeat(found, now)
            self.rounds += 1
        raise too_busy()

    def left(self, now: Snapshot) -> Changes:
        """What the target lacks at a snapshot of the source."""
        assert self._before is not None, "copy first"
        return changes.between(self._before, now)

    def repeat(self, found: Changes, now: Snapshot) -> None:
        """Does to the target what was done to the source."""
        start = time.monotonic()
        self.take_out(found.gone)
        if len(found.rows):
            self._write(now, found.rows)
        self._each = max(1e-6, time.monotonic() - start) / max(1, len(found))
        self._before = now

    def _write(self, snapshot: Snapshot, rows: Rows | None) -> None:
        total = len(self._source) if rows is None else len(rows)
        done, start = 0, time.monotonic()
        for some in changes.ids(snapshot, rows, BATCH):
            self._check()
            self.put([document for document in self._source.get(some) if document is not None])
            done += len(some)
            now = time.monotonic()
            if now - self._said >= 1.0 or (done == total and rows is None):
                self._said = now
                left = (now - start) * max(0, total - done) / done
                self._say(f"{done:,} of {total:,} documents" + (f", {left:.0f} s to go" if left >= 1 else ""))

    def put(self, documents: Sequence[Document]) -> None:
        """Writes documents into the target, except those that are in it as they are; a text that is there keeps its vector."""
        there = self._target.get([d.id for d in documents])
        fresh, texts = [], 0
        for document, old in zip(documents, there, strict=True):
            same = old is not None and old.text == document.text
            if not same or old is None or encoding.encode(old.metadata) != encoding.encode(document.metadata):
                fresh.append(document)
                texts += not same
        if not fresh:
            return
        refuse(self._source, fresh)
        self._when_there_is_room(lambda: self._target.upsert(fresh))
        self.embedded += texts

    def take_out(self, ids: Iterable[str]) -> None:
        """Deletes documents from the target."""
        rest = iter(ids)
        while some := list(islice(rest, 10 * BATCH)):
            self._check()
            self.removed += self._target.delete(some).deleted

    def _when_there_is_room(self, write: Callable[[], object]) -> None:
        while True:
            try:
                write()
                return
            except Overloaded:
                self._check()

    def _check(self) -> None:
        if self._stop.is_set():
            raise Closed("stopped: the collection was dropped, or the database closed; what was built is kept")


def too_busy() -> Overloaded:
    """The error where writes come as fast as they can be repeated."""
    return Overloaded(
        "documents are written as fast as the other model embeds them; what was built is kept: run it again at a quieter time",
        retry_after=600.0,
    )


def refuse(source: Collection, documents: Sequence[Document]) -> None:
    """Raises InvalidInput if there are some that cannot be embedded from what is stored."""
    engine = source._engine
    pictured = engine.thumbnails.having(engine.snapshot, [d.id for d in documents])
    if pictured:
        raise pictures(len(pictured), min(pictured))
    none = [d.id for d in documents if d.text is None]
    if none:
        raise textless(len(none), none[0])


def in_parts(source: Collection) -> bool:
    """Whether documents are embedded in parts, passages of their texts."""
    return source._engine.settings.parts is not msgspec.UNSET


def textless(count: int, example: str) -> InvalidInput:
    """The error of documents without a text."""
    return InvalidInput(
        f"{count:,} document{'s have' if count != 1 else ' has'} no text (their vectors were brought), so another model cannot "
        "embed them; give them texts, or delete them",
        field=f"text of {example!r}",
        expected="a text",
    )


def pictures(count: int, example: str) -> InvalidInput:
    """The error of documents whose vectors were made of pictures."""
    return InvalidInput(
        f"{count:,} document{'s were' if count != 1 else ' was'} embedded from pictures, which are not stored; write them "
        "into a new collection by the other model",
        field=f"image of {example!r}",
        expected="texts only",
    )
