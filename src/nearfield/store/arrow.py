"""Arrow writing through our files, so that every byte is counted, hashed and synced in one place."""

from __future__ import annotations

from nearfield.store import files


class Sink:
    """The file interface Arrow writes to, over a files.Writer."""

    closed = False

    def __init__(self, writer: files.Writer) -> None:
        self._writer = writer
