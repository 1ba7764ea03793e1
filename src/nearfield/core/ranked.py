"""What options add to hits: groups, percentiles, a reranker's step; what pages need. Knows nothing of how they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from nearfield.core.types import Hit


@dataclass(frozen=True, slots=True)
class Text:
    """A text as an example for `recommend`, where a plain string is a document's id."""

    text: str


@dataclass(frozen=True, slots=True)
class RerankPlan:
    """What a reranker did.

    Attributes:
        name: the reranker's.
        candidates: how many the search gave it.
        reranked: how many it read.
        without_text: how many it could not, as they have no text; they come last, as the search ranked them.
        seconds: that it took.
    """

    name: str
    candidates: int
    reranked: int
    without_text: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Group:
    """Hits of one group.

    Attributes:
        value: of the field; None: a document without one, which is a group of its own.
        hits: best first.
    """

    value: str | float | bool | None
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a search could see, as far as pages need it.

    Attributes:
        last: the highest row number.
        gaps: ranges of lower ones (first, beyond) that were being loaded.
    """

    last: int
    gaps: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class More:
    """What options added to hits.

    Attributes:
        groups: (value, first hit, beyond the last) of each; None: it was not asked for.
        percentiles: float64 (n,), in percent; None: they were not asked for.
    """

    groups: tuple[tuple[Any, int, int], ...] | None = None
    percentiles: npt.NDArray[np.float64] | None = None
