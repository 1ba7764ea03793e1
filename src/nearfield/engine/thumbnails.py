"""Reading thumbnails beside the committer: a connection of its own, opened at the first question. Writes nothing.

Knows the documents of a snapshot by id; nothing of what a picture is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from nearfield.engine.lookup import Lookup
from nearfield.engine.snapshot import Snapshot
from nearfield.store import sqlite
from nearfield.store import thumbnails as table

T = TypeVar("T")


class Thumbnails:
    """What can be asked of a catalog's thumbnails. Safe to use from many threads.

    Args:
        path: the catalog file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite.Connection | None = None

    def _ask(self, work: Callable[[sqlite.Connection], T]) -> T:
        with self._lock, sqlite.errors(self._path):
            if self._connection is None:
                self._connection = sqlite.connect(self._path, read_only=True)
            return work(self._connection)

    def of(self, snapshot: Snapshot, document_id: str) -> bytes | None:
        """The thumbnail of a document; None where there is no document, or it has none."""
        row = Lookup(snapshot).row(document_id)
        return None if row < 0 else self._ask(lambda connection: table.read(connection, [row])).get(row)

    def having(self, snapshot: Snapshot, ids: Sequence[str]) -> set[str]:
        """Those of `ids` whose documents have one."""
        if not self._ask(table.present):
            return set()
        lookup = Lookup(snapshot)
        rows = {lookup.row(document_id): document_id for document_id in ids}
        rows.pop(-1, None)
        return {rows[row] for row in self._ask(lambda connection: table.which(connection, list(rows)))}

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
