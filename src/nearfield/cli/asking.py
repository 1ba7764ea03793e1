"""The verb `ask`: an answer with citations from what a search finds, or the passages alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearfield.cli import options, place, show
from nearfield.core.errors import NotFound, shorten

if TYPE_CHECKING:
    from nearfield.answering.answer import Answer

SHOWN = 600
"""Characters of a passage that are shown beside an answer."""


def ask(
    target: options.Target,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What to ask.", show_default=False)],
    url: Annotated[
        str | None,
        typer.Option(
            help="An OpenAI-compatible API, such as http://127.0.0.1:11434/v1; its key: NEARFIELD_CHAT_API_KEY. "
            "Without one the passages are printed.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[str | None, typer.Option(help="The chat model's name there.", show_default=False)] = None,
    k: Annotated[int, typer.Option("--k", "-k", help="Passages at most.")] = 5,
    mode: Annotated[str, typer.Option(help="How to search: hybrid, dense or keyword.")] = "hybrid",
    filter: options.Where = None,
    rerank: Annotated[
        str | None, typer.Option(help="A cross-encoder that chooses the passages: a folder, name or URL.", show_default=False)
    ] = None,
    tokens: Annotated[int, typer.Option(help="That the passages may take in the prompt, about.")] = 3000,
    answer_tokens: Annotated[int | None, typer.Option(help="Of the answer at most.", show_default=False)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds that the answer may take.")] = 120.0,
    json: options.Json = False,
) -> None:
    """Answer a question from a collection, with citations; exit code 1 if nothing is found."""
    streamed = False

    def heard(text: str) -> None:
        nonlocal streamed
        streamed = True
        typer.echo(show.tame(text), nl=False)

    with place.collection(target) as collection:
        found = collection.ask(
            question,
            k=k,
            url=url,
            model=model,
            mode=mode,
            filter=options.parse_filter(filter),
            rerank=rerank,
            tokens=tokens,
            answer_tokens=answer_tokens,
            timeout=timeout,
            on_text=None if json else heard,
        )
    if json:
        show.as_json(found.to_dict())
    else:
        _show(found, streamed)
    if not found.passages:
        raise NotFound("no document with a text was found", field="QUESTION")


def _show(found: Answer, streamed: bool) -> None:
    if streamed:
        show.line("\n")
        for one in found.sources:
            show.line(f"[{one.number}] {one.id}: {shorten(one.text, SHOWN)}")
        if found.unknown:
            show.note(f"no passage has the number {', '.join(map(str, found.unknown))}: what is said there comes from nowhere")
        if not found.sources:
            show.note("the answer cites no passage")
        if found.finish == "length":
            show.note("the answer was cut: it reached its most tokens")
        return
    for one in found.passages:
        rows: dict[str, Any] = {"number": f"[{one.number}]", "id": one.id, "score": f"{one.score:.4f}"}
        show.line("  ".join(str(value) for value in rows.values()))
        show.line(f"{one.text}{' …' if one.cut else ''}\n")
