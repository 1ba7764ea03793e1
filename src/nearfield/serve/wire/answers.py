"""Questions and their answers; which models a server has."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nearfield.serve.wire.base import Filter, In, Out


class AskRequest(In):
    """A question to a collection."""

    question: str
    k: Annotated[int, Meta(ge=1, le=100, description="passages at most")] = 5
    mode: Literal["hybrid", "dense", "keyword"] = "hybrid"
    filter: Filter | None = None
    rerank: Annotated[str | None, Meta(description="a reranker of GET /v1/models that chooses the passages")] = None
    tokens: Annotated[int, Meta(ge=16, le=100_000, description="that the passages may take in the prompt, about")] = 3000
    answer_tokens: Annotated[int, Meta(ge=1, le=100_000, description="of the answer at most")] | None = None


class PassageOut(Out, omit_defaults=False):
    """A passage that was found, by the number that cites it; `start`: where in its document, if that is known."""

    number: int
    id: str
    text: str
    score: float
    cut: bool
    start: int | None


class CitationOut(Out, omit_defaults=False):
    """A number in the answer, at these characters; `id` null: no passage has it."""

    number: int
    id: str | None
    start: int
    end: int


class AskAnswer(Out, omit_defaults=False):
    """What a model said; `answer` is null where no passage was found. `unknown`: numbers it cites that no passage has."""

    question: str
    answer: str | None
    citations: list[CitationOut]
    sources: list[str]
    unknown: list[int]
    passages: list[PassageOut]
    model: str | None
    finish: str | None
    took: dict[str, float]


class ModelOut(Struct, kw_only=True):
    """A model that requests may name."""

    id: str
    kind: Literal["embedder", "reranker", "chat"]
    object: Literal["model"] = "model"
    owned_by: str = "nearfield"


class ModelsOut(Out, omit_defaults=False):
    """As OpenAI's API lists them."""

    data: list[ModelOut]
    object: Literal["list"] = "list"
