"""Searching, and explaining what was found."""

from __future__ import annotations

import msgspec

from nearfield.serve import asking, pictures, ranking
from nearfield.serve.asking import Room
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import (
    BackgroundOut,
    ExplainRequest,
    RecallOut,
    RecommendRequest,
    SearchAnswer,
    SearchManyAnswer,
    SearchManyRequest,
    SearchRequest,
)

LOOKUP = ("not_found", "invalid_input", "dimension_mismatch", "filter_error", "answer_too_large")
SMALL = 200
"""Hits up to which an answer is put together on the event loop."""
BUSY = ("overloaded", "deadline_exceeded", "closed")


async def search(call: Call) -> SearchAnswer | msgspec.Raw:
    """The k nearest documents."""
    wanted = await call.read(SearchRequest)
    service = call.service
    collection = await service.fresh(call.path("name"), wanted.min_commit)
    seen: dict[str, float] = {}
    if not collection.names:
        wanted, seen = await pictures.as_vector(service, collection, wanted)
    hits, took = await service.search(collection, wanted, call.arrived)
    took = {**seen, **took}
    took = {"read": round(1000 * call.reading, 3), **took}
    out: SearchAnswer | msgspec.Raw
    if len(hits) <= SMALL:
        out = ranking.answer(service, hits, wanted, took)
    else:
        out = await service.aside(lambda: _encoded(ranking.answer(service, hits, wanted, took)))
    call.notes.update(collection=collection.name, k=wanted.k, took=took)
    service.noted(call, collection, wanted, hits)
    return out


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


async def search_many(call: Call) -> msgspec.Raw:
    """Many searches of one kind."""
    wanted = await call.read(SearchManyRequest)
    collection = await call.service.fresh(call.path("name"), wanted.min_commit)
    found, took = await call.service.search_many(collection, wanted, call.arrived)
    call.notes.update(collection=collection.name, k=wanted.k, queries=len(found), took=took)
    room = Room(call.service.limits.answer)

    def work() -> msgspec.Raw:
        return _encoded(SearchManyAnswer(results=[asking.answer(h, wanted, {}, room) for h in found], took=took))

    return await call.service.aside(work)


async def explain(call: Call) -> msgspec.Raw:
    """Why a document is found, or not."""
    wanted = await call.read(ExplainRequest)
    limits = call.service.limits
    limits.check("k", wanted.k, "k")
    limits.check("query", len(wanted.query or ""), "text")
    asking.check_filter(wanted.filter, limits)
    collection = call.service.collection(call.path("name"))
    if not collection.names:
        wanted, _ = await pictures.as_vector(call.service, collection, wanted)
    vector = None if wanted.vector is None else asking.vector(wanted.vector, collection.dim_of(wanted.on))

    def work() -> bytes:
        found = collection.explain(
            wanted.query,
            id=wanted.id,
            vector=vector,
            k=wanted.k,
            filter=wanted.filter,
            recall=wanted.recall,
            on=wanted.on,
        )
        return msgspec.json.encode({**asking.plain(found), "text": found.text()})

    return msgspec.Raw(await call.service.aside(work))


async def recall(call: Call) -> RecallOut:
    """Recall of real searches, as sampled."""
    collection = call.service.collection(call.path("name"))
    return call.service.recall_of(collection)


async def recommend(call: Call) -> msgspec.Raw:
    """Documents like some examples and unlike others."""
    wanted = await call.read(RecommendRequest)
    service = call.service
    collection = await service.fresh(call.path("name"), wanted.min_commit)
    hits, took = await ranking.recommend(service, collection, wanted, call.arrived)
    call.notes.update(collection=collection.name, k=wanted.k, took=took)

    return await service.aside(lambda: _encoded(ranking.answer(service, hits, wanted, took)))


async def background(call: Call) -> BackgroundOut:
    """How scores of unrelated pairs are distributed."""
    collection = call.service.collection(call.path("name"))
    found = await call.service.aside(lambda: collection.background().to_dict())
    return msgspec.convert(found, BackgroundOut)


ROUTES = (
    Route(
        "POST", "/v1/collections/{name}/search", search, "read", "Search by text, vector, picture, or a document's id.",
        SearchRequest, SearchAnswer, fails=(*LOOKUP, *BUSY, "missing_dependency", "upstream"),
    ),
    Route(
        "POST", "/v1/collections/{name}/recommend", recommend, "read", "Documents like some examples and unlike others.",
        RecommendRequest, SearchAnswer, fails=(*LOOKUP, *BUSY),
    ),
    Route(
        "GET", "/v1/collections/{name}/background", background, "read", "How scores of unrelated pairs are distributed.",
        None, BackgroundOut, fails=LOOKUP[:2],
    ),
    Route(
        "POST", "/v1/collections/{name}/search_many", search_many, "read", "Many searches of one kind in one request.",
        SearchManyRequest, SearchManyAnswer, fails=(*LOOKUP, *BUSY),
    ),
    Route(
        "POST", "/v1/collections/{name}/explain", explain, "read", "Why a document is found by a query, or not: an exact scan.",
        ExplainRequest, dict, fails=LOOKUP,
    ),
    Route(
        "GET", "/v1/collections/{name}/recall", recall, "read", "Recall of real searches against the exact answer, as sampled.",
        None, RecallOut, fails=LOOKUP[:2], owner=True,
    ),
)  # fmt: skip
