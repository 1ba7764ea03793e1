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


def search(snapshot: Snapshot, queries: Vectors, request: Request) -> list[Hits]:
    """Answers m prepared queries (m, dim); one Hits each, in order."""
    k = request.k + request.offset
    parts: list[tuple[SegmentView | Part, list[Found]]] = []
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
    plan = Plan(snapshot.commit, tuple(plans))
    possible = sum(p.allowed for p in plans)
    return [_merge(snapshot, parts, i, k, request, plan, possible) for i in range(len(queries))]


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


def _merge(
    snapshot: Snapshot,
    parts: Sequence[tuple[SegmentView | Part, list[Found]]],
    i: int,
    k: int,
    request: Request,
    plan: Plan,
    possible: int,
) -> Hits:
    if len(parts) == 1:
        holder, found = parts[0]
        values, positions = found[i]
        if not request.documents and isinstance(holder, SegmentView):
            ids = holder.segment.ids(positions[request.offset : k].tolist())
            complete = len(ids) >= min(request.k, max(0, possible - request.offset))
            return Hits(ids, values[request.offset : k], None, snapshot.metric, plan, complete)
        chosen = [(holder, p) for p in positions[request.offset : k].tolist()]
        final = values[request.offset : k]
    else:
        final, chosen = _best(parts, i, k, request.offset)
    documents: list[Document] | None = None
    if request.documents:
        documents = [_document(holder, at, request.vectors) for holder, at in chosen]
        ids = [d.id for d in documents]
    else:
        ids = [_id(holder, at) for holder, at in chosen]
    complete = len(ids) >= min(request.k, max(0, possible - request.offset))
    return Hits(ids, final, documents, snapshot.metric, plan, complete)


def _best(
    parts: Sequence[tuple[SegmentView | Part, list[Found]]], i: int, k: int, offset: int
) -> tuple[npt.NDArray[np.float32], list[tuple[SegmentView | Part, int]]]:
    values = np.concatenate([np.empty(0, np.float32)] + [found[i][0] for _, found in parts])
    rows = np.concatenate([np.empty(0, np.int64)] + [_rows(holder)[found[i][1]] for holder, found in parts])
    owners = np.repeat(np.arange(len(parts)), [len(found[i][1]) for _, found in parts])
    positions = np.concatenate([np.empty(0, np.int64)] + [found[i][1] for _, found in parts])
    order = np.lexsort((rows, -values))[offset:k]
    chosen = [(parts[owner][0], at) for owner, at in zip(owners[order].tolist(), positions[order].tolist(), strict=True)]
    return values[order], chosen


def _rows(holder: SegmentView | Part) -> npt.NDArray[np.int64]:
    return holder.segment.rows if isinstance(holder, SegmentView) else holder.block.rows


def _document(holder: SegmentView | Part, at: int, vectors: bool) -> Document:
    if isinstance(holder, SegmentView):
        return holder.segment.document(at, vector=vectors)
    return holder.block.document(at, vector=vectors)


def _id(holder: SegmentView | Part, at: int) -> str:
    return holder.segment.id(at) if isinstance(holder, SegmentView) else holder.block.ids[at]
