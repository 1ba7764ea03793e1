"""What goes between the process that asks for files to be read and the one that reads them. Knows neither's inside.

A frame is its length as 8 bytes, little-endian, and so many bytes of MessagePack.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from nearfield.extract.kinds import Kind
from nearfield.extract.results import Contents

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Request:
    """A file to read."""

    kind: Kind
    data: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What it holds, or why it cannot be read; `missing`: for want of a package."""

    contents: Contents | None = None
    reason: str | None = None
    missing: bool = False


def send(file: BinaryIO, frame: bytes) -> None:
    """Writes a frame."""
    file.write(_LENGTH.pack(len(frame)))
    file.write(frame)
    file.flush()


def receive(file: BinaryIO, most: int = 1 << 62) -> bytes | None:
    """Reads a frame; None where the other end has gone, or announces more than `most` bytes."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > most:
        return None
    frame = file.read(size)
    return frame if len(frame) == size else None
