"""A search with options, or a recommendation, on one snapshot: its source of candidates, its stages, its page.

Knows engines, of documents or of documents in parts; no model and no input as callers give it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nearfield.core.filters import Filter
from nearfield.core.ranked import Seen
from nearfield.core.types import Hits
from nearfield.engine import hybrid, search
from nearfield.engine.agreeing import agreed
from nearfield.engine.lookup import Lookup
from nearfield.ranking import pages
from nearfield.ranking.background import Background
from nearfield.ranking.best import Best, both
from nearfield.ranking.holding import Rank, holding
from nearfield.ranking.stages import Source, Stages
from nearfield.ranking.wanted import Wanted

if TYPE_CHECKING:
    from nearfield.core.fuse import Fusion
    from nearfield.core.metric import Vectors
    from nearfield.engine.local import LocalEngine
    from nearfield.engine.segment_search import Request
    from nearfield.engine.snapshot import Snapshot
    from nearfield.ranking.cursor import Cursor


@dataclass(frozen=True, slots=True)
class Asked:
    """What candidates are searched by.

    Attributes:
        parts: what decides the ranking, for page tokens: texts, numbers, bytes.
        rank: ranks rows of a snapshot.
        text: for a reranker, or None.
        mode: "dense", "keyword" or "hybrid".
        calibrated: whether scores are the metric's own, so that percentiles are of them.
        without: ids that cannot come back, as they were asked with.
    """

    parts: tuple[Any, ...]
    rank: Rank
    text: str | None = None
    mode: str = "dense"
    calibrated: bool = True
    without: frozenset[str] = frozenset()


def answer(engine: LocalEngine, asked: Asked, request: Request, wanted: Wanted, background: Callable[[], Background]) -> Hits:
    """The hits of a search with options.

    Raises:
        InvalidInput: options that do not go together, a page token that is not of this search, too few documents for
            percentiles.
        DeadlineExceeded: it took too long.
    """
    engine.check_open()
    if wanted.after is not None and asked.mode != "dense":
        raise pages.unstable()
    if asked.mode != "dense":
        return agreed(engine, lambda snapshot: _answered(engine, snapshot, None, None, asked, request, wanted, background))
    cursor = None if wanted.after is None else pages.place(engine, wanted.after, asked.parts, request, wanted)
    snapshot, seen = pages.seen(engine)
    return _answered(engine, snapshot, seen, cursor, asked, request, wanted, background)


def _answered(
    engine: LocalEngine,
    snapshot: Snapshot,
    seen: Seen | None,
    cursor: Cursor | None,
    asked: Asked,
    request: Request,
    wanted: Wanted,
    background: Callable[[], Background],
) -> Hits:
    documents = holding(snapshot, asked.rank, request, getattr(engine, "spec", None))

    def fetch(depth: int, also: Filter | None) -> Hits:
        condition = both(request.condition, also)
        return documents.search(replace(request, k=depth, offset=0, documents=False, vectors=False, condition=condition))

    source = Source(fetch, documents, engine.metric, asked.mode, asked.calibrated, asked.text, background)
    narrowed = replace(wanted, exclude=wanted.exclude | asked.without) if asked.without else wanted
    hits = Stages(source, narrowed, request, cursor).run()
    hits.passages = documents.passages
    hits.seen = Seen(cursor.last, cursor.gaps) if cursor is not None else seen
    hits.page = pages.no_stable_order
    if asked.mode == "dense":
        hits.page = pages.Pages(engine, asked.parts, request, wanted, cursor) if wanted.paged else pages.NoPages(wanted)
    return hits


def by_vector(query: Vectors, parts: tuple[Any, ...], text: str | None = None, without: frozenset[str] = frozenset()) -> Asked:
    """The nearest of one prepared query (1, dim)."""

    def rank(lookup: Lookup, request: Request) -> Hits:
        return search.search(lookup.snapshot, query, request)[0]

    return Asked(parts, rank, text, without=without)


def by_keywords(engine: LocalEngine, text: str) -> Asked:
    """By the words of a text."""

    def rank(lookup: Lookup, request: Request) -> Hits:
        return hybrid.by_keywords(lookup.snapshot, engine.keywords, [text], request)[0]

    return Asked(("keyword", text), rank, text, "keyword", calibrated=False)


def by_both(engine: LocalEngine, query: Vectors, text: str, by: Fusion) -> Asked:
    """By the nearest of a prepared query (1, dim) and the words of its text, put together."""

    def rank(lookup: Lookup, request: Request) -> Hits:
        return hybrid.hybrid(lookup.snapshot, engine.keywords, query, [text], request, by)[0]

    return Asked(("hybrid", text), rank, text, "hybrid", calibrated=False)


def by_best(likes: Vectors, dislikes: Vectors, parts: tuple[Any, ...], without: frozenset[str]) -> Asked:
    """By the nearest like and the nearest dislike, prepared, (n, dim) and (m, dim)."""
    made: list[Best] = []

    def rank(lookup: Lookup, request: Request) -> Hits:
        if not made:
            made.append(Best(lookup, likes, dislikes))
        return made[0].fetch(request)

    return Asked(parts, rank, calibrated=False, without=without)
