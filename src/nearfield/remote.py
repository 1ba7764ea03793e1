"""A served database from elsewhere: the same collections, over HTTP. Made by `nearfield.connect`.

Answers are the library's own types and errors are its own classes, so that code does not see where a collection lives.
"""

from __future__ import annotations

import base64
import builtins
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, overload

import httpx
import msgspec
import numpy as np

from nearfield.core import errors, inputs
from nearfield.core.errors import InvalidInput, NearfieldError
from nearfield.core.metric import Metric
from nearfield.core.types import Document, Hits, Plan, SegmentPlan, Written

CLASSES: dict[str, type[NearfieldError]] = {
    "invalid_input": errors.InvalidInput, "malformed": errors.InvalidInput, "too_large": errors.InvalidInput,
    "unsupported_media_type": errors.InvalidInput, "dimension_mismatch": errors.DimensionMismatch,
    "filter_error": errors.FilterError, "not_found": errors.NotFound, "no_route": errors.NotFound,
    "already_exists": errors.AlreadyExists, "model_mismatch": errors.ModelMismatch, "overloaded": errors.Overloaded,
    "deadline_exceeded": errors.DeadlineExceeded, "locked": errors.Locked, "read_only": errors.ReadOnly,
    "unauthorized": errors.ReadOnly, "forbidden": errors.ReadOnly, "closed": errors.Closed, "not_ready": errors.Closed,
    "corrupt": errors.Corrupt, "out_of_space": errors.OutOfSpace, "missing_dependency": errors.MissingDependency,
}  # fmt: skip
"""The class of each code; other codes are NearfieldError."""


def connect(url: str, *, key: str | None = None, timeout: float = 60.0) -> RemoteDatabase:
    """Speaks to a server that `nearfield serve` runs.

    Args:
        url: such as "http://127.0.0.1:8000".
        key: an API key; needed where the server has keys.
        timeout: seconds that one request may take.

    Raises:
        InvalidInput: not an http or https address.
    """
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise InvalidInput("not an address", field="url", expected='such as "http://127.0.0.1:8000"', received=url)
    return RemoteDatabase(url, key, timeout)


class RemoteDatabase:
    """The collections of a server; a context manager."""

    def __init__(self, url: str, key: str | None, timeout: float) -> None:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)

    def create(
        self,
        name: str,
        *,
        embedder: str | None = "minilm",
        dim: int | None = None,
        metric: str = "cosine",
        index: str | Mapping[str, Any] = "auto",
        recall: float = 0.95,
        fields: Mapping[str, str] | None = None,
    ) -> RemoteCollection:
        """Makes a collection; see Database.create. The embedder must be one that the server allows."""
        told = {"name": name, "embedder": embedder, "dim": dim, "metric": metric, "index": index, "recall": recall}
        made = self.ask("POST", "/v1/collections", told | {"fields": dict(fields or {})})
        return RemoteCollection(self, made)

    def __getitem__(self, name: str) -> RemoteCollection:
        return RemoteCollection(self, self.ask("GET", f"/v1/collections/{_quoted(inputs.name(name))}"))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.list()

    def list(self) -> builtins.list[str]:
        """The names of the collections, in order."""
        return [c["name"] for c in self.ask("GET", "/v1/collections")["collections"]]

    def drop(self, name: str) -> None:
        """Deletes a collection with all its documents."""
        self.ask("DELETE", f"/v1/collections/{_quoted(inputs.name(name))}")

    def alias(self, alias: str, name: str) -> None:
        """Another name for a collection; moved if it exists."""
        self.ask("POST", f"/v1/collections/{_quoted(inputs.name(name))}/aliases", {"alias": alias})

    def tiers(self) -> dict[str, Any]:
        """Where segments are kept, as `Tiers.to_dict` of the library says it: budgets, moves, alarms."""
        found: dict[str, Any] = self.ask("GET", "/v1/tiers")
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """An answer's JSON; raises what the server said was wrong."""
        content = None if body is None else _encoded(body)
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            answer = self._client.request(method, path, content=content, headers=headers)
        except httpx.TimeoutException:
            raise errors.DeadlineExceeded("the server did not answer in time", field="timeout") from None
        except httpx.HTTPError as error:
            raise errors.Closed(
                f"the server cannot be reached: {error}", field="url", received=str(self._client.base_url)
            ) from None
        if answer.is_success:
            return msgspec.json.decode(answer.content) if answer.content else None
        raise failure(answer.status_code, answer.content)

    def lines(self, path: str, body: Any) -> Iterator[Any]:
        """Each line of a streamed answer, as it comes."""
        headers = {"content-type": "application/json"}
        with self._client.stream("POST", path, content=_encoded(body), headers=headers) as answer:
            if not answer.is_success:
                raise failure(answer.status_code, answer.read())
            for line in answer.iter_lines():
                yield msgspec.json.decode(line)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def __enter__(self) -> RemoteDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RemoteCollection:
    """A collection of a server, with what `Collection` can do."""

    def __init__(self, database: RemoteDatabase, told: Mapping[str, Any]) -> None:
        self._database = database
        self.name: str = told["name"]
        self.dim: int = told["dim"]
        self.metric = Metric(told["metric"])
        self.recall: float = told["recall"]
        self.embedder: str | None = told.get("embedder")
        self.path = f"/v1/collections/{_quoted(self.name)}"

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
                one["vector"] = _packed(ready[i])
            sent.append(one)
        return _written(self._database.ask("POST", f"{self.path}/documents", {"documents": sent, "if_exists": if_exists}))

    def update(self, id: str, *, metadata: Mapping[str, Any] | None = None, remove: Sequence[str] = ()) -> Written:
        """Sets and removes metadata keys of one document; raises NotFound."""
        told = {"metadata": dict(metadata or {}), "remove": list(remove)}
        return _written(self._database.ask("POST", f"{self.path}/documents/{_quoted(inputs.document_id(id))}", told))

    def delete(self, ids: Sequence[str] | str | None = None, *, filter: Mapping[str, Any] | None = None) -> Written:
        """Deletes by id or by filter."""
        wanted = [ids] if isinstance(ids, str) else None if ids is None else list(ids)
        told = {"ids": wanted, "filter": None if filter is None else dict(filter)}
        return _written(self._database.ask("POST", f"{self.path}/delete", told))

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
        documents = [None if d is None else _document(d) for d in found["documents"]]
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
            yield _document(line)

    def search(self, query: str | None = None, *, vector: Any = None, id: str | None = None, **wanted: Any) -> Hits:
        """The k nearest documents; `wanted` as in Collection.search: k, filter, recall, exact, documents, vectors, ..."""
        told = {"query": query, "id": id, "vector": None if vector is None else _packed(inputs.vector(vector, self.dim)[0])}
        return self._hits(self._database.ask("POST", f"{self.path}/search", told | _wanted(wanted)))

    def search_many(self, queries: Sequence[str] | Any, **wanted: Any) -> list[Hits]:
        """Many searches in one call: texts, or float32 (m, dim)."""
        if not len(queries):
            return []
        told: dict[str, Any]
        if isinstance(queries[0], str):
            told = {"queries": list(queries)}
        else:
            told = {"vectors_in": [_packed(v) for v in inputs.vectors(queries, self.dim, field="queries")]}
        return [
            self._hits(r) for r in self._database.ask("POST", f"{self.path}/search_many", told | _wanted(wanted))["results"]
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
            [_document(hit["document"]) for hit in found] if whole else None,
            self.metric,
            Plan(plan["commit"], steps),
            told["complete"],
        )


def _wanted(wanted: dict[str, Any]) -> dict[str, Any]:
    out = dict(wanted)
    if out.get("vectors"):
        out["vectors"] = "base64"
    if out.get("effort") is not None:
        out["effort"] = {key: value for key, value in out["effort"].to_dict().items() if value}
    return out


def _encoded(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"this cannot be sent as JSON: {error}", field="body") from None


def _packed(vector: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()


def _document(told: Mapping[str, Any]) -> Document:
    vector = told.get("vector")
    read = None if vector is None else np.frombuffer(base64.b64decode(vector), "<f4").astype(np.float32)
    return Document(told["id"], told.get("text"), told.get("metadata") or {}, read)


def _written(told: Mapping[str, Any]) -> Written:
    return Written(**{name: told.get(name, 0) for name in ("added", "replaced", "skipped", "deleted", "commit")})


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def failure(status: int, body: bytes) -> NearfieldError:
    """The error that an answer tells of."""
    try:
        told = msgspec.json.decode(body)["error"]
        more = {name: told[name] for name in ("field", "expected", "received", "retry_after") if told.get(name) is not None}
        return CLASSES.get(told["code"], NearfieldError)(told["message"], **more)
    except (msgspec.DecodeError, KeyError, TypeError):
        return NearfieldError(f"the server answered {status}, not in nearfield's form: is it one?", field="url")
