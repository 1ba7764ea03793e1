"""Background work: tune, rebuild, optimize, backup. Each becomes a job that can be looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nearfield import Collection
from nearfield.core.errors import InvalidInput
from nearfield.index import decode_kind
from nearfield.serve.jobs import Progress
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import BackupRequest, JobOut, JobsOut, OptimizeRequest, RebuildRequest, TuneRequest


def _queued(call: Call, kind: str, collection: Collection, work: Callable[[Progress], Any]) -> JobOut:
    return call.service.jobs.submit(kind, collection.name, work).out()


async def tune(call: Call) -> JobOut:
    """Builds candidates, measures them, chooses; with `apply` builds the best."""
    wanted = await call.read(TuneRequest)
    collection = call.service.collection(call.path("name"))
    if wanted.queries is not None:
        call.service.limits.check("queries", len(wanted.queries), "documents")

    def work(progress: Progress) -> Any:
        front = collection.tune(
            recall=wanted.recall, latency=wanted.latency, memory=wanted.memory, minutes=wanted.minutes,
            queries=wanted.queries, k=wanted.k, progress=progress,
        )  # fmt: skip
        if wanted.apply and front.best is not None:
            collection.rebuild(front.best)
        return front.to_dict()

    return _queued(call, "tune", collection, work)


async def rebuild(call: Call) -> JobOut:
    """Builds every index anew, aside."""
    wanted = await call.read(RebuildRequest)
    collection = call.service.collection(call.path("name"))
    words = wanted.keyword
    if wanted.index is None and words is not False:
        return _queued(call, "rebuild", collection, lambda progress: collection.rebuild(keyword=words, progress=progress))
    if isinstance(wanted.index, str) and wanted.index != "auto":
        raise InvalidInput("not an index", field="index", expected='"auto" or {"kind": "hnsw", ...}', received=wanted.index)
    kind = decode_kind(wanted.index) if isinstance(wanted.index, dict) else "auto"
    if not isinstance(kind, str):
        kind.check(collection.dim, collection.metric)
    return _queued(call, "rebuild", collection, lambda p: collection.rebuild(kind, keyword=words, progress=p))


async def optimize(call: Call) -> JobOut:
    """Seals, merges and indexes what remains."""
    wanted = await call.read(OptimizeRequest)
    collection = call.service.collection(call.path("name"))
    return _queued(call, "optimize", collection, lambda progress: collection.optimize(purge=wanted.purge, progress=progress))


async def backup(call: Call) -> JobOut:
    """A copy of the whole database in the server's backup directory, by name."""
    wanted = await call.read(BackupRequest)
    collection = call.service.collection(call.path("name"))
    place = call.service.backup_place(wanted.name)
    return _queued(call, "backup", collection, lambda _: call.service.database.backup(place))


async def all_of_them(call: Call) -> JobsOut:
    """Jobs, newest first."""
    return JobsOut(jobs=[job.out() for job in call.service.jobs.all()])


async def one(call: Call) -> JobOut:
    """One job."""
    return call.service.jobs.get(call.path("id")).out()


async def cancel(call: Call) -> JobOut:
    """Takes a waiting job away."""
    return call.service.jobs.cancel(call.path("id")).out()


HERE, ACCEPTED = "/v1/collections/{name}", 202
FAILS = ("not_found", "invalid_input", "overloaded", "read_only", "closed")
ROUTES = (
    Route("POST", f"{HERE}/tune", tune, "write", "Find the best index: a job.", TuneRequest, JobOut, ACCEPTED, FAILS),
    Route("POST", f"{HERE}/rebuild", rebuild, "write", "Build indexes anew: a job.", RebuildRequest, JobOut, ACCEPTED, FAILS),
    Route("POST", f"{HERE}/optimize", optimize, "write", "Seal and index: a job.", OptimizeRequest, JobOut, ACCEPTED, FAILS),
    Route(
        "POST", f"{HERE}/backup", backup, "write", "Back the database up, by name: a job.", BackupRequest, JobOut, ACCEPTED,
        (*FAILS, "already_exists"),
    ),
    Route("GET", "/v1/jobs", all_of_them, "read", "Jobs, newest first.", None, JobsOut, owner=True),
    Route("GET", "/v1/jobs/{id}", one, "read", "One job.", None, JobOut, fails=("not_found",), owner=True),
    Route("DELETE", "/v1/jobs/{id}", cancel, "write", "Take a waiting job away.", None, JobOut, fails=("not_found",)),
)  # fmt: skip
