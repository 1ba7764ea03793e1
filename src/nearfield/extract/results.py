"""What reading a file gives: texts with metadata, what of it failed, and how much a file may ask for. Knows no format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from nearfield.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Extracted:
    """A text of a file.

    Attributes:
        text: not blank.
        metadata: what the file says of it: title, author, created, modified (RFC 3339, UTC), and more by kind.
        number: which row or message of its file it is, from 1; None where the text is that of the whole file.
    """

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that could not be read.

    Attributes:
        path: the file, as its id would be: relative to the folder, with "/".
        reason: why, and what would help.
        number: which row or message of it, from 1; None: the whole file.
    """

    path: str
    reason: str
    number: int | None = None

    def __str__(self) -> str:
        return f"{self.path}{'' if self.number is None else f'#{self.number}'}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Contents:
    """All that a file gave.

    Attributes:
        texts: in the order of the file; empty for an empty file.
        failed: numbers of rows or messages that could not be read, and why.
    """

    texts: list[Extracted] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may ask for; beyond, it fails and is named.

    Attributes:
        file: bytes of a file.
        unpacked: bytes that what is packed in a file (.docx) may have when unpacked.
        text: bytes of UTF-8 of all its texts and metadata together.
        documents: rows, or messages, that it may hold.
        seconds: that reading it may take.
        memory: bytes that the process reading it may take (Linux; elsewhere only time and sizes are bounded).
    """

    file: int = 128 << 20
    unpacked: int = 256 << 20
    text: int = 64 << 20
    documents: int = 10_000_000
    seconds: float = 60.0
    memory: int = 2 << 30


class Unreadable(InvalidInput):
    """A file, or a part of it, that cannot be read; the message has the reason and the remedy, for `Failed.reason`."""
