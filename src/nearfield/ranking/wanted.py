"""What is to happen to candidates, checked: one frozen value in place of ten arguments. Knows no collection.

The order is fixed: candidates -> exclude, thresholds, place of the page -> rerank -> diversity -> groups -> offset and k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.filters import Path
from nearfield.ranking import background, groups

if TYPE_CHECKING:
    from nearfield.embed.rerank import Reranker

RANGE = 100_000
"""Hits that a search without `k` gives at most."""
MOST_EXCLUDED = 100_000
"""Ids that may be excluded."""
MOST_RERANKED = 1_000
"""Candidates that may be reranked."""
RERANKED = 50


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to happen to the candidates of a search.

    Attributes:
        exclude: ids that may not come back.
        min_score: the least score of the search itself, before any reranking; None: any.
        min_percentile: the least percentile against the collection's background, in percent; None: any.
        percentiles: whether hits say their percentile.
        diversity: 0 by relevance alone, to 1 by difference alone.
        group_by: the path of the field that makes groups, or None; k then counts groups.
        group_size: the most hits of one group.
        rerank: a reranker or the name of one, or None.
        rerank_depth: how many candidates it reads.
        after: the token of the page before, or None.
        all: every hit above the threshold, RANGE of them to a page, in place of k.
    """

    exclude: frozenset[str] = frozenset()
    min_score: float | None = None
    min_percentile: float | None = None
    percentiles: bool = False
    diversity: float = 0.0
    group_by: Path | None = None
    group_size: int = 1
    rerank: str | Reranker | None = None
    rerank_depth: int = RERANKED
    after: str | None = None
    all: bool = False

    @classmethod
    def of(
        cls,
        k: int | None = 10,
        offset: int = 0,
        exclude: Sequence[str] = (),
        min_score: float | None = None,
        min_percentile: float | None = None,
        percentiles: bool = False,
        diversity: float = 0.0,
        group_by: str | None = None,
        group_size: int = 1,
        rerank: str | Reranker | None = None,
        rerank_depth: int = RERANKED,
        after: str | None = None,
    ) -> Wanted | None:
        """The options of a search as callers give them; None where none is used and the search is a plain one.

        Raises:
            InvalidInput: one that is wrong, or two that do not go together; the message has the remedy.
        """
        plain = not (
            len(exclude) or percentiles or diversity or group_by is not None or rerank is not None or after is not None
        )
        if plain and k is not None and min_score is None and min_percentile is None and group_size == 1:
            return None
        made = cls(
            _excluded(exclude),
            None if min_score is None else _number(min_score, "min_score"),
            None if min_percentile is None else background.check(min_percentile, "min_percentile"),
            bool(percentiles),
            _share(diversity),
            None if group_by is None else groups.path(group_by),
            inputs.whole(group_size, "group_size", 1),
            rerank,
            inputs.whole(rerank_depth, "rerank_depth", 1),
            after,
            k is None,
        )
        made._together(k, offset)
        return made

    @property
    def pool(self) -> bool:
        """Whether it works on a bounded list of candidates as a whole, which has no pages."""
        return self.rerank is not None or self.diversity > 0

    @property
    def paged(self) -> bool:
        """Whether what comes back is a stretch of one ranking, so that another page may follow."""
        return not self.pool and self.group_by is None

    def _together(self, k: int | None, offset: int) -> None:
        if self.rerank_depth > MOST_RERANKED:
            most = f"at most {MOST_RERANKED:,}"
            raise InvalidInput("too many to rerank", field="rerank_depth", expected=most, received=self.rerank_depth)
        if self.rerank is not None and not isinstance(self.rerank, str) and not hasattr(self.rerank, "score"):
            expected = "a name, or an object with score(query, texts)"
            raise InvalidInput("not a reranker", field="rerank", expected=expected, received=self.rerank)
        if self.group_size != 1 and self.group_by is None:
            raise InvalidInput("group_size needs group_by", field="group_size", expected="group_by='FIELD' too")
        if self.all and self.min_score is None and self.min_percentile is None:
            raise InvalidInput("k=None needs a threshold", field="k", expected="min_score or min_percentile, or a number k")
        if self.all and (self.pool or self.group_by is not None or offset):
            raise InvalidInput(
                "k=None gives all hits above the threshold as they are ranked; give k to rerank, diversify, group or skip",
                field="k",
                expected="a number",
            )
        if self.rerank is not None and k is not None and k + offset > self.rerank_depth:
            raise InvalidInput(
                "no more hits than are reranked can come back; give a larger rerank_depth",
                field="rerank_depth",
                expected=f"at least {k + offset}",
                received=self.rerank_depth,
            )
        if self.after is not None:
            self.check_pages()
            if offset:
                raise InvalidInput("a page begins where the one before ended", field="offset", expected="0 with `after`")

    def check_pages(self) -> None:
        """Raises InvalidInput where there are no pages, with the remedy."""
        if not self.paged:
            raise InvalidInput(
                "there are no pages with rerank, diversity or group_by: these work on the list as a whole; "
                "ask for a larger k, or leave them out",
                field="after",
                expected="a search without them",
            )


def _excluded(given: Any) -> frozenset[str]:
    if isinstance(given, str):
        given = [given]
    if len(given) > MOST_EXCLUDED:
        most = f"at most {MOST_EXCLUDED:,}"
        raise InvalidInput("too many ids; mark what was seen in metadata and filter", field="exclude", expected=most,
                           received=len(given))  # fmt: skip
    return frozenset(inputs.document_id(one, f"exclude[{i}]") for i, one in enumerate(given))


def _number(value: Any, field: str) -> float:
    good = isinstance(value, (int, float, np.floating, np.integer)) and not isinstance(value, bool)
    if not good or not np.isfinite(value):
        raise InvalidInput("not a score", field=field, expected="a finite number", received=value)
    return float(value)


def _share(value: Any) -> float:
    good = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
    if not good or not 0 <= value <= 1:
        raise InvalidInput(
            "not a share", field="diversity", expected="0, by relevance alone, to 1, by difference alone", received=value
        )
    return float(value)
