"""What vectors on a device look like, and how many bytes that is: exact, before anything is put there. Pure arithmetic.

Codes are float16, or int8 with a scale for each row, in rows of padded length; beside them what bounds their error, so that a
scan can prove its answer (see scan.py).
"""

from __future__ import annotations

from typing import Literal

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric

Dtype = Literal["float16", "int8"]
DTYPES: tuple[Dtype, ...] = ("float16", "int8")
TILE = 128
"""Rows of a tile: the codes are padded to whole tiles."""
GROUP = 32
"""Rows that share one bound of the error of their codes, and one maximum of a scan."""
DIMS = 16
"""Vectors are padded to a multiple of so many numbers: what matrix units take at a time."""
BITMAPS = 4
"""Bitmaps of rows allowed that are kept beside the codes, one bit a row each: of filters, and of rows that are alive."""
WORKSPACE = 1 << 30
"""Bytes of a device's budget that are kept free, at most, for its searches (half) and for vectors on their way to it (half)."""


def padded(n: int, dim: int) -> tuple[int, int]:
    """Rows and numbers in each, as they are stored."""
    return -(-n // TILE) * TILE, -(-dim // DIMS) * DIMS


def code_bytes(dtype: Dtype) -> int:
    """Bytes of one number."""
    if dtype not in DTYPES:
        raise InvalidInput("not a type of codes", field="dtype", expected=f"one of {', '.join(DTYPES)}", received=dtype)
    return 2 if dtype == "float16" else 1


def nbytes(n: int, dim: int, dtype: Dtype, metric: Metric, raw: bool = False) -> int:
    """Bytes on the device for n vectors of `dim`: codes, scales (int8), lengths (l2), bounds of error, bitmaps.

    Args:
        n: vectors.
        dim: numbers in each.
        dtype: of the codes.
        metric: l2 keeps minus the squared length of each row.
        raw: whether float32 vectors are kept there too, so that candidates are scored again without the host.
    """
    rows, dims = padded(n, dim)
    total = rows * dims * code_bytes(dtype) + 8 * (rows // GROUP) + BITMAPS * (rows // 8)
    total += 4 * rows if dtype == "int8" else 0
    total += 4 * rows if metric is Metric.L2 else 0
    return total + (4 * n * dim if raw else 0)


def workspace(budget: int) -> int:
    """Bytes of a budget that are kept to work in: an eighth, at most WORKSPACE."""
    return min(WORKSPACE, budget // 8)


def largest(budget: int, dim: int, dtype: Dtype, metric: Metric, raw: bool = False) -> int:
    """The most vectors that fit into a budget beside the workspace."""
    room = budget - workspace(budget)
    low, high = 0, 1
    while nbytes(high, dim, dtype, metric, raw) <= room:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if nbytes(middle, dim, dtype, metric, raw) <= room else (low, middle)
    return low
