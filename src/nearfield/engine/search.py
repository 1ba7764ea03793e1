"""One search over one snapshot: plan per segment, fan out, merge by exact score.

Knows snapshots and prepared vectors; no model, no writer, no lock. Every final score comes from `metric.scores`; equal
scores go by ascending row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nearfield.core.filters import Filter
from nearfield.core.metric import Vectors
from nearfield.core.types import Document, Hits, Plan, SegmentPlan
from nearfield.engine import segment_search
from nearfield.engine.pending import Part
from nearfield.engine.segment_search import Found, Request, check_deadline, cut, nothing
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.index import exact

Holder = SegmentView | Part
Parts = list[tuple[Holder, list[Found]]]
"""What each part of the collection found for each query, with final scores."""


def search(snapshot: Snapshot, queries: Vectors, request: Request) -> list[Hits]:
    """Answers m prepared queries (m, dim); one Hits each, in order."""
    parts, plans = gather(snapshot, queries, request.k + request.offset, request)
    plan = Plan(snapshot.commit, plans)
    possible = sum(p.allowed for p in plans)
    return [merge(snapshot, parts, i, request, plan, possible) for i in range(len(queries))]


def gather(snapshot: Snapshot, queries: Vectors, k: int, request: Request) -> tuple[Parts, tuple[SegmentPlan, ...]]:
    """The k best of every part for m prepared queries, and what was done in each."""
    parts: Parts = []
    plans: list[SegmentPlan] = []
    for view in snapshot.segments:
        check_deadline(request)
        found, step = segment_search.search(view, queries, k, request, snapshot.metric)
        plans.append(step)
        parts.append((view, found))
    if snapshot.pending.parts:
        check_deadline(request)
        rows = allowed = 0
        for part in snapshot.pending.parts:
            found, matched = _search_part(snapshot, part, queries, k, request.condition)
            parts.append((part, found))
            rows += part.count - part.dead
            allowed += matched
        plans.append(SegmentPlan(0, rows, allowed, "exact"))
    return parts, tuple(plans)


def _search_part(snapshot: Snapshot, part: Part, queries: Vectors, k: int, condition: Filter | None) -> tuple[list[Found], int]:
    mask = part.live
    if condition is not None:
        mask = part.block.mask(condition, part.count)
        if part.live is not None:
            mask &= part.live
    allowed = part.count if mask is None else int(np.count_nonzero(mask))
    if allowed == 0:
        return [nothing()] * len(queries), 0
    vectors = part.block.vectors[: part.count]
    values, positions = exact.search(queries, vectors, min(k, allowed), snapshot.metric, mask)
    return [cut(v, p) for v, p in zip(values, positions, strict=True)], allowed


def merge(snapshot: Snapshot, parts: Parts, i: int, request: Request, plan: Plan, possible: int) -> Hits:
    """The hits of query i, of all parts; `possible` is how many rows could come back."""
    k = request.k + request.offset
    if len(parts) == 1:
        holder, found = parts[0]
        values, positions = found[i]
        final = values[request.offset : k]
        if not request.documents and isinstance(holder, SegmentView):
            ids = holder.segment.ids(positions[request.offset : k].tolist())
            complete = len(ids) >= min(request.k, max(0, possible - request.offset))
            return Hits(ids, final, None, snapshot.metric, plan, complete)
        chosen = [(holder, p) for p in positions[request.offset : k].tolist()]
    else:
        final, chosen = best(parts, i, k, request.offset)
    ids, documents = fetched(chosen, request)
    complete = len(ids) >= min(request.k, max(0, possible - request.offset))
    return Hits(ids, final, documents, snapshot.metric, plan, complete)


def fetched(chosen: Sequence[tuple[Holder, int]], request: Request) -> tuple[list[str], list[Document] | None]:
    """Ids, and documents where they are wanted, of positions."""
    if not request.documents:
        return [_id(holder, at) for holder, at in chosen], None
    documents = [_document(holder, at, request.vectors) for holder, at in chosen]
    return [d.id for d in documents], documents


def best(parts: Parts, i: int, k: int, offset: int) -> tuple[npt.NDArray[np.float32], list[tuple[Holder, int]]]:
    """(scores, places) of the best of all parts for query i, from `offset` to k; ties by ascending row."""
    values, owners, positions = ranked(parts, i, k, offset)
    return values, [(parts[owner][0], at) for owner, at in zip(owners.tolist(), positions.tolist(), strict=True)]


def ranked(
    parts: Parts, i: int, k: int, offset: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(scores, numbers of parts, positions) of the best of all parts for query i; see `best`."""
    values = np.concatenate([np.empty(0, np.float32)] + [found[i][0] for _, found in parts])
    rows = np.concatenate([np.empty(0, np.int64)] + [rows_of(holder)[found[i][1]] for holder, found in parts])
    owners = np.repeat(np.arange(len(parts)), [len(found[i][1]) for _, found in parts])
    positions = np.concatenate([np.empty(0, np.int64)] + [found[i][1] for _, found in parts])
    order = np.lexsort((rows, -values))[offset:k]
    return values[order], owners[order], positions[order]


def rows_of(holder: Holder) -> npt.NDArray[np.int64]:
    """Row numbers by position."""
    return holder.segment.rows if isinstance(holder, SegmentView) else holder.block.rows


def _document(holder: Holder, at: int, vectors: bool) -> Document:
    if isinstance(holder, SegmentView):
        return holder.segment.document(at, vector=vectors)
    return holder.block.document(at, vector=vectors)


def _id(holder: Holder, at: int) -> str:
    return holder.segment.id(at) if isinstance(holder, SegmentView) else holder.block.ids[at]
