"""Documents of one snapshot as the stages need them, whole or in parts: searched, looked up, read at the end.

Knows snapshots and how parts are rolled up; nothing of options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nearfield.core import parts
from nearfield.core.filters import And, Filter, In
from nearfield.core.metric import Metric, Vectors, norms
from nearfield.core.parts import PartsSpec, Passage
from nearfield.core.types import Document, Hits
from nearfield.engine import rollup
from nearfield.engine.lookup import Lookup
from nearfield.engine.segment_search import Request
from nearfield.engine.snapshot import Snapshot

Rank = Callable[[Lookup, Request], Hits]
"""The best rows that a request asks for, of the snapshot of a lookup: ids and scores, best first."""


class Whole(Lookup):
    """Documents that are one row each.

    Args:
        snapshot: which.
        rank: what ranks rows.
        request: of the search, for what is read at the end.
    """

    passages: list[tuple[Passage, ...]] | None = None

    def __init__(self, snapshot: Snapshot, rank: Rank, request: Request) -> None:
        super().__init__(snapshot)
        self._rank, self._request = rank, request

    def search(self, request: Request) -> Hits:
        """The best of what matches, ids and scores."""
        return self._rank(self, request)


class InParts(Whole):
    """Documents that are several rows each: ranked by the best of them, compared by the mean of those that were searched.

    Args:
        snapshot: which.
        rank: what ranks rows.
        request: of the search.
        spec: what parts there are.
    """

    def __init__(self, snapshot: Snapshot, rank: Rank, request: Request, spec: PartsSpec) -> None:
        super().__init__(snapshot, rank, request)
        self._spec = spec

    def search(self, request: Request) -> Hits:
        """The best of what matches, ids and scores."""
        return rollup.searched(self.snapshot, self._spec, 1, lambda _, asked: [self._rank(self, asked)], request)[0]

    def vectors(self, ids: Sequence[str]) -> Vectors:
        """The mean of each document's rows of the name that was searched, prepared, float32 (n, dim)."""
        out = np.zeros((len(ids), self.snapshot.dim), np.float32)
        for i, document_id in enumerate(ids):
            count = int(super().metadata(document_id).get(parts.PARTS, 1))
            rows = [document_id, *(parts.row_id(document_id, j) for j in range(1, count))]
            own = [r for r in rows if super(InParts, self).metadata(r).get(parts.NAME, "") == self._request.name]
            mean = super().vectors(own or rows).mean(axis=0, keepdims=True, dtype=np.float32)
            unit = self.snapshot.metric is Metric.COSINE
            out[i] = (mean / np.maximum(norms(mean), np.float32(1e-30))[:, None] if unit else mean)[0]
        return out

    def metadata(self, document_id: str) -> Mapping[str, Any]:
        """The metadata of a document, as its owner gave it."""
        return rollup.shown(super().metadata(document_id))

    def texts(self, ids: Sequence[str]) -> list[str | None]:
        """Of each document the passage that was found, which is what it ranks by."""
        self.documents(ids)
        return [found[0].text or None if found else None for found in self.passages or [()] * len(ids)]

    def documents(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document]:
        """The documents of `ids`, in that order; what was found of each is left in `passages`."""
        own: Filter = In((parts.OF,), tuple(dict.fromkeys(ids)))
        condition = own if self._request.condition is None else And((own, self._request.condition))
        if not ids:
            return []
        found = self.search(replace(self._request, k=len(ids), offset=0, condition=condition, documents=True, vectors=vectors))
        there = {hit.id: hit for hit in found}
        self.passages = [there[one].passages if one in there else () for one in ids]
        return [hit.document for hit in (there[one] for one in ids if one in there) if hit.document is not None]


def holding(snapshot: Snapshot, rank: Rank, request: Request, spec: PartsSpec | None) -> Whole:
    """The documents of a snapshot; `spec` is None where they are one row each."""
    return Whole(snapshot, rank, request) if spec is None else InParts(snapshot, rank, request, spec)
