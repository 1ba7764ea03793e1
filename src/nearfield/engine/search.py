"""One search over one snapshot: plan per segment, fan out, merge by exact score.

Knows snapshots and prepared vectors; no model, no writer, no lock. Every final score comes from `metric.scores`; equal
scores go by ascending row.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import DeadlineExceeded
from nearfield.core.filters import Filter
from nearfield.core.metric import Vectors, scores
from nearfield.core.types import Document, Hits, Plan, SegmentPlan
from nearfield.engine.pending import Part
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.index import exact
from nearfield.index.base import Bitmap
from nearfield.index.calibrate import Point

FEW = 20_000
"""Allowed rows up to which an exact scan of just those is taken: it is quick and perfect."""

Found = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""(final scores, positions) of one query in one part, best first."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of every query of a call.

    Attributes:
        k: how many hits, at least 1.
        recall: the recall to hold, in (0, 1]; 1.0 searches exactly.
        condition: the parsed filter, or None.
        exact: search exactly, whatever the recall.
        documents: whether to fetch documents.
        vectors: whether the documents carry their vectors.
        offset: leading hits to leave out.
        deadline: `time.monotonic()` after which to give up, or None.
    """

    k: int
    recall: float
    condition: Filter | None = None
    exact: bool = False
    documents: bool = True
    vectors: bool = False
    offset: int = 0
    deadline: float | None = None


def search(snapshot: Snapshot, queries: Vectors, request: Request) -> list[Hits]:
    """Answers m prepared queries (m, dim); one Hits each, in order."""
    k = request.k + request.offset
    parts: list[tuple[SegmentView | Part, list[Found]]] = []
    plans: list[SegmentPlan] = []
    for view in snapshot.segments:
        _check_deadline(request)
        found, step = _search_segment(snapshot, view, queries, k, request)
        plans.append(step)
        parts.append((view, found))
    if snapshot.pending.parts:
        _check_deadline(request)
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


def _check_deadline(request: Request) -> None:
    if request.deadline is not None and time.monotonic() > request.deadline:
        raise DeadlineExceeded("the search did not finish in the time given; give it more, or a lower k or recall")


def _search_segment(
    snapshot: Snapshot, view: SegmentView, queries: Vectors, k: int, request: Request
) -> tuple[list[Found], SegmentPlan]:
    segment, n = view.segment, len(view.segment)
    mask: npt.NDArray[np.bool_] | None = None
    allowed = len(view)
    if request.condition is not None:
        mask = segment.columns.mask(request.condition)
        if view.live is not None:
            mask = mask & view.live_mask()
        allowed = int(np.count_nonzero(mask))
    if allowed == 0:
        return [_nothing()] * len(queries), SegmentPlan(segment.number, n, 0, "exact")
    k = min(k, allowed)
    point = None if request.exact or request.recall >= 1 else _point(view, allowed, n, k, request)
    if point is None or view.index is None:
        if mask is None and view.live is not None:
            mask = view.live_mask()
        return _scan(snapshot, view, queries, k, mask), SegmentPlan(segment.number, n, allowed, "exact")
    bitmap: Bitmap | None = view.live
    if mask is not None:
        bitmap = np.packbits(mask, bitorder="little")
    effort = point.effort if allowed == n else view.index.widened(point.effort, n / allowed)
    _, positions = view.index.index.search(queries, k, effort, bitmap)
    found = [_rescore(snapshot, view, query, row) for query, row in zip(queries, positions, strict=True)]
    short = [i for i, (_, where) in enumerate(found) if len(where) < k]
    method = "index"
    if short:
        method = "index, then exact"
        mask = view.live_mask() if mask is None else mask
        for i, again in zip(short, _scan(snapshot, view, queries[short], k, mask), strict=True):
            found[i] = again
    plan = SegmentPlan(
        segment.number, n, allowed, method, view.index.kind, effort.to_dict(), point.recall, point.bound, point.source
    )
    return found, plan


def _point(view: SegmentView, allowed: int, n: int, k: int, request: Request) -> Point | None:
    """The measured effort to use, or None where an exact scan of what is allowed is the better way."""
    few = allowed <= FEW or allowed * 10 <= n
    if view.index is None or (request.condition is not None and few):
        return None
    return view.index.point_for(request.recall, k)


def _rescore(snapshot: Snapshot, view: SegmentView, query: npt.NDArray[np.float32], row: npt.NDArray[np.int64]) -> Found:
    """Final scores of an index's candidates, best first."""
    if row[-1] < 0:
        row = row[row >= 0]
    final = scores(query, view.segment.vectors[row], snapshot.metric)
    order = np.lexsort((row, -final))
    return final[order], row[order]


def _scan(snapshot: Snapshot, view: SegmentView, queries: Vectors, k: int, mask: npt.NDArray[np.bool_] | None) -> list[Found]:
    values, positions = exact.search(queries, view.segment.vectors, k, snapshot.metric, mask)
    return [_cut(v, p) for v, p in zip(values, positions, strict=True)]


def _cut(values: npt.NDArray[np.float32], positions: npt.NDArray[np.int64]) -> Found:
    count = int(np.count_nonzero(positions >= 0))
    return values[:count], positions[:count]


def _nothing() -> Found:
    return np.empty(0, np.float32), np.empty(0, np.int64)


def _search_part(snapshot: Snapshot, part: Part, queries: Vectors, k: int, condition: Filter | None) -> tuple[list[Found], int]:
    mask = part.live
    if condition is not None:
        mask = part.block.mask(condition, part.count)
        if part.live is not None:
            mask &= part.live
    allowed = part.count if mask is None else int(np.count_nonzero(mask))
    if allowed == 0:
        return [_nothing()] * len(queries), 0
    vectors = part.block.vectors[: part.count]
    values, positions = exact.search(queries, vectors, min(k, allowed), snapshot.metric, mask)
    return [_cut(v, p) for v, p in zip(values, positions, strict=True)], allowed


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
