"""Rows whose vectors are the same number for number: a million copies are one vector, not half a trillion pairs.

Knows vectors only. A collision of hashes costs nothing but time: vectors are compared in full.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.duplicates.rows import Rows

BLOCK = 8192


def first_of(rows: Rows) -> npt.NDArray[np.int64]:
    """For each row the first row with the same vector: int64 (n,); its own place where there is none earlier."""
    n = len(rows)
    hashes = np.empty(n, np.uint64)
    for start in range(0, n, BLOCK):
        hashes[start : start + BLOCK] = _hashes(rows.take(slice(start, start + BLOCK)))
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])[:n]
    heads = order[np.maximum.accumulate(np.where(begins, np.arange(n), 0))]
    out = np.arange(n, dtype=np.int64)
    alike = np.flatnonzero(~begins)
    for start in range(0, len(alike), BLOCK):
        some = alike[start : start + BLOCK]
        mine, theirs = order[some], heads[some]
        same = (rows.take(mine) == rows.take(theirs)).all(axis=1)
        out[mine[same]] = theirs[same]
    return out


def _hashes(x: Vectors) -> npt.NDArray[np.uint64]:
    """A multilinear hash of each row's bits, uint64 (n,); -0.0 counts as 0.0."""
    words = (x + np.float32(0)).view(np.uint32)
    if words.shape[1] % 2:
        words = np.concatenate([words, np.zeros((len(words), 1), np.uint32)], axis=1)
    pairs = np.ascontiguousarray(words).view(np.uint64)
    odd = np.random.default_rng(20).integers(0, 2**63, pairs.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    mixed = pairs ^ (pairs >> np.uint64(29))
    return np.asarray((mixed * odd).sum(axis=1, dtype=np.uint64), np.uint64)
