"""Named vectors over HTTP: searches by name, parts that are brought, and what a collection is created with.

Knows wire types; a search by name goes around the batches, as each name has a model and a question of its own.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nearfield import Collection, Part, Passages, VectorField
from nearfield.core import inputs
from nearfield.core.errors import DeadlineExceeded, InvalidInput
from nearfield.core.parts import OWN
from nearfield.core.types import Hits
from nearfield.serve import asking, pictures, words
from nearfield.serve.limits import Limits
from nearfield.serve.wire import CreateRequest, DocumentIn, SearchManyRequest, SearchRequest, Vector, Wanted
from nearfield.serve.wire.parts import PartsOut, PassagesIn, VectorFieldIn

if TYPE_CHECKING:
    from nearfield.serve.service import Service

AT_ONCE = 16
"""Searches between two looks at the time."""


def by_name(collection: Collection, wanted: SearchRequest | SearchManyRequest) -> bool:
    """Whether a search is of named vectors."""
    return bool(collection.names) or wanted.on is not None


async def search(
    service: Service, collection: Collection, wanted: SearchRequest, arrived: float
) -> tuple[Hits, dict[str, float]]:
    """Hits, and milliseconds by stage."""
    start, limits = time.perf_counter(), service.limits
    if wanted.query is not None:
        limits.check("query", len(wanted.query), "text")
    image = None if wanted.image is None else pictures.file_of(wanted.image, limits, "image")
    given: Any = None if wanted.vector is None else _numbers(wanted.vector, "vector")
    if wanted.vector_by_name is not None:
        if given is not None:
            raise InvalidInput("give one of them", field="vector_by_name", expected="vector or vector_by_name")
        given = {name: _numbers(value, f"vector_by_name[{name!r}]") for name, value in wanted.vector_by_name.items()}
    options = {**_options(service, collection, wanted, arrived), **_more(wanted, limits)}
    hits = await service.aside(
        lambda: collection.search(
            wanted.query,
            vector=given,
            id=wanted.id,
            image=image,
            vectors=bool(wanted.vectors),
            offset=wanted.offset,
            timeout=max(1e-3, options.pop("deadline") - time.monotonic()),
            **options,
        )
    )
    return hits, {"search": asking.milliseconds(start)}


async def search_many(
    service: Service, collection: Collection, wanted: SearchManyRequest, arrived: float
) -> tuple[list[Hits], dict[str, float]]:
    """The same for many texts or vectors, in order."""
    start, limits = time.perf_counter(), service.limits
    if (wanted.queries is None) == (wanted.vectors_in is None):
        raise InvalidInput("give either texts or vectors", field="queries", expected="exactly one of queries, vectors_in")
    several = wanted.queries or wanted.vectors_in or []
    limits.check("queries", len(several), "queries")
    limits.check("k", len(several) * (wanted.k + wanted.offset), "hits")
    for text in wanted.queries or ():
        limits.check("query", len(inputs.text(text, "query")), "text")
    options = _options(service, collection, wanted, arrived)
    deadline = options.pop("deadline")
    queries: Any = wanted.queries or []
    if wanted.vectors_in:
        queries = [_numbers(value, f"vectors_in[{i}]") for i, value in enumerate(wanted.vectors_in)]

    def work() -> list[Hits]:
        out: list[Hits] = []
        for first in range(0, len(queries), AT_ONCE):
            if time.monotonic() > deadline:
                raise DeadlineExceeded("the searches did not finish in the time given", field="timeout")
            out += collection.search_many(queries[first : first + AT_ONCE], **options)
        return out

    hits = await service.aside(work)
    return hits, {"search": asking.milliseconds(start)}


def _options(service: Service, collection: Collection, wanted: Wanted, arrived: float) -> dict[str, Any]:
    """Options of a search, checked against the limits."""
    told = msgspec.structs.replace(wanted, k=service.limits.k if wanted.k is None else wanted.k)
    request, _ = asking.request_of(told, collection, service.limits, arrived, service.monitor.target(collection))
    return {
        "k": told.k, "filter": wanted.filter, "recall": request.recall, "exact": wanted.exact, "documents": wanted.documents,
        "effort": request.effort, "mode": wanted.mode, "fusion": words.fusion_of(wanted), "on": wanted.on,
        "passages_per_document": wanted.passages_per_document, "deadline": request.deadline,
    }  # fmt: skip


def _more(wanted: SearchRequest, limits: Limits) -> dict[str, Any]:
    """What works on a whole ranking, of one name."""
    if wanted.rerank is not None:
        raise InvalidInput("a search of named vectors is not reranked here", field="rerank", expected="null")
    limits.check("exclude", len(wanted.exclude), "documents")
    return {
        "k": wanted.k, "exclude": wanted.exclude, "min_score": wanted.min_score, "min_percentile": wanted.min_percentile,
        "percentiles": wanted.percentiles, "diversity": wanted.diversity, "group_by": wanted.group_by,
        "group_size": wanted.group_size, "after": wanted.after,
    }  # fmt: skip


def _numbers(value: Vector, field: str) -> Any:
    """float32 (any,) from numbers or base64; how many there must be is the collection's to say."""
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
            return np.frombuffer(raw, "<f4").astype(np.float32)
        except ValueError:
            raise InvalidInput("not base64", field=field, expected="base64 of float32, or a list of numbers") from None
    return np.array(value, np.float32)


def brought(document: DocumentIn, at: int) -> tuple[Part, ...]:
    """The parts that a document brings."""
    return tuple(
        Part(_numbers(part.vector, f"documents[{at}].parts[{i}].vector"), part.name, part.start, part.end)
        for i, part in enumerate(document.parts or ())
    )


def created(wanted: CreateRequest, service: Service) -> dict[str, Any]:
    """What `create` takes of parts; raises InvalidInput for an embedder that is not allowed."""
    out: dict[str, Any] = {}
    if wanted.passages is not None:
        out["passages"] = Passages(wanted.passages.tokens, wanted.passages.overlap)
    if wanted.vectors is not None:
        for field in wanted.vectors.values():
            service.check_model(None if field.embedder == OWN else field.embedder)
        out["vectors"] = {n: VectorField(f.source, f.embedder, f.dim, f.image) for n, f in wanted.vectors.items()}
    return out


def of(collection: Collection) -> PartsOut | None:
    """The passages and named vectors of a collection; None where each document is one vector."""
    told = collection.parts
    if told is None:
        return None
    vectors: Mapping[str, Any] = told["vectors"]
    return PartsOut(
        passages=None if told["passages"] is None else PassagesIn(**told["passages"]),
        vectors={name: VectorFieldIn(**field) for name, field in vectors.items()},
    )


def check(documents: Sequence[DocumentIn], collection: Collection) -> None:
    """Raises InvalidInput for parts that are brought where a collection has none."""
    if collection.parts is None:
        for i, document in enumerate(documents):
            if document.parts:
                raise InvalidInput("this collection has no parts", field=f"documents[{i}].parts", expected="none")
