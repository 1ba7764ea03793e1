"""The way from candidates to hits, in one fixed order, whatever the candidates come from.

Candidates -> exclude, thresholds, place of the page -> rerank -> diversity -> groups -> offset and k. Knows a source that gives
more candidates when asked for a greater depth; it is asked again, four times as deep, until there are enough or no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.filters import Filter
from nearfield.core.inputs import MAX_K
from nearfield.core.metric import Metric, Scores, Vectors
from nearfield.core.ranked import More
from nearfield.core.types import Document, Hits, Plan
from nearfield.engine.segment_search import Request, check_deadline
from nearfield.ranking import groups, reranking
from nearfield.ranking.background import Background
from nearfield.ranking.cursor import Cursor
from nearfield.ranking.diversity import CANDIDATES, mmr, scaled
from nearfield.ranking.wanted import Wanted

SLACK = 64
"""Excluded ids that the first depth allows for."""
MOST_DIVERSE = 1_000
"""Hits, offset included, that may be chosen for their difference."""
GROUP_ROUND = 64
"""Candidates that each round of looking for groups takes at least."""


class Documents(Protocol):
    """What stages ask of documents; see engine.lookup.Lookup."""

    def row(self, document_id: str) -> int: ...  # noqa: D102
    def vectors(self, ids: Sequence[str]) -> Vectors: ...  # noqa: D102
    def metadata(self, document_id: str) -> Any: ...  # noqa: D102
    def texts(self, ids: Sequence[str]) -> list[str | None]: ...  # noqa: D102
    def documents(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Source:
    """Where candidates come from.

    Attributes:
        fetch: the best `depth` that match the search's filter and another one: ids and scores, best first.
        documents: of the same snapshot.
        metric: of the collection.
        mode: "dense", "keyword" or "hybrid": fused scores compare the candidates of one look only.
        calibrated: whether scores are the metric's own, so that percentiles are of them.
        text: what was asked, for a reranker; None: there is no text.
        background: the collection's, made when it is needed.
    """

    fetch: Callable[[int, Filter | None], Hits]
    documents: Documents
    metric: Metric
    mode: str
    calibrated: bool
    text: str | None
    background: Callable[[], Background]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Some candidates, best first.

    Attributes:
        ids: of documents.
        scores: float32 (n,), to be shown.
        base: float32 (n,), of the search itself.
        parts: what the scores were made of, float32 (n,) by name.
        plan: what the search did.
        all: whether no others match.
    """

    ids: list[str]
    scores: Scores
    base: Scores
    parts: Mapping[str, Scores]
    plan: Plan
    all: bool

    def taken(self, order: npt.NDArray[np.int64] | Sequence[int] | slice) -> Candidates:
        """Some of them, in an order."""
        places = np.arange(len(self.ids))[order]
        ids = [self.ids[i] for i in places.tolist()]
        parts = {name: values[places] for name, values in self.parts.items()}
        return replace(self, ids=ids, scores=self.scores[places], base=self.base[places], parts=parts)


class Stages:
    """One search on its way.

    Args:
        source: of candidates.
        wanted: what is to happen to them.
        request: k, offset, what of documents, and the deadline.
        cursor: the place of the page before, or None.
    """

    def __init__(self, source: Source, wanted: Wanted, request: Request, cursor: Cursor | None = None) -> None:
        self.source, self.wanted, self.request, self.cursor = source, wanted, request, cursor
        self.count = request.offset + request.k
        calibrated = wanted.percentiles or wanted.min_percentile is not None
        if calibrated and not source.calibrated:
            raise InvalidInput(
                "percentiles are of the scores of a dense search, by one vector; use min_score here, or such a search",
                field="percentiles" if wanted.percentiles else "min_percentile",
            )
        self._background = source.background() if calibrated else None
        self._least = self._threshold()

    def run(self) -> Hits:
        """The hits."""
        if self.wanted.pool or (self.source.mode == "hybrid" and self.wanted.group_by is not None):
            return self._of_pool()
        if self.wanted.group_by is not None:
            return self._grouped()
        found = self.collect(self.count)
        page = found.taken(slice(self.request.offset, self.count))
        return self._hits(page, found.all or (len(found.ids) >= self.count and not self.wanted.all))

    def collect(self, count: int, also: Filter | None = None) -> Candidates:
        """The best `count` that may come back and match `also`; fewer if there are no more."""
        depth = count + min(len(self.wanted.exclude), SLACK) + (self.cursor.shown if self.cursor else 0)
        while True:
            depth = min(depth, MAX_K)
            found = self.source.fetch(depth, also)
            over = len(found) < depth or (self._least > -np.inf and float(found.scores[-1]) < self._least)
            kept = self._kept(found, over)
            if len(kept.ids) >= count or over or depth == MAX_K:
                return replace(kept.taken(slice(0, count)), all=over and len(kept.ids) <= count)
            depth *= 4

    def _kept(self, found: Hits, over: bool) -> Candidates:
        places = np.flatnonzero(found.scores >= self._least)
        if self.wanted.exclude:
            places = np.array([i for i in places.tolist() if found.ids[i] not in self.wanted.exclude], np.int64)
        if self.cursor is not None:
            scores, row = found.scores.tolist(), self.source.documents.row
            after = [i for i in places.tolist() if scores[i] <= self.cursor.score]
            places = np.array([i for i in after if self.cursor.follows(scores[i], row(found.ids[i]))], np.int64)
        scores = found.scores[places]
        parts = {name: values[places] for name, values in found.parts.items()}
        return Candidates([found.ids[i] for i in places.tolist()], scores, scores, parts, found.plan, over)

    def _threshold(self) -> float:
        least = -np.inf if self.wanted.min_score is None else self.wanted.min_score
        if self._background is not None and self.wanted.min_percentile is not None:
            background, wanted = self._background, self.wanted.min_percentile
            if wanted > background.most:
                raise InvalidInput(
                    f"{background.pairs:,} pairs of this collection cannot tell so high a percentile",
                    field="min_percentile",
                    expected=f"at most {background.most:.6g}",
                    received=wanted,
                )
            least = max(least, background.score(wanted))
        return float(least)

    # -- stages that work on a list as a whole

    def _of_pool(self) -> Hits:
        wanted, size = self.wanted, self.wanted.group_size
        if wanted.diversity and self.count > MOST_DIVERSE:
            most = f"at most {MOST_DIVERSE:,} hits, offset included"
            raise InvalidInput("too many to choose for difference", field="k", expected=most, received=self.count)
        if wanted.rerank is not None:
            pool = self._reranked(self.collect(wanted.rerank_depth))
        else:
            pool = self.collect(CANDIDATES * self.count * size)
        if wanted.diversity:
            pool = self._diverse(pool, len(pool.ids) if wanted.group_by else self.count)
        if wanted.group_by is None:
            page = pool.taken(slice(self.request.offset, self.count))
            return self._hits(page, pool.all or len(pool.ids) >= self.count)
        made = groups.Groups(self.count, size)
        for number, one in enumerate(pool.ids):
            made.add(number, groups.keys(self.source.documents.metadata(one), wanted.group_by))
        return self._by_groups(pool, made, pool.all or made.full)

    def _reranked(self, pool: Candidates) -> Candidates:
        if self.source.text is None:
            raise InvalidInput(
                "a reranker reads the query's text, and there is none; search by text, or leave it out", field="rerank"
            )
        chosen = self.wanted.rerank
        assert chosen is not None
        reranker = reranking.named(chosen) if isinstance(chosen, str) else chosen
        texts = self.source.documents.texts(pool.ids)
        timed = self.request.deadline is not None
        done = reranking.rerank(reranker, self.source.text, texts, self._check, timed=timed)
        made = pool.taken(done.order)
        scores = made.scores.copy()
        scores[: len(done.scores)] = done.scores
        told = np.full(len(made.ids), np.nan, np.float32)
        told[: len(done.scores)] = done.scores
        parts = {"rerank": told, **(made.parts or {"dense": made.base})}
        return replace(made, scores=scores, parts=parts, plan=replace(pool.plan, rerank=done.plan))

    def _diverse(self, pool: Candidates, count: int) -> Candidates:
        relevance, metric = pool.scores, self.source.metric
        vectors = self.source.documents.vectors(pool.ids)
        if self.wanted.rerank is not None or not self.source.calibrated:
            relevance, vectors = scaled(relevance, vectors)
            metric = Metric.COSINE
        return pool.taken(mmr(relevance, vectors, metric, self.wanted.diversity, count, self._check))

    def _check(self) -> None:
        check_deadline(self.request)

    # -- groups

    def _grouped(self) -> Hits:
        """Rounds that each look among the documents of no group yet, then a look into each group that is not full."""
        where, size = self.wanted.group_by, self.wanted.group_size
        assert where is not None
        made = groups.Groups(self.count, size)
        ids: list[Candidates] = []
        alone: set[str] = set()
        over = False
        while not made.full and not over:
            wanted = max(GROUP_ROUND, 2 * size * (self.count - len(made.all))) + len(alone)
            found = self.collect(wanted, made.beyond(where))
            over = found.all
            before, start = len(made.all), sum(len(c.ids) for c in ids)
            ids.append(found)
            for i, one in enumerate(found.ids):
                if one not in alone:
                    values = groups.keys(self.source.documents.metadata(one), where)
                    if made.add(start + i, values) and not values:
                        alone.add(one)
            if len(made.all) == before:
                break
        if not (over and len(ids) == 1):
            self._fill(made, ids, where)
        return self._by_groups(_joined(ids), made, over or made.full)

    def _fill(self, made: groups.Groups, ids: list[Candidates], where: tuple[str, ...]) -> None:
        for at, group in enumerate(made.all):
            if group.value is not None and len(group.members) < made.size:
                start = sum(len(c.ids) for c in ids)
                found = self.collect(made.size, made.inside(at, where))
                ids.append(found)
                if len(found.ids) >= len(group.members):
                    group.members = list(range(start, start + len(found.ids)))

    def _by_groups(self, found: Candidates, made: groups.Groups, complete: bool) -> Hits:
        bounds: list[tuple[Any, int, int]] = []
        order: list[int] = []
        for group in made.all[self.request.offset :]:
            bounds.append((group.value, len(order), len(order) + len(group.members)))
            order += group.members
        return self._hits(found.taken(np.array(order, np.int64)), complete, tuple(bounds))

    # -- the end

    def _hits(self, page: Candidates, complete: bool, bounds: tuple[tuple[Any, int, int], ...] | None = None) -> Hits:
        documents = None
        if self.request.documents:
            documents = self.source.documents.documents(page.ids, vectors=self.request.vectors)
        self._check()
        hits = Hits(page.ids, page.scores, documents, self.source.metric, page.plan, complete)
        hits.label(self.source.mode, page.parts)
        shares = None if self._background is None else self._background.percentiles(page.base)
        hits.more = More(bounds, shares)
        return hits


def _joined(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of several looks, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return replace(
        first,
        ids=[one for part in parts for one in part.ids],
        scores=np.concatenate([part.scores for part in parts]),
        base=np.concatenate([part.base for part in parts]),
        parts={name: np.concatenate([part.parts[name] for part in parts]) for name in first.parts},
        all=parts[-1].all,
    )
