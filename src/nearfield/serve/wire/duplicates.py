"""Near-duplicates: what is asked, and what is told."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from nearfield.serve.wire.base import Filter, In, Out

Above = Annotated[
    float, Meta(description="the least score of a pair: cosine -1 to 1; ip any; l2 at most 0, minus the squared distance")
]
Bin = Annotated[list[float | int], Meta(min_length=3, max_length=3, description="lowest score, highest score, documents")]
"""No tuple: tools that read the description know no `prefixItems`."""
Share = Annotated[float, Meta(gt=0, le=1, description="the share of pairs to find; 1: all")]


class KeepIn(In):
    """Which document of a group stays: the one whose metadata field is greatest or least."""

    field: str
    order: Literal["max", "min"] = "max"


class DuplicatesRequest(In):
    """Groups of near-duplicates."""

    above: Above
    keep: Literal["first", "newest"] | KeepIn = "first"
    filter: Filter | None = None
    recall: Share = 0.99


class DedupRequest(DuplicatesRequest):
    """What to delete; by default nothing is deleted, only reported."""

    dry_run: bool = True


class ThresholdRequest(In):
    """Which documents a threshold is suggested for, and how many of them are looked at."""

    sample: Annotated[int, Meta(ge=100)] = 1000
    filter: Filter | None = None


class JoinOut(Out):
    """How the pairs were found. `exact`: no pair was missed; else `recall` was measured on sampled documents."""

    method: Literal["tiles", "cells", "none"]
    exact: bool
    documents: int
    copies: int
    pairs: int
    counted: bool
    recall: float | None
    low: float | None
    high: float | None
    sampled: int
    sampled_pairs: int
    compared: float
    seconds: float
    reason: str


class DuplicatesLine(Out):
    """A line of the answer: a group, with its links as [id, id, score]; the first line is `join` alone."""

    ids: list[str] | None = None
    keep: str | None = None
    links: list[tuple[str, str, float]] | None = None
    join: JoinOut | None = None


class ThresholdOut(Out):
    """A threshold, or why there is none."""

    above: float | None
    reason: str
    sampled: int
    share: float
    quantiles: dict[str, float]
    histogram: list[Bin]


class LikeOut(Out):
    """A document that was not written, and which one it is like."""

    id: str
    like: str
    score: float
