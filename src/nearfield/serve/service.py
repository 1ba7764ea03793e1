"""What the routes share: the database, the lanes for search and embedding, threads for the rest, jobs, readiness.

Knows collections and limits; no HTTP. Searches and embeddings go through lanes; what writes or reads in bulk runs in a small
pool of threads, jobs in one of their own.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import msgspec
import numpy as np

from nearfield import Collection, Database, __version__, embed
from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, NotFound, Overloaded
from nearfield.core.metric import prepare, prepare_plain
from nearfield.core.types import Hits
from nearfield.serve import asking, parts, ranking, words
from nearfield.serve.allowed import Allowed
from nearfield.serve.asking import Ask, Vectors
from nearfield.serve.batching import Lane
from nearfield.serve.body import Held
from nearfield.serve.extracting import Extracting
from nearfield.serve.forward import Forward
from nearfield.serve.freshness import Freshness
from nearfield.serve.gauges import Gauges
from nearfield.serve.jobs import Jobs
from nearfield.serve.limits import Limits
from nearfield.serve.logs import SlowQueries
from nearfield.serve.recall import Monitor
from nearfield.serve.telemetry import Telemetry
from nearfield.serve.tracing import Traces, trace_id
from nearfield.serve.warming import Warming
from nearfield.serve.wire import FieldOut, FieldsOut, RecallOut, SearchManyRequest, SearchRequest

R = TypeVar("R")
log = logging.getLogger("nearfield.serve.requests")
WORKERS = 4
"""Threads for writes and bulk reads."""
TOKENS = 8192
"""Characters of texts embedded in one batch, about four to a token: beyond, a batch takes too long for who waits."""


Model = Callable[[Sequence[str], str], Vectors]
"""Embeds texts of a kind: float32 (m, dim)."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text to embed: with which model, by its name and its function."""

    model: str
    embed: Model
    text: str
    kind: str


class Service:
    """A database being served.

    Args:
        database: open; closed by whoever opened it.
        limits: of requests.
        preload: models loaded and warmed before it is ready: collections' names, or None for all of them.
        models: names of embedders that requests may name, besides those of the collections.
        backups: the directory that backups go into, made if it is missing; None: there are none.
        recall_share: of one core that measuring recall may take, 0 to 1; 0: it is not measured.
    """

    def __init__(
        self,
        database: Database,
        limits: Limits,
        preload: Sequence[str] | None = None,
        models: Sequence[str] = ("minilm",),
        backups: Path | None = None,
        recall_share: float = 0.02,
    ) -> None:
        self.database, self.limits = database, limits
        self.version = __version__
        self.telemetry = Telemetry(Gauges(self))
        self.slow: SlowQueries | None = None
        self.forward: Forward | None = None
        self.traces: Traces | None = None
        self.allowed, self.embedders = Allowed(), tuple(models)
        self.jobs = Jobs(limits.jobs)
        self.inflight = 0
        self.bodies = Held(limits.bodies)
        self.extracting = Extracting(limits)
        self._asides = 0
        self.monitor = Monitor(recall_share, lambda: self.search_lane.waiting > 0, self._ask_for_rebuild)
        self._models, self._backups = tuple(models), backups
        if backups is not None and not database.read_only:
            _make(backups)
        self._loaded: dict[str, Model] = {}
        self._loading = threading.Lock()
        self.warming = Warming(database, preload)
        self._fields: WeakKeyDictionary[Collection, FieldsOut] = WeakKeyDictionary()
        self._pool = ThreadPoolExecutor(WORKERS, "nearfield-serve")
        self.freshness = Freshness(database, self.monitor)
        self.search_lane: Lane[Ask, Hits] = Lane(
            "search", asking.batch, capacity=limits.queue, inline=True, observe=self._observer("search", "search")
        )
        self.embed_lane: Lane[Text, Vectors] = Lane(
            "embed",
            _embed,
            capacity=limits.queue,
            weigh=lambda t: len(t.text),
            heaviest=TOKENS,
            observe=self._observer("embed", "embed"),
        )

    def _observer(self, lane: str, stage: str) -> Callable[[int, Sequence[float], float], None]:
        def observe(size: int, waits: Sequence[float], took: float) -> None:
            self.telemetry.observe("batch_size", size, lane)
            self.telemetry.observe("stage_seconds", took, stage)
            for wait in waits:
                self.telemetry.observe("stage_seconds", wait, "queue")

        return observe

    # -- collections

    def collection(self, name: str) -> Collection:
        """A collection by name or alias; raises NotFound."""
        return self.freshness.collection(name) if self.database.read_only else self.database[name]

    def fields(self, name: str) -> FieldsOut:
        """The metadata fields of a collection; counted once for each commit."""
        found = self.database[name]
        known = self._fields.get(found)
        if known is None or known.commit != found.commit:
            commit = found.commit
            fields = [msgspec.convert(dataclasses.asdict(field), FieldOut) for field in found.fields()]
            known = self._fields[found] = FieldsOut(commit=commit, fields=fields)
        return known

    async def fresh(self, name: str, commit: int | None) -> Collection:
        """A collection that has seen a commit, as it is embedded now: what is asked of it goes by one model to its end.

        Raises:
            NotFound: there is no such collection.
            InvalidInput: no such commit yet.
        """
        found = self.collection(name)
        if commit is not None and found.commit < commit:
            seen = await self.aside(found.refresh) if self.database.read_only else found.commit
            if seen < commit:
                raise InvalidInput("no such commit yet", field="min_commit", expected=f"at most {seen}", received=commit)
        return found.fixed()

    def drop(self, name: str) -> None:
        """Drops a collection; an alias is not enough: the name itself is needed."""
        if name not in self.database.list():
            raise NotFound("no collection has this name", field="name", received=name)
        self.database.drop(name)

    def check_model(self, name: str | None) -> None:
        """Raises InvalidInput for an embedder that the operator did not allow: a request loads no file and no model by path."""
        if name is not None and name not in self._models:
            allowed = ", ".join(self._models) or "none"
            raise InvalidInput(
                "this server does not load that embedder", field="embedder", expected=f"one of: {allowed}", received=name
            )

    async def model(self, name: str) -> tuple[str, Model]:
        """A model that a request may name: that of a collection, or one that is allowed. Raises NotFound."""
        found = self._loaded.get(name)
        return (name, found) if found is not None else await self.aside(lambda: self._load(name))

    def _load(self, name: str) -> tuple[str, Model]:
        with self._loading:
            found = self._loaded.get(name)
            if found is None:
                owner = next((c for c in map(self.database.get, self.database.list()) if c.embedder == name), None)
                if owner is not None:
                    found = owner.encoder()
                elif name in self._models:
                    embedder = embed.load(name)
                    found = embedder.encode
                else:
                    raise NotFound("this server has no such model", field="model", received=name)
                self._loaded[name] = found
        return name, found

    def backup_place(self, name: str) -> Path:
        """Where a backup of a name goes; the name is no path."""
        if self._backups is None:
            raise InvalidInput("this server makes no backups; start it with --backup-dir", field="name")
        return self._backups / inputs.name(name)

    # -- searching

    async def search(self, collection: Collection, wanted: SearchRequest, arrived: float) -> tuple[Hits, dict[str, float]]:
        """Hits, and milliseconds by stage."""
        if ranking.used(wanted):
            return await ranking.search(self, collection, wanted, arrived)
        if parts.by_name(collection, wanted):
            return await parts.search(self, collection, wanted, arrived)
        if wanted.mode != "dense":
            return await words.search(self, collection, wanted, arrived)
        given = (wanted.query is not None) + (wanted.vector is not None) + (wanted.id is not None)
        if given != 1:
            raise InvalidInput("give exactly one thing to search for", field="query", expected="one of query, vector, id")
        if wanted.id is not None:
            return await self._like(collection, wanted, arrived)
        request, kind = asking.request_of(wanted, collection, self.limits, arrived, self.monitor.target(collection))
        took: dict[str, float] = {}
        if wanted.vector is not None:
            query = asking.vector(wanted.vector, collection.dim)
        else:
            start = time.perf_counter()
            assert wanted.query is not None
            query = await self.embed(collection, wanted.query, "query", request.deadline)
            took["embed"] = asking.milliseconds(start)
        prepared = prepare_plain(query, collection.metric) if query.shape == (collection.dim,) else None
        if prepared is None:
            prepared = prepare(inputs.vector(query, collection.dim), collection.metric)[0]
        start = time.perf_counter()
        hits = await self.search_lane.ask(Ask(collection, prepared, request, kind), kind, request.deadline)
        if wanted.recall is None:
            self.monitor.offer(collection, prepared, request)
        took["search"] = asking.milliseconds(start)
        return hits, took

    async def _like(self, collection: Collection, wanted: SearchRequest, arrived: float) -> tuple[Hits, dict[str, float]]:
        start = time.perf_counter()
        request, _ = asking.request_of(wanted, collection, self.limits, arrived, self.monitor.target(collection))

        def work() -> Hits:
            return collection.like(str(wanted.id), request)

        hits = await self.aside(work)
        return hits, {"search": asking.milliseconds(start)}

    async def search_many(
        self, collection: Collection, wanted: SearchManyRequest, arrived: float
    ) -> tuple[list[Hits], dict[str, float]]:
        """The same for many texts or vectors, in order."""
        if parts.by_name(collection, wanted):
            return await parts.search_many(self, collection, wanted, arrived)
        if wanted.mode != "dense":
            return await words.search_many(self, collection, wanted, arrived)
        if (wanted.queries is None) == (wanted.vectors_in is None):
            raise InvalidInput("give either texts or vectors", field="queries", expected="exactly one of queries, vectors_in")
        texts, vectors = wanted.queries or [], wanted.vectors_in or []
        many = len(texts) + len(vectors)
        self.limits.check("queries", many, "queries")
        self.limits.check("k", many * (wanted.k + wanted.offset), "hits")
        request, kind = asking.request_of(wanted, collection, self.limits, arrived, self.monitor.target(collection))
        took: dict[str, float] = {}
        start = time.perf_counter()
        if texts:
            found = await asyncio.gather(*(self.embed(collection, t, "query", request.deadline) for t in texts))
            took["embed"] = asking.milliseconds(start)
        else:
            found = [asking.vector(q, collection.dim, f"vectors_in[{i}]") for i, q in enumerate(vectors)]
        if not found:
            return [], took
        prepared = prepare(inputs.vectors(np.stack(found), collection.dim, field="queries"), collection.metric)[0]
        start = time.perf_counter()
        del kind
        hits = await self.aside(lambda: collection.answer(prepared, request))
        took["search"] = asking.milliseconds(start)
        return hits, took

    async def embed(self, collection: Collection, text: str, kind: str, deadline: float | None) -> Vectors:
        """float32 (dim,) of a text by the collection's model."""
        inputs.text(text, "query")
        self.limits.check("query", len(text), "text")
        return await self.embed_by((collection.embedder or "", collection.embed), text, kind, deadline)

    async def embed_by(self, model: tuple[str, Model], text: str, kind: str, deadline: float | None) -> Vectors:
        """float32 (dim,) of a text by a model."""
        self.limits.check("text", len(inputs.text(text, "text")), "text")
        return await self.embed_lane.ask(Text(*model, text, kind), kind, deadline)

    # -- recall

    def recall_of(self, collection: Collection) -> RecallOut:
        """Recall of real searches, as sampled."""
        return self.monitor.report(collection)

    def _ask_for_rebuild(self, collection: Collection) -> None:
        if not self.database.read_only:
            self.jobs.submit("rebuild", collection.name, lambda _: collection.rebuild("auto"))

    # -- what is told about requests

    def noted(self, call: Any, collection: Collection, wanted: SearchRequest, hits: Hits) -> None:
        """A search that was answered: into the log of slow queries if it was slow."""
        seconds = time.monotonic() - call.arrived
        if self.slow is not None and seconds >= self.slow.threshold:
            self.slow.write(call.id, collection.name, wanted, hits, seconds)
            self.telemetry.count("slow_queries")

    def logged(self, call: Any, route: str, status: int, seconds: float) -> None:
        """A request that was answered, as a line of the log; those that only ask whether the server is well are debug lines."""
        level = logging.DEBUG if route.startswith("GET /") and "v1" not in route else logging.INFO
        headers = call.request.headers
        trace = trace_id(headers.get("traceparent"))
        if self.traces is not None and level == logging.INFO:
            ended = time.time_ns()
            took = call.notes.get("took", {})
            self.traces.note(headers, route, call.id, status, ended - int(1e9 * seconds), ended, took)
        if log.isEnabledFor(level):
            if trace is not None:
                call.notes["trace_id"] = trace
            fields = {"request_id": call.id, "route": route, "status": status, "milliseconds": round(1000 * seconds, 3)}
            log.log(level, "request", extra={"fields": {**fields, **call.notes}})

    # -- threads

    async def write(self, work: Callable[[], R], *, begun: bool = False) -> R:
        """Runs a write in the pool, to its end even if the caller goes away; `begun`: see aside."""
        start = time.perf_counter()
        try:
            return await asyncio.shield(self.aside(work, begun=begun))
        finally:
            self.telemetry.observe("stage_seconds", time.perf_counter() - start, "write")

    async def aside(self, work: Callable[[], R], *, begun: bool = False) -> R:
        """Runs work that may block in the pool; what belongs to an answer or a stream that has begun is always taken.

        Raises:
            Overloaded: as much waits as may.
        """
        if self._asides >= self.limits.queue and not begun:
            told = f"at most {self.limits.queue:,}"
            raise Overloaded("too many requests wait", expected=told, received=self._asides, retry_after=1.0)
        self._asides += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._asides -= 1

    # -- the end

    def close(self) -> None:
        """Finishes what was accepted."""
        self.search_lane.close()
        self.embed_lane.close()
        self.allowed.close()
        self.monitor.close()
        if self.slow is not None:
            self.slow.close()
        if self.traces is not None:
            self.traces.close()
        self.extracting.close()
        self.jobs.close()
        self._pool.shutdown(wait=True)
        self.freshness.close()


def _embed(texts: Sequence[Text]) -> list[Vectors | BaseException]:
    """Embeds texts: those of one model and kind together, the shortest first within the model."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, t in enumerate(texts):
        groups.setdefault((t.model, t.kind), []).append(i)
    out: list[Vectors | BaseException] = [NotFound("not embedded")] * len(texts)
    for members in groups.values():
        vectors = texts[members[0]].embed([texts[i].text for i in members], texts[members[0]].kind)
        for i, found in zip(members, vectors, strict=True):
            out[i] = found
    return out


def _make(backups: Path) -> None:
    """Makes the directory of backups; raises InvalidInput where it may not."""
    try:
        backups.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"the directory of backups cannot be made: {error.strerror}",
            field="backup-dir",
            expected="a directory, or a place to make one",
            received=str(backups),
        ) from None
