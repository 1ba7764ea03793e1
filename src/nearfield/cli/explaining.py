"""The verb `explain`: why a search returns a document, or does not."""

from __future__ import annotations

from typing import Annotated

import typer

from nearfield.cli import options, place, show


def explain(
    target: options.Target,
    id: Annotated[str, typer.Argument(metavar="ID", help="The document in question.", show_default=False)],
    query: Annotated[str | None, typer.Argument(help="What is looked for.", show_default=False)] = None,
    vector: Annotated[str | None, typer.Option(help="Search by a vector: a JSON list.", show_default=False)] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="How many hits are asked for.")] = 10,
    filter: options.Where = None,
    recall: Annotated[float | None, typer.Option(help="The recall to hold [the collection's].", show_default=False)] = None,
    json: options.Json = False,
) -> None:
    """Say why a search returns a document or does not: its exact rank, and what its segment and index did with it."""
    with place.collection(target) as collection:
        found = collection.explain(
            query,
            id=id,
            vector=None if vector is None else options.parse_json(vector, "--vector"),
            k=k,
            filter=options.parse_filter(filter),
            recall=recall,
        )
    show.as_json(found.to_dict()) if json else show.line(found.text())
