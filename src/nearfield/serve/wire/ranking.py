"""Examples of recommendations, and what options of searches add to answers."""

from __future__ import annotations

from typing import Any

from nearfield.serve.wire.base import In, Out, Vector


class Example(In):
    """One example: exactly one of these. A plain string is an id."""

    id: str | None = None
    text: str | None = None
    vector: Vector | None = None


class RerankOut(Out):
    """What a reranker did: candidates of the search, how many of them it read, how many have no text, seconds."""

    name: str
    candidates: int
    reranked: int
    without_text: int
    seconds: float


class GroupOut(Out):
    """A group of hits, best first: the value of the field, absent for a document without one, and the ids."""

    ids: list[str]
    value: Any = None


class BackgroundOut(Out):
    """How scores of unrelated pairs are distributed; `quantiles`: scores by percent; `most`: the highest percentile told."""

    source: str
    pairs: int
    queries: int
    documents: int
    size: int
    commit: int
    seed: int
    most: float
    quantiles: dict[str, float]
