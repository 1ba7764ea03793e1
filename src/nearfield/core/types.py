"""What users hold: documents, hits, and what calls return. Knows nothing of where they are stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Metric, distance

Metadata = Mapping[str, Any]
"""What JSON can say: str keys; None, bool, int, float, str, lists and objects of these."""


@dataclass(frozen=True, slots=True)
class Document:
    """One thing that can be found.

    Attributes:
        id: 1 to 512 bytes of UTF-8, unique in its collection.
        text: what is embedded and shown; None where only a vector was brought.
        metadata: JSON values for filtering and showing.
        vector: float32 (dim,), as the caller gave it; filled by `get(..., vectors=True)`, else None.
    """

    id: str
    text: str | None = None
    metadata: Metadata = field(default_factory=dict)
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.  `commit` is the commit number from which readers see it."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0
    deleted: int = 0
    commit: int = 0


@dataclass(frozen=True, slots=True)
class Hit:
    """One result.

    Attributes:
        id: the document's id.
        score: higher is better: cosine in [-1, 1], inner product, or minus the squared distance.
        document: the document, or None after `search(..., documents=False)`.
        metric: what the score means.
    """

    id: str
    score: float
    document: Document | None
    metric: Metric

    @property
    def distance(self) -> float:
        """The usual distance: 1 - cosine, minus the inner product, or the squared Euclidean distance."""
        return distance(self.score, self.metric)

    @property
    def text(self) -> str | None:
        """The document's text, if it was fetched and has one."""
        return self.document.text if self.document is not None else None

    @property
    def metadata(self) -> Metadata:
        """The document's metadata; empty if documents were not fetched."""
        return self.document.metadata if self.document is not None else {}


Tier = Literal["hot", "warm", "cold"]
TIERS: tuple[Tier, ...] = ("hot", "warm", "cold")
"""Where a segment is kept: on a device too; in memory; in its files, opened on use."""


@dataclass(frozen=True, slots=True)
class SegmentPlan:
    """How one segment (or the pending rows, segment 0) was searched.

    Attributes:
        segment: the segment's number; 0 for rows not yet in a segment.
        rows: rows in it.
        allowed: rows that are live and pass the filter.
        method: "exact"; "index"; "index, wider" or "index, then exact" where the index saw too few allowed rows near a query
            and was asked for more, or the rows were scanned.
        kind: the index kind's name, or None.
        effort: the run-time knob that was used, such as {"efSearch": 64}, or None.
        recall: the mean recall measured for that effort, or None for exact.
        bound: its one-sided 95 % lower bound, or None.
        source: what the measurement used: "held-out rows" or "real queries" (recorded or given), or None.
        tier: where the segment was kept: "hot", "warm" or "cold"; None for documents not yet in a segment.
        device: what scanned it where that was no processor, such as "cuda:0"; the answer is exact then.
    """

    segment: int
    rows: int
    allowed: int
    method: str
    kind: str | None = None
    effort: Mapping[str, int] | None = None
    recall: float | None = None
    bound: float | None = None
    source: str | None = None
    tier: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search did: its snapshot's commit number, and one entry per part of the collection."""

    commit: int
    segments: tuple[SegmentPlan, ...]

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers that the search touched, hottest first."""
        touched = {step.tier for step in self.segments}
        return tuple(tier for tier in TIERS if tier in touched)


class Hits(Sequence[Hit]):
    """The results of one search, best first; ties in the order in which documents were written.

    Attributes:
        ids: the ids, best first.
        scores: float32 (n,), the scores.
        metric: what the scores mean.
        plan: what was done.
        complete: whether min(k, matching documents) came back.
    """

    __slots__ = ("_documents", "complete", "ids", "metric", "plan", "scores")

    def __init__(
        self,
        ids: list[str],
        scores: npt.NDArray[np.float32],
        documents: list[Document] | None,
        metric: Metric,
        plan: Plan,
        complete: bool,
    ) -> None:
        self.ids = ids
        self.scores = scores
        self.plan = plan
        self.complete = complete
        self._documents = documents
        self.metric = metric

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        document = None if self._documents is None else self._documents[index]
        return Hit(self.ids[index], float(self.scores[index]), document, self.metric)

    def document(self, index: int) -> Document | None:
        """The document of one hit; None where documents were not asked for."""
        return None if self._documents is None else self._documents[index]

    def __iter__(self) -> Iterator[Hit]:
        for i in range(len(self)):
            yield self[i]

    def __repr__(self) -> str:
        shown = ", ".join(f"{i!r}: {s:.4f}" for i, s in zip(self.ids[:5], self.scores[:5].tolist(), strict=True))
        return f"Hits({len(self)}: {shown}{', …' if len(self) > 5 else ''})"
