"""What a collection recommends, and what its scores are worth. Part of Collection, which holds it.

Knows an embedder and an engine by their protocols; writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nearfield.core.config import parse_time
from nearfield.core.errors import InvalidInput
from nearfield.core.types import Hits
from nearfield.generation import steady
from nearfield.ranking.wanted import RANGE, Wanted
from nearfield.reading import Filter
from nearfield.searching import Searching, narrowed_hits

if TYPE_CHECKING:
    from nearfield.engine.segment_search import Request
    from nearfield.index.base import Effort
    from nearfield.ranking.background import Background


class Recommending(Searching):
    """What is found without a query."""

    @steady
    def recommend(
        self,
        like: Any = (),
        unlike: Any = (),
        *,
        k: int | None = 10,
        strategy: str = "average",
        filter: Filter | None = None,
        recall: float | None = None,
        exact: bool = False,
        documents: bool = True,
        vectors: bool = False,
        fields: Sequence[str] | None = None,
        offset: int = 0,
        timeout: float | str | None = None,
        effort: Effort | None = None,
        exclude: Sequence[str] = (),
        min_score: float | None = None,
        min_percentile: float | None = None,
        percentiles: bool = False,
        diversity: float = 0.0,
        group_by: str | None = None,
        group_size: int = 1,
        after: str | None = None,
    ) -> Hits:
        """Documents like some examples and unlike others; the examples themselves, given by id, never come back.

        Args:
            like: ids as str, texts as nearfield.Text("..."), vectors as arrays or lists of numbers, mixed in a list.
            unlike: the same.
            k: how many; None: all above a threshold, at most 100,000.
            strategy: "average": the nearest of m+ + (m+ - m-), m+ and m- being the means of the likes and of the dislikes under
                cosine at unit length (m+ without dislikes), the form of Rocchio's feedback. "best": by the nearest like alone,
                where that is nearer than the nearest dislike, and all others after these, the farther from a dislike the
                better: s(max+) or -s(max-), s(x) = (x / (1 + |x|) + 1) / 2, Qdrant's best score; it can do with dislikes alone,
                and keeps apart likes that have nothing in common.
            filter: as in `search`, as are the others.
            recall: the recall to hold.
            exact: compare with every vector.
            documents: fetch the documents.
            vectors: fill `Document.vector`.
            fields: keep only these metadata keys.
            offset: leave out this many leading hits.
            timeout: seconds, or text such as "50ms".
            effort: an expert's setting.
            exclude: ids of documents that were seen; k others come back all the same while there are any.
            min_score: the least score.
            min_percentile: the least percentile; with strategy="average" only.
            percentiles: fill `Hit.percentile`; with strategy="average" only.
            diversity: 0 by relevance alone, to 1 by difference alone.
            group_by: a metadata field, whose values make groups.
            group_size: the most of one group.
            after: `next` of the page before.

        Returns:
            Hits. Scores are the metric's with "average", and in (-1, 1) with "best".

        Raises:
            InvalidInput: bad examples, none, an id that is liked and disliked, likes and dislikes that cancel out.
            NotFound: no document has one of the ids.
        """
        self._refuse_names("recommend")
        deadline = None if timeout is None else time.monotonic() + parse_time(timeout, "timeout")
        wanted = Wanted.of(
            k=k,
            offset=offset,
            exclude=exclude,
            min_score=min_score,
            min_percentile=min_percentile,
            percentiles=percentiles,
            diversity=diversity,
            group_by=group_by,
            group_size=group_size,
            after=after,
        )
        asked = RANGE if k is None else k
        request = self.request(asked, filter, recall, exact, documents, vectors, offset, deadline, effort)
        hits = self.recommended(like, unlike, strategy, request, wanted or Wanted())
        return hits if fields is None else narrowed_hits(hits, fields)

    @steady
    def recommended(self, like: Any, unlike: Any, strategy: str, request: Request, wanted: Wanted) -> Hits:
        """Hits of a recommendation whose options are checked; see ranking/wanted.py."""
        from nearfield.ranking import asking

        self._refuse_names("recommend")
        return asking.recommended(self._engine, self._embedder, like, unlike, strategy, request, wanted)

    @steady
    def background(self) -> Background:
        """How scores of unrelated pairs of this collection are distributed: what `percentiles` and `min_percentile` go by.

        Recorded queries with documents where at least 100 are kept (see `record_queries`), else documents with each other; a
        million pairs, drawn with a fixed seed when it is first asked for, and again once a tenth of the documents changed.

        Returns:
            Background: `source`, `pairs`, `most` (the highest percentile it can tell), `percentiles(scores)`,
            `score(percentile)`, `quantiles()`, `to_dict()`.

        Raises:
            InvalidInput: there are fewer than 20 documents.
        """
        from nearfield.ranking import sampling

        self._refuse_names("background")
        self._engine.check_open()
        return sampling.of(self._engine)

    def _refuse_names(self, what: str) -> None:
        if self._named is not None:
            raise InvalidInput(
                "collections with named vectors do not have this yet: each name has vectors and scores of its own", field=what
            )
