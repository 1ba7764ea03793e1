"""Searches, their answers, and explanations of them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from nearfield.serve.wire.base import Count, Filter, In, K, Out, Recall, Timeout, Vector
from nearfield.serve.wire.documents import DocumentOut


class EffortIn(In):
    """An expert's setting in place of one chosen by recall."""

    nprobe: Count = 0
    efSearch: Count = 0
    oversampling: Annotated[int, Meta(ge=1)] = 1


class Wanted(In):
    """What all searches take."""

    k: K = 10
    filter: Filter | None = None
    recall: Recall | None = None
    exact: bool = False
    documents: bool = True
    vectors: Annotated[bool | Literal["base64"], Meta(description="also the documents' vectors, as numbers or base64")] = False
    fields: Annotated[list[str] | None, Meta(description="keep only these metadata keys")] = None
    offset: Count = 0
    timeout: Timeout | None = None
    effort: EffortIn | None = None
    min_commit: Annotated[
        int | None, Meta(description="answer only from this commit on: what a write returned as `commit`")
    ] = None


class SearchRequest(Wanted):
    """One search: by text, by vector, or by a document's id."""

    query: str | None = None
    vector: Vector | None = None
    id: str | None = None


class SearchManyRequest(Wanted):
    """Many searches of one kind: texts or vectors."""

    queries: list[str] | None = None
    vectors_in: Annotated[list[Vector] | None, Meta(description="vectors to search with")] = None


class HitOut(Out):
    """One hit; higher scores are better."""

    id: str
    score: float
    document: DocumentOut | None = None


class SegmentOut(Out):
    """How one segment was searched."""

    segment: int
    rows: int
    allowed: int
    method: str
    kind: str | None = None
    effort: dict[str, int] | None = None
    recall: float | None = None
    bound: float | None = None
    source: str | None = None
    tier: str | None = None
    device: str | None = None


class PlanOut(Out):
    """What a search did."""

    commit: int
    segments: list[SegmentOut]


class SearchAnswer(Out):
    """Hits, best first; `complete`: whether min(k, matching) came back; `took`: milliseconds by stage."""

    hits: list[HitOut]
    complete: bool
    plan: PlanOut
    took: dict[str, float]


class SearchManyAnswer(Out):
    """An answer for each query, in order."""

    results: list[SearchAnswer]
    took: dict[str, float]


class ExplainRequest(In):
    """Why a document is found by a query, or not."""

    id: str
    query: str | None = None
    vector: Vector | None = None
    k: K = 10
    filter: Filter | None = None
    recall: Recall | None = None


class RecallOfTraffic(Out):
    """A mean with its 95 % interval; `bounded`: from a sample of rows, so that it is a lower bound of recall."""

    recall: float
    lower: float
    upper: float
    samples: int
    bounded: bool = False


class RecallOut(Out):
    """Recall of real searches, as sampled: without filters, and with."""

    target: float
    margin: float
    traffic: dict[str, RecallOfTraffic]
