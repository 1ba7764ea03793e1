"""Near-duplicates: groups as a stream, deletion as a job, a threshold. One comparison of a whole collection at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import msgspec
from starlette.responses import Response, StreamingResponse

from nearfield import Collection
from nearfield.core.errors import DeadlineExceeded, Overloaded
from nearfield.serve import asking
from nearfield.serve.jobs import Progress
from nearfield.serve.route import Call, Route
from nearfield.serve.service import Service
from nearfield.serve.wire import (
    DedupRequest,
    DuplicatesLine,
    DuplicatesRequest,
    JobOut,
    KeepIn,
    ThresholdOut,
    ThresholdRequest,
)  # fmt: skip

NDJSON = "application/x-ndjson"
CHUNK = 500
"""Groups that are sent at a time."""
TOLD = 1000
"""Groups that a job's result lists."""
SAMPLE = 5000
"""Documents that a threshold may be asked to look at."""

_turns: WeakKeyDictionary[Service, threading.Lock] = WeakKeyDictionary()


@contextmanager
def _alone(service: Service) -> Iterator[None]:
    """Comparing a collection with itself takes all cores: one request at a time does."""
    turn = _turns.setdefault(service, threading.Lock())
    if not turn.acquire(blocking=False):
        raise Overloaded("another request compares documents with each other", expected="one at a time", retry_after=5)
    try:
        yield
    finally:
        turn.release()


def _asked(call: Call, wanted: DuplicatesRequest) -> tuple[Collection, dict[str, Any]]:
    asking.check_filter(wanted.filter, call.service.limits)
    keep: Any = {"field": wanted.keep.field, "order": wanted.keep.order} if isinstance(wanted.keep, KeepIn) else wanted.keep
    collection = call.service.collection(call.path("name"))
    return collection, {"above": wanted.above, "keep": keep, "filter": wanted.filter, "recall": wanted.recall}


async def duplicates(call: Call) -> Response:
    """How the pairs were found, then a group on each line; few enough documents to wait for, or a job does it."""
    collection, wanted = _asked(call, await call.read(DuplicatesRequest))
    service = call.service
    ends = call.arrived + service.limits.compare

    def in_time(_done: int, _total: int) -> None:
        if time.monotonic() > ends:
            expected = f"at most {service.limits.compare:g} s: a higher threshold, a filter, or a job: dedup"
            raise DeadlineExceeded("comparing takes longer than this server allows", field="above", expected=expected)

    def found() -> Iterator[bytes]:
        groups = collection.duplicates(**wanted, progress=in_time)
        service.limits.check("documents", collection.count(wanted["filter"]), "duplicates")
        with _alone(service):
            first = msgspec.json.encode({"join": groups.join.to_dict()})
        lines = (msgspec.json.encode(group.to_dict()) for group in groups)
        return (line + b"\n" for line in _and(first, lines))

    lines = await service.aside(found)

    async def stream() -> AsyncIterator[bytes]:
        while text := await asyncio.shield(service.aside(lambda: b"".join(islice(lines, CHUNK)), begun=True)):
            yield text

    return StreamingResponse(stream(), media_type=NDJSON)


def _and(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


async def dedup(call: Call) -> JobOut:
    """Deletes all but one of each group, or says what it would: a job."""
    body = await call.read(DedupRequest)
    collection, wanted = _asked(call, body)
    collection.duplicates(**wanted)

    def work(progress: Progress) -> Any:
        told = [-1]

        def note(done: int, total: int) -> None:
            if (percent := 100 * done // max(1, total)) > told[0]:
                told[0] = percent
                progress(f"compared {done:,} of {total:,} vectors")

        report = collection.dedup(**wanted, dry_run=body.dry_run, progress=note)
        out = report.to_dict()
        return {**out, "found": len(report.groups), "groups": out["groups"][:TOLD]}

    return call.service.jobs.submit("dedup", collection.name, work).out()


async def threshold(call: Call) -> ThresholdOut:
    """A threshold for near-duplicates, from the scores of nearest neighbours."""
    wanted = await call.read(ThresholdRequest)
    service = call.service
    asking.check_filter(wanted.filter, service.limits)
    collection = service.collection(call.path("name"))

    def work() -> ThresholdOut:
        with _alone(service):
            found = collection.suggest_threshold(sample=min(wanted.sample, SAMPLE), filter=wanted.filter)
        return msgspec.convert(found.to_dict(), ThresholdOut)

    return await service.aside(work)


HERE = "/v1/collections/{name}"
FAILS = ("not_found", "invalid_input", "filter_error", "overloaded", "closed")
ROUTES = (
    Route(
        "POST", f"{HERE}/duplicates", duplicates, "read", "Groups of near-duplicates, as NDJSON.", DuplicatesRequest,
        DuplicatesLine, fails=(*FAILS, "deadline_exceeded"), media=NDJSON,
    ),
    Route(
        "POST", f"{HERE}/dedup", dedup, "write", "Delete near-duplicates, or say which: a job.", DedupRequest, JobOut, 202,
        (*FAILS, "read_only"),
    ),
    Route(
        "POST", f"{HERE}/suggest_threshold", threshold, "read", "A threshold for near-duplicates, or why there is none.",
        ThresholdRequest, ThresholdOut, fails=FAILS,
    ),
)  # fmt: skip
