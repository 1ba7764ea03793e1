"""Candidates in the order of a reranker that reads the query together with each text. Knows texts; nothing of searches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import NearfieldError
from nearfield.core.metric import Scores
from nearfield.core.ranked import RerankPlan

if TYPE_CHECKING:
    from nearfield.embed.rerank import Reranker

AT_ONCE = 16
"""Texts between two looks at the deadline."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """Candidates in their new order.

    Attributes:
        order: int64 (n,), positions of candidates; those without a text last, in their old order.
        scores: float32 (m,), the reranker's, of the first m: those that have a text.
        plan: what was done.
    """

    order: npt.NDArray[np.int64]
    scores: Scores
    plan: RerankPlan


@lru_cache(maxsize=4)
def named(name: str) -> Reranker:
    """The reranker of a name, kept once it was asked for; raises what `embed.load_reranker` does."""
    from nearfield.embed.rerank import load_reranker

    return load_reranker(name)


def rerank(
    reranker: Reranker, query: str, texts: Sequence[str | None], check: Callable[[], None], *, timed: bool = False
) -> Reranked:
    """Scores the texts that are there and sorts by that; equal scores keep their order.

    Args:
        reranker: which.
        query: what was asked.
        texts: of the candidates, as the search ranked them; None where there is none.
        check: raises when the time is over; called before, between every 16 texts where `timed`, and after.
        timed: whether there is a deadline.

    Raises:
        NearfieldError: the reranker gave something other than a finite number for each text.
    """
    there = np.array([i for i, text in enumerate(texts) if text], np.int64)
    absent = np.array([i for i, text in enumerate(texts) if not text], np.int64)
    given = [str(texts[i]) for i in there.tolist()]
    start = time.perf_counter()
    found: list[Scores] = [np.empty(0, np.float32)]
    step = AT_ONCE if timed else max(1, len(given))
    for first in range(0, len(given), step):
        check()
        found.append(_scored(reranker, query, given[first : first + step]))
    check()
    scores = np.concatenate(found)
    order = np.argsort(-scores, kind="stable")
    took = time.perf_counter() - start
    plan = RerankPlan(_name(reranker), len(texts), len(there), len(absent), took)
    return Reranked(np.concatenate([there[order], absent]), scores[order], plan)


def _scored(reranker: Reranker, query: str, texts: list[str]) -> Scores:
    given = np.asarray(reranker.score(query, texts), np.float32)
    if given.shape != (len(texts),) or not np.isfinite(given).all():
        raise NearfieldError(
            f"the reranker {_name(reranker)!r} gave no usable scores",
            field="rerank",
            expected=f"{len(texts)} finite numbers",
            received=f"shape {given.shape}",
        )
    return given


def _name(reranker: Reranker) -> str:
    return str(getattr(reranker, "name", type(reranker).__name__))
