"""Candidates for `recommend(strategy="best")`: by the indexes around each like, or by looking at every document.

Knows a snapshot and the formula in recommend.py. A document that no like's search found is at most as near to any like as the
last that was found; so what is nearer than that, and nearer to a like than to a dislike, is certainly among those found. Where
these do not suffice, every document that matches is scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from nearfield.core.filters import And, Filter
from nearfield.core.metric import Scores, Vectors, scores
from nearfield.core.types import Hits, Plan, SegmentPlan
from nearfield.engine import search
from nearfield.engine.lookup import Lookup
from nearfield.engine.pending import Part
from nearfield.engine.segment_search import Request, check_deadline
from nearfield.engine.snapshot import SegmentView
from nearfield.ranking.recommend import best

SCANNED = 50_000
"""Documents up to which every one is looked at."""
BLOCK = 16_384
"""Rows scored at a time."""

Held = tuple[SegmentView | Part, npt.NDArray[np.int64]]
"""What holds documents, and the positions that match."""


class Best:
    """A source of candidates, ranked by the nearest like and the nearest dislike.

    Args:
        lookup: of the snapshot.
        likes: float32 (n, dim), prepared; may be none.
        dislikes: float32 (m, dim), prepared; may be none.
    """

    def __init__(self, lookup: Lookup, likes: Vectors, dislikes: Vectors) -> None:
        self._lookup, self._snapshot = lookup, lookup.snapshot
        self._likes, self._dislikes = likes, dislikes
        self._all: dict[str, tuple[list[Held], Scores, npt.NDArray[np.int64], Plan]] = {}

    def fetch(self, request: Request) -> Hits:
        """The best `request.k` documents that match: ids and scores, ties by row."""
        total = len(self._snapshot)
        if len(self._likes) and not request.exact and repr(request.condition) not in self._all:
            near = 4 * request.k + 64
            while total > SCANNED and near * 8 < total:
                found = self._near(near, request)
                if found is not None:
                    return found
                near *= 4
        return self._scanned(request)

    def _near(self, near: int, request: Request) -> Hits | None:
        """The best of what searches around the likes found; None: they may have missed some."""
        depth, asked = request.k, replace(request, k=near, offset=0, documents=False, vectors=False)
        lists = search.search(self._snapshot, self._likes, asked)
        ids = list(dict.fromkeys(one for hits in lists for one in hits.ids))
        vectors = self._lookup.vectors(ids)
        found = best(vectors, self._likes, self._dislikes, self._snapshot.metric)
        edge = max((float(hits.scores[-1]) for hits in lists if len(hits) == near), default=-np.inf)
        nearest = np.full(len(ids), -np.inf, np.float32)
        for like in self._likes:
            np.maximum(nearest, scores(like, vectors, self._snapshot.metric), out=nearest)
        sure = np.flatnonzero((found > 0) & (nearest >= edge))
        if len(sure) < depth:
            return None
        rows = np.array([self._lookup.row(ids[i]) for i in sure.tolist()], np.int64)
        order = sure[np.lexsort((rows, -found[sure]))][:depth]
        return Hits([ids[i] for i in order.tolist()], found[order], None, self._snapshot.metric, lists[0].plan, True)

    def _scanned(self, request: Request) -> Hits:
        key = repr(request.condition)
        if key not in self._all:
            self._all[key] = self._every(request)
        held, found, rows, plan = self._all[key]
        chosen = _highest(found, rows, request.k)
        ends = np.cumsum([len(positions) for _, positions in held])
        owners = np.searchsorted(ends, chosen, side="right")
        ids = []
        for at, owner in zip(chosen.tolist(), owners.tolist(), strict=True):
            holder, positions = held[owner]
            where = int(positions[at - ends[owner] + len(positions)])
            ids.append(holder.segment.id(where) if isinstance(holder, SegmentView) else holder.block.ids[where])
        return Hits(ids, found[chosen], None, self._snapshot.metric, plan, True)

    def _every(self, request: Request) -> tuple[list[Held], Scores, npt.NDArray[np.int64], Plan]:
        held, found, rows, steps = [], [np.empty(0, np.float32)], [np.empty(0, np.int64)], []
        pending = waiting = 0
        for holder, positions in self._matching(request.condition):
            if isinstance(holder, SegmentView):
                vectors, numbers = holder.segment.vectors, holder.segment.rows
                steps.append(
                    SegmentPlan(holder.segment.number, len(holder.segment), len(positions), "exact", tier=holder.place.tier)
                )
            else:
                vectors, numbers = holder.block.vectors, holder.block.rows
                pending, waiting = pending + holder.count - holder.dead, waiting + len(positions)
            held.append((holder, positions))
            rows.append(np.asarray(numbers[positions]))
            for start in range(0, len(positions), BLOCK):
                check_deadline(request)
                part = np.asarray(vectors[positions[start : start + BLOCK]])
                found.append(best(part, self._likes, self._dislikes, self._snapshot.metric))
        if pending:
            steps.append(SegmentPlan(0, pending, waiting, "exact"))
        return held, np.concatenate(found), np.concatenate(rows), Plan(self._snapshot.commit, tuple(steps))

    def _matching(self, condition: Filter | None) -> Iterator[Held]:
        for view in self._snapshot.segments:
            yield view, view.allowed(condition).positions
        for part in self._snapshot.pending.parts:
            mask = np.ones(part.count, np.bool_) if part.live is None else part.live
            if condition is not None:
                mask = mask & part.block.mask(condition, part.count)
            yield part, np.flatnonzero(mask)


def _highest(found: Scores, rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Places of the `count` highest, best first, ties by row."""
    if count < len(found):
        edge = np.partition(found, len(found) - count)[len(found) - count]
        near = np.flatnonzero(found >= edge)
    else:
        near = np.arange(len(found))
    return near[np.lexsort((rows[near], -found[near]))][:count]


def both(one: Filter | None, other: Filter | None) -> Filter | None:
    """What matches the two filters; None: all."""
    if one is None or other is None:
        return one if other is None else other
    return And((one, other))
