"""A collection: documents in, hits out. Joins an embedder and an engine; what users hold.

Knows both only by their protocols. Every check of input happens here, before anything is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from nearfield.core import filters, inputs
from nearfield.core.config import parse_time
from nearfield.core.errors import InvalidInput, NotFound
from nearfield.core.metric import Metric, Vectors, prepare, prepare_plain
from nearfield.core.types import Document, Hits, Written
from nearfield.embedding import BoundEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.engine.local import LocalEngine
    from nearfield.engine.stats import Stats
    from nearfield.engine.verify import Report
    from nearfield.index.base import Kind
    from nearfield.maintain.worker import Maintainer

Filter = Mapping[str, Any]


class Collection:
    """Documents that can be searched. Made by `Database.create` or `Database[...]`; safe to use from many threads."""

    def __init__(self, name: str, engine: LocalEngine, embedder: BoundEmbedder, maintainer: Maintainer | None) -> None:
        self.name = name
        self._engine, self._embedder, self._maintainer = engine, embedder, maintainer

    def __repr__(self) -> str:
        return f"Collection({self.name!r}, {len(self):,} documents, dim={self.dim}, metric={self.metric.value!r})"

    @property
    def dim(self) -> int:
        """Numbers in each vector."""
        return self._engine.dim

    @property
    def metric(self) -> Metric:
        """How vectors are compared."""
        return self._engine.metric

    @property
    def recall(self) -> float:
        """The recall that searches hold unless they ask for another."""
        return self._engine.settings.recall

    @property
    def embedder(self) -> str | None:
        """The embedder's name; None where vectors are brought."""
        return self._embedder.name

    @property
    def commit(self) -> int:
        """The number of the last commit that this collection sees."""
        return self._engine.snapshot.commit

    # -- writing

    def upsert(self, documents: Sequence[Document] | Document, vectors: Any = None, *, if_exists: str = "replace") -> Written:
        """Writes documents, replacing those with the same ids; all or nothing, durable when it returns.

        Args:
            documents: what to write. Only text that changed is embedded again.
            vectors: float32 (n, dim) in place of embedding the texts; other types are converted once.
            if_exists: "replace", "skip" (keep the older) or "error".

        Raises:
            InvalidInput: bad ids, texts, metadata or vectors; nothing was written.
            AlreadyExists: an id is there and if_exists="error".
            Overloaded: too many documents wait for a segment.
        """
        batch = [documents] if isinstance(documents, Document) else list(documents)
        from nearfield import intake

        inputs.choice(if_exists, inputs.IF_EXISTS, "if_exists")
        checked = intake.check(batch)
        if not batch:
            return Written(commit=self.commit)
        if vectors is None:
            ready = intake.embed(self._engine, self._embedder, checked, if_exists)
        else:
            ready = inputs.vectors(vectors, self.dim, len(batch))
        return intake.write(self._engine, checked, *prepare(ready, self.metric), if_exists)

    def load(
        self,
        *,
        ids: Any,
        vectors: Any = None,
        texts: Any = None,
        metadata: Any = None,
        if_exists: str = "replace",
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Written:
        """Loads many documents, columnar, straight into segments; chunk by chunk, each atomic and durable.

        Args:
            ids: n strings: a list, numpy or Arrow array; none twice.
            vectors: float32 (n, dim), a memory map too; may be left out where the collection embeds `texts`.
            texts: n strings or None values.
            metadata: a pyarrow.Table, a dict of columns, or n dicts.
            if_exists: "replace", "skip" or "error".
            progress: called with (documents committed, n) after each chunk.

        Raises:
            InvalidInput: bad input; `.committed` tells how many documents are safe. Running it again resumes:
                with if_exists="skip" what is there is not written again.
        """
        from nearfield import intake

        inputs.choice(if_exists, inputs.IF_EXISTS, "if_exists")
        source = intake.Columnar.of(ids, vectors, texts, metadata, self.dim)
        return intake.load(self._engine, self._embedder, source, if_exists, progress)

    def update(self, id: str, *, metadata: Mapping[str, Any] | None = None, remove: Sequence[str] = ()) -> Written:
        """Sets and removes metadata keys of one document; its text and vector stay, nothing is embedded again.

        Raises:
            NotFound: no document has this id.
        """
        changes = dict(metadata or {})
        from nearfield.store import metadata as encoding

        encoding.encode(changes)
        return self._engine.update(inputs.document_id(id), changes, list(remove))

    def delete(self, ids: Sequence[str] | str | None = None, *, filter: Filter | None = None) -> Written:
        """Deletes by id or by filter; ids that are not there are passed over. Durable when it returns."""
        if (ids is None) == (filter is None):
            raise InvalidInput("give either ids or a filter", field="ids", expected="exactly one of ids, filter")
        if filter is not None:
            return self._engine.delete_where(self._parse(filter))
        wanted = [ids] if isinstance(ids, str) else list(ids or ())
        return self._engine.delete([inputs.document_id(i) for i in dict.fromkeys(wanted)])

    # -- reading

    @overload
    def get(self, ids: str, *, vectors: bool = False, fields: Sequence[str] | None = None) -> Document: ...
    @overload
    def get(self, ids: list[str], *, vectors: bool = False, fields: Sequence[str] | None = None) -> list[Document | None]: ...
    def get(
        self, ids: str | list[str], *, vectors: bool = False, fields: Sequence[str] | None = None
    ) -> Document | list[Document | None]:
        """One document by id, or a list with None where there is none.

        Args:
            ids: an id, or several.
            vectors: fill `Document.vector` with what the caller gave, within 1e-6 of its length.
            fields: keep only these metadata keys.

        Raises:
            NotFound: a single id that is not there.
        """
        if isinstance(ids, str):
            found = self._engine.get([inputs.document_id(ids)], vectors=vectors)[0]
            if found is None:
                raise NotFound(f"no document of {self.name!r} has this id", field="id", received=ids)
            return _narrowed(found, fields)
        several = self._engine.get([inputs.document_id(i) for i in ids], vectors=vectors)
        return [None if d is None else _narrowed(d, fields) for d in several]

    def __len__(self) -> int:
        return len(self._engine.snapshot)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._engine.get([inputs.document_id(id)])[0] is not None

    def count(self, filter: Filter | None = None) -> int:
        """How many documents match `filter`."""
        return self._engine.count(None if filter is None else self._parse(filter))

    def scan(self, *, filter: Filter | None = None, batch: int = 1000, vectors: bool = False) -> Iterator[Document]:
        """Every document that matches, of one snapshot, whatever is written meanwhile.

        Args:
            filter: which; None for all.
            batch: how many are read at a time, at least 1; memory grows with it, results do not change.
            vectors: fill `Document.vector`.
        """
        condition = None if filter is None else self._parse(filter)
        return self._engine.scan(condition, batch=inputs.whole(batch, "batch", 1), vectors=vectors)

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
        if id is not None:
            return self._like(id, k, filter, recall, exact, documents, vectors, fields, offset, deadline)
        queries = None
        if isinstance(vector, np.ndarray) and vector.dtype == np.float32 and vector.shape == (self.dim,):
            queries = prepare_plain(vector, self.metric)
        if queries is None:
            if vector is not None:
                found = inputs.vector(vector, self.dim)
            else:
                found = self._embedder.encode([inputs.text(query, "query")], "query")
            queries = prepare(found, self.metric)[0]
        request = self._request(k, filter, recall, exact, documents, vectors, offset, deadline)
        hits = self._engine.search(queries, request)[0]
        return hits if fields is None else _narrowed_hits(hits, fields)

    def _like(
        self,
        id: str,
        k: int,
        filter: Filter | None,
        recall: float | None,
        exact: bool,
        documents: bool,
        vectors: bool,
        fields: Sequence[str] | None,
        offset: int,
        deadline: float | None,
    ) -> Hits:
        queries = prepare(self._engine.vector_of(inputs.document_id(id)), self.metric)[0]
        wanted = inputs.k(k) + inputs.whole(offset, "offset")
        request = self._request(wanted + 1, filter, recall, exact, documents, vectors, 0, deadline)
        hits = self._engine.search(queries, request)[0]
        keep = [i for i, found in enumerate(hits.ids) if found != id][offset:wanted]
        fetched = None if not documents else [hits[i].document for i in keep]
        chosen = Hits(
            [hits.ids[i] for i in keep],
            hits.scores[keep],
            fetched,  # type: ignore[arg-type]
            self.metric,
            hits.plan,
            hits.complete or len(keep) == k,
        )
        return chosen if fields is None else _narrowed_hits(chosen, fields)

    def search_many(
        self,
        queries: Sequence[str] | Vectors,
        *,
        k: int = 10,
        filter: Filter | None = None,
        recall: float | None = None,
        exact: bool = False,
        documents: bool = True,
    ) -> list[Hits]:
        """Many searches in one call, the same as each alone: texts, or float32 (m, dim), in; one Hits each out."""
        request = self._request(k, filter, recall, exact, documents, False, 0, None)
        if isinstance(queries, str) or (len(queries) and isinstance(queries[0], str)):
            texts = [queries] if isinstance(queries, str) else queries
            found = self._embedder.encode([inputs.text(t, f"queries[{i}]") for i, t in enumerate(texts)], "query")
        elif len(queries):
            found = inputs.vectors(queries, self.dim, field="queries")
        else:
            return []
        return self._engine.search(prepare(found, self.metric)[0], request)

    def _request(
        self,
        k: int,
        filter: Filter | None,
        recall: float | None,
        exact: bool,
        documents: bool,
        vectors: bool,
        offset: int,
        deadline: float | None,
    ) -> Any:
        from nearfield.engine.search import Request

        return Request(
            inputs.k(k),
            self.recall if recall is None else inputs.recall(recall),
            None if filter is None else self._parse(filter),
            exact,
            documents,
            vectors,
            inputs.whole(offset, "offset"),
            deadline,
        )

    def _parse(self, filter: Filter) -> filters.Filter:
        return filters.parse(filter, self._engine.settings.fields)

    # -- keeping

    def refresh(self) -> int:
        """Sees what the writing process committed since (read-only openers); returns the commit number."""
        return self._engine.refresh()

    def stats(self) -> Stats:
        """What the collection holds, in numbers."""
        from nearfield.engine import stats

        return stats.collect(self.name, self._engine, self._maintainer)

    def optimize(self, *, purge: bool = False, progress: Callable[[str], None] | None = None) -> None:
        """Returns when all is sealed, merged and indexed.

        Args:
            purge: also rewrite whatever holds deleted documents, so that no byte of them remains.
            progress: called with a line for people as each step begins.
        """
        self._keeper().optimize(purge=purge, progress=progress)

    def rebuild(self, kind: Kind | str = "auto") -> None:
        """Builds every segment's index again, aside, as `kind`; searches go on. Returns when all are swapped."""
        self._keeper().rebuild(kind)

    def verify(self) -> Report:
        """Reads every byte and compares it with what was written; see Report."""
        from nearfield.engine import verify

        return verify.check(self._engine)

    def repair(self) -> Report:
        """Drops damaged indexes, which are rebuilt, and reports what cannot be mended."""
        return self._keeper().repair()

    def export(self, path: str | Path, *, vectors: bool = True) -> int:
        """Writes all documents to a .jsonl or .parquet file; returns how many."""
        from nearfield import transfer

        return transfer.export(self, path, vectors=vectors)

    def import_(self, path: str | Path) -> Written:
        """Reads what `export` wrote."""
        from nearfield import transfer

        return transfer.import_(self, path)

    def _keeper(self) -> Maintainer:
        if self._maintainer is None:
            from nearfield.core.errors import ReadOnly

            raise ReadOnly("this was opened with read_only=True; open it without to write")
        return self._maintainer


def _narrowed(document: Document, fields: Sequence[str] | None) -> Document:
    if fields is None:
        return document
    kept = {key: value for key, value in document.metadata.items() if key in fields}
    return Document(document.id, document.text, kept, document.vector)


def _narrowed_hits(hits: Hits, fields: Sequence[str]) -> Hits:
    documents = [_narrowed(hit.document, fields) for hit in hits if hit.document is not None]
    metric = hits.metric
    return Hits(hits.ids, hits.scores, documents if len(documents) == len(hits) else None, metric, hits.plan, hits.complete)
