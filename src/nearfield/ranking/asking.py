"""Searches with options and recommendations, from what a caller gave to hits: embedded, prepared, ranked.

Knows an engine and an embedder by what they do. A text or a vector is checked here, options were before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, NotFound
from nearfield.core.fuse import Fusion
from nearfield.core.metric import Vectors, prepare
from nearfield.core.types import Hits
from nearfield.ranking import answering, pages, recommend, sampling
from nearfield.ranking.answering import Asked
from nearfield.ranking.recommend import Examples
from nearfield.ranking.wanted import Wanted

if TYPE_CHECKING:
    from nearfield.embedding import BoundEmbedder
    from nearfield.engine.local import LocalEngine
    from nearfield.engine.segment_search import Request


def search(
    engine: LocalEngine,
    embedder: BoundEmbedder,
    query: str | None,
    vector: Any,
    id: str | None,
    request: Request,
    wanted: Wanted,
    mode: str = "dense",
    fusion: Fusion | None = None,
) -> Hits:
    """The hits of a search with options; arguments as in Collection.search, checked but for `query` and `vector`.

    With both, `vector` is that of the text.
    """
    if wanted.rerank is not None and query is None:
        raise InvalidInput("a reranker reads the query's text: search by text, or leave it out", field="rerank")
    text = None if query is None else inputs.text(query, "query")
    if mode == "keyword":
        assert text is not None
        return answer(engine, answering.by_keywords(engine, text), request, wanted)
    if mode == "hybrid":
        assert text is not None
        found = embedder.encode([text], "query") if vector is None else inputs.vector(vector, engine.dim)
        both = answering.by_both(engine, prepare(found, engine.metric)[0], text, fusion or Fusion())
        return answer(engine, both, request, wanted)
    if id is not None:
        prepared = prepare(engine.vector_of(inputs.document_id(id)), engine.metric)[0]
        asked = answering.by_vector(prepared, ("id", id), without=frozenset([id]))
        return answer(engine, asked, request, wanted)
    found = embedder.encode([text], "query") if text is not None and vector is None else inputs.vector(vector, engine.dim)
    prepared = prepare(found, engine.metric)[0]
    if request.condition is None and wanted.after is None:
        engine.recorder.offer(prepared)
    return answer(engine, answering.by_vector(prepared, pages.dense(text, prepared), text), request, wanted)


def examples(
    engine: LocalEngine, embedder: BoundEmbedder, like: Any, unlike: Any, strategy: str
) -> tuple[Vectors, Vectors, tuple[Examples, Examples]]:
    """Prepared likes (n, dim) and dislikes (m, dim), and what was given.

    Raises:
        InvalidInput: bad examples, none, or no likes for an average.
        NotFound: no document has one of the ids; the message names which.
    """
    inputs.choice(strategy, recommend.STRATEGIES, "strategy")
    given = recommend.examples(like, engine.dim, "like"), recommend.examples(unlike, engine.dim, "unlike")
    if not len(given[0]) and (strategy == "average" or not len(given[1])):
        raise InvalidInput(
            "nothing is liked",
            field="like",
            expected="at least one id, nf.Text(...) or vector"
            + ("" if strategy == "best" else "; strategy='best' can do with dislikes alone"),
        )
    both = set(given[0].ids) & set(given[1].ids)
    if both:
        raise InvalidInput("a document is liked and disliked", field="unlike", received=min(both))
    likes, dislikes = (_vectors(engine, embedder, one, field) for one, field in zip(given, ("like", "unlike"), strict=True))
    return likes, dislikes, given


def recommended(
    engine: LocalEngine, embedder: BoundEmbedder, like: Any, unlike: Any, strategy: str, request: Request, wanted: Wanted
) -> Hits:
    """What is like some examples and unlike others; arguments as in Collection.recommend."""
    if wanted.rerank is not None:
        raise InvalidInput("there is no query text for a reranker", field="rerank", expected="None")
    likes, dislikes, given = examples(engine, embedder, like, unlike, strategy)
    without = frozenset(given[0].ids) | frozenset(given[1].ids)
    asked_by = ("recommend", strategy, *(_told(one) for one in given))
    if strategy == "best":
        return answer(engine, answering.by_best(likes, dislikes, asked_by, without), request, wanted)
    query = recommend.average(likes, dislikes, engine.metric)
    return answer(engine, answering.by_vector(query, asked_by, without=without), request, wanted)


def answer(engine: LocalEngine, asked: Asked, request: Request, wanted: Wanted) -> Hits:
    """The hits, with the background of the engine's collection where it is needed."""
    return answering.answer(engine, asked, request, wanted, lambda: sampling.of(engine))


def _vectors(engine: LocalEngine, embedder: BoundEmbedder, given: Examples, field: str) -> Vectors:
    found: list[Vectors] = [np.empty((0, engine.dim), np.float32)]
    for one in given.ids:
        try:
            found.append(engine.vector_of(one))
        except NotFound:
            raise NotFound("no document has this id", field=field, received=one) from None
    if given.texts:
        found.append(embedder.encode(list(given.texts), "query"))
    found += [np.asarray(one, np.float32)[None, :] for one in given.vectors]
    return prepare(np.concatenate(found), engine.metric)[0]


def _told(given: Examples) -> list[Any]:
    return [list(given.ids), list(given.texts), [one.tobytes() for one in given.vectors]]
