"""Collections: make, list, look at, alias, drop."""

from __future__ import annotations

import logging

from starlette.responses import Response

from nearfield import Collection
from nearfield.core.errors import InvalidInput, NearfieldError
from nearfield.index import decode_kind
from nearfield.serve import asking, parts
from nearfield.serve.failures import failure_of
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import AliasRequest, CollectionOut, CollectionsOut, CreateRequest, FieldsOut

log = logging.getLogger("nearfield.serve")


def shown(collection: Collection, aliases: dict[str, str]) -> CollectionOut:
    """A collection as it goes over the wire."""
    return CollectionOut(
        name=collection.name, documents=len(collection), dim=collection.dim, metric=collection.metric.value,
        embedder=collection.embedder, recall=collection.recall, commit=collection.commit,
        aliases=sorted(alias for alias, name in aliases.items() if name == collection.name), takes=_takes(collection),
        parts=parts.of(collection),
    )  # fmt: skip


def _takes(collection: Collection) -> list[str]:
    """What its model takes; a model that is not here now hides no collection."""
    try:
        return list(collection.takes)
    except NearfieldError:
        return ["text"]


def _shown_or_not(call: Call, name: str, aliases: dict[str, str]) -> CollectionOut:
    """One that cannot be opened hides no other."""
    try:
        return shown(call.service.database[name], aliases)
    except NearfieldError as error:
        problem = failure_of(error).code
        log.error("collection %s cannot be opened: %s", name, error)
        return CollectionOut(
            name=name, documents=0, dim=0, metric="", embedder=None, recall=0.0, commit=0, problem=problem
        )  # fmt: skip


async def all_of_them(call: Call) -> CollectionsOut:
    """Every collection."""

    def work() -> CollectionsOut:
        database = call.service.database
        aliases = database.aliases()
        return CollectionsOut(collections=[_shown_or_not(call, name, aliases) for name in database.list()])

    return await call.service.aside(work)


async def create(call: Call) -> CollectionOut:
    """Makes one; the embedder must be one that the server allows."""
    wanted = await call.read(CreateRequest)
    service = call.service
    service.check_model(wanted.embedder)

    def work() -> CollectionOut:
        database = service.database
        service.limits.check("collections", len(database.list()) + 1, "collections")
        kind = wanted.index
        if isinstance(kind, dict) or kind != "auto":
            if not isinstance(kind, dict):
                raise InvalidInput("not an index", field="index", expected='"auto" or {"kind": "hnsw", ...}', received=kind)
            kind = decode_kind(kind)  # type: ignore[assignment]
        made = database.create(
            wanted.name, embedder=wanted.embedder, dim=wanted.dim, metric=wanted.metric, index=kind,  # type: ignore[arg-type]
            recall=wanted.recall, fields=wanted.fields, keyword=wanted.keyword, **parts.created(wanted, call.service),
        )  # fmt: skip
        return shown(made, {})

    return await service.aside(work)


async def one(call: Call) -> CollectionOut:
    """One of them."""

    def work() -> CollectionOut:
        found = call.service.collection(call.path("name"))
        return shown(found, call.service.database.aliases())

    return await call.service.aside(work)


async def drop(call: Call) -> Response:
    """Deletes it with all its documents."""
    name = call.path("name")
    await call.service.aside(lambda: call.service.drop(name))
    return Response(status_code=204)


async def alias(call: Call) -> CollectionOut:
    """Another name for it."""
    wanted = await call.read(AliasRequest)

    def work() -> CollectionOut:
        database = call.service.database
        found = call.service.collection(call.path("name"))
        database.alias(wanted.alias, found.name)
        return shown(found, database.aliases())

    return await call.service.aside(work)


async def unalias(call: Call) -> Response:
    """Takes another name away; the collection stays."""
    name = call.path("alias")
    await call.service.aside(lambda: call.service.database.unalias(name))
    return Response(status_code=204)


async def stats(call: Call) -> dict[str, object]:
    """What it holds, in numbers, with its indexes and their measured curves."""

    def work() -> dict[str, object]:
        told = asking.plain(call.service.collection(call.path("name")).stats().to_dict())
        for kept in told.get("generations") or ():
            kept.pop("path", None)
        return told

    return await call.service.aside(work)


async def fields(call: Call) -> FieldsOut:
    """Its metadata fields, for who builds a filter."""
    return await call.service.aside(lambda: call.service.fields(call.path("name")))


NAMED = ("not_found", "invalid_input")
WRITES = ("read_only", "locked", "out_of_space", "closed")
ROUTES = (
    Route("GET", "/v1/collections", all_of_them, "read", "Every collection.", None, CollectionsOut),
    Route(
        "POST", "/v1/collections", create, "write", "Make a collection.", CreateRequest, CollectionOut, 201,
        ("invalid_input", "already_exists", "missing_dependency", *WRITES),
    ),
    Route("GET", "/v1/collections/{name}", one, "read", "One collection.", None, CollectionOut, fails=NAMED),
    Route(
        "DELETE", "/v1/collections/{name}", drop, "write", "Drop a collection with all its documents.", status=204,
        fails=(*NAMED, *WRITES), media="",
    ),
    Route(
        "POST", "/v1/collections/{name}/aliases", alias, "write", "Another name for it; moved if it exists.",
        AliasRequest, CollectionOut, fails=(*NAMED, "already_exists", *WRITES),
    ),
    Route(
        "DELETE", "/v1/aliases/{alias}", unalias, "write", "Take another name away.", status=204,
        fails=(*NAMED, *WRITES), media="",
    ),
    Route(
        "GET", "/v1/collections/{name}/stats", stats, "read", "What it holds, in numbers, with indexes and their curves.",
        None, dict, fails=NAMED, owner=True,
    ),
    Route(
        "GET", "/v1/collections/{name}/fields", fields, "read", "Its metadata fields: types, ranges, commonest strings.",
        None, FieldsOut, fails=NAMED,
    ),
)  # fmt: skip
