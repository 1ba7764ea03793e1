"""Searching named vectors: one of them, or several whose rankings are fused; all on one snapshot.

Each name's question is embedded by its own model and compared with its own vectors only. Fusing by ranks, the default, is
reciprocal rank fusion, the sum of weight / (constant + rank) (Cormack, Clarke and Buettcher, SIGIR 2009), as scores of several
models have no common scale; "scores" adds weighted scores that were brought to [0, 1] by each name's candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, NotFound
from nearfield.core.filters import And, Filter, In
from nearfield.core.fuse import Fusion, scaled
from nearfield.core.metric import Vectors
from nearfield.core.parts import ANY, NAME
from nearfield.core.ranked import Seen
from nearfield.core.types import Hits, Plan
from nearfield.engine import rollup
from nearfield.engine.agreeing import agreed
from nearfield.engine.explain import Explanation
from nearfield.engine.rollup import Rank
from nearfield.engine.segment_search import Request
from nearfield.engine.snapshot import Snapshot
from nearfield.parts.parted import Parted
from nearfield.ranking import answering as ranked
from nearfield.ranking import asking, pages
from nearfield.ranking.wanted import Wanted

Weights = Mapping[str, float]
FUSED = "fused"
"""The mode of fused hits; their scores compare the hits of one search only."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions as each name understands them: m of them, prepared float32 (m, dim of the engine) by name; and their texts."""

    vectors: Mapping[str, Vectors]
    texts: Sequence[str] | None
    m: int


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for, as callers give it: exactly one of these, or a text with vectors for it in a hybrid search."""

    query: str | None = None
    vector: Any = None
    id: str | None = None
    image: Any = None


def search(
    parted: Parted,
    question: Question,
    on: Any,
    request: Request,
    mode: str,
    fusion: Fusion | None,
    options: Wanted | None = None,
) -> Hits:
    """The hits of one question; see Collection.search. `options` are of one ranking, by one name."""
    parted.engine.check_open()
    wanted = weights(parted, on)
    query, vector = question.query, question.vector
    given = [name for name in ("query", "vector", "id", "image") if getattr(question, name) is not None]
    if len(given) != 1 and not (given == ["query", "vector"] and mode == "hybrid"):
        expected = "one of query, vector, id, image"
        raise InvalidInput("give exactly one thing to search for", field="query", expected=expected, received=given or None)
    if mode != "dense" and query is None:
        raise InvalidInput(f"a search with mode={mode!r} is by text", field="query", expected="a text", received=given)
    if question.id is not None:
        asked, names = by_document(parted, inputs.document_id(question.id), wanted)
        if options is not None:
            return _with_options(parted, asked, names, question, request, mode, fusion, options)
        k, offset = request.k, request.offset
        snapshot, seen = pages.seen(parted.engine)
        hits = _answered(parted, snapshot, asked, names, replace(request, k=k + offset + 1, offset=0), mode, fusion)[0]
        keep = [i for i, found in enumerate(hits.ids) if found != question.id][offset : offset + k]
        return _paged(parted, asked, names, request, mode, hits.picked(keep, hits.complete or len(keep) == k), seen)
    if vector is not None:
        asked, names = by_vectors(parted, vector, wanted, "vector")
        asked = replace(asked, texts=None if query is None else [inputs.text(query, "query")])
    elif query is not None:
        asked, names = by_texts(parted, [inputs.text(query, "query")], wanted, mode)
    else:
        asked, names = by_pictures(parted, [question.image], wanted)
    if options is not None:
        return _with_options(parted, asked, names, question, request, mode, fusion, options)
    if mode != "dense":
        return _paged(parted, asked, names, request, mode, answer(parted, asked, names, request, mode, fusion)[0], None)
    snapshot, seen = pages.seen(parted.engine)
    return _paged(
        parted, asked, names, request, mode, _answered(parted, snapshot, asked, names, request, mode, fusion)[0], seen
    )


def _paged(parted: Parted, asked: Asked, on: Weights, request: Request, mode: str, hits: Hits, seen: Seen | None) -> Hits:
    """The hits, able to say what comes after them where they are one name's."""
    hits.seen, hits.page = seen, pages.no_stable_order
    if mode == "dense" and len(on) == 1:
        (name,) = on
        pages.follow(hits, parted.engine, _parts(asked, name), replace(request, name=name))
    return hits


def _parts(asked: Asked, name: str) -> tuple[Any, ...]:
    """What decides one name's ranking, for page tokens."""
    return (name, asked.vectors[name].tobytes())


def _with_options(
    parted: Parted,
    asked: Asked,
    on: Weights,
    question: Question,
    request: Request,
    mode: str,
    fusion: Fusion | None,
    options: Wanted,
) -> Hits:
    """The hits of one name's ranking, with options."""
    if len(on) != 1:
        expected = "one of " + ", ".join(map(repr, on))
        raise InvalidInput("these options work on one ranking; name the vector", field="on", expected=expected)
    if options.percentiles or options.min_percentile is not None:
        raise InvalidInput(
            "the background of scores is of all vectors, whatever their names; use min_score", field="percentiles"
        )
    (name,) = on
    engine, text = parted.engine, question.query
    if mode == "keyword":
        by = ranked.by_keywords(engine, text or "")
    elif mode == "hybrid":
        by = ranked.by_both(engine, asked.vectors[name], text or "", fusion or Fusion())
    else:
        alone = frozenset() if question.id is None else frozenset([question.id])
        by = ranked.by_vector(asked.vectors[name], _parts(asked, name), text)
        by = replace(by, without=alone)
    return asking.answer(engine, by, replace(request, name=name), options)


def search_many(parted: Parted, queries: Any, on: Any, request: Request, mode: str, fusion: Fusion | None) -> list[Hits]:
    """The hits of each of several questions: texts, or (m, dim) of one name or by name."""
    wanted = weights(parted, on)
    several = [queries] if isinstance(queries, str) else queries
    if not isinstance(several, Mapping) and (len(several) == 0 or isinstance(several[0], str)):
        texts = [inputs.text(text, f"queries[{i}]") for i, text in enumerate(several)]
        asked, names = by_texts(parted, texts, wanted, mode)
    elif mode == "dense":
        asked, names = by_vectors(parted, several, wanted, "queries")
    else:
        raise InvalidInput(f"searches with mode={mode!r} are by text", field="queries", expected="texts")
    return answer(parted, asked, names, request, mode, fusion) if asked.m else []


def explain(parted: Parted, query: Any, vector: Any, document_id: str, on: Any, request: Request) -> Explanation:
    """Why one document is found by a text or vector, or not; see Collection.explain."""
    wanted = weights(parted, on)
    if vector is not None:
        asked, names = by_vectors(parted, vector, wanted, "vector")
    else:
        asked, names = by_texts(parted, [inputs.text(query, "query")], wanted, "dense")
    if len(names) != 1:
        raise InvalidInput("one ranking is explained at a time", field="on", expected="one of " + ", ".join(map(repr, names)))
    (name,) = names
    return parted.engine.explain(document_id, asked.vectors[name], replace(request, name=name))


def weights(parted: Parted, on: Any) -> dict[str, float] | None:
    """What `on` says: names, each with its weight; None where it says nothing."""
    if on is None:
        return None
    found = {on: 1.0} if isinstance(on, str) else dict(on) if isinstance(on, Mapping) else {name: 1.0 for name in on}
    for name, weight in found.items():
        parted.checked(name)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e9:
            raise InvalidInput("not a weight", field=f"on[{name!r}]", expected="a number above 0", received=weight)
    if not found:
        raise InvalidInput("no name is given", field="on", expected="names of vectors, or None")
    return {name: float(weight) for name, weight in found.items()}


def by_texts(parted: Parted, texts: Sequence[str], on: Weights | None, mode: str) -> tuple[Asked, Weights]:
    """Texts, embedded for every name that takes them and is wanted."""
    able = [name for name in parted.names if "text" in _takes(parted, name)]
    chosen = _chosen(able, on, "takes a text as a question")
    found: dict[int, Vectors] = {}
    out = {}
    for name in chosen:
        embedder = parted.embedder(name)
        if mode == "keyword" or embedder is None:
            out[name] = np.empty((len(texts), 0), np.float32)
            continue
        if id(embedder) not in found:
            found[id(embedder)] = embedder.encode(texts, "query")
        out[name] = parted.prepared(found[id(embedder)])
    return Asked(out, texts, len(texts)), chosen


def by_pictures(parted: Parted, images: Sequence[Any], on: Weights | None) -> tuple[Asked, Weights]:
    """Pictures, embedded for every name that takes them and is wanted."""
    from nearfield import picturing

    chosen = _chosen([n for n in parted.names if "image" in _takes(parted, n)], on, "takes a picture as a question")
    out = {}
    for name in chosen:
        embedder = parted.embedder(name)
        assert embedder is not None
        out[name] = parted.prepared(picturing.see(embedder, images))
    return Asked(out, None, len(images)), chosen


def by_vectors(parted: Parted, vectors: Any, on: Weights | None, field: str) -> tuple[Asked, Weights]:
    """Vectors that are brought: by name, or of the one name that is wanted; (m, its dim) each."""
    if not parted.spec.fields:
        found = parted.prepared(inputs.vectors(np.atleast_2d(np.asarray(vectors)), parted.engine.dim, None, field))
        return Asked({"": found}, None, len(found)), {"": 1.0}
    if not isinstance(vectors, Mapping):
        names = list(parted.names if on is None else on)
        if len(names) != 1:
            raise InvalidInput("a vector is of one name", field="on", expected="one name, or vectors by name", received=names)
        vectors = {names[0]: vectors}
    out = {}
    for name, found in vectors.items():
        wanted = parted.checked(name, field)
        out[wanted] = parted.prepared(inputs.vectors(np.atleast_2d(np.asarray(found)), parted.dim(wanted), None, field))
    if len({len(found) for found in out.values()}) != 1:
        raise InvalidInput("not as many of each name", field=field, expected="(m, dim) by name with one m")
    return Asked(out, None, len(next(iter(out.values())))), _chosen(list(out), on, "has a vector here")


def by_document(parted: Parted, document_id: str, on: Weights | None) -> tuple[Asked, Weights]:
    """A document's own vectors, the mean of each name's."""
    out = {}
    for name in parted.names if on is None else on:
        try:
            out[name] = parted.prepared(parted.engine.vector_of(document_id, name)[:, : parted.dim(name)])
        except NotFound:
            if on is not None or parted.engine.get([document_id])[0] is None:
                raise
    return Asked(out, None, 1), _chosen(list(out), on, "is of this document")


def _takes(parted: Parted, name: str) -> tuple[str, ...]:
    embedder = parted.embedder(name)
    return () if embedder is None else embedder.takes


def _chosen(able: Sequence[str], on: Weights | None, what: str) -> Weights:
    if on is None and able:
        return dict.fromkeys(able, 1.0)
    missing = [name for name in on or () if name not in able]
    if missing or not able:
        expected = "one of " + ", ".join(map(repr, able)) if able else "a vector, with the name it is of"
        raise InvalidInput(f"no vector of this name {what}", field="on", expected=expected, received=missing or None)
    return on or {}


def answer(
    parted: Parted, asked: Asked, on: Weights, request: Request, mode: str = "dense", fusion: Fusion | None = None
) -> list[Hits]:
    """Hits for each of m questions: of one name as it ranks, of several fused."""
    parted.engine.check_open()
    if mode == "dense":
        return _answered(parted, parted.engine.snapshot, asked, on, request, mode, fusion)
    return agreed(parted.engine, lambda snapshot: _answered(parted, snapshot, asked, on, request, mode, fusion), asked.m)


def _answered(
    parted: Parted,
    snapshot: Snapshot,
    asked: Asked,
    on: Weights,
    request: Request,
    mode: str,
    fusion: Fusion | None,
) -> list[Hits]:
    engine = parted.engine
    if mode == "keyword":
        named = In((NAME,), tuple(on))
        condition: Filter = named if request.condition is None else And((named, request.condition))
        rank = rollup.by_words(snapshot, engine.keywords, asked.texts or ())
        return rollup.searched(snapshot, parted.spec, asked.m, rank, replace(request, condition=condition, name=ANY))
    ranks = {name: _rank(parted, snapshot, asked, name, mode, fusion) for name in on}
    if len(on) == 1:
        ((name, rank),) = ranks.items()
        return rollup.searched(snapshot, parted.spec, asked.m, rank, replace(request, name=name))
    by = Fusion("ranks") if fusion is None else fusion
    return _fused(parted, snapshot, asked.m, ranks, on, request, by)


def _rank(parted: Parted, snapshot: Snapshot, asked: Asked, name: str, mode: str, fusion: Fusion | None) -> Rank:
    if mode == "hybrid":
        by = Fusion() if fusion is None else fusion
        return rollup.by_both(snapshot, parted.engine.keywords, asked.vectors[name], asked.texts or (), by)
    return rollup.by_vectors(snapshot, asked.vectors[name])


def _fused(
    parted: Parted, snapshot: Snapshot, m: int, ranks: Mapping[str, Rank], on: Weights, request: Request, by: Fusion
) -> list[Hits]:
    """Rankings of all names, deeper until they hold k documents or all there are, in one."""
    want = request.k + request.offset
    depth, total = max(by.depth, 2 * want), max(1, len(snapshot))
    while True:
        lists = {
            name: rollup.searched(
                snapshot, parted.spec, m, rank, replace(request, name=name, k=depth, offset=0, documents=False, vectors=False)
            )
            for name, rank in ranks.items()
        }
        short = [i for i in range(m) if len({d for hits in lists.values() for d in hits[i].ids}) < want]
        if depth >= total or not any(len(hits[i]) == depth for i in short for hits in lists.values()):
            break
        depth = min(4 * depth, total)
    return [_one(parted, snapshot, i, {n: hits[i] for n, hits in lists.items()}, ranks, on, request, by) for i in range(m)]


def fuse(lists: Mapping[str, Hits], on: Weights, by: Fusion) -> dict[str, dict[str, float]]:
    """For each document what each name adds to its fused score; in no order."""
    out: dict[str, dict[str, float]] = {}
    for name, hits in lists.items():
        values = scaled(hits.scores) if by.method == "scores" else 1 / (by.constant + np.arange(1, len(hits) + 1))
        for found, value in zip(hits.ids, values.tolist(), strict=True):
            out.setdefault(found, {})[name] = on[name] * value
    return out


def _one(
    parted: Parted,
    snapshot: Snapshot,
    i: int,
    lists: Mapping[str, Hits],
    ranks: Mapping[str, Rank],
    on: Weights,
    request: Request,
    by: Fusion,
) -> Hits:
    shares = fuse(lists, on, by)
    order = sorted(shares, key=lambda found: -sum(shares[found].values()))
    ids = order[request.offset : request.offset + request.k]
    scores = np.array([sum(shares[found].values()) for found in ids], np.float32)
    plan = Plan(snapshot.commit, tuple(step for hits in lists.values() for step in hits.plan.segments))
    documents = passages = None
    if request.documents:
        documents = [d for d in rollup.get(snapshot, parted.spec, ids, vectors=request.vectors) if d is not None]
        best: dict[str, list[tuple[str, float]]] = {found: [] for found in ids}
        for name, rank in ranks.items():
            condition = parted.spec.named(name, request.condition)
            for found, some in rollup.best_rows(snapshot, i, ids, rank, request, condition).items():
                best[found] += some
        passages = [
            tuple(sorted(own, key=lambda p, own=shares[found]: (-own.get(p.name, 0.0), -p.score))[: request.passages])  # type: ignore[misc]
            for found, own in zip(ids, rollup.passages(snapshot, list(best.values())), strict=True)
        ]
    complete = len(ids) == request.k or all(hits.complete for hits in lists.values())
    out = Hits(ids, scores, documents, snapshot.metric, plan, complete, passages)
    out.label(FUSED, {FUSED: scores})
    return out
