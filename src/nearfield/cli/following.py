"""`nearfield add --watch`: folders followed until Ctrl-C. What is new or changed is written, what is gone is deleted.

At the start it catches up: documents of these folders whose files are gone are deleted too. A folder that is empty, or cannot
be read, is taken as not there (a disk that is not mounted), and nothing of it is deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nearfield.cli import documents, show
from nearfield.core.errors import InvalidInput

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.extract.following import Changes, Follower
    from nearfield.extract.worker import Extractor

AT_ONCE = 10_000
"""Paths of one delete."""
SPARING = 20
"""Times that a look took before the next one, where the system tells of no change."""


def check(files: Sequence[str], format: str | None) -> None:
    """Raises InvalidInput where something else than folders is to be watched."""
    wrong = next((name for name in files if not Path(name).is_dir()), None)
    if wrong is not None:
        raise InvalidInput("only folders can be watched", field="--watch", expected="a folder", received=wrong)
    if format is not None:
        raise InvalidInput("a folder that is watched is read by its files' names", field="--format", received=format)


def follow(collection: Collection, roots: Sequence[Path], prefix: str, *, batch: int | None, json: bool) -> None:
    """Writes what changes in folders until Ctrl-C.

    Args:
        collection: where to.
        roots: folders.
        prefix: what ids begin with.
        batch: most documents in a batch.
        json: print what was done as JSON, a line each time.
    """
    from nearfield.extract.following import Follower
    from nearfield.extract.watching import wakings
    from nearfield.extract.worker import Extractor

    documents.check(collection)
    if "text" not in collection.takes:
        raise InvalidInput("pictures are not watched; this collection's model takes no texts", field="--watch")
    with Extractor() as extractor:
        watches = [Watch(collection, Follower(root, prefix), batch, json, extractor) for root in roots]
        try:
            for watch in watches:
                watch.look(set())
            show.note(f"watching {', '.join(map(str, roots))}; Ctrl-C ends it")
            for touched in wakings(list(roots)):
                for watch in watches:
                    watch.look(touched)
                extractor.rest()
        except KeyboardInterrupt:
            show.note("stopped watching; what was written is safe, and the next run catches up")


class Watch:
    """One folder that is followed.

    Args:
        collection: where to.
        follower: what looks at the folder.
        batch: most documents in a batch.
        json: print what was done as JSON.
        extractor: what reads files.
    """

    def __init__(self, collection: Collection, follower: Follower, batch: int | None, json: bool, extractor: Extractor) -> None:
        self.collection, self.extractor = collection, extractor
        self._follower, self._batch, self._json = follower, batch, json
        self._first = self._behind = True
        self._away = False
        self._ended = self._took = 0.0

    def look(self, touched: set[str]) -> None:
        """Finds what changed since the last look and writes it."""
        from nearfield.cli.adding import Counts, report
        from nearfield.extract.results import Unreadable
        from nearfield.extract.walking import mark_of

        started, follower = time.monotonic(), self._follower
        if not touched and started - self._ended < SPARING * self._took:
            return
        try:
            changes = follower.look(touched)
        except Unreadable as error:
            self._is_away(str(error))
            return
        counts, tally = Counts(), documents.Tally()
        for one in changes.failed:
            tally.fail(one)
        tally.others.update(changes.others)
        mark = mark_of(follower.root, follower.prefix)
        with show.Meter(str(follower.root), len(changes.files)) as meter:
            documents.add_files(self.collection, changes.files, mark, counts, tally, self.extractor, self._batch, meter.update)
        tally.deleted += self._delete(changes, mark)
        if self._first or counts.written or tally.deleted or tally.failed:
            report(counts, time.monotonic() - started, len(self.collection), self._json, tally)
        self._first = False
        self._ended = time.monotonic()
        self._took = self._ended - started

    def _delete(self, changes: Changes, mark: str) -> int:
        """Deletes the documents of files that are gone since the last look; where it is behind, of all that are not there."""
        gone: Iterable[str] = self._left(changes, mark) if self._behind else changes.gone
        paths = sorted(set(gone))
        if paths and not changes.there:
            self._is_away(f"{self._follower.root}: the folder is empty")
            return 0
        self._away = self._behind = False
        deleted = 0
        for start in range(0, len(paths), AT_ONCE):
            some = {"source.folder": mark, "path": {"$in": paths[start : start + AT_ONCE]}}
            deleted += self.collection.delete(filter=some).deleted
        return deleted

    def _left(self, changes: Changes, mark: str) -> Iterator[str]:
        """Paths of documents that came from the folder and whose files are not there."""
        for document in self.collection.scan(filter={"source.folder": mark}):
            path = document.metadata.get("path")
            if isinstance(path, str) and changes.known_gone(path):
                yield path

    def _is_away(self, why: str) -> None:
        if not self._away:
            show.note(f"{why}: nothing of it is deleted; to delete its documents: nearfield rm --filter")
        self._away = self._behind = True
