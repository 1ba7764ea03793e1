"""Asking a collection: search, explain. Part of Collection, which holds it.

Knows an embedder and an engine by their protocols; writes nothing. Every check of input happens here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.config import parse_time
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors, prepare, prepare_plain
from nearfield.core.types import Hits
from nearfield.reading import Filter, Reading, narrowed

if TYPE_CHECKING:
    from nearfield.engine.explain import Explanation
    from nearfield.engine.segment_search import Request
    from nearfield.engine.snapshot import Snapshot
    from nearfield.index.base import Effort


class Searching(Reading):
    """What can be asked of a collection."""

    def search(
        self,
        query: str | None = None,
        *,
        vector: Any = None,
        id: str | None = None,
        k: int = 10,
        filter: Filter | None = None,
        recall: float | None = None,
        exact: bool = False,
        documents: bool = True,
        vectors: bool = False,
        fields: Sequence[str] | None = None,
        offset: int = 0,
        timeout: float | str | None = None,
        effort: Effort | None = None,
    ) -> Hits:
        """The k nearest documents to a text, a vector, or another document (which itself is left out).

        Args:
            query: a text, embedded with the collection's model.
            vector: float32 (dim,).
            id: a document's id: "more like this".
            k: how many, 1 to 1,000,000; fewer come back only if fewer match.
            filter: Mongo operators over metadata; see docs/FILTERS.md.
            recall: the recall to hold; the collection's own by default. 1.0 searches exactly.
            exact: compare with every vector.
            documents: fetch the documents, or ids and scores only.
            vectors: fill `Document.vector`.
            fields: keep only these metadata keys.
            offset: leave out this many leading hits.
            timeout: seconds, or text such as "50ms".
            effort: an expert's setting in place of one chosen by `recall`, such as nearfield.Effort(nprobe=32).

        Returns:
            Hits, best first, with `plan` (what was done) and `complete`.

        Raises:
            InvalidInput, DimensionMismatch, FilterError: bad input.
            NotFound: no document has `id`.
            DeadlineExceeded: it took longer than `timeout`.
        """
        if (query is not None) + (vector is not None) + (id is not None) != 1:
            raise InvalidInput("give exactly one thing to search for", field="query", expected="one of query, vector, id")
        deadline = None if timeout is None else time.monotonic() + parse_time(timeout, "timeout")
        request = self.request(k, filter, recall, exact, documents, vectors, offset, deadline, effort)
        if id is not None:
            hits = self.like(id, request)
            return hits if fields is None else _narrowed_hits(hits, fields)
        queries = None
        if isinstance(vector, np.ndarray) and vector.dtype == np.float32 and vector.shape == (self.dim,):
            queries = prepare_plain(vector, self.metric)
        if queries is None:
            if vector is not None:
                found = inputs.vector(vector, self.dim)
            else:
                found = self._embedder.encode([inputs.text(query, "query")], "query")
            queries = prepare(found, self.metric)[0]
        hits = self.answer(queries, request)[0]
        return hits if fields is None else _narrowed_hits(hits, fields)

    def search_many(
        self,
        queries: Sequence[str] | Vectors,
        *,
        k: int = 10,
        filter: Filter | None = None,
        recall: float | None = None,
        exact: bool = False,
        documents: bool = True,
        effort: Effort | None = None,
    ) -> list[Hits]:
        """Many searches in one call, the same as each alone: texts, or float32 (m, dim), in; one Hits each out."""
        request = self.request(k, filter, recall, exact, documents, effort=effort)
        if not isinstance(queries, str) and not len(queries):
            return []
        return self.answer(self.prepared(queries), request)

    # -- a search in its parts, for those who put many together: the service

    def prepared(self, queries: Any) -> Vectors:
        """Queries as callers give them, texts or float32 (m, dim), as what is searched with."""
        several = [queries] if isinstance(queries, str) else queries
        many = hasattr(several, "__len__") and getattr(several, "ndim", 1) > 0 and len(several) > 0
        if many and isinstance(several[0], str):
            found = self._embedder.encode([inputs.text(t, f"queries[{i}]") for i, t in enumerate(several)], "query")
        else:
            found = inputs.vectors(queries, self.dim, field="queries")
        return prepare(found, self.metric)[0]

    def embed(self, texts: Sequence[str], kind: str = "query") -> Vectors:
        """float32 (m, dim) of texts by the collection's model; `kind` is "query" or "document"."""
        return self._embedder.encode([inputs.text(t, f"texts[{i}]") for i, t in enumerate(texts)], kind)

    def snapshot(self) -> Snapshot:
        """What a search sees now; it stays as it is whatever is written."""
        return self._engine.snapshot

    def answer(self, prepared: Vectors, request: Request) -> list[Hits]:
        """Hits for each prepared query (m, dim), of one snapshot."""
        hits = self._engine.search(prepared, request)
        if request.condition is None:
            self._engine.recorder.offer(prepared)
        return hits

    def like(self, id: str, request: Request) -> Hits:
        """Hits for a document's own vector, itself left out; raises NotFound."""
        queries = prepare(self._engine.vector_of(inputs.document_id(id)), self.metric)[0]
        k, offset = request.k, request.offset
        hits = self._engine.search(queries, replace(request, k=k + offset + 1, offset=0))[0]
        keep = [i for i, found in enumerate(hits.ids) if found != id][offset : offset + k]
        documents = [hits[i].document for i in keep] if request.documents else None
        return Hits(
            [hits.ids[i] for i in keep],
            hits.scores[keep],
            documents,  # type: ignore[arg-type]
            self.metric,
            hits.plan,
            hits.complete or len(keep) == k,
        )

    def explain(
        self,
        query: str | None = None,
        *,
        id: str,
        vector: Any = None,
        k: int = 10,
        filter: Filter | None = None,
        recall: float | None = None,
        effort: Effort | None = None,
    ) -> Explanation:
        """Why `search` with the same arguments returns the document `id`, or does not. Costs an exact scan.

        Args:
            query: a text, embedded with the collection's model.
            id: the document in question.
            vector: float32 (dim,), in place of `query`.
            k: how many hits are asked for.
            filter: which documents may be returned.
            recall: the recall to hold; the collection's own by default.
            effort: as in `search`.

        Returns:
            Its exact rank and score, whether it is returned, and what its segment and index did; `.text()` for people.

        Raises:
            NotFound: no document has this id; the message says whether one was deleted.
            InvalidInput: bad input, named as in `search`.
        """
        from nearfield.engine import explain

        if (query is not None) + (vector is not None) != 1:
            raise InvalidInput("give exactly one thing to search for", field="query", expected="one of query, vector")
        document_id = inputs.document_id(id)
        request = self.request(k, filter, recall, False, False, False, 0, None, effort)
        if vector is not None:
            found = inputs.vector(vector, self.dim)
        else:
            found = self._embedder.encode([inputs.text(query, "query")], "query")
        self._engine.check_open()
        return explain.explain(self._engine.snapshot, document_id, prepare(found, self.metric)[0], request)

    def request(
        self,
        k: int = 10,
        filter: Filter | None = None,
        recall: float | None = None,
        exact: bool = False,
        documents: bool = True,
        vectors: bool = False,
        offset: int = 0,
        deadline: float | None = None,
        effort: Effort | None = None,
    ) -> Request:
        """What is wanted, as in `search`, checked; `deadline` is of time.monotonic()."""
        from nearfield.engine.segment_search import Request
        from nearfield.index.base import Effort

        if effort is not None and not isinstance(effort, Effort):
            raise InvalidInput("not an effort", field="effort", expected="a nearfield.Effort(...)", received=effort)

        return Request(
            inputs.k(k),
            self.recall if recall is None else inputs.recall(recall),
            None if filter is None else self.parsed(filter),
            exact,
            documents,
            vectors,
            inputs.whole(offset, "offset"),
            deadline,
            effort,
        )


def _narrowed_hits(hits: Hits, fields: Sequence[str]) -> Hits:
    documents = [narrowed(hit.document, fields) for hit in hits if hit.document is not None]
    metric = hits.metric
    return Hits(hits.ids, hits.scores, documents if len(documents) == len(hits) else None, metric, hits.plan, hits.complete)
