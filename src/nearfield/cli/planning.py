"""The verb `plan`: which index for so many vectors, or how many vectors fit. Opens no database."""

from __future__ import annotations

from typing import Annotated

import typer

from nearfield.cli import options, show


def plan(
    dim: Annotated[int, typer.Option(help="Numbers in each vector.", show_default=False)],
    n: Annotated[int | None, typer.Option(help="How many vectors; without it: how many fit.", show_default=False)] = None,
    memory: Annotated[
        str | None, typer.Option(help="Memory of the machine, such as 64GB; an index may take half of it.", show_default=False)
    ] = None,
    disk: Annotated[
        str | None, typer.Option(help="Disk for index files and raw vectors, such as 1TB.", show_default=False)
    ] = None,
    gpu_memory: Annotated[
        str | None, typer.Option(help="Memory of a graphics card, such as 24GB: what fits on it?", show_default=False)
    ] = None,
    recall: Annotated[float, typer.Option(help="Recall to hold at ten hits, above 0, at most 1.")] = 0.95,
    latency: Annotated[str | None, typer.Option(help="Time that one query may take, such as 10ms.", show_default=False)] = None,
    metric: Annotated[str, typer.Option(help="cosine, ip or l2.")] = "cosine",
    refresh: Annotated[bool, typer.Option("--refresh", help="Time this machine again, about two seconds.")] = False,
    json: options.Json = False,
) -> None:
    """Say which index suits so many vectors, or how many fit: arithmetic, nothing is built; exit code 1 if nothing will do."""
    import nearfield
    from nearfield.planning import table

    found = nearfield.plan(
        n,
        dim,
        memory=memory,
        disk=disk,
        gpu_memory=gpu_memory,
        recall=recall,
        latency=latency,
        metric=metric,
        refresh=refresh,
    )
    if json:
        show.as_json(found.to_dict())
    else:
        show.line(table.question(found))
        show.line("")
        if found.recipes:
            show.table(table.COLUMNS, table.rows(found), right=table.RIGHT)
            show.line("")
        if found.gpu is not None:
            show.table(table.GPU_COLUMNS, table.gpu_rows(found.gpu), right=table.GPU_RIGHT)
            show.line("")
        for note in table.notes(found):
            show.line(note)
    if not any(answer.best for answer in (found if found.recipes else None, found.gpu) if answer is not None):
        raise typer.Exit(options.NO)
