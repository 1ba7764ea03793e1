"""Arrow writing through our files, so that every byte is counted, hashed and synced in one place."""

from __future__ import annotations

from typing import Any

from nearfield.store import files


class Sink:
    """The file interface Arrow writes to, over a files.Writer."""

    closed = False

    def __init__(self, writer: files.Writer) -> None:
        self._writer = writer

    def write(self, data: Any) -> int:
        """Appends a buffer."""
        self._writer.write(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    def flush(self) -> None:
        """Nothing is buffered."""

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def close(self) -> None:
        """The writer's owner closes it, with a sync."""
