"""Searches with options, and recommendations, on their way through the service: held to the limits, then beside the batches.

What works on a whole list of candidates shares no call of the engine with others. Texts join the embedder's batch; rerankers
are those that the operator allowed, and run in threads of their own.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from nearfield import Collection, Text
from nearfield.core.errors import InvalidInput
from nearfield.core.types import Hits
from nearfield.ranking.wanted import Wanted
from nearfield.serve import asking, parts, words
from nearfield.serve.asking import Room
from nearfield.serve.wire import Example, GroupOut, RecommendRequest, RerankOut, SearchAnswer, SearchRequest

if TYPE_CHECKING:
    from nearfield.serve.limits import Limits
    from nearfield.serve.service import Service


def used(wanted: SearchRequest) -> bool:
    """Whether a search has options that cannot be batched."""
    return (
        wanted.k is None
        or wanted.rerank is not None
        or wanted.pages
        or bool(wanted.exclude or wanted.percentiles or wanted.diversity)
        or any(one is not None for one in (wanted.min_score, wanted.min_percentile, wanted.group_by, wanted.after))
        or wanted.group_size != 1
    )


async def search(
    service: Service, collection: Collection, wanted: SearchRequest, arrived: float
) -> tuple[Hits, dict[str, float]]:
    """Hits, and milliseconds by stage."""
    if collection.names or wanted.on is not None:
        return await parts.search(service, collection, wanted, arrived)
    given = (wanted.query is not None) + (wanted.vector is not None) + (wanted.id is not None)
    if given != 1 and not (wanted.mode == "hybrid" and wanted.id is None and wanted.query is not None):
        raise InvalidInput("give exactly one thing to search for", field="query", expected="one of query, vector, id")
    if wanted.mode != "dense" and (wanted.query is None or (wanted.mode == "keyword" and given > 1)):
        raise InvalidInput(f"a search with mode={wanted.mode!r} is by text", field="query", expected="a text")
    options = options_of(wanted, service.limits, wanted.rerank, wanted.rerank_depth)
    told = msgspec.structs.replace(wanted, k=service.limits.k if wanted.k is None else wanted.k)
    request, _ = asking.request_of(told, collection, service.limits, arrived, service.monitor.target(collection))
    took: dict[str, float] = {}
    vector = None if wanted.vector is None else asking.vector(wanted.vector, collection.dim)
    if wanted.query is not None:
        service.limits.check("query", len(wanted.query), "text")
        if wanted.mode != "keyword" and vector is None:
            start = time.perf_counter()
            vector = await service.embed(collection, wanted.query, "query", request.deadline)
            took["embed"] = asking.milliseconds(start)
    start = time.perf_counter()

    def work() -> Hits:
        name = wanted.rerank
        made = options if name is None else replace(options, rerank=service.allowed.reranker(name))
        return collection.ranked(wanted.query, vector, wanted.id, request, made, wanted.mode, words.fusion_of(wanted))

    hits = await (service.aside(work) if wanted.rerank is None else service.allowed.run(work))
    took["search"] = asking.milliseconds(start)
    if hits.plan.rerank is not None:
        took["rerank"] = round(1000 * hits.plan.rerank.seconds, 3)
    return hits, took


async def recommend(
    service: Service, collection: Collection, wanted: RecommendRequest, arrived: float
) -> tuple[Hits, dict[str, float]]:
    """The same for a recommendation."""
    limits = service.limits
    if wanted.mode != "dense" or wanted.on is not None or wanted.fusion is not None:
        raise InvalidInput("recommendations go by vectors alone", field="mode", expected="'dense'", received=wanted.mode)
    options = options_of(wanted, limits)
    limits.check("like", len(wanted.like) + len(wanted.unlike), "queries")
    told = msgspec.structs.replace(wanted, k=limits.k if wanted.k is None else wanted.k)
    request, _ = asking.request_of(told, collection, limits, arrived, service.monitor.target(collection))
    given = [
        _example(one, f"{name}[{i}]", collection, limits)
        for name, some in (("like", wanted.like), ("unlike", wanted.unlike))
        for i, one in enumerate(some)
    ]
    start = time.perf_counter()
    texts = [i for i, one in enumerate(given) if isinstance(one, Text)]
    found = await asyncio.gather(*(service.embed(collection, given[i].text, "query", request.deadline) for i in texts))
    for i, vector in zip(texts, found, strict=True):
        given[i] = vector
    took = {"embed": asking.milliseconds(start)} if texts else {}
    like, unlike = given[: len(wanted.like)], given[len(wanted.like) :]
    start = time.perf_counter()

    def work() -> Hits:
        return collection.recommended(like, unlike, wanted.strategy, request, options)

    hits = await service.aside(work)
    return hits, {**took, "search": asking.milliseconds(start)}


def options_of(wanted: Any, limits: Limits, rerank: str | None = None, rerank_depth: int = 50) -> Wanted:
    """The options of a request, checked; raises InvalidInput."""
    limits.check("exclude", len(wanted.exclude), "documents")
    if wanted.group_by is not None:
        limits.check("group_size", wanted.group_size * ((wanted.k or 0) + wanted.offset), "k")
    limits.check("rerank_depth", rerank_depth, "queries")
    return Wanted.of(
        wanted.k, wanted.offset, wanted.exclude, wanted.min_score, wanted.min_percentile, wanted.percentiles, wanted.diversity,
        wanted.group_by, wanted.group_size, rerank, rerank_depth, wanted.after,
    ) or Wanted()  # fmt: skip


def _example(given: str | Example, field: str, collection: Collection, limits: Limits) -> Any:
    """An example as the library takes it."""
    if isinstance(given, str):
        return given
    if (given.id is not None) + (given.text is not None) + (given.vector is not None) != 1:
        raise InvalidInput("give exactly one thing", field=field, expected="one of id, text, vector")
    if given.text is not None:
        limits.check(field, len(given.text), "text")
        return Text(given.text)
    return given.id if given.vector is None else asking.vector(given.vector, collection.dim, f"{field}.vector")


def answer(service: Service, hits: Hits, wanted: SearchRequest | RecommendRequest, took: dict[str, float]) -> SearchAnswer:
    """Hits as they go over the wire, with what options add: percentiles, groups, the page after, what a reranker did."""
    made = asking.answer(hits, wanted, took, Room(service.limits.answer))
    if hits.more is not None and hits.more.percentiles is not None:
        for one, share in zip(made.hits, hits.more.percentiles.tolist(), strict=True):
            one.percentile = share
    if hits.more is not None and hits.more.groups is not None:
        made.groups = [GroupOut(ids=hits.ids[first:beyond], value=value) for value, first, beyond in hits.more.groups]
    step = hits.plan.rerank
    if step is not None:
        made.plan.rerank = RerankOut(
            name=step.name, candidates=step.candidates, reranked=step.reranked, without_text=step.without_text,
            seconds=step.seconds,
        )  # fmt: skip
    if wanted.pages or wanted.after is not None or wanted.k is None:
        made.next = hits.next
    return made
