"""What is put under load: a server, or a directory in this process. Both take wire requests. The only import of aiohttp."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

import nearfield as nf
from nearfield.core.errors import InvalidInput, MissingDependency, NearfieldError, NotFound
from nearfield.core.metric import Vectors
from nearfield.remote import RemoteDatabase, connect

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.remote import RemoteCollection

Request = dict[str, Any]
"""A search as it goes over the wire: query, vector or id, and what else is wanted."""


@dataclass(slots=True)
class Answer:
    """One answer: seconds it took, ids and scores, milliseconds by stage; if it failed, `error` is a code, `why` a message."""

    seconds: float
    ids: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    took: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    why: str = ""


class Target(Protocol):
    """Something to search in."""

    @property
    def collection(self) -> Collection | RemoteCollection:
        """What is searched."""
        ...

    async def ask(self, request: Request) -> Answer:
        """One search; an error becomes the answer's `error`."""
        ...

    async def close(self) -> None:
        """Lets go of connections or files."""
        ...


class Served:
    """A collection of a server.

    Args:
        url: of the server.
        name: of the collection; None: its only one.
        key: for servers that have keys.
        connections: that may be open.
        timeout: seconds after which a search counts as failed.

    Raises:
        NotFound: no such collection.
        InvalidInput: there are several and none was named.
        MissingDependency: aiohttp is not installed.
    """

    def __init__(self, url: str, name: str | None, key: str | None, connections: int, timeout: float) -> None:
        _aiohttp()
        self._database: RemoteDatabase = connect(url, key=key, timeout=timeout)
        try:
            self.collection = self._database[chosen(name, self._database.list())]
        except BaseException:
            self._database.close()
            raise
        self._url = f"{url.rstrip('/')}{self.collection.path}/search"
        self._headers = {"content-type": "application/json"} | ({} if key is None else {"authorization": f"Bearer {key}"})
        self._connections, self._timeout = connections, timeout
        self._session: Any = None

    async def ask(self, request: Request) -> Answer:
        """See Target."""
        aiohttp = _aiohttp()
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60)
            total = aiohttp.ClientTimeout(total=self._timeout)
            self._session = aiohttp.ClientSession(connector=connector, timeout=total, headers=self._headers)
        body = msgspec.json.encode(request)
        start = time.perf_counter()
        try:
            async with self._session.post(self._url, data=body) as answer:
                raw = await answer.read()
        except (TimeoutError, aiohttp.ClientError) as error:
            return Answer(time.perf_counter() - start, error=type(error).__name__, why=str(error))
        seconds = time.perf_counter() - start
        try:
            told = msgspec.json.decode(raw)
            if answer.status != 200:
                return Answer(seconds, error=str(told["error"]["code"]), why=str(told["error"]["message"]))
            hits = told["hits"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return Answer(seconds, error=f"HTTP {answer.status}")
        return Answer(seconds, [h["id"] for h in hits], [h["score"] for h in hits], told["took"])

    async def close(self) -> None:
        """See Target."""
        if self._session is not None:
            await self._session.close()
        self._database.close()


class Local:
    """A collection of a directory, searched by threads of this process."""

    def __init__(self, directory: Path, name: str | None, threads: int) -> None:
        self._database = nf.open(directory, read_only=True)
        try:
            self.collection = self._database[chosen(name, self._database.list())]
        except BaseException:
            self._database.close()
            raise
        self._pool = ThreadPoolExecutor(threads, "nearfield-load")

    async def ask(self, request: Request) -> Answer:
        """See Target."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._search, request)

    def _search(self, request: Request) -> Answer:
        start = time.perf_counter()
        try:
            hits = self.collection.search(**arguments(request))
        except NearfieldError as error:
            return Answer(time.perf_counter() - start, error=type(error).__name__, why=str(error))
        seconds = time.perf_counter() - start
        return Answer(seconds, hits.ids, hits.scores.tolist(), {"search": 1000 * seconds})

    async def close(self) -> None:
        """See Target."""
        self._pool.shutdown()
        self._database.close()


def chosen(name: str | None, names: list[str]) -> str:
    """The collection meant."""
    if name is not None:
        return name
    if not names:
        raise NotFound("there is no collection to search in", field="collection")
    if len(names) > 1:
        raise InvalidInput("there are several collections", field="collection", expected=f"one of {', '.join(names)}")
    return names[0]


def arguments(request: Request) -> dict[str, Any]:
    """A wire request as the arguments of Collection.search."""
    out = {key: value for key, value in request.items() if key not in ("min_commit", "pages", "vector_by_name")}
    if isinstance(out.get("vector"), str):
        out["vector"] = unpacked(out["vector"])
    if request.get("vector_by_name") is not None:
        named = request["vector_by_name"].items()
        out["vector"] = {name: unpacked(value) if isinstance(value, str) else value for name, value in named}
    if out.get("image") is not None:
        out["image"] = base64.b64decode(out["image"])
    if out.get("fusion") is not None:
        out["fusion"] = nf.Fusion(**out["fusion"])
    if out.get("effort") is not None:
        out["effort"] = nf.Effort(**out["effort"])
    out["vectors"] = bool(out.get("vectors", False))
    return out


def packed(vector: Any) -> str:
    """base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()


def unpacked(text: str) -> Vectors:
    """float32 (dim,) of base64; raises InvalidInput."""
    try:
        return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
    except ValueError:
        raise InvalidInput("not base64 of float32", field="vector") from None


def _aiohttp() -> Any:
    try:
        import aiohttp
    except ImportError as error:
        raise MissingDependency("load on a server needs aiohttp; run: pip install 'nearfield[load]'", field="url") from error
    return aiohttp
