"""Searches, their answers, and explanations of them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from nearfield.core.fuse import Fusion
from nearfield.serve.wire.base import Count, Filter, Image, In, K, Out, Recall, Timeout, Vector
from nearfield.serve.wire.documents import DocumentOut
from nearfield.serve.wire.parts import HitPassage, On, Shown
from nearfield.serve.wire.ranking import Example, GroupOut, RerankOut

_FUSION = Fusion()
Many = Annotated[K | None, Meta(description="null: all above a threshold, as many as the server allows")]


class EffortIn(In):
    """An expert's setting in place of one chosen by recall."""

    nprobe: Count = 0
    efSearch: Count = 0
    oversampling: Annotated[int, Meta(ge=1)] = 1


class FusionIn(In):
    """How a hybrid search puts its sides together."""

    method: Literal["scores", "ranks"] = "scores"
    weight: Annotated[float, Meta(ge=0, le=1, description="of the dense side")] = _FUSION.weight
    depth: Annotated[int, Meta(ge=1, le=10_000, description="candidates of each side, at least")] = _FUSION.depth
    constant: Annotated[float, Meta(gt=0, lt=1e9, description="of reciprocal rank fusion")] = _FUSION.constant


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
    mode: Annotated[
        Literal["dense", "keyword", "hybrid"], Meta(description="by vectors, by words (BM25), or both; the last two by text")
    ] = "dense"
    fusion: FusionIn | None = None
    on: On | None = None
    passages_per_document: Shown = 1
    min_commit: Annotated[
        int | None, Meta(description="answer only from this commit on: what a write returned as `commit`")
    ] = None


class Options(Wanted):
    """What searches and recommendations take beside what all searches take."""

    k: Many = 10  # type: ignore[assignment]
    exclude: Annotated[list[str], Meta(description="ids that may not come back; k others do")] = []
    min_score: Annotated[float | None, Meta(description="the least score, before any reranking")] = None
    min_percentile: Annotated[float, Meta(ge=0, le=100, description="the least percentile; see /background")] | None = None
    percentiles: Annotated[bool, Meta(description="hits say their percentile")] = False
    diversity: Annotated[float, Meta(ge=0, le=1, description="0 by relevance alone, to 1 by difference alone: MMR")] = 0.0
    group_by: Annotated[str | None, Meta(description="a metadata field: k of its values, the best of each")] = None
    group_size: Annotated[int, Meta(ge=1, description="the most hits of one group")] = 1
    after: Annotated[str | None, Meta(description="`next` of the page before")] = None
    pages: Annotated[bool, Meta(description="the answer has `next`, the token of the page after, if there is one")] = False


class SearchRequest(Options):
    """One search: by text, by vector, by a picture, or by a document's id."""

    rerank: Annotated[str | None, Meta(description="a reranker that the operator allowed; for searches by text")] = None
    rerank_depth: Annotated[int, Meta(ge=1, description="candidates that it reads")] = 50
    query: str | None = None
    vector: Vector | None = None
    id: str | None = None
    image: Image | None = None
    vector_by_name: Annotated[dict[str, Vector] | None, Meta(description="vectors to search with, by their names")] = None


class RecommendRequest(Options):
    """What is like some examples and unlike others."""

    like: Annotated[list[str | Example], Meta(description="ids, or {text} or {vector}")] = []
    unlike: Annotated[list[str | Example], Meta(description="the same")] = []
    strategy: Annotated[
        Literal["average", "best"], Meta(description="by the mean, or by the nearest like and the nearest dislike")
    ] = "average"


class SearchManyRequest(Wanted):
    """Many searches of one kind: texts or vectors."""

    queries: list[str] | None = None
    vectors_in: Annotated[list[Vector] | None, Meta(description="vectors to search with")] = None


class HitOut(Out):
    """One hit; higher scores are better. `parts`: what the score of a keyword or hybrid search is made of."""

    id: str
    score: float
    document: DocumentOut | None = None
    passages: list[HitPassage] | None = None
    parts: dict[str, float] | None = None
    percentile: float | None = None


class KeywordOut(Out):
    """What the keyword side did: words it looked for, documents that have one of them, and how the sides were fused."""

    terms: list[str]
    matched: int
    fusion: str | None = None
    weight: float | None = None
    depth: int | None = None


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
    keyword: KeywordOut | None = None
    rerank: RerankOut | None = None


class SearchAnswer(Out):
    """Hits, best first; `complete`: whether min(k, matching) came back; `took`: milliseconds by stage; `next`: for `after`."""

    hits: list[HitOut]
    complete: bool
    plan: PlanOut
    took: dict[str, float]
    groups: list[GroupOut] | None = None
    next: str | None = None


class SearchManyAnswer(Out):
    """An answer for each query, in order."""

    results: list[SearchAnswer]
    took: dict[str, float]


class ExplainRequest(In):
    """Why a document is found by a query, or not."""

    id: str
    on: Annotated[str | None, Meta(description="which named vector is searched")] = None
    query: str | None = None
    vector: Vector | None = None
    k: K = 10
    filter: Filter | None = None
    recall: Recall | None = None
    image: Image | None = None


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
