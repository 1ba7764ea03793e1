"""One file's bytes, whole and of one moment, and a stamp by which it is known again. Knows no format.

Only regular files are opened: no pipe and no device is waited for.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from nearfield.extract.results import Limits, Unreadable
from nearfield.extract.worker import too_large

READER = 1
"""Raised when the same file gives other texts than before: then it is read again."""
TRIES = 3
SETTLED = 2_000_000_000
"""Nanoseconds after which a second change is sure to have another time: file systems keep up to two seconds (FAT)."""

_STAMP = re.compile(r"(\d{1,9})-(\d{1,20})-(\d{1,20})-([0-9a-f]*)(-new)?")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is written down of a file that was read.

    Attributes:
        size: bytes.
        mtime_ns: when it was last changed, in nanoseconds since 1970; 0 where that is not known.
        sha256: of its bytes, the first 32 hex digits; "" for a file that was only looked at.
        settled: it was read long enough after its last change that a further one would show in `mtime_ns`.
    """

    size: int
    mtime_ns: int
    sha256: str = ""
    settled: bool = True

    def encoded(self) -> str:
        """As one word."""
        return f"{READER}-{self.size}-{self.mtime_ns}-{self.sha256}{'' if self.settled else '-new'}"

    @classmethod
    def decode(cls, text: object) -> Stamp | None:
        """What `encoded` wrote; None for anything else."""
        match = _STAMP.fullmatch(text) if isinstance(text, str) else None
        if match is None or int(match[1]) != READER:
            return None
        return cls(int(match[2]), int(match[3]), match[4], match[5] is None)

    def same_look(self, now: Stamp) -> bool:
        """Whether a look at the file is enough to say that it has not changed."""
        return self.settled and self.mtime_ns > 0 and (self.size, self.mtime_ns) == (now.size, now.mtime_ns)

    def same_bytes(self, now: Stamp) -> bool:
        """Whether the file holds what it held, whatever its time."""
        return self.sha256 != "" and (self.size, self.sha256) == (now.size, now.sha256)


def look(path: Path) -> Stamp:
    """Size and time of a file, through links.

    Raises:
        Unreadable: it is not there, is no regular file, or is a link that leads nowhere.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise _refused(error) from None
    _check_regular(found)
    return Stamp(found.st_size, max(0, found.st_mtime_ns))


def read_file(path: Path, limits: Limits) -> tuple[bytes, Stamp]:
    """A file's bytes as they were at one moment, and its stamp.

    Raises:
        Unreadable: not a regular file, not allowed, too large, or changed each time while it was read.
    """
    for _ in range(TRIES):
        try:
            found = _once(path, limits)
        except OSError as error:
            raise _refused(error) from None
        if found is not None:
            return found
    raise Unreadable("it changes while it is read; add it again when it is done")


def _once(path: Path, limits: Limits) -> tuple[bytes, Stamp] | None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb", buffering=0) as file:
        before = os.fstat(descriptor)
        _check_regular(before)
        if before.st_size > limits.file:
            raise too_large(before.st_size, limits)
        data = file.read(limits.file + 1)
        while len(data) <= limits.file and (more := file.read(limits.file + 1 - len(data))):
            data += more
        after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
        return None
    settled = time.time_ns() - after.st_mtime_ns > SETTLED
    return data, stamp_of(data, max(0, after.st_mtime_ns), settled)


def stamp_of(data: bytes, mtime_ns: int = 0, settled: bool = True) -> Stamp:
    """The stamp of bytes."""
    return Stamp(len(data), mtime_ns, hashlib.sha256(data).hexdigest()[:32], settled)


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("it is no file, but a device, a pipe or a folder")


def _refused(error: OSError) -> Unreadable:
    if error.errno == errno.ELOOP:
        return Unreadable("it is a link that leads back to itself")
    if error.errno == errno.ENOENT:
        return Unreadable("it is not there (a link that leads nowhere, or deleted meanwhile)")
    return Unreadable(f"it cannot be opened: {error.strerror}")
