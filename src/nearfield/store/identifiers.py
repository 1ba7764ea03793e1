"""Finding a document's position by its id: sorted 64-bit hashes, checked against the id itself.

Knows arrays of strings, not documents. A segment keeps, for its n ids, the hashes in ascending order (uint64) and the
position of each (uint32). The hash is seeded per collection, so that nobody can prepare ids that collide; a collision
costs one more string comparison and never a wrong answer.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
_MULTIPLIER = 0x9E3779B97F4A7C15
_FINAL = 0xBF58476D1CE4E5B9
_MASK = (1 << 64) - 1


def hash_many(ids: pa.LargeStringArray, seed: int) -> Hashes:
    """Hashes n ids at once: eight bytes a step, each step over all ids that are that long. Returns uint64 (n,)."""
    n = len(ids)
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int64, count=n + 1, offset=8 * ids.offset)
    lengths = np.diff(offsets)
    start = int(offsets[0])
    data = np.zeros(int(offsets[-1]) - start + 8, dtype=np.uint8)
    if ids.buffers()[2] is not None:
        data[:-8] = np.frombuffer(ids.buffers()[2], dtype=np.uint8)[start : int(offsets[-1])]
    words = np.ndarray((len(data) - 7,), dtype="<u8", buffer=data, strides=(1,))
    begin = offsets[:-1] - start
    out = np.full(n, seed & _MASK, dtype=np.uint64) ^ (lengths.astype(np.uint64) * np.uint64(_MULTIPLIER))
    longest = int(lengths.max()) if n else 0
    everyone = np.arange(n)
    for step in range(0, longest, 8):
        who = everyone if step == 0 else np.flatnonzero(lengths > step)
        left = np.minimum(lengths[who] - step, 8)
        word = words[begin[who] + step]
        shift = ((8 - left) * 8).astype(np.uint64)
        keep = np.where(left > 0, np.uint64(_MASK) >> np.minimum(shift, np.uint64(63)), np.uint64(0))
        mixed = (out[who] ^ (word & keep)) * np.uint64(_MULTIPLIER)
        out[who] = mixed ^ (mixed >> np.uint64(32))
    out *= np.uint64(_FINAL)
    return np.asarray(out ^ (out >> np.uint64(29)), dtype=np.uint64)


def hash_one(document_id: str, seed: int) -> int:
    """The same hash for one id, without arrays."""
    data = document_id.encode()
    out = (seed & _MASK) ^ (len(data) * _MULTIPLIER & _MASK)
    for step in range(0, len(data), 8):
        out = (out ^ int.from_bytes(data[step : step + 8], "little")) * _MULTIPLIER & _MASK
        out ^= out >> 32
    out = out * _FINAL & _MASK
    return out ^ (out >> 29)


def sort(hashes: Hashes) -> tuple[Hashes, npt.NDArray[np.uint32]]:
    """Sorts hashes; returns them ascending with the position of each."""
    by_hash = np.argsort(hashes, kind="stable")
    return hashes[by_hash], by_hash.astype(np.uint32)


def matches(wanted: Hashes, table: Hashes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs (index into `wanted`, index into `table`) with equal hashes; both ascending arrays, repeats allowed."""
    low = np.searchsorted(table, wanted, side="left")
    inside = np.minimum(low, len(table) - 1)
    hit = np.flatnonzero((table[inside] == wanted) & (low < len(table))) if len(table) else np.empty(0, np.int64)
    if not len(hit):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    high = np.searchsorted(table, wanted[hit], side="right")
    counts = high - low[hit]
    left = np.repeat(hit, counts)
    first = np.repeat(low[hit], counts)
    within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    return left, first + within
