"""The duplicates of a snapshot, as callers hold them: joined when first asked, groups made one at a time.

Knows rows, joins and groups; writes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from nearfield.core.duplicates import Group, Join
from nearfield.core.filters import Filter
from nearfield.core.keeping import KeepBy
from nearfield.duplicates import groups
from nearfield.duplicates.groups import Placed
from nearfield.duplicates.joining import Linked, Progress, link
from nearfield.duplicates.rows import Rows
from nearfield.engine.snapshot import Snapshot


class Duplicates:
    """Groups of near-duplicates of one snapshot; going through it gives one `Group` after another.

    The pairs are found when they are first needed, once: no group is sure before all are. Groups come in the order of the
    document of each that was written first, and are made as they are asked for.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        above: float,
        keep: str | KeepBy,
        condition: Filter | None,
        recall: float,
        progress: Progress | None,
    ) -> None:
        self.above, self.commit = above, snapshot.commit
        self._snapshot, self._condition, self._keep = snapshot, condition, keep
        self._recall, self._progress = recall, progress
        self._found: tuple[Rows, Linked] | None = None
        self._finding = threading.Lock()

    @property
    def join(self) -> Join:
        """How the pairs were found, how many, and the measured recall; finds them if that was not done yet."""
        return self._linked()[1].join

    def placed(self) -> Iterator[Placed]:
        """The groups with the places of their rows."""
        rows, linked = self._linked()
        return groups.groups(rows, linked, self._keep)

    @property
    def rows(self) -> Rows:
        """The rows looked at."""
        return self._linked()[0]

    def __iter__(self) -> Iterator[Group]:
        return (placed.group for placed in self.placed())

    def _linked(self) -> tuple[Rows, Linked]:
        with self._finding:
            if self._found is None:
                rows = Rows.of(self._snapshot, self._condition)
                self._found = rows, link(rows, self.above, self._recall, progress=self._progress)
            return self._found

    def __repr__(self) -> str:
        known = "not looked for yet" if self._found is None else f"{self._found[1].join.pairs:,} pairs"
        return f"Duplicates(above={self.above:g}, commit={self.commit}, {known})"
