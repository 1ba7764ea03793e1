"""Whether the bytes of a mapped file are in memory. Knows files and mappings; nothing of what is in them.

The system decides in the end: what is loaded may be taken back under pressure, and what is let go may linger in its cache as
long as nobody else wants the room. On systems that take no advice both do as much as they can.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_BLOCK = 8 << 20


def load(path: Path, stopping: Callable[[], bool] | None = None) -> None:
    """Reads a file through, so that it is in the system's cache; returns early once `stopping` says so."""
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(_BLOCK)
        while file.readinto(buffer):
            if stopping is not None and stopping():
                return


def let_go(path: Path, mapped: npt.NDArray[Any] | None = None) -> None:
    """Gives the memory of a file back: of this process's mapping, an array over it, and of the system's cache."""
    if mapped is not None:
        mapping = _mapping(mapped)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)
    if hasattr(os, "posix_fadvise"):
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _mapping(array: npt.NDArray[Any]) -> mmap.mmap | None:
    """The memory map that an array lies in, or None."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    base = base.obj if isinstance(base, memoryview) else base
    return base if isinstance(base, mmap.mmap) else None
