"""Chooses an index kind by size, with its reason. Pure arithmetic; measured afterwards like every index."""

from __future__ import annotations

from dataclasses import dataclass

from nearfield.core.config import format_size
from nearfield.core.metric import Metric
from nearfield.index.base import Kind
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf

EXACT_ROWS = 20_000
"""Rows up to which an exact scan is quick (some milliseconds) and perfect."""
MEMORY_SHARE = 0.5
"""Share of memory that a graph may take: it is read all over, so it must stay resident."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind (None: search exactly) and why."""

    kind: Kind | None
    reason: str


def choose(n: int, dim: int, memory: int | None, recall: float, metric: Metric = Metric.COSINE) -> Choice:
    """The kind for n vectors of `dim`, with `memory` bytes on the machine (None: unknown)."""
    if n <= EXACT_ROWS:
        return Choice(None, f"{n:,} rows: an exact scan is quick, and perfect")
    if recall >= 1:
        return Choice(None, "recall 1.0 was asked for: only an exact scan keeps that")
    graph = Hnsw()
    need = graph.nbytes(n, dim)
    if metric is Metric.IP:
        return Choice(Ivf(), "inner products of unequal lengths suit lists better than a graph")
    if memory is not None and need > MEMORY_SHARE * memory:
        return Choice(
            Ivf(), f"a graph of {format_size(need)} would take more than half of {format_size(memory)}; lists read a part"
        )
    return Choice(graph, f"a graph of {format_size(need)} fits into memory and is the quickest at high recall")
