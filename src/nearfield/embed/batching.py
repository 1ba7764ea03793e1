"""Batches of like lengths under a budget of tokens: little padding, bounded memory. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt


def batches(lengths: Sequence[int], tokens: int, most: int) -> Iterator[npt.NDArray[np.int64]]:
    """Splits items into batches of like lengths, longest first.

    Args:
        lengths: tokens in each item.
        tokens: the most that a batch may hold, padding included; a longer item gets a batch of its own.
        most: the most items in a batch.

    Yields:
        int64 indices of each batch's items; each index once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        count = max(1, min(most, tokens // longest))
        yield order[start : start + count]
        start += count
