"""The verb `tune`: which index is quickest here, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import InvalidInput


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
            queries=None if queries is None else _queries(queries),
            k=k,
            progress=show.note,
        )
        command = f"nearfield tune {target} --recall {front.goal.recall} --apply"
        if report is not None:
            from nearfield.planning import report as reports

            for path in reports.write(front, report, command):
                show.note(f"wrote {path}")
        if apply and front.finished:
            collection.rebuild(front.best)
    if json:
        show.as_json({**front.to_dict(), "apply": command, "applied": apply and front.finished})
        return
    show.line(front.table())
    if not front.finished:
        show.line("Not finished: run the same command again, it goes on.")
    elif not apply and front.best.kind is not None:
        show.line(f"To apply it: {command}")


def _queries(path: Path) -> Any:
    """Vectors from .npy, or texts from a file with one on each line."""
    if not path.is_file():
        raise InvalidInput("there is no such file", field="--queries", expected="a .npy or text file", received=str(path))
    if path.suffix == ".npy":
        import numpy as np

        try:
            return np.load(path, allow_pickle=False)
        except ValueError as error:
            raise InvalidInput(f"not an array ({error})", field="--queries", received=str(path)) from error
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
