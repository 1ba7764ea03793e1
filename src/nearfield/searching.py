"""Asking a collection: search, explain. Part of Collection, which holds it.

Knows an embedder and an engine by their protocols; writes nothing. Every check of input happens here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.config import parse_time
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors, prepare, prepare_plain
from nearfield.core.types import Hits
from nearfield.generation import steady
from nearfield.ranking import pages
from nearfield.ranking.wanted import RANGE, Wanted
from nearfield.reading import Filter, Reading, narrowed

if TYPE_CHECKING:
    from nearfield.core.fuse import Fusion
    from nearfield.embed.rerank import Reranker
    from nearfield.engine.explain import Explanation
    from nearfield.engine.segment_search import Request
    from nearfield.engine.snapshot import Snapshot
    from nearfield.index.base import Effort
    from nearfield.parts.parted import Parted

MODES = ("dense", "keyword", "hybrid")


class Searching(Reading):
    """What can be asked of a collection."""

    @steady
    def search(
        self,
        query: str | None = None,
        *,
        vector: Any = None,
        id: str | None = None,
        k: int | None = 10,
        filter: Filter | None = None,
        recall: float | None = None,
        exact: bool = False,
        documents: bool = True,
        vectors: bool = False,
        fields: Sequence[str] | None = None,
        offset: int = 0,
        timeout: float | str | None = None,
        effort: Effort | None = None,
        mode: str = "dense",
        fusion: Fusion | None = None,
        image: Any = None,
        on: str | Sequence[str] | Mapping[str, float] | None = None,
        passages_per_document: int = 1,
        exclude: Sequence[str] = (),
        min_score: float | None = None,
        min_percentile: float | None = None,
        percentiles: bool = False,
        rerank: str | Reranker | None = None,
        rerank_depth: int = 50,
        diversity: float = 0.0,
        group_by: str | None = None,
        group_size: int = 1,
        after: str | None = None,
    ) -> Hits:
        """The k nearest documents to a text, a vector, or another document (which itself is left out); or those with its words.

        Args:
            query: a text, embedded with the collection's model.
            vector: float32 (dim,); with mode="hybrid" beside `query`, in place of embedding it.
            id: a document's id: "more like this".
            k: how many, 1 to 1,000,000; fewer come back only if fewer match. None: all above `min_score` or `min_percentile`,
                at most 100,000.
            filter: Mongo operators over metadata; see docs/FILTERS.md.
            recall: the recall to hold; the collection's own by default. 1.0 searches exactly.
            exact: compare with every vector.
            documents: fetch the documents, or ids and scores only.
            vectors: fill `Document.vector`.
            fields: keep only these metadata keys.
            offset: leave out this many leading hits.
            timeout: seconds, or text such as "50ms".
            effort: an expert's setting in place of one chosen by `recall`, such as nearfield.Effort(nprobe=32).
            mode: "dense": by vectors; "keyword": by BM25 of words, "phrases in quotes" and beginnings of words*, which needs no
                model; "hybrid": both, put together.
            fusion: how a hybrid search does that; nearfield.Fusion() by default.
            image: a picture in place of `vector`, embedded with the collection's model: a path, bytes, uint8
                (height, width, 3) or a Pillow image.
            on: which named vectors are searched: a name, names, or weights by name; several are fused, by ranks unless `fusion`
                says otherwise. None: all that the question can be asked of. `vector` may be a dict by name then.
            passages_per_document: how many passages a hit shows, where documents have them.
            exclude: ids that may not come back, such as those seen; k others do.
            min_score: the least score, before any reranking.
            min_percentile: the least percentile, which carries over between models; see `background`.
            percentiles: fill `Hit.percentile`.
            rerank: a reranker, which reads the query with each candidate, or its name for nearfield.embed.load_reranker.
            rerank_depth: how many candidates it reads, k and offset at least.
            diversity: 0 by relevance alone, to 1 by difference alone: maximal marginal relevance among 5 x k candidates.
            group_by: a metadata field: the best `group_size` documents of each of its values, k values; see `Hits.groups`.
            group_size: the most of one group.
            after: `next` of the page before: what follows it, of what was there at the first page and has not changed since.

        Returns:
            Hits, best first, with `plan` (what was done) and `complete`.

        Raises:
            InvalidInput, DimensionMismatch, FilterError: bad input.
            NotFound: no document has `id`.
            DeadlineExceeded: it took longer than `timeout`.
        """
        wanted = Wanted.of(
            k, offset, exclude, min_score, min_percentile, percentiles, diversity, group_by, group_size, rerank, rerank_depth,
            after,
        )  # fmt: skip
        k = RANGE if k is None else k
        if on is not None or self._named is not None:
            deadline = None if timeout is None else time.monotonic() + parse_time(timeout, "timeout")
            shown = passages_per_document
            request = self.request(k, filter, recall, exact, documents, vectors, offset, deadline, effort, shown)
            hits = self._by_name(query, vector, id, image, on, request, mode, fusion, wanted)
            return hits if fields is None else narrowed_hits(hits, fields)
        if image is not None and vector is None:
            vector = self.embed_images([image])[0]
        elif image is not None:
            raise InvalidInput("give a picture or a vector, not both", field="image", expected="one of image, vector")
        if mode != "dense":
            _check_mode(mode, query, vector, id)
        elif (query is not None) + (vector is not None) + (id is not None) != 1:
            raise InvalidInput("give exactly one thing to search for", field="query", expected="one of query, vector, id")
        deadline = None if timeout is None else time.monotonic() + parse_time(timeout, "timeout")
        request = self.request(k, filter, recall, exact, documents, vectors, offset, deadline, effort, passages_per_document)
        if wanted is not None:
            hits = self.ranked(query, vector, id, request, wanted, mode, fusion)
            return hits if fields is None else narrowed_hits(hits, fields)
        if id is not None:
            hits = pages.follow(self.like(id, request), self._engine, ("id", id), request)
            return hits if fields is None else narrowed_hits(hits, fields)
        if mode != "dense":
            given = None if vector is None else inputs.vector(vector, self.dim)
            hits = self.answer_texts([inputs.text(query, "query")], request, mode, fusion, given)[0]
            hits.page = pages.no_stable_order
            return hits if fields is None else narrowed_hits(hits, fields)
        queries = self._question(query, vector)
        hits = self.answer(queries, request)[0]
        pages.follow(hits, self._engine, pages.dense(query, queries), request)
        return hits if fields is None else narrowed_hits(hits, fields)

    def _question(self, query: str | None, vector: Any) -> Vectors:
        """One text or vector as what is searched with, (1, dim)."""
        if isinstance(vector, np.ndarray) and vector.dtype == np.float32 and vector.shape == (self.dim,):
            queries = prepare_plain(vector, self.metric)
            if queries is not None:
                return queries
        if vector is not None:
            found = inputs.vector(vector, self.dim)
        else:
            found = self._embedder.encode([inputs.text(query, "query")], "query")
        return prepare(found, self.metric)[0]

    @steady
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
        mode: str = "dense",
        fusion: Fusion | None = None,
        on: str | Sequence[str] | Mapping[str, float] | None = None,
        passages_per_document: int = 1,
    ) -> list[Hits]:
        """Many searches in one call, the same as each alone: texts, or float32 (m, dim), in; one Hits each out.

        With named vectors: texts, (m, dim) of the one name of `on`, or a dict of them by name.
        """
        request = self.request(k, filter, recall, exact, documents, effort=effort, passages=passages_per_document)
        if not isinstance(queries, str) and not len(queries):
            return []
        if on is not None or self._named is not None:
            from nearfield.parts import searching as by_name

            return by_name.search_many(self._checked_named(), queries, on, request, mode, fusion)
        if mode != "dense":
            texts = [queries] if isinstance(queries, str) else list(queries)
            _check_mode(mode, texts[0], None, None)
            return self.answer_texts([inputs.text(t, f"queries[{i}]") for i, t in enumerate(texts)], request, mode, fusion)
        return self.answer(self.prepared(queries), request)

    # -- a search in its parts, for those who put many together: the service

    @steady
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

    def embed_images(self, images: Sequence[Any]) -> Vectors:
        """float32 (m, dim) of pictures by the collection's model: paths, bytes, uint8 (height, width, 3) or Pillow images.

        Raises:
            InvalidInput: the model takes texts only, or there is none; a picture that cannot be read, or is too large.
            NotFound: a path that is not there.
        """
        from nearfield import picturing

        return picturing.see(self._embedder, images)

    def snapshot(self) -> Snapshot:
        """What a search sees now; it stays as it is whatever is written."""
        return self._engine.snapshot

    def answer(self, prepared: Vectors, request: Request) -> list[Hits]:
        """Hits for each prepared query (m, dim), of one snapshot."""
        snapshot, seen = pages.seen(self._engine)
        hits = self._engine.search(prepared, request, snapshot)
        for one in hits:
            one.seen = seen
        if request.condition is None:
            self._engine.recorder.offer(prepared)
        return hits

    @steady
    def ranked(
        self, query: str | None, vector: Any, id: str | None, request: Request, wanted: Wanted, mode: str, fusion: Fusion | None
    ) -> Hits:
        """Hits of a search with options, checked; see ranking/wanted.py."""
        from nearfield.ranking import asking

        return asking.search(self._engine, self._embedder, query, vector, id, request, wanted, mode, fusion)

    @steady
    def answer_texts(
        self, texts: Sequence[str], request: Request, mode: str, fusion: Fusion | None = None, vectors: Vectors | None = None
    ) -> list[Hits]:
        """Hits for each of m texts by mode "keyword" or "hybrid"; `vectors` (m, dim) in place of embedding them."""
        if mode == "keyword":
            return self._engine.search_keywords(texts, request)
        found = self._embedder.encode(texts, "query") if vectors is None else vectors
        from nearfield.core.fuse import Fusion

        queries = prepare(found, self.metric)[0]
        return self._engine.search_hybrid(queries, texts, request, Fusion() if fusion is None else fusion)

    @steady
    def like(self, id: str, request: Request) -> Hits:
        """Hits for a document's own vector, itself left out; raises NotFound."""
        queries = prepare(self._engine.vector_of(inputs.document_id(id)), self.metric)[0]
        k, offset = request.k, request.offset
        snapshot, seen = pages.seen(self._engine)
        hits = self._engine.search(queries, replace(request, k=k + offset + 1, offset=0), snapshot)[0]
        keep = [i for i, found in enumerate(hits.ids) if found != id][offset : offset + k]
        picked = hits.picked(keep, hits.complete or len(keep) == k)
        picked.seen = seen
        return picked

    @steady
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
        on: str | None = None,
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
            on: which named vector is searched.

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
        if self._parted is not None:
            from nearfield.parts import searching as by_name

            return by_name.explain(self._parted, query, vector, document_id, on, request)
        if on is not None:
            self._checked_named()
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
        passages: int = 1,
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
            inputs.whole(passages, "passages_per_document", 1),
        )

    @property
    def _named(self) -> Parted | None:
        """Who embeds what, where vectors have names."""
        return self._parted if self._parted is not None and self._parted.spec.fields else None

    def _checked_named(self) -> Parted:
        named = self._named
        if named is None:
            raise InvalidInput("this collection has no named vectors; see create(vectors=)", field="on", expected="None")
        return named

    def _by_name(
        self, query: Any, vector: Any, id: Any, image: Any, on: Any, request: Request, mode: str, fusion: Any, wanted: Any
    ) -> Hits:
        from nearfield.parts import searching as by_name

        inputs.choice(mode, MODES, "mode")
        question = by_name.Question(query, vector, id, image)
        return by_name.search(self._checked_named(), question, on, request, mode, fusion, wanted)


def _check_mode(mode: str, query: Any, vector: Any, id: str | None) -> None:
    """Raises InvalidInput unless a search of such a mode can be made of what is given."""
    inputs.choice(mode, MODES, "mode")
    if not isinstance(query, str) or id is not None or (vector is not None and mode == "keyword"):
        expected = "a text" if mode == "keyword" else "a text, and a vector for it if you have one"
        raise InvalidInput(f"a search with mode={mode!r} is by text", field="query", expected=expected, received=query)


def narrowed_hits(hits: Hits, fields: Sequence[str]) -> Hits:
    """The hits, their documents with these metadata keys only."""
    documents = [narrowed(hit.document, fields) for hit in hits if hit.document is not None]
    hits.documents = documents if len(documents) == len(hits) else None
    return hits
