"""The search widths at which a card answers from a graph at least as well as a processor does at each of its efforts.

A graph is measured on a processor, by efSearch; cuVS walks it in another way, by itopk_size. Both are asked for what is near
some of the rows, and compared with the best that either finds when it looks far: that is enough to say which width keeps up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Positions, Scores, Vectors
from nearfield.index.base import Effort
from nearfield.index.gpu.limits import CAGRA_STEP, CAGRA_WIDTH
from nearfield.index.wrapper import FaissIndex

Ask = Callable[[Vectors, int, int], tuple[Scores, Positions]]
"""Queries (m, dim), how many candidates, the width: what the card finds."""
QUERIES, HITS = 256, 11
"""Rows that are asked for, and how many hits are compared: a row itself, and ten others."""

SLACK = 0.002
"""Share of hits that a card may miss more: a graph of float16 has its queries rounded there, which no width makes good. The
bounds of a measured curve lie further than that below its means."""


def widths(index: FaissIndex, ask: Ask) -> dict[int, int]:
    """For each efSearch of the index's efforts the least width at which the card keeps up; those without are left out.

    Args:
        index: the graph on the processor.
        ask: asks the card.
    """
    parts = index.parts
    n = int(parts.index.ntotal)
    hits = min(HITS, n)
    rows = np.linspace(0, n - 1, min(QUERIES, n)).astype(np.int64)
    queries = np.ascontiguousarray(parts.vectors[rows], np.float32)
    steps = [e.efSearch for e in parts.kind.efforts(n) if hits <= e.efSearch <= CAGRA_WIDTH]
    deepest = min(max(steps, default=hits), n)
    far = index.candidates(queries, deepest, Effort(efSearch=deepest))
    truth = _best(queries, np.concatenate([far, ask(queries, deepest, deepest)[1]], axis=1), index, hits)
    tried = list(range(CAGRA_STEP, CAGRA_WIDTH + 1, CAGRA_STEP))
    known: dict[int, float] = {}

    def card(width: int) -> float:
        if width not in known:
            known[width] = _share(ask(queries, hits, width)[1], truth)
        return known[width]

    out: dict[int, int] = {}
    least = tried[0]
    for ef in sorted(steps):
        wanted = _share(index.candidates(queries, ef, Effort(efSearch=ef))[:, :hits], truth)
        good = next((width for width in tried if width >= least and card(width) >= wanted - SLACK), None)
        if good is None:
            break
        out[ef] = least = good
    return out


def _best(queries: Vectors, found: Positions, index: FaissIndex, hits: int) -> Positions:
    """Of candidates (m, w), -1 for none and some of them twice, the best by the raw vectors."""
    scores = np.where(found >= 0, index.scored(queries, np.maximum(found, 0)), -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")
    out = np.full((len(found), hits), -1, np.int64)
    for i, row in enumerate(np.take_along_axis(found, order, 1)):
        once = row[np.sort(np.unique(row, return_index=True)[1])]
        once = once[once >= 0][:hits]
        out[i, : len(once)] = once
    return out


def _share(found: Positions, truth: npt.NDArray[np.int64]) -> float:
    """The share of the true ones that were found."""
    hit = [len(np.intersect1d(a[a >= 0], b[b >= 0])) for a, b in zip(found, truth, strict=True)]
    return float(sum(hit)) / max(1, int((truth >= 0).sum()))
