"""The collections of a server, and the one place that sends requests. Knows addresses and JSON."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import httpx
import msgspec

from nearfield.core import errors, inputs
from nearfield.core.parts import Passages, VectorField
from nearfield.remote import failures, packing
from nearfield.remote.collection import RemoteCollection
from nearfield.remote.reembedding import RemoteReembedding


class RemoteDatabase(RemoteReembedding):
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
        keyword: str | None = "english",
        passages: Passages | None = None,
        vectors: Mapping[str, VectorField] | None = None,
    ) -> RemoteCollection:
        """Makes a collection; see Database.create. The embedder must be one that the server allows."""
        told: dict[str, Any] = {
            "name": name,
            "embedder": embedder,
            "dim": dim,
            "metric": metric,
            "index": index,
            "recall": recall,
        }
        if passages is not None:
            told["passages"] = dataclasses.asdict(passages)
        if vectors is not None:
            told["vectors"] = {name: dataclasses.asdict(field) for name, field in vectors.items()}
        made = self.ask("POST", "/v1/collections", told | {"fields": dict(fields or {}), "keyword": keyword})
        return RemoteCollection(self, made)

    def __getitem__(self, name: str) -> RemoteCollection:
        return RemoteCollection(self, self.ask("GET", f"/v1/collections/{packing.quoted(inputs.name(name))}"))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self.list()

    def list(self) -> builtins.list[str]:
        """The names of the collections, in order."""
        return [c["name"] for c in self.ask("GET", "/v1/collections")["collections"]]

    def drop(self, name: str) -> None:
        """Deletes a collection with all its documents."""
        self.ask("DELETE", f"/v1/collections/{packing.quoted(inputs.name(name))}")

    def alias(self, alias: str, name: str) -> None:
        """Another name for a collection; moved if it exists."""
        self.ask("POST", f"/v1/collections/{packing.quoted(inputs.name(name))}/aliases", {"alias": alias})

    def tiers(self) -> dict[str, Any]:
        """Where segments are kept, as `Tiers.to_dict` of the library says it: budgets, moves, alarms."""
        found: dict[str, Any] = self.ask("GET", "/v1/tiers")
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """An answer's JSON; raises what the server said was wrong. A body of bytes is sent as it is."""
        content = self.raw(method, path, body)
        return msgspec.json.decode(content) if content else None

    def raw(self, method: str, path: str, body: Any = None) -> bytes:
        """An answer's bytes; raises what the server said was wrong."""
        as_it_is = isinstance(body, bytes)
        content = body if as_it_is or body is None else packing.encoded(body)
        headers = {} if body is None else {"content-type": "application/octet-stream" if as_it_is else "application/json"}
        try:
            answer = self._client.request(method, path, content=content, headers=headers)
        except httpx.TimeoutException:
            raise errors.DeadlineExceeded("the server did not answer in time", field="timeout") from None
        except httpx.HTTPError as error:
            raise errors.Closed(
                f"the server cannot be reached: {error}", field="url", received=str(self._client.base_url)
            ) from None
        if answer.is_success:
            return answer.content
        raise failures.failure(answer.status_code, answer.content)

    def lines(self, path: str, body: Any) -> Iterator[Any]:
        """Each line of a streamed answer, as it comes."""
        headers = {"content-type": "application/json"}
        with self._client.stream("POST", path, content=packing.encoded(body), headers=headers) as answer:
            if not answer.is_success:
                raise failures.failure(answer.status_code, answer.read())
            for line in answer.iter_lines():
                yield msgspec.json.decode(line)

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def __enter__(self) -> RemoteDatabase:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
