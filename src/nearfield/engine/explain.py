"""Why a search does or does not return one document: its exact rank, and what its part of the collection did.

Reads one snapshot: the same search is run again, every live row that matches is scored, and the document's index is asked
what it made of it. Costs an exact scan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import NotFound
from nearfield.core.metric import Vectors, scores
from nearfield.core.types import SegmentPlan
from nearfield.engine import search as searches
from nearfield.engine.pending import Part
from nearfield.engine.segment_search import Request
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.index import decode_kind
from nearfield.index.base import Effort, depth
from nearfield.index.probe import Probe, Probing

BLOCK_BYTES = 32 << 20
"""Bytes of vectors scored at a time."""


@dataclass(frozen=True, slots=True)
class IndexTrace:
    """What the index of the document's segment did with it, at the setting that the search began with.

    Attributes:
        candidate: whether it was among the candidates whose true scores were compared.
        candidate_rank: its place among them by the index's own order, 1 the best; None if it was not.
        candidates: how many there were, after the filter.
        rough: the score of what the index stores of it, on the scale of `Explanation.score`; None where the kind cannot say.
        quantised: whether that may differ from the true score.
        list: the list that holds it; None of kinds without lists, as all that follows.
        list_rank: how many lists are as near to the query or nearer, itself included.
        lists: how many there are.
        nprobe: how many nearest ones were read.
        list_read: whether its list was one of them.
    """

    candidate: bool
    candidate_rank: int | None
    candidates: int
    rough: float | None
    quantised: bool
    list: int | None
    list_rank: int | None
    lists: int | None
    nprobe: int | None
    list_read: bool | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a search returns a document, or does not. `text()` says it in sentences.

    Attributes:
        id: the document's.
        k: hits asked for.
        recall: the recall that the search held.
        score: its exact score for the query.
        matches: whether the filter lets it through; True without one.
        filtered: whether there was a filter.
        rank: its exact rank among the live documents that match, 1 the best, equal scores in the order in which documents
            were written; None if the filter removes it.
        of: how many documents are live and match.
        returned: whether the search returns it.
        place: its place among the hits, 1 the first; None if it is not there.
        last_score: the score of the last hit; None if there is none.
        segment: the segment that holds it; 0: not in a segment yet.
        plan: how that part was searched.
        index: what its index did with it; None where it was compared with the query directly.
        commit: the commit at which all this holds.
    """

    id: str
    k: int
    recall: float
    score: float
    matches: bool
    filtered: bool
    rank: int | None
    of: int
    returned: bool
    place: int | None
    last_score: float | None
    segment: int
    plan: SegmentPlan
    index: IndexTrace | None
    commit: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def text(self) -> str:
        """A few sentences for people, one a line."""
        return "\n".join([self._standing(), self._outcome(), self._where(), *self._trace(), *self._verdict()])

    def _standing(self) -> str:
        if not self.matches:
            return f"{self.id!r} is removed by the filter; its score would be {self.score:.6g}."
        which = "documents that match the filter" if self.filtered else "documents"
        return f"{self.id!r} ranks {self.rank:,} of {self.of:,} {which}, with a score of {self.score:.6g}."

    def _outcome(self) -> str:
        if self.place is not None:
            return f"The search for k={self.k} returns it as hit {self.place}."
        last = "" if self.last_score is None else f"; the last that is returned scores {self.last_score:.6g}"
        return f"The search for k={self.k} does not return it{last}."

    def _where(self) -> str:
        if self.segment == 0:
            return "It is not in a segment yet: such documents are compared with the query one by one."
        place = f"It is in segment {self.segment}"
        if self.index is None:
            return f"{place}, where what matches is compared with the query one by one ({self.plan.method})."
        setting = ", ".join(f"{name}={value}" for name, value in (self.plan.effort or {}).items()) or "its only setting"
        measured = "" if self.plan.recall is None else f", a recall measured as {self.plan.recall:.3f} with {self.plan.source}"
        return f"{place}, which was searched by its {self.plan.kind} index at {setting}{measured}."

    def _trace(self) -> list[str]:
        trace = self.index
        if trace is None:
            return []
        said: list[str] = []
        if trace.list is not None:
            done = "read" if trace.list_read else "not read"
            said.append(
                f"The index keeps it in list {trace.list}, number {trace.list_rank} of {trace.lists} by nearness to the query; "
                f"nprobe={trace.nprobe} were read, so this one was {done}."
            )
        rough = ""
        if trace.quantised and trace.rough is not None:
            rough = f" By what the index stores of it, it scores about {trace.rough:.6g} instead of {self.score:.6g}."
        if trace.candidate:
            said.append(f"It was number {trace.candidate_rank} of the index's {trace.candidates:,} candidates.{rough}")
        elif trace.list_read is False:
            said.append(f"So it was not among the index's {trace.candidates:,} candidates.{rough}")
        elif trace.list is None:
            said.append(f"It was not among the {trace.candidates:,} candidates that the walk through the index kept.{rough}")
        else:
            said.append(f"It was not among the index's {trace.candidates:,} candidates: others scored higher.{rough}")
        if self.plan.method == "index, wider":
            said.append("For this query too few candidates matched, so the index was asked again more widely.")
        elif self.plan.method == "index, then exact":
            said.append("For this query too few candidates matched, so what matches was then compared one by one.")
        return said

    def _verdict(self) -> list[str]:
        if self.rank is None or self.returned:
            return []
        if self.rank <= self.k:
            return [f"It should be there: a miss of the kind that recall={self.recall:g} allows; a higher recall finds it."]
        return [f"It would take k={self.rank:,} to reach it."]


def explain(snapshot: Snapshot, document_id: str, query: Vectors, request: Request) -> Explanation:
    """Explains one prepared query (1, dim) and one document; raises NotFound if it is not live."""
    holder, at = _find(snapshot, document_id)
    segment = holder.segment.number if isinstance(holder, SegmentView) else 0
    hits = searches.search(snapshot, query, request)[0]
    vectors, rows, mask = _rows(holder, request)
    matches = mask is None or bool(mask[at])
    score = scores(query[0], vectors[at : at + 1], snapshot.metric)[0]
    ahead, of = 0, 0
    parts: list[SegmentView | Part] = [*snapshot.segments, *snapshot.pending.parts]
    for part in parts:
        better, allowed = _count(snapshot, part, query[0], score, int(rows[at]), request)
        ahead, of = ahead + better, of + allowed
    plan = next(p for p in hits.plan.segments if p.segment == segment)
    trace = None
    if matches and isinstance(holder, SegmentView) and plan.method.startswith("index"):
        trace = _trace(holder, at, query, request, plan)
    place = hits.ids.index(document_id) + 1 if document_id in hits.ids else None
    return Explanation(
        id=document_id,
        k=request.k,
        recall=request.recall,
        score=float(score),
        matches=matches,
        filtered=request.condition is not None,
        rank=ahead + 1 if matches else None,
        of=of,
        returned=place is not None,
        place=place,
        last_score=float(hits.scores[-1]) if len(hits) else None,
        segment=segment,
        plan=plan,
        index=trace,
        commit=snapshot.commit,
    )


def _find(snapshot: Snapshot, document_id: str) -> tuple[SegmentView | Part, int]:
    """The part that holds the live document, and where in it."""
    deleted = False
    for part in snapshot.pending.parts:
        for at in part.block.offsets.get(document_id, ()):
            if at < part.count:
                if part.live is None or part.live[at]:
                    return part, at
                deleted = True
    for view in snapshot.segments:
        at = view.segment.position_of_id(document_id)
        if at >= 0:
            if view.is_live(at):
                return view, at
            deleted = True
    what = "the document with this id was deleted" if deleted else "no document has this id"
    raise NotFound(f"{what}, so no search returns it", field="id", received=document_id)


def _rows(holder: SegmentView | Part, request: Request) -> tuple[Vectors, npt.NDArray[np.int64], npt.NDArray[np.bool_] | None]:
    """The vectors and row numbers of a part, and which rows are live and match (None: all)."""
    if isinstance(holder, SegmentView):
        return holder.segment.vectors, holder.segment.rows, holder.allowed(request.condition).mask
    mask = holder.live
    if request.condition is not None:
        mask = holder.block.mask(request.condition, holder.count)
        mask = mask if holder.live is None else mask & holder.live
    return holder.block.vectors[: holder.count], holder.block.rows[: holder.count], mask


def _count(
    snapshot: Snapshot,
    part: SegmentView | Part,
    query: npt.NDArray[np.float32],
    score: np.float32,
    row: int,
    request: Request,
) -> tuple[int, int]:
    """How many rows of a part come before a score and row, and how many are live and match."""
    vectors, rows, mask = _rows(part, request)
    step = max(256, BLOCK_BYTES // (4 * snapshot.dim))
    better = 0
    for start in range(0, len(vectors), step):
        stop = min(start + step, len(vectors))
        found = scores(query, vectors[start:stop], snapshot.metric)
        ahead = (found > score) | ((found == score) & (rows[start:stop] < row))
        better += int(np.count_nonzero(ahead if mask is None else ahead & mask[start:stop]))
    return better, len(vectors) if mask is None else int(np.count_nonzero(mask))


def _trace(view: SegmentView, at: int, query: Vectors, request: Request, plan: SegmentPlan) -> IndexTrace | None:
    """What the index came upon, as the search that made `plan` began."""
    if view.index is None:
        return None
    index, effort = view.index.index, Effort(**(plan.effort or {}))
    allowed = view.allowed(request.condition)
    k = min(request.k + request.offset, allowed.count)
    width = depth(k, effort, 1.0 if allowed.mask is None else allowed.share, len(view.segment))
    found = index.candidates(query, width, effort)[0]
    found = found[found >= 0]
    if allowed.mask is not None:
        found = found[allowed.mask[found]][: k * max(1, effort.oversampling)]
    ranks = np.flatnonzero(found == at)
    probe = index.probe(query, at, effort) if isinstance(index, Probing) else Probe(np.nan)
    return IndexTrace(
        candidate=len(ranks) > 0,
        candidate_rank=int(ranks[0]) + 1 if len(ranks) else None,
        candidates=len(found),
        rough=None if np.isnan(probe.rough) else probe.rough,
        quantised=decode_kind(view.index.record.kind).refines,
        list=probe.list,
        list_rank=probe.list_rank,
        lists=probe.lists,
        nprobe=probe.nprobe,
        list_read=probe.read,
    )
