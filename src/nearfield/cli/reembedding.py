"""The verb `reembed`: another model for a collection that is there, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import InvalidInput


def reembed(
    target: options.Target,
    model: Annotated[
        str | None, typer.Option(help="The new embedder, as `create --embedder` names it.", show_default=False)
    ] = None,
    queries: Annotated[
        Path | None,
        typer.Option(
            help='Compare with these: lines {"_id", "text"} as BEIR has them, or ID<TAB>TEXT (.tsv).', show_default=False
        ),
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(help="Judge both models by these: query-id, corpus-id, score, tab-separated.", show_default=False),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Hits that are compared.")] = 10,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build and compare, do not switch; run again, it goes on.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to the model before, with what was written since.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Remove what was built, or is kept for --undo, now.")] = False,
    undo_window: Annotated[str, typer.Option(help="How long the generation that is not live is kept.")] = "7d",
    json: options.Json = False,
) -> None:
    """Embed all documents by another model beside the live vectors, compare the two, and switch; one command goes back."""
    if (model is not None) + undo + forget != 1:
        raise InvalidInput("say what to do", field="--model", expected="exactly one of --model, --undo, --forget")
    if dry_run and model is None:
        raise InvalidInput("nothing is built", field="--dry-run", expected="--model with it")
    where = place.split(target)
    name = where.collection or ""
    with place.database(where.directory, write=True) as db:
        if forget:
            removed = db.forget_generation(name)
            show.as_json({"removed": removed}) if json else show.line("removed" if removed else "there was none")
            return
        if undo or model is None:
            report: Any = db.undo_reembed(name, undo_window=undo_window, progress=show.note)
        else:
            report = db.reembed(
                name, model, queries=queries, qrels=qrels, k=k, switch=not dry_run, undo_window=undo_window, progress=show.note
            )
    if json:
        show.as_json(report.to_dict())
        return
    show.line(report.text())
    if report.switched:
        show.line(f"To go back: nearfield reembed {target} --undo")
