"""A collection of a server, with what `Collection` can do. Knows routes; the server embeds, filters and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from nearfield.core import errors, inputs
from nearfield.core.metric import Metric
from nearfield.core.parts import Part
from nearfield.core.types import Document, Hits, Written
from nearfield.remote import packing
from nearfield.remote.duplicating import RemoteDuplicating
from nearfield.uses import Uses

if TYPE_CHECKING:
    from nearfield.answering.answer import Answer
    from nearfield.extract.results import Failed
    from nearfield.remote.database import RemoteDatabase


class RemoteCollection(RemoteDuplicating, Uses):
    """A collection of a server, with what `Collection` can do."""

    def __init__(self, database: RemoteDatabase, told: Mapping[str, Any]) -> None:
        self._database = database
        self.name: str = told["name"]
        self.dim: int = told["dim"]
        self.metric = Metric(told["metric"])
        self.recall: float = told["recall"]
        self.embedder: str | None = told.get("embedder")
        self.parts: dict[str, Any] | None = told.get("parts")
        self.names: tuple[str, ...] = tuple((self.parts or {}).get("vectors", ()))
        self.takes: tuple[str, ...] = tuple(told.get("takes", ()))
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

    def upsert(
        self,
        documents: Sequence[Document] | Document,
        vectors: Any = None,
        *,
        if_exists: str = "replace",
        skip_duplicates_above: float | None = None,
    ) -> Written:
        """Writes documents; see Collection.upsert. All or nothing up to the server's limit of one request."""
        batch = [documents] if isinstance(documents, Document) else list(documents)
        named = vectors if isinstance(vectors, Mapping) else {}
        ready = None if vectors is None or named else inputs.vectors(vectors, self.dim, len(batch))
        sent = []
        for i, document in enumerate(batch):
            one: dict[str, Any] = {"id": document.id, "text": document.text, "metadata": dict(document.metadata)}
            if ready is not None:
                one["vector"] = packing.packed(ready[i])
            brought = [*document.parts, *(Part(several[i], name) for name, several in named.items())]
            if brought:
                one["parts"] = [packing.part(part) for part in brought]
            if document.image is not None:
                one["image"] = packing.picture(document.image, f"image of {document.id!r}")
            sent.append(one)
        told = {"documents": sent, "if_exists": if_exists, "skip_duplicates_above": skip_duplicates_above}
        return packing.written(self._database.ask("POST", f"{self.path}/documents", told))

    def add_file(self, path: str | Path, *, failed: Callable[[Failed], None] | None = None, name: str | None = None) -> Written:
        """Sends one file, which the server reads; see Collection.add_file. `name` is the id in place of the file's name."""
        from nearfield.extract import files, results, taking

        data, _ = files.read_file(Path(path), results.Limits())
        told = self._database.ask("POST", f"{self.path}/files?file={packing.quoted(name or Path(path).name)}", data)
        found = [results.Failed(one["file"], one["reason"], one.get("number")) for one in told.get("errors", ())]
        taking.tell_failed(found, True, failed, str(path))
        return replace(packing.written(told), skipped=told.get("unchanged", 0))

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

    def thumbnail(self, id: str) -> bytes | None:
        """The thumbnail of a document that was written with a picture; None: it has none. Raises NotFound."""
        return self._database.raw("GET", f"{self.path}/thumbnails/{packing.quoted(inputs.document_id(id))}") or None

    def count(self, filter: Mapping[str, Any] | None = None) -> int:
        """How many documents match."""
        return int(self._database.ask("POST", f"{self.path}/count", {"filter": filter})["count"])

    def scan(self, *, filter: Mapping[str, Any] | None = None, vectors: bool = False) -> Iterator[Document]:
        """Every document that matches, of one snapshot."""
        told = {"filter": filter, "vectors": "base64" if vectors else False}
        for line in self._database.lines(f"{self.path}/scan", told):
            yield packing.document(line)

    def search(self, query: str | None = None, *, vector: Any = None, id: str | None = None, **wanted: Any) -> Hits:
        """The k nearest documents; `wanted` as in Collection.search: k, filter, recall, exact, documents, vectors, ...

        `pages=True` asks for `Hits.next` too; with `after=` and with k=None it comes unasked.
        """
        told: dict[str, Any] = {"query": query, "id": id}
        if isinstance(vector, Mapping):
            told["vector_by_name"] = {name: packing.packed(found) for name, found in vector.items()}
        elif vector is not None:
            told["vector"] = packing.packed(vector if self.names else inputs.vector(vector, self.dim)[0])
        return self._pages(self._database.ask("POST", f"{self.path}/search", told | packing.wanted(wanted)), wanted)

    def recommend(self, like: Any = (), unlike: Any = (), **wanted: Any) -> Hits:
        """Documents like some examples and unlike others; see Collection.recommend; `pages=True` for `Hits.next`."""
        told = {"like": packing.examples(like), "unlike": packing.examples(unlike)}
        return self._pages(self._database.ask("POST", f"{self.path}/recommend", told | packing.wanted(wanted)), wanted)

    def background(self) -> dict[str, Any]:
        """How scores of unrelated pairs are distributed, as `Background.to_dict` of the library says it."""
        found: dict[str, Any] = self._database.ask("GET", f"{self.path}/background")
        return found

    def search_many(self, queries: Sequence[str] | Any, **wanted: Any) -> list[Hits]:
        """Many searches in one call: texts, or float32 (m, dim)."""
        if not len(queries):
            return []
        told: dict[str, Any]
        if isinstance(queries[0], str):
            told = {"queries": list(queries)}
        else:
            several = queries if self.names else inputs.vectors(queries, self.dim, field="queries")
            told = {"vectors_in": [packing.packed(v) for v in several]}
        return [
            self._hits(r)
            for r in self._database.ask("POST", f"{self.path}/search_many", told | packing.wanted(wanted))["results"]
        ]

    def ask(
        self, question: str, *, url: str | None = None, on_text: Callable[[str], None] | None = None, **wanted: Any
    ) -> Answer:
        """Answers a question with citations; see Collection.ask. Without a `url` by the server's own chat model, if it has one.

        With one, what the server's search finds is sent there from here.
        """
        if url is not None:
            return super().ask(question, url=url, on_text=on_text, **wanted)
        from nearfield.remote.answering import answer

        found = answer(self._database.ask("POST", f"{self.path}/ask", {"question": question, **wanted}))
        if on_text is not None and found.text is not None:
            on_text(found.text)
        return found

    def pin(self, tier: str | None) -> None:
        """Keeps all segments of the collection in one tier; see Collection.pin. Returns when they have been moved."""
        self._database.ask("POST", f"{self.path}/pin", {"tier": tier})

    def stats(self) -> dict[str, Any]:
        """What the collection holds, in numbers, as `Stats.to_dict` of the library says it."""
        found: dict[str, Any] = self._database.ask("GET", f"{self.path}/stats")
        return found

    def _pages(self, told: Mapping[str, Any], wanted: Mapping[str, Any]) -> Hits:
        asked = wanted.get("pages") or wanted.get("after") is not None or wanted.get("k", 10) is None
        return packing.hits(told, self.metric, asked=bool(asked))

    def _hits(self, told: Mapping[str, Any]) -> Hits:
        return packing.hits(told, self.metric)
