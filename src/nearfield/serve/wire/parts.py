"""Documents in parts: passages and named vectors."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from nearfield.core.parts import OWN, Passages
from nearfield.serve.wire.base import Count, In, Out, Vector

_PASSAGES = Passages()
On = Annotated[
    str | list[str] | dict[str, Annotated[float, Meta(gt=0)]],
    Meta(description="which named vectors are searched: a name, names, or weights by name; several are fused"),
]
"""Named vectors that are searched."""
Shown = Annotated[int, Meta(ge=1, le=100, description="passages that a hit shows at most, where documents have them")]
"""How many passages a hit shows."""


class PassagesIn(In):
    """Texts are embedded passage by passage."""

    tokens: Annotated[int, Meta(ge=8, le=8192, description="the most of a passage, by the model's tokens")] = _PASSAGES.tokens
    overlap: Annotated[Count, Meta(description="how many the next one repeats; less than half of tokens")] = _PASSAGES.overlap


class VectorFieldIn(In):
    """One of several vectors that each document has."""

    source: Annotated[str | None, Meta(description="the metadata key that is embedded; null: the document's text")] = None
    embedder: Annotated[
        str | None, Meta(description='"collection": the collection\'s own; another that the server allows; null: brought')
    ] = OWN
    dim: int | None = None
    image: Annotated[bool, Meta(description="the document's picture is embedded")] = False


class PartIn(In):
    """A vector that is brought, of the text's characters `start` to `end` where it is of a text."""

    vector: Vector
    name: str = ""
    start: Count | None = None
    end: Count | None = None


class PartOut(Out):
    """A vector of a document, and what it stands for."""

    vector: list[float] | str
    name: str = ""
    start: int | None = None
    end: int | None = None


class HitPassage(Out):
    """What of a document was found: characters `start` to `end` of its text, or of the metadata key of the vector's `name`."""

    text: str
    number: int
    score: float
    name: str = ""
    start: int | None = None
    end: int | None = None


class PartsOut(Out):
    """The passages and named vectors that a collection was created with."""

    passages: PassagesIn | None
    vectors: dict[str, VectorFieldIn]
