"""Proposes an index kind by size, with its reason: for index="auto" and for plans alike. Measured afterwards like any index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nearfield.core.config import format_size
from nearfield.core.metric import Metric
from nearfield.index.base import Kind
from nearfield.index.calibrate import ENOUGH
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf
from nearfield.planning import predict
from nearfield.planning.candidates import Candidate, candidates, preference, spelled, unsuited
from nearfield.planning.predict import Budget

EXACT_ROWS = 20_000
"""Rows up to which an exact scan is quick (some milliseconds) and perfect."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind (None: search exactly) and why. `found`: false where an exact scan is what remains because nothing fits."""

    kind: Kind | None
    reason: str
    found: bool = True


def choose(n: int, dim: int, memory: int | None, recall: float, metric: Metric = Metric.COSINE) -> Choice:
    """The kind for n vectors of `dim`, with `memory` bytes on the machine (None: unknown)."""
    return propose(n, dim, metric, recall, Budget(memory))


def propose(
    n: int, dim: int, metric: Metric, recall: float, budget: Budget, ruled_out: Mapping[Kind, str] | None = None
) -> Choice:
    """The first kind of the order of preference that fits.

    Args:
        n: vectors.
        dim: numbers in each.
        metric: which comparison.
        recall: to hold.
        budget: bytes that there are.
        ruled_out: kinds that will not do for another reason, with it.
    """
    if recall > ENOUGH:
        which = "1.0" if recall >= 1 else f"above {ENOUGH}"
        return Choice(None, f"recall {which} was asked for: only an exact scan keeps that")
    if n <= EXACT_ROWS:
        return Choice(None, f"{n:,} rows: an exact scan is quick, and perfect")
    passed: list[str] = []
    known = {candidate.kind: candidate for candidate in candidates(dim)}
    for kind in preference(dim, metric):
        problems = [*problems_of(known[kind], n, dim, metric, recall, budget)]
        problems += [ruled_out[kind]] if ruled_out and kind in ruled_out else []
        if not problems:
            return Choice(kind, f"{why(kind, n, dim, metric, budget)}{_instead(passed)}")
        passed.append(f"{spelled(kind)} {problems[0]}")
    return Choice(None, f"no index will do, so searches would be exact: {passed[-1]}{_instead(passed[:1])}", found=False)


def problems_of(
    candidate: Candidate, n: int, dim: int, metric: Metric, recall: float, budget: Budget, fit: bool = True
) -> list[str]:
    """Why a candidate will not do for n vectors; empty if it will. `fit`: whether bytes are looked at."""
    kind, expected = candidate.kind, candidate.expected
    reason = unsuited(kind, dim, metric)
    out = [f"does not suit: {reason}"] if reason else []
    if not reason and fit:
        out += predict.shortfalls(predict.sizes(kind, n, dim, metric), budget)
    if recall > expected.high:
        out.append(f"is not known for recall {recall:g}, but for {expected.low:.2f} to {expected.high:g}")
    return out


def why(kind: Kind, n: int, dim: int, metric: Metric, budget: Budget) -> str:
    """Why a kind is proposed, with what it takes."""
    most = predict.sizes(kind, n, dim, metric).resident[1]
    takes = f"{spelled(kind)} takes {format_size(most)} of memory"
    if budget.memory is not None:
        takes += f", of the {format_size(predict.MEMORY_SHARE * budget.memory)} that an index may take"
    if isinstance(kind, Hnsw):
        return f"a graph fits, and is the quickest at high recall where it was measured: {takes}"
    if metric is Metric.IP and isinstance(kind, Ivf):
        return f"inner products of unequal lengths suit lists better than a graph: {takes}"
    return f"codes in lists take less than a graph, and this is the first in the order of preference that fits: {takes}"


def _instead(passed: list[str]) -> str:
    return f" ({passed[0]})" if passed else ""
