"""Which files are in a folder, in the order of their paths, and which of them are read. Opens none; knows no content.

Names that begin with "." or "~$" are passed over, and so is all below such folders. Links to files are followed, links to
folders are not: a folder is met once, and no link leads in a circle.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from nearfield.extract.kinds import Kind, kind_of
from nearfield.extract.results import Failed

HIDDEN = (".", "~$")


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is read: its id, where it is, and its kind."""

    id: str
    path: Path
    kind: Kind


@dataclass(frozen=True, slots=True)
class Walk:
    """What a folder holds.

    Attributes:
        files: those that are read, sorted by path.
        others: the number of files of other kinds, by the end of their names.
        failed: folders that cannot be entered, with "/" at the end, and names that are no Unicode.
    """

    files: list[Found] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)


def walk(root: Path, prefix: str = "") -> Walk:
    """The files below a folder, or the one file that `root` is.

    Args:
        root: a folder or a file.
        prefix: what ids begin with, before a "/"; "" for none.
    """
    out = Walk()
    before = f"{prefix}/" if prefix else ""
    if not root.is_dir():
        _take(out, before, root.name, root)
        return out

    def refused(error: OSError) -> None:
        below = Path(str(error.filename)).relative_to(root).as_posix()
        out.failed.append(Failed(_shown(before + below) + "/", f"the folder cannot be read: {error.strerror}"))

    for directory, folders, names in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
        for name in names:
            if not name.startswith(HIDDEN):
                path = Path(directory) / name
                _take(out, before, path.relative_to(root).as_posix(), path)
    out.files.sort(key=lambda found: found.id)
    return out


def _take(out: Walk, before: str, relative: str, path: Path) -> None:
    kind = kind_of(relative)
    if kind is None:
        out.others[path.suffix.lower() or "no ending"] += 1
        return
    name = before + relative
    try:
        name.encode()
    except UnicodeEncodeError:
        out.failed.append(Failed(_shown(name), "its name is not valid Unicode; rename it"))
        return
    out.files.append(Found(name, path, kind))


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def mark_of(root: Path, prefix: str = "") -> str:
    """What documents of a folder carry in metadata, so that they are known again: 12 hex digits of a hash of its path."""
    folder = root if root.is_dir() else root.parent
    told = os.path.realpath(folder) + (f"\0{prefix}" if prefix else "")
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:12]
