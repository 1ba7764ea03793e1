"""What fast-scan codes take in memory.

FAISS keeps each list in a table whose capacity is a power of two, of which only the pages that hold codes are ever touched.
(faiss/utils/AlignedTable.h: up to 256 bytes take 256, then the next power of two.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK = 32
"""Vectors in a block: a list is rounded up to whole ones."""
SMALLEST = 256
PAGE = 4096


def touched(sizes: npt.NDArray[np.int64], block_bytes: int) -> int:
    """Bytes of memory that hold lists of `sizes` vectors in blocks of `block_bytes`: small tables whole, large by the page."""
    nbytes = -(-np.asarray(sizes, np.int64) // BLOCK) * block_bytes
    nbytes = nbytes[nbytes > 0]
    capacity = 2.0 ** np.ceil(np.log2(np.maximum(nbytes, SMALLEST)))
    pages = -(-nbytes // PAGE) * PAGE
    return int(np.where(capacity <= PAGE, capacity, pages).sum())


def filled(n: int, lists: int) -> float:
    """Vectors that n take once each of their lists is rounded up to blocks: by half a block on average."""
    return n + (BLOCK - 1) / 2 * lists


def interval(n: int, lists: int, code: int) -> tuple[int, int]:
    """Least and most bytes of memory of n codes of `code` bytes, however they are spread over `lists` lists."""
    return n * code, 2 * (n + (BLOCK - 1) * lists) * code + SMALLEST * lists
