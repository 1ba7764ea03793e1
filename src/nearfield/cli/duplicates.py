"""The verb `dedup`: documents that are nearly the same, shown, and deleted where that is asked for."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core import keeping
from nearfield.core.duplicates import Deduplication, Join
from nearfield.core.errors import InvalidInput, shorten

SHOWN = 20
"""Groups that people are shown, unless they ask for all."""


def dedup(
    target: options.Target,
    above: Annotated[
        float | None,
        typer.Option(help="The least score of a pair: a cosine; under l2 minus the squared distance.", show_default=False),
    ] = None,
    keep: Annotated[str, typer.Option(help="Which of a group stays: first, newest, field:NAME or field:NAME:min.")] = "first",
    filter: options.Where = None,
    recall: Annotated[float, typer.Option(help="The share of pairs to find; 1: all.")] = 0.99,
    delete: Annotated[bool, typer.Option("--delete", help="Delete all but one of each group.")] = False,
    suggest: Annotated[bool, typer.Option("--suggest", help="Only suggest a threshold, from the scores here.")] = False,
    most: Annotated[int, typer.Option(min=0, help="Groups shown.")] = SHOWN,
    json: options.Json = False,
) -> None:
    """Find near-duplicates and say what would be deleted; with --delete, delete it. Without --above, suggest a threshold."""
    condition = options.parse_filter(filter)
    if delete and (above is None or suggest):
        raise InvalidInput("say how similar is too similar", field="--above", expected="a score, and no --suggest, to delete")
    with place.collection(target, write=delete) as collection:
        if above is None or suggest:
            found = collection.suggest_threshold(filter=condition)
            if json:
                show.as_json(found.to_dict())
            else:
                show.line("no threshold stands out" if found.above is None else f"--above {found.above:.4g}")
                show.note(found.reason)
            if found.above is None:
                raise typer.Exit(options.NO)
            return
        last = [-10]

        def note(done: int, total: int) -> None:
            percent = 100 * done // max(1, total)
            if percent >= last[0] + 10:
                last[0] = percent
                show.note(f"compared {done:,} of {total:,} vectors")

        told = collection.dedup(
            above, keep=keeping.keep_from_text(keep), filter=condition, recall=recall, dry_run=not delete, progress=note
        )
        texts = {} if json else _texts(collection, told, most)
    if json:
        show.as_json(told.to_dict())
    else:
        _people(told, texts, most)


def _texts(collection: Any, told: Deduplication, most: int) -> dict[str, str]:
    ids = [i for group in told.groups[:most] for i in group.ids[:SHOWN]]
    found = collection.get(ids) if ids else []
    return {d.id: d.text or "" for d in found if d is not None}


def _people(told: Deduplication, texts: dict[str, str], most: int) -> None:
    for group in told.groups[:most]:
        scores = {i: link.score for link in reversed(group.links) for i in (link.first, link.second)}
        for document_id in islice(group.ids, SHOWN):
            mark = "keep  " if document_id == group.keep else "delete" if told.dry_run else "gone  "
            show.line(f"{mark} {document_id}  {scores[document_id]:.4f}  {shorten(texts.get(document_id, ''), 80)}".rstrip())
        if len(group) > SHOWN:
            show.line(f"       and {len(group) - SHOWN:,} more")
        show.line("")
    if len(told.groups) > most:
        show.line(f"and {len(told.groups) - most:,} more groups; see all with --json")
    show.line(_summary(told))
    show.note(how(told.join))


def _summary(told: Deduplication) -> str:
    groups = f"{len(told.groups):,} groups"
    if told.dry_run:
        more = "; to delete them: --delete" if told.documents else ""
        return f"{groups}; {told.documents:,} documents would be deleted{more}"
    more = f", {told.spared:,} changed meanwhile" if told.spared else ""
    return f"{groups}; {told.deleted:,} documents deleted{more}"


def how(join: Join) -> str:
    """How the pairs were found, in a line."""
    counted = f"{join.pairs:,} pairs" if join.counted else f"more than {join.pairs:,} pairs"
    if join.exact:
        sure = "every pair was looked for"
    elif join.recall is None:
        sure = f"none of {join.sampled:,} sampled documents has a pair, so that the recall is not known"
    else:
        sure = f"recall {join.recall:.3f} ({join.low:.3f} to {join.high:.3f}), of {join.sampled_pairs:,} pairs sampled"
    return f"{join.documents:,} documents, {counted}, {join.copies:,} exact copies; {sure}; {join.seconds:.1f} s"
