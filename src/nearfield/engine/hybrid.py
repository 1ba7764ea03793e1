"""Searches by keywords, alone or beside vectors, over one snapshot. Both sides see the same filter and the same tombstones.

A hybrid search takes the candidates of both sides and knows both scores of each: a vector that the dense side did not return
is scored exactly, a text that the keyword side did not return has its BM25. Nothing is guessed for a candidate of one side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nearfield.core.fuse import Fusion, Scores, fused
from nearfield.core.metric import Vectors, scores
from nearfield.core.types import Hits, KeywordPlan, Plan
from nearfield.engine import search
from nearfield.engine.keyword import Keywords, Scored
from nearfield.engine.pending import Part
from nearfield.engine.search import Holder, Parts
from nearfield.engine.segment_search import Request, check_deadline
from nearfield.engine.snapshot import SegmentView, Snapshot


def by_keywords(snapshot: Snapshot, keywords: Keywords, texts: Sequence[str], request: Request) -> list[Hits]:
    """Answers texts by BM25; what has none of the words is no hit."""
    out = []
    for text in texts:
        check_deadline(request)
        terms, scored = keywords.score(snapshot, text, request)
        parts: Parts = [(one.holder, [one.best(request.k + request.offset)]) for one in scored]
        matched = sum(one.matched for one in scored)
        plan = Plan(snapshot.commit, (), keyword=KeywordPlan(tuple(t.text for t in terms), matched))
        hits = search.merge(snapshot, parts, 0, request, plan, matched)
        hits.label("keyword", {"keyword": hits.scores})
        out.append(hits)
    return out


def hybrid(
    snapshot: Snapshot, keywords: Keywords, queries: Vectors, texts: Sequence[str], request: Request, by: Fusion
) -> list[Hits]:
    """Answers m prepared queries (m, dim) and their texts together. Both sides give their parts in the snapshot's order."""
    depth = max(by.depth, 2 * (request.k + request.offset))
    parts, plans = search.gather(
        snapshot, queries, depth, replace(request, documents=False, promise=request.k + request.offset)
    )
    possible = sum(p.allowed for p in plans)
    out = []
    for i, text in enumerate(texts):
        check_deadline(request)
        terms, scored = keywords.score(snapshot, text, request)
        matched = sum(one.matched for one in scored)
        step = KeywordPlan(tuple(t.text for t in terms), matched, by.method, by.weight, depth)
        plan = Plan(snapshot.commit, plans, keyword=step)
        out.append(_fuse(snapshot, parts, scored, i, queries[i], depth, request, by, plan, possible))
    return out


def _fuse(
    snapshot: Snapshot,
    parts: Parts,
    scored: Sequence[Scored],
    i: int,
    query: Vectors,
    depth: int,
    request: Request,
    by: Fusion,
    plan: Plan,
    possible: int,
) -> Hits:
    _, owners, positions = search.ranked(parts, i, depth, 0)
    _, others, told = search.ranked([(one.holder, [one.best(depth)]) for one in scored], 0, depth, 0)
    owners, positions = np.concatenate([owners, others]), np.concatenate([positions, told])
    places: list[tuple[Holder, int]] = []
    dense: list[Scores] = [np.empty(0, np.float32)]
    words: list[Scores] = [np.empty(0, np.float32)]
    rows = [np.empty(0, np.int64)]
    for owner in np.unique(owners).tolist():
        holder, where = scored[owner].holder, np.unique(positions[owners == owner])
        places += [(holder, at) for at in where.tolist()]
        rows.append(search.rows_of(holder)[where])
        dense.append(scores(query, _vectors(holder)[where], snapshot.metric))
        words.append(scored[owner].at(where))
    both = np.concatenate(dense), np.concatenate(words)
    final = fused(*both, by)
    order = np.lexsort((np.concatenate(rows), -final))[request.offset : request.offset + request.k]
    ids, documents = search.fetched([places[at] for at in order.tolist()], request)
    complete = len(ids) >= min(request.k, max(0, possible - request.offset))
    hits = Hits(ids, final[order], documents, snapshot.metric, plan, complete)
    hits.label("hybrid", {"dense": both[0][order], "keyword": both[1][order]})
    return hits


def _vectors(holder: SegmentView | Part) -> Vectors:
    return holder.segment.vectors if isinstance(holder, SegmentView) else holder.block.vectors
