"""The local engine of a collection of documents in parts: it keeps a row for each part and answers in documents.

What reads and writes documents is of whole documents here; snapshots, segments, indexes and pins are of rows, as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from nearfield.core import parts
from nearfield.core.errors import InvalidInput, NotFound
from nearfield.core.filters import Filter
from nearfield.core.fuse import Fusion
from nearfield.core.metric import Vectors
from nearfield.core.parts import PartsSpec
from nearfield.core.types import Document, Hits, Written
from nearfield.engine import explain, part_writes, rollup, rows
from nearfield.engine.agreeing import agreed
from nearfield.engine.explain import Explanation
from nearfield.engine.local import LocalEngine
from nearfield.engine.segment_search import Request
from nearfield.engine.snapshot import Snapshot
from nearfield.engine.writes import Records
from nearfield.store import catalog, layout, sqlite
from nearfield.store.segment import Segment


def open_engine(directory: Path, *, read_only: bool = False) -> LocalEngine:
    """The engine of a collection's directory: in parts where its settings say so."""
    path = directory / layout.CATALOG
    connection = sqlite.connect(path, read_only=read_only)
    try:
        settings = catalog.read_settings(connection, path)
    finally:
        connection.close()
    if settings.parts is msgspec.UNSET:
        return LocalEngine(directory, read_only=read_only)
    return PartedEngine(directory, read_only=read_only)


class PartedEngine(LocalEngine):
    """A collection of documents in parts, on local disk.

    Attributes:
        spec: what parts are made; see PartsSpec.
    """

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        super().__init__(directory, read_only=read_only)
        stored = self.settings.parts
        assert stored is not msgspec.UNSET
        self.spec = PartsSpec.of(stored)

    # -- writing

    def put(self, records: Records, if_exists: str) -> Written:
        """Writes documents, all or nothing: the rows of one after those of another, as `part_writes.put` takes them."""
        self._wait_for_room()
        return self._stamped(self.submit(lambda t: part_writes.put(t, self.snapshot, records, if_exists)))

    def adopt(
        self,
        segments: Sequence[Segment],
        if_exists: str,
        earlier: frozenset[int],
        thumbnails: Mapping[int, bytes] | None = None,
    ) -> Written:
        """Makes loaded segments of whole documents live, atomically, with thumbnails by row."""
        return self._stamped(
            self.submit(lambda t: part_writes.adopt(t, self.snapshot, segments, if_exists, earlier, thumbnails), alone=True)
        )

    def update(self, document_id: str, changes: Mapping[str, Any], remove: Sequence[str]) -> Written:
        """Changes a document's metadata; raises InvalidInput for a key that is embedded."""
        parts.check_keys(changes)
        embedded = {field.source for field in self.spec.fields.values()} & {*changes, *remove}
        if embedded:
            names = ", ".join(sorted(map(str, embedded)))
            raise InvalidInput("this key is embedded; upsert the document anew", field="metadata", received=names)
        parts.check_keys(dict.fromkeys(remove), "remove")
        self._wait_for_room()
        return self._stamped(self.submit(lambda t: part_writes.update(t, self.snapshot, document_id, changes, remove)))

    def delete(self, ids: Sequence[str]) -> Written:
        """Deletes documents by id; ids that are not there are passed over."""
        own = [i for i in ids if not i.startswith(parts.PREFIX)]
        return self._stamped(self.submit(lambda t: part_writes.delete(t, self.snapshot, own)))

    def delete_where(self, condition: Filter) -> Written:
        """Deletes the documents that match when its turn comes."""
        return self._stamped(self.submit(lambda t: part_writes.delete_where(t, self.snapshot, condition), alone=True))

    # -- reading

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none; with `vectors`, with their parts."""
        self.check_open()
        return rollup.get(self.snapshot, self.spec, ids, vectors=vectors)

    def parts_of(self, ids: Sequence[str]) -> list[list[Document] | None]:
        """The rows of documents, each with its own text and vector, hidden keys included; None where there is none."""
        self.check_open()
        return rollup.parts_of(self.snapshot, ids)

    def vector_of(self, document_id: str, name: str = "") -> Vectors:
        """The mean (1, dim) of the prepared vectors of a document, or of one name's.

        Raises:
            NotFound: no such document, or it has no vector of this name.
        """
        found = self.parts_of([document_id])[0]
        if found is None:
            raise NotFound("no document has this id", field="id", received=document_id)
        several = [row.vector for row in found if row.metadata.get(parts.NAME, "") == name and row.vector is not None]
        if not several:
            raise NotFound(f"the document has no vector named {name!r}", field="on", received=document_id)
        stacked = np.stack(several)
        if self.metric == "cosine":
            stacked = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
        mean = stacked.mean(axis=0, keepdims=True, dtype=np.float64)
        return np.asarray(mean if mean.any() else stacked[:1], dtype=np.float32)

    def count(self, condition: Filter | None = None) -> int:
        """How many documents match."""
        self.check_open()
        return rows.count(self.snapshot, parts.heads(condition))

    def scan(self, condition: Filter | None = None, *, batch: int = 1000, vectors: bool = False) -> Iterator[Document]:
        """All documents that match, of one snapshot, in the order of writing."""
        self.check_open()
        return rollup.scan(self.snapshot, self.spec, condition, batch, vectors)

    def search(self, queries: Vectors, request: Request, snapshot: Snapshot | None = None) -> list[Hits]:
        """Answers prepared queries (m, dim) on a snapshot, None: the newest: documents by the best of their parts."""
        self.check_open()
        seen = self.snapshot if snapshot is None else snapshot
        return rollup.searched(seen, self.spec, len(queries), rollup.by_vectors(seen, queries), request)

    def search_keywords(self, texts: Sequence[str], request: Request) -> list[Hits]:
        """Answers texts by their words, on the newest snapshot: documents by the best of their parts."""
        self.check_open()
        request = request if request.name else replace(request, name=parts.ANY)
        return agreed(
            self,
            lambda s: rollup.searched(s, self.spec, len(texts), rollup.by_words(s, self.keywords, texts), request),
            len(texts),
        )

    def search_hybrid(self, queries: Vectors, texts: Sequence[str], request: Request, by: Fusion) -> list[Hits]:
        """Answers prepared queries (m, dim) and their texts together: documents by the best of their parts."""
        self.check_open()
        return agreed(
            self,
            lambda s: rollup.searched(s, self.spec, len(texts), rollup.by_both(s, self.keywords, queries, texts, by), request),
        )

    def explain(self, document_id: str, query: Vectors, request: Request) -> Explanation:
        """Explains one prepared query (1, dim) and one document: what its best part's segment did, its rank among documents.

        Raises:
            NotFound: no such document, or it has no vector of the request's name.
        """
        self.check_open()
        snapshot, rank = self.snapshot, rollup.by_vectors(self.snapshot, query)
        condition = self.spec.named(request.name, request.condition)
        own = rollup.best_rows(snapshot, 0, [document_id], rank, request, self.spec.named(request.name, None))[document_id]
        if not own and self.get([document_id])[0] is not None:
            raise NotFound(f"the document has no vector named {request.name!r}", field="on", received=document_id)
        told = explain.explain(snapshot, own[0][0] if own else document_id, query, replace(request, condition=condition))
        every = replace(request, k=max(1, len(snapshot)), exact=True, recall=1.0)
        all_of_them = rollup.searched(snapshot, self.spec, 1, rank, every)[0].ids
        hits = rollup.searched(snapshot, self.spec, 1, rank, request)[0]
        there = document_id in hits.ids
        return replace(
            told,
            id=document_id,
            k=request.k,
            filtered=request.condition is not None,
            rank=all_of_them.index(document_id) + 1 if document_id in all_of_them else None,
            of=len(all_of_them),
            returned=there,
            place=hits.ids.index(document_id) + 1 if there else None,
            last_score=float(hits.scores[-1]) if len(hits) else None,
        )
