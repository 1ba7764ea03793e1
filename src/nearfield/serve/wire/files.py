"""What became of a file that was sent."""

from __future__ import annotations

from nearfield.serve.wire.base import Out


class FileError(Out):
    """A row or message of it that could not be read; `number` counts from 1."""

    file: str
    reason: str
    number: int | None = None


class FileOut(Out):
    """What writing its documents did; readers see it from `commit` on. `unchanged` ones were there already."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    deleted: int = 0
    commit: int = 0
    failed: int = 0
    errors: list[FileError] = []
