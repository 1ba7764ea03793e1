"""A collection of a server, with what `Collection` can do. Knows routes; the server embeds, filters and ranks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import msgspec
import numpy as np

from nearfield.core import errors, inputs
from nearfield.core.metric import Metric
from nearfield.core.types import Document, Hits, Plan, SegmentPlan, Written
from nearfield.remote import packing

if TYPE_CHECKING:
    from nearfield.remote.database import RemoteDatabase


class RemoteCollection:
    """A collection of a server, with what `Collection` can do."""

    def __init__(self, database: RemoteDatabase, told: Mapping[str, Any]) -> None:
        self._database = database
        self.name: str = told["name"]
        self.dim: int = told["dim"]
        self.metric = Metric(told["metric"])
        self.recall: float = told["recall"]
        self.embedder: str | None = told.get("embedder")
        self.path = f"/v1/collections/{packing.quoted(self.name)}"

    def __repr__(self) -> str:
        return f"RemoteCollection({self.name!r}, dim={self.dim}, metric={self.metric.value!r})"

    @property
    def commit(self) -> int:
        """The number of the last commit."""
        return int(self._database.ask("GET", self.path)["commit"])

    def __len__(self) -> int:
        return int(self._database.ask("GET", self.path)["documents"])

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get([id])[0] is not None

    def upsert(self, documents: Sequence[Document] | Document, vectors: Any = None, *, if_exists: str = "replace") -> Written:
        """Writes documents; see Collection.upsert. All or nothing up to the server's limit of one request."""
        batch = [documents] if isinstance(documents, Document) else list(documents)
        ready = None if vectors is None else inputs.vectors(vectors, self.dim, len(batch))
        sent = []
        for i, document in enumerate(batch):
            one: dict[str, Any] = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
            if ready is not None:
                one["vector"] = packing.packed(ready[i])
            sent.append(one)
        return packing.written(
            self._database.ask("POST", f"{self.path}/documents", {"documents": sent, "if_exists": if_exists})
        )

    def update(self, id: str, *, metadata: Mapping[str, Any] | None = None, remove: Sequence[str] = ()) -> Written:
        """Sets and removes metadata keys of one document; raises NotFound."""
        told = {"metadata": dict(metadata or {}), "remove": list(remove)}
        return packing.written(
            self._database.ask("POST", f"{self.path}/documents/{packing.quoted(inputs.document_id(id))}", told)
        )

    def delete(self, ids: Sequence[str] | str | None = None, *, filter: Mapping[str, Any] | None = None) -> Written:
        """Deletes by id or by filter."""
        wanted = [ids] if isinstance(ids, str) else None if ids is None else list(ids)
        told = {"ids": wanted, "filter": None if filter is None else dict(filter)}
        return packing.written(self._database.ask("POST", f"{self.path}/delete", told))

    @overload
    def get(self, ids: str, *, vectors: bool = False, fields: Sequence[str] | None = None) -> Document: ...
    @overload
    def get(self, ids: list[str], *, vectors: bool = False, fields: Sequence[str] | None = None) -> list[Document | None]: ...
    def get(
        self, ids: str | list[str], *, vectors: bool = False, fields: Sequence[str] | None = None
    ) -> Document | list[Document | None]:
        """One document by id, or a list with None where there is none; raises NotFound for a single one."""
        told = {"ids": [ids] if isinstance(ids, str) else list(ids), "vectors": "base64" if vectors else False}
        found = self._database.ask("POST", f"{self.path}/get", told | {"fields": None if fields is None else list(fields)})
        documents = [None if d is None else packing.document(d) for d in found["documents"]]
        if isinstance(ids, str):
            if documents[0] is None:
                raise errors.NotFound(f"no document of {self.name!r} has this id", field="id", received=ids)
            return documents[0]
        return documents

    def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """How many documents match."""
        return int(self._database.ask("POST", f"{self.path}/count", {"filter": filter})["count"])

    def scan(self, *, filter: Mapping[str, Any] | None = None, vectors: bool = False) -> Iterator[Document]:
        """Every document that matches, of one snapshot."""
        told = {"filter": filter, "vectors": "base64" if vectors else False}
        for line in self._database.lines(f"{self.path}/scan", told):
            yield packing.document(line)

    def search(self, query: str | None = None, *, vector: Any = None, id: str | None = None, **wanted: Any) -> Hits:
        """The k nearest documents; `wanted` as in Collection.search: k, filter, recall, exact, documents, vectors, ..."""
        told = {
            "query": query,
            "id": id,
            "vector": None if vector is None else packing.packed(inputs.vector(vector, self.dim)[0]),
        }
        return self._hits(self._database.ask("POST", f"{self.path}/search", told | packing.wanted(wanted)))

    def search_many(self, queries: Sequence[str] | Any, **wanted: Any) -> list[Hits]:
        """Many searches in one call: texts, or float32 (m, dim)."""
        if not len(queries):
            return []
        told: dict[str, Any]
        if isinstance(queries[0], str):
            told = {"queries": list(queries)}
        else:
            told = {"vectors_in": [packing.packed(v) for v in inputs.vectors(queries, self.dim, field="queries")]}
        return [
            self._hits(r)
            for r in self._database.ask("POST", f"{self.path}/search_many", told | packing.wanted(wanted))["results"]
        ]

    def pin(self, tier: str | None) -> None:
        """Keeps all segments of the collection in one tier; see Collection.pin. Returns when they have been moved."""
        self._database.ask("POST", f"{self.path}/pin", {"tier": tier})

    def stats(self) -> dict[str, Any]:
        """What the collection holds, in numbers, as `Stats.to_dict` of the library says it."""
        found: dict[str, Any] = self._database.ask("GET", f"{self.path}/stats")
        return found

    def _hits(self, told: Mapping[str, Any]) -> Hits:
        plan = told["plan"]
        steps = tuple(msgspec.convert(step, SegmentPlan) for step in plan["segments"])
        found = told["hits"]
        whole = bool(found) and all("document" in hit for hit in found)
        return Hits(
            [hit["id"] for hit in found],
            np.array([hit["score"] for hit in found], np.float32),
            [packing.document(hit["document"]) for hit in found] if whole else None,
            self.metric,
            Plan(plan["commit"], steps),
            told["complete"],
        )
