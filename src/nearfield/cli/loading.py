"""Verbs that ask a server or a directory many times: bench replay."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import InvalidInput

if TYPE_CHECKING:
    from nearfield.load.targets import Target

Where = Annotated[str, typer.Argument(metavar="TARGET", help="Address of a server, or DIR/COLLECTION.", show_default=False)]
Named = Annotated[str | None, typer.Option("--collection", help="Which of several collections.", show_default=False)]


def bench(
    target: Where,
    collection: Named = None,
    rate: Annotated[
        list[float] | None, typer.Option(help="Requests a second; by default shares of the highest rate.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(help="Seconds for each rate.", min=0.1)] = 10.0,
    connections: Annotated[int, typer.Option(help="Requests in flight at most.", min=1)] = 32,
    k: Annotated[int, typer.Option("--k", "-k", help="Hits of a search.", min=1)] = 10,
    recall: Annotated[float | None, typer.Option(help="Recall to ask for.", min=0, max=1, show_default=False)] = None,
    filter: options.Where = None,
    queries: Annotated[
        Path | None,
        typer.Option(help="File of queries: .npy, or lines of text or JSON; else made of documents.", show_default=False),
    ] = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="Make queries of vectors even if there is an embedder.")] = False,
    compared: Annotated[int, typer.Option(help="Queries compared with the exact answer.", min=0)] = 100,
    out: Annotated[Path | None, typer.Option(help="Directory for bench.json and bench.png.", show_default=False)] = None,
    json: options.Json = False,
) -> None:
    """Measure latency at given rates, open loop: from when each request was due."""
    from nearfield.load import openloop, report
    from nearfield.load import queries as asked

    async def work(found: Target) -> dict[str, Any]:
        held = found.collection
        text = held.embedder is not None and not vectors
        requests = asked.made(held, text) if queries is None else asked.read(queries, held.dim)
        wanted: dict[str, Any] = {"k": k} | ({} if recall is None else {"recall": recall})
        if filter is not None:
            wanted["filter"] = options.parse_filter(filter)
        requests = [wanted | request for request in requests]
        return await openloop.bench(
            found, requests, rates=rate or (), seconds=seconds, connections=connections, compared=compared, progress=show.note
        )

    found = _run(target, collection, connections, work)
    told = report.as_dict(found, target, k)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))
        report.draw(found, out / "bench.png")
    if json:
        show.as_json(told)
        return
    show.table(report.HEADER, report.rows(found), right=report.HEADER[:-1])
    for line in report.notes(found):
        show.line(line)


def replay(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="What nearfield serve --slow-log FILE --slow 0 wrote.", show_default=False)
    ],
    against: Annotated[str, typer.Option(help="Address of a server, or DIR/COLLECTION.", show_default=False)],
    collection: Named = None,
    least_overlap: Annotated[float, typer.Option(help="Exit with 1 below this mean overlap.", min=0, max=1)] = 0.0,
    least_recall: Annotated[float, typer.Option(help="Exit with 1 below this recall.", min=0, max=1)] = 0.0,
    json: options.Json = False,
) -> None:
    """Ask recorded searches again and compare: overlap of ids, recall, latency."""
    from nearfield.load import replay as replaying

    recorded = replaying.read(log)
    name = collection or next((r.collection for r in recorded), None)
    recorded = [r for r in recorded if r.collection == name]
    if not recorded:
        raise InvalidInput("nothing was recorded of this collection", field="log", received=str(log))

    found = _run(against, collection, 1, lambda t: replaying.replay(t, recorded), name)
    if json:
        show.as_json(msgspec.to_builtins(found))
    else:
        both = [f"{1000 * times[q]:.2f}" if times else "-" for times in (found.before, found.now) for q in ("p50", "p99")]
        failed = ", ".join(f"{n} {code}" for code, n in found.failed.items()) or "none"
        show.pairs(
            {
                "asked again": f"{found.asked:,}; failed: {failed}",
                "overlap": f"{found.overlap:.4f} of the recorded ids; {found.same:.1%} of the answers are the same",
                "recall": f"{found.recall:.4f} against the exact answer",
                "P50, P99 ms": f"{both[2]}, {both[3]}; recorded {both[0]}, {both[1]}",
            }
        )
        for share, request in found.worst:
            show.line(f"overlap {share:.2f}: {show.brief(request, 100)}")
    if found.overlap < least_overlap or not found.recall >= least_recall:
        raise typer.Exit(1)


def _run(
    target: str, name: str | None, connections: int, work: Callable[[Any], Coroutine[Any, Any, Any]], usual: str | None = None
) -> Any:
    """Runs work on a target; `usual` is its collection where neither option nor target names one."""
    from nearfield.load.targets import Local, Served

    if target.startswith(("http://", "https://")):
        found: Target = Served(target, name or usual, os.environ.get("NEARFIELD_READ_KEY"), connections, 30.0)
    else:
        where = place.find(target)
        found = Local(where.directory, name or where.collection or usual, connections)

    async def whole() -> Any:
        try:
            return await work(found)
        finally:
            await found.close()

    return asyncio.run(whole())
