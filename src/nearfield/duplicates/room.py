"""Room for many numbers: in memory, or in a temporary file without a name where they are many. Knows bytes only."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from nearfield.core.metric import Vectors

IN_MEMORY = 512 << 20
"""Bytes up to which they are kept in memory. The file is gone as soon as nobody holds it, a killed process included."""


def room(n: int, dim: int) -> Vectors:
    """An array float32 (n, dim) to be filled."""
    if 4 * n * dim <= IN_MEMORY:
        return np.empty((n, dim), np.float32)
    file: Any = tempfile.TemporaryFile(prefix="nearfield-")  # noqa: SIM115
    file.truncate(4 * n * dim)
    return np.memmap(file, np.float32, "r+", shape=(n, dim))
