"""What users hold: documents, hits, and what calls return. Knows nothing of where they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric, distance
from nearfield.core.parts import Part, Passage
from nearfield.core.ranked import Group, More, RerankPlan, Seen

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
        parts: in collections with passages or named vectors, in place of `vector`: filled likewise; where it is given to
            `upsert`, nothing is cut and nothing embedded.
        image: a picture to be written with it: a path, bytes, uint8 (height, width, 3) or a Pillow image. Where the model takes
            pictures it decides the vector, and a text is only kept beside it. The picture itself is not stored: a thumbnail is.
    """

    id: str
    text: str | None = None
    metadata: Metadata = field(default_factory=dict)
    vector: npt.NDArray[np.float32] | None = field(default=None, compare=False)
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)
    image: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Like:
    """A document that was not written because it is like another one: both ids, and their score."""

    id: str
    like: str
    score: float


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.  `commit` is the commit number from which readers see it; `alike`: skipped as near-duplicates."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0
    deleted: int = 0
    commit: int = 0
    alike: tuple[Like, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One result.

    Attributes:
        id: the document's id.
        score: higher is better: cosine in [-1, 1], inner product, or minus the squared distance.
        document: the document, or None after `search(..., documents=False)`.
        metric: what the score means.
        passages: in collections with passages or named vectors, what of the document was found, best first.
        percentile: the share of unrelated pairs that score lower, in percent; None where it was not asked for.
        parts: what the score of another search than a dense one was made of, by name: "dense", "keyword".
    """

    id: str
    score: float
    document: Document | None
    metric: Metric
    passages: tuple[Passage, ...] = ()
    percentile: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def passage(self) -> Passage | None:
        """The best of its passages, where documents have them and were fetched."""
        return self.passages[0] if self.passages else None

    @property
    def distance(self) -> float:
        """The usual distance: 1 - cosine, minus the inner product, or the squared Euclidean distance.

        Raises:
            InvalidInput: no vectors were compared.
        """
        score = self.parts.get("dense") if self.parts else self.score
        if score is None:
            raise InvalidInput("a search by keywords compares no vectors", field="mode", expected="'dense' or 'hybrid'")
        return distance(score, self.metric)

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
class KeywordPlan:
    """What the keyword side of a search did.

    Attributes:
        terms: what it looked for, as asked: words, phrases, beginnings of words.
        matched: documents that pass the filter and have at least one of them.
        fusion: "scores" or "ranks" of a hybrid search; None: keywords alone.
        weight: of the dense side.
        depth: candidates that each side gave at most.
    """

    terms: tuple[str, ...]
    matched: int
    fusion: str | None = None
    weight: float | None = None
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search did: its commit number, an entry for each part searched by vector, the keyword side, the reranker."""

    commit: int
    segments: tuple[SegmentPlan, ...]
    rerank: RerankPlan | None = None
    keyword: KeywordPlan | None = None

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
        more: what options added, for `groups` and `percentile`.
        seen: what the search could see, and page: what makes the token of the page after, for `next`.
        passages: for each hit, as in Hit; None in collections without.
        mode: "dense", "keyword" or "hybrid": what the scores are. BM25 has no upper end; fused scores compare the hits of one
            search only.
        parts: for the other modes, what each score was made of: float32 (n,) by name.
    """

    __slots__ = (
        "complete", "documents", "ids", "metric", "mode", "more", "page", "parts", "passages", "plan", "scores", "seen",
    )  # fmt: skip

    def __init__(
        self,
        ids: list[str],
        scores: npt.NDArray[np.float32],
        documents: list[Document] | None,
        metric: Metric,
        plan: Plan,
        complete: bool,
        passages: list[tuple[Passage, ...]] | None = None,
    ) -> None:
        self.ids = ids
        self.passages = passages
        self.more: More | None = None
        self.seen: Seen | None = None
        self.page: Callable[[Hits], str | None] | None = None
        self.scores = scores
        self.plan = plan
        self.complete = complete
        self.documents = documents
        self.metric = metric
        self.mode = "dense"
        self.parts: Mapping[str, npt.NDArray[np.float32]] = {}

    def label(self, mode: str, parts: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Says what the scores are, and what they were made of."""
        self.mode, self.parts = mode, parts

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        document = None if self.documents is None else self.documents[index]
        passages = () if self.passages is None else self.passages[index]
        share = None if self.more is None or self.more.percentiles is None else float(self.more.percentiles[index])
        parts = {name: float(values[index]) for name, values in self.parts.items()}
        return Hit(self.ids[index], float(self.scores[index]), document, self.metric, passages, share, parts)

    @property
    def next(self) -> str | None:
        """The token for `search(..., after=)` that gives the page after these; None: there is none.

        Raises:
            InvalidInput: there are no pages with rerank, diversity or groups, or of fused scores; the message has the remedy.
        """
        return None if self.page is None else self.page(self)

    @property
    def groups(self) -> list[Group] | None:
        """The hits by groups, in the order of their best; None without `group_by`."""
        if self.more is None or self.more.groups is None:
            return None
        return [Group(value, self[first:beyond]) for value, first, beyond in self.more.groups]

    def percentile(self, index: int) -> float | None:
        """Of one hit, as in Hit; None where it was not asked for."""
        return None if self.more is None or self.more.percentiles is None else float(self.more.percentiles[index])

    def picked(self, places: Sequence[int], complete: bool) -> Hits:
        """The hits at some places, in that order."""
        at = list(places)
        documents = None if self.documents is None else [self.documents[i] for i in at]
        passages = None if self.passages is None else [self.passages[i] for i in at]
        out = Hits([self.ids[i] for i in at], self.scores[at], documents, self.metric, self.plan, complete, passages)
        out.label(self.mode, {name: values[at] for name, values in self.parts.items()})
        return out

    def document(self, index: int) -> Document | None:
        """The document of one hit; None where documents were not asked for."""
        return None if self.documents is None else self.documents[index]

    def __iter__(self) -> Iterator[Hit]:
        for i in range(len(self)):
            yield self[i]

    def __repr__(self) -> str:
        shown = ", ".join(f"{i!r}: {s:.4f}" for i, s in zip(self.ids[:5], self.scores[:5].tolist(), strict=True))
        return f"Hits({len(self)}: {shown}{', …' if len(self) > 5 else ''})"
