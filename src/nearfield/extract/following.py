"""What is new, changed or gone in a folder since the last look, by sizes and times. Opens no file and knows no collection."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from nearfield.extract.files import SETTLED, Stamp, look
from nearfield.extract.results import Failed, Unreadable
from nearfield.extract.walking import Found, Walk, walk


@dataclass(frozen=True, slots=True)
class Changes:
    """What a look found.

    Attributes:
        files: new or changed, in the order of their paths.
        gone: ids of files that were there at the last look.
        failed: what cannot be looked at and could at the last look.
        others: at the first look, how many files are of kinds that are not read.
        there: the ids of all files that are there.
        hidden: what ids below folders that cannot be entered now begin with; it is not known whether they are there.
    """

    files: list[Found] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    there: frozenset[str] = frozenset()
    hidden: tuple[str, ...] = ()

    def known_gone(self, id: str) -> bool:
        """Whether a file with this id is surely not there."""
        return id not in self.there and not id.startswith(self.hidden)


class Follower:
    """Looks at a folder again and again.

    Args:
        root: a folder.
        prefix: what ids begin with, see `walking.walk`.
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        self.root, self.prefix = root, prefix
        self._seen: dict[str, Stamp | None] | None = None
        self._told: frozenset[str] = frozenset()

    def look(self, touched: Set[str] = frozenset()) -> Changes:
        """What differs from the last look; at the first, all files.

        A file that was changed less than two seconds ago is looked at again the next time: a further change may not show.

        Args:
            touched: paths that are taken as changed, whatever their sizes and times say.

        Raises:
            Unreadable: the folder itself is gone or cannot be entered: then nothing is known of what is in it.
        """
        try:
            os.listdir(self.root)
        except OSError as error:
            raise Unreadable(f"the folder cannot be read: {error.strerror}", field=str(self.root)) from None
        found = walk(self.root, self.prefix)
        now = time.time_ns()
        seen: dict[str, Stamp | None] = {}
        changed = []
        before = self._seen or {}
        told = self._ids(touched)
        for one in found.files:
            stamp = _look(one)
            same = one.id in before and before[one.id] == stamp and one.id not in told
            if not same:
                changed.append(one)
            if same or stamp is None or now - stamp.mtime_ns > SETTLED:
                seen[one.id] = stamp
            else:
                seen[one.id] = Stamp(-1, 0)
        hidden = tuple(one.path for one in found.failed if one.path.endswith("/"))
        there = frozenset(seen)
        gone = [id for id in before if id not in there and not id.startswith(hidden)]
        out = Changes(changed, gone, self._new(found), found.others if self._seen is None else Counter(), there, hidden)
        self._seen = seen | {id: stamp for id, stamp in before.items() if hidden and id.startswith(hidden)}
        return out

    def _ids(self, paths: Set[str]) -> set[str]:
        """The ids of paths, whether they are told as the folder was given or in full."""
        bases = {str(self.root), os.path.abspath(self.root), os.path.realpath(self.root)}
        before = f"{self.prefix}/" if self.prefix else ""
        below = [path[len(base) + 1 :] for path in paths for base in bases if path.startswith(base + os.sep)]
        return {before + path.replace(os.sep, "/") for path in below}

    def _new(self, found: Walk) -> list[Failed]:
        """What failed now and did not at the last look."""
        told = frozenset(map(str, found.failed))
        new = [one for one in found.failed if str(one) not in self._told]
        self._told = told
        return new


def _look(one: Found) -> Stamp | None:
    try:
        return look(one.path)
    except Unreadable:
        return None
