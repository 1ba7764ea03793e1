"""The pictures below a folder: which files they are, under which ids, and what is known of them. Reads no pixel.

Knows files; no collection. A file that was not changed since is known by its size and time, without being opened.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfield.core.errors import InvalidInput, NotFound
from nearfield.pictures.decoding import Facts

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
"""How pictures' names end, in small letters."""
STAMP = ("bytes", "modified")
"""The metadata by which a file is known to be unchanged."""


@dataclass(frozen=True, slots=True)
class Found:
    r"""A picture's file.

    Attributes:
        path: where it is.
        id: its path below the folder, parts joined by "/", after the folder's prefix; bytes that are no UTF-8 become \xNN.
        size: bytes.
        modified: when it was last written, as RFC 3339 in UTC.
    """

    path: Path
    id: str
    size: int
    modified: str

    @property
    def stamp(self) -> dict[str, Any]:
        """What tells it from another version of itself."""
        return {"bytes": self.size, "modified": self.modified}

    def is_stored(self, metadata: Mapping[str, Any] | None) -> bool:
        """Whether a document's metadata says that it was made of this very file; None: there is no document."""
        return metadata is not None and all(metadata.get(key) == self.stamp[key] for key in STAMP)

    def metadata(self, facts: Facts) -> dict[str, Any]:
        """path, name, width, height, bytes, modified, and taken where EXIF says it."""
        out: dict[str, Any] = {
            "path": self.id,
            "name": self.id.rsplit("/", 1)[-1],
            "width": facts.width,
            "height": facts.height,
        }
        return out | self.stamp | ({} if facts.taken is None else {"taken": facts.taken})


def is_picture(name: str) -> bool:
    """Whether a file's name ends as those of pictures do."""
    return name.lower().endswith(SUFFIXES)


def find(root: Path, prefix: str = "") -> list[Found]:
    """The pictures below a folder, or the one at a path, in the order of their ids; hidden files and folders are passed over.

    Raises:
        NotFound: nothing is there.
        InvalidInput: a file whose name is no picture's.
    """
    if root.is_file():
        if not is_picture(root.name):
            raise InvalidInput("not a picture's name", field=str(root), expected=" ".join(SUFFIXES))
        return _stat(root, root.parent, prefix)
    if not root.is_dir():
        raise NotFound("there is no such file or folder", field="path", received=str(root))
    out: list[Found] = []
    for directory, inside, names in os.walk(root):
        inside[:] = [name for name in inside if not name.startswith(".")]
        for name in names:
            if is_picture(name) and not name.startswith("."):
                out += _stat(Path(directory) / name, root, prefix)
    return sorted(out, key=lambda found: found.id)


def _stat(path: Path, root: Path, prefix: str) -> list[Found]:
    try:
        told = path.stat()
    except OSError:  # a link that leads nowhere, or a file that was taken away just now
        return []
    relative = os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")
    when = datetime.datetime.fromtimestamp(told.st_mtime_ns // 1000 / 1e6, datetime.UTC)
    relative = f"{prefix}/{relative}" if prefix else relative
    return [Found(path, relative, told.st_size, when.isoformat().replace("+00:00", "Z"))]
