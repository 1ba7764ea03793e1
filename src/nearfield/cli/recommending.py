"""The verb recommend, the options that it shares with search, and how both show hits."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfield.cli import options, parts, place, show
from nearfield.core.errors import shorten
from nearfield.core.ranked import Text

if TYPE_CHECKING:
    from nearfield.core.types import Hit, Hits

TEXT_WIDTH = 88

Exclude = Annotated[list[str] | None, typer.Option(help="An id that may not come back; can be repeated.", show_default=False)]
MinScore = Annotated[float | None, typer.Option(help="The least score.", show_default=False)]
MinPercentile = Annotated[
    float | None, typer.Option(help="The least percentile, in percent; it carries over between models.", show_default=False)
]
Percentiles = Annotated[bool, typer.Option("--percentiles", help="Show which share of unrelated pairs scores lower.")]
Every = Annotated[bool, typer.Option("--all", help="Every hit above --min-score or --min-percentile, in place of --k.")]
Diversity = Annotated[float, typer.Option(help="0: by relevance alone, to 1: by difference alone.")]
GroupBy = Annotated[
    str | None, typer.Option(help="A metadata field: the best of each of its values, --k values.", show_default=False)
]
GroupSize = Annotated[int, typer.Option(help="The most hits of one group.")]
Rerank = Annotated[str | None, typer.Option(help="A reranker's name, for searches by text.", show_default=False)]
RerankDepth = Annotated[int, typer.Option(help="How many candidates the reranker reads.")]
After = Annotated[str | None, typer.Option(help="The token of the page before: what follows it.", show_default=False)]
Paged = Annotated[bool, typer.Option("--pages", help="Say which --after gives the next page.")]


def recommend(
    target: options.Target,
    like: Annotated[
        list[str] | None, typer.Option(help="The id of a liked document; can be repeated.", show_default=False)
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(help="The id of a disliked document; can be repeated.", show_default=False)
    ] = None,
    like_text: Annotated[list[str] | None, typer.Option(help="A liked text; can be repeated.", show_default=False)] = None,
    unlike_text: Annotated[list[str] | None, typer.Option(help="A disliked text; can be repeated.", show_default=False)] = None,
    strategy: Annotated[
        str, typer.Option(help="average: near the mean; best: by the nearest like and the nearest dislike.")
    ] = "average",
    k: Annotated[int, typer.Option("--k", "-k", help="How many.")] = 10,
    filter: options.Where = None,
    recall: Annotated[float | None, typer.Option(help="The recall to hold [the collection's].", show_default=False)] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compare with every vector.")] = False,
    offset: Annotated[int, typer.Option(help="Leave out this many leading hits.")] = 0,
    timeout: Annotated[str | None, typer.Option(help="At most this long, such as 50ms.", show_default=False)] = None,
    exclude: Exclude = None,
    min_score: MinScore = None,
    min_percentile: MinPercentile = None,
    percentiles: Percentiles = False,
    all: Every = False,
    diversity: Diversity = 0.0,
    group_by: GroupBy = None,
    group_size: GroupSize = 1,
    after: After = None,
    pages: Paged = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show how each part was searched.")] = False,
    json: options.Json = False,
) -> None:
    """Find documents like some and unlike others; these themselves do not come back."""
    with place.collection(target) as collection:
        hits = collection.recommend(
            [*(like or ()), *map(Text, like_text or ())],
            [*(unlike or ()), *map(Text, unlike_text or ())],
            k=None if all else k,
            strategy=strategy,
            filter=options.parse_filter(filter),
            recall=recall,
            exact=exact,
            offset=offset,
            timeout=timeout,
            exclude=exclude or (),
            min_score=min_score,
            min_percentile=min_percentile,
            percentiles=percentiles,
            diversity=diversity,
            group_by=group_by,
            group_size=group_size,
            after=after,
        )
        token = following(hits, pages, after)
    shown(hits, json, plan, token, pages or after is not None)


def following(hits: Hits, pages: bool, after: str | None) -> str | None:
    """The token of the next page, where pages are asked for."""
    return hits.next if pages or after is not None else None


def shown(hits: Hits, json: bool, plan: bool, token: str | None, paged: bool) -> None:
    """Prints hits, as a table or as JSON, with what options added."""
    found = list(hits)
    if json:
        out: dict[str, Any] = {"hits": [_as_json(hit) for hit in found], "complete": hits.complete}
        if hits.groups is not None:
            out["groups"] = [{"value": g.value, "ids": [h.id for h in g.hits]} for g in hits.groups]
        if paged:
            out["next"] = token
        show.as_json({**out, **({"plan": asdict(hits.plan)} if plan else {})})
        return
    columns, rows = ["score", "id", "text", "metadata"], [_row(hit) for hit in found]
    if any(hit.percentile is not None for hit in found):
        columns.insert(1, "percentile")
        for row, hit in zip(rows, found, strict=True):
            row.insert(1, "" if hit.percentile is None else f"{hit.percentile:.3f}")
    if hits.groups is not None:
        columns.insert(0, "group")
        names = [("" if at else "-" if g.value is None else str(g.value)) for g in hits.groups for at in range(len(g.hits))]
        for row, name in zip(rows, names, strict=True):
            row.insert(0, name)
    show.table(columns, rows, right=("score", "percentile"))
    if token is not None:
        show.note(f"next page: --after {token}")
    if plan:
        _plan(hits)


def _row(hit: Hit) -> list[str]:
    return [f"{hit.score:.4f}", hit.id, shorten(parts.text(hit), TEXT_WIDTH), show.brief(hit.metadata)]


def _as_json(hit: Hit) -> dict[str, Any]:
    out = {"id": hit.id, "score": hit.score, "text": hit.text, "metadata": dict(hit.metadata), **parts.as_json(hit)}
    more = {"parts": dict(hit.parts)} if hit.parts else {}
    return {**out, **more, **({} if hit.percentile is None else {"percentile": hit.percentile})}


def _plan(hits: Hits) -> None:
    show.line("")
    steps = [asdict(step) for step in hits.plan.segments]
    names = ("segment", "rows", "allowed", "method", "kind", "effort", "recall", "bound", "source")
    show.table(names, [["" if step[name] is None else step[name] for name in names] for step in steps])
    step = hits.plan.rerank
    if step is not None:
        without = f", {step.without_text} without a text" if step.without_text else ""
        show.line(f"reranked {step.reranked} of {step.candidates} by {step.name} in {show.duration(step.seconds)}{without}")
