"""The verb `tune`: which index is quickest here, measured."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from nearfield.cli import indexes, options, place, show


def tune(
    target: options.Target,
    recall: Annotated[float | None, typer.Option(help="Recall to reach [the collection's].", show_default=False)] = None,
    latency: Annotated[str | None, typer.Option(help="The most that P99 may take, such as 2ms.", show_default=False)] = None,
    memory: Annotated[str | None, typer.Option(help="The most an index may take, such as 2GB.", show_default=False)] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes.", show_default=False)] = None,
    queries: Annotated[
        Path | None, typer.Option(help="Real queries: .npy vectors, or text, one each line.", show_default=False)
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many hits are asked for.")] = 10,
    apply: Annotated[bool, typer.Option("--apply", help="Build the best aside and swap it in.")] = False,
    report: Annotated[Path | None, typer.Option(help="Also write the report here.", show_default=False)] = None,
    json: options.Json = False,
) -> None:
    """Build candidates, measure them, and say which index is quickest at a recall; run again, it goes on where it was."""
    with place.collection(target, write=True) as collection:
        front = collection.tune(
            recall=recall,
            latency=latency,
            memory=memory,
            minutes=minutes,
            queries=None if queries is None else indexes.queries_of(queries),
            k=k,
            progress=show.note,
        )
        if report is not None:
            from nearfield.planning import report as reports

            for path in reports.write(front, report):
                show.note(f"wrote {path}")
        applied = apply and front.best.kind is not None and front.finished
        if applied:
            show.note("building it aside for all rows")
            collection.rebuild(front.best)
    command = front.apply.replace("FILE", shlex.quote(str(queries)))
    if json:
        show.as_json({**front.to_dict(), "apply": command, "applied": applied})
    else:
        show.line(front.table())
        if applied:
            show.line("Applied: searches use it now.")
        elif apply:
            show.line("Nothing was applied.")
        elif front.finished and front.best.kind is not None:
            show.line(f"To apply it: {command}")
    if front.stopped == "interrupted":
        raise typer.Exit(options.INTERRUPTED)
    if front.best.kind is None and not front.best.few and front.finished:
        raise typer.Exit(options.NO)
    if apply and not applied and not front.best.few:
        raise typer.Exit(options.NO)
