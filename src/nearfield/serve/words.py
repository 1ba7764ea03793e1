"""Searches by words on their way through the service: keyword and hybrid ones. A hybrid one's text joins the embedder's batch.

They go around the engine's batch: what words a text has is looked up for each alone.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nearfield import Collection, Fusion
from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.types import Hits
from nearfield.serve import asking
from nearfield.serve.wire import SearchManyRequest, SearchRequest, Vector, Wanted

if TYPE_CHECKING:
    from nearfield.serve.service import Service


def fusion_of(wanted: Wanted) -> Fusion | None:
    """How a hybrid search fuses; None: as it does by default."""
    how = wanted.fusion
    return None if how is None else Fusion(how.method, how.weight, how.depth, how.constant)


async def search(
    service: Service, collection: Collection, wanted: SearchRequest, arrived: float
) -> tuple[Hits, dict[str, float]]:
    """Hits, and milliseconds by stage."""
    if wanted.query is None or wanted.id is not None or (wanted.vector is not None and wanted.mode == "keyword"):
        raise InvalidInput(f"a search with mode={wanted.mode!r} is by text", field="query", expected="a text")
    given = None if wanted.vector is None else [wanted.vector]
    hits, took = await _answer(service, collection, [wanted.query], given, wanted, arrived)
    return hits[0], took


async def search_many(
    service: Service, collection: Collection, wanted: SearchManyRequest, arrived: float
) -> tuple[list[Hits], dict[str, float]]:
    """The same for many texts, in order."""
    if wanted.queries is None or wanted.vectors_in is not None:
        raise InvalidInput(f"searches with mode={wanted.mode!r} are by text", field="queries", expected="texts")
    service.limits.check("queries", len(wanted.queries), "queries")
    service.limits.check("k", len(wanted.queries) * (wanted.k + wanted.offset), "hits")
    return await _answer(service, collection, wanted.queries, None, wanted, arrived)


async def _answer(
    service: Service,
    collection: Collection,
    texts: Sequence[str],
    vectors: Sequence[Vector] | None,
    wanted: Wanted,
    arrived: float,
) -> tuple[list[Hits], dict[str, float]]:
    recall = service.monitor.target(collection)
    request, _ = asking.request_of(wanted, collection, service.limits, arrived, recall)
    for text in texts:
        service.limits.check("query", len(inputs.text(text, "query")), "text")
    by, took = fusion_of(wanted), dict[str, float]()
    found = None
    if vectors is not None:
        found = np.stack([asking.checked(v, collection.dim, "vector") for v in vectors])
    elif wanted.mode == "hybrid" and texts:
        start = time.perf_counter()
        found = np.stack([await service.embed(collection, text, "query", request.deadline) for text in texts])
        took["embed"] = asking.milliseconds(start)
    start = time.perf_counter()
    hits = await service.aside(lambda: collection.answer_texts(texts, request, wanted.mode, by, found))
    took["search"] = asking.milliseconds(start)
    return hits, took
