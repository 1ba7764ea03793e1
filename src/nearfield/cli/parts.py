"""Options of documents in parts, and how their hits and vectors are shown. Knows no collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from nearfield.core.errors import InvalidInput

Passages = Annotated[
    int | None,
    typer.Option(
        "--passages", help="Embed texts passage by passage, of at most this many of the model's tokens.", show_default=False
    ),
]
Overlap = Annotated[
    int | None, typer.Option("--overlap", help="Tokens that the next passage repeats [40, or a fifth].", show_default=False)
]
Vectors = Annotated[
    list[str] | None,
    typer.Option(
        "--named",
        help="A named vector: title=title of a metadata key, body= of the text, look=: of the picture; can be repeated.",
        show_default=False,
    ),
]
On = Annotated[
    list[str] | None,
    typer.Option("--on", help="A named vector to search, title or title=2 to weigh it; several are fused.", show_default=False),
]
Shown = Annotated[
    int, typer.Option("--passages-per-document", help="How many passages of each document to show, where it has them.")
]


def made(passages: int | None, overlap: int | None, named: Sequence[str] | None) -> dict[str, Any]:
    """What `Database.create` takes of these options."""
    import nearfield

    out: dict[str, Any] = {}
    if passages is not None:
        out["passages"] = nearfield.Passages(passages, min(40, passages // 5) if overlap is None else overlap)
    elif overlap is not None:
        raise InvalidInput("passages overlap, and there are none", field="--overlap", expected="--passages too")
    if named:
        out["vectors"] = dict(_field(one) for one in named)
    return out


def _field(spelled: str) -> tuple[str, Any]:
    import nearfield

    name, equals, source = spelled.partition("=")
    if not equals or not name:
        expected = "NAME=KEY, NAME= or NAME=:"
        raise InvalidInput("not a named vector", field="--named", expected=expected, received=spelled)
    return name, nearfield.VectorField(image=True) if source == ":" else nearfield.VectorField(source or None)


def on(spelled: Sequence[str] | None) -> dict[str, float] | None:
    """Names with their weights."""
    if not spelled:
        return None
    out = {}
    for one in spelled:
        name, equals, weight = one.partition("=")
        try:
            out[name] = float(weight) if equals else 1.0
        except ValueError:
            raise InvalidInput("not a weight", field="--on", expected="NAME or NAME=NUMBER", received=one) from None
    return out


def as_json(hit: Any) -> dict[str, Any]:
    """The passages of a hit as JSON values; nothing where it has none."""
    if not hit.passages:
        return {}
    return {
        "passages": [
            {"text": p.text, "start": p.start, "end": p.end, "number": p.number, "name": p.name, "score": p.score}
            for p in hit.passages
        ]
    }


def text(hit: Any) -> str:
    """What of a hit is shown: its passages, or its text."""
    found = [f"{p.name}: {p.text}" if p.name else p.text for p in hit.passages if p.text]
    return " … ".join(found) or hit.text or ""
