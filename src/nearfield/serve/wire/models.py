"""OpenAI's embeddings and the usual rerank request."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from nearfield.serve.wire.base import In, Out


class EmbeddingsRequest(Struct, kw_only=True):
    """OpenAI's; `dimensions`, `user` and other keys of its clients are accepted where they change nothing."""

    input: str | list[str | int | list[int]]
    model: str = "minilm"
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    user: str | None = None


class EmbeddingOut(Struct, kw_only=True):
    """One vector."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(Out, omit_defaults=False):
    """About how many tokens there were: four characters count as one."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(Out, omit_defaults=False):
    """One vector for each text, in order."""

    data: list[EmbeddingOut]
    model: str
    usage: Usage
    object: Literal["list"] = "list"


class TextOnly(In):
    """A document of a rerank request."""

    text: str


class RerankRequest(Struct, kw_only=True):
    """Cohere's and Jina's; keys of their clients that change nothing are accepted."""

    query: str
    documents: list[str | TextOnly]
    model: str = "minilm"
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool = False


class Reranked(Out):
    """One of the documents: its place in the request, and how well it answers, higher is better."""

    index: int
    relevance_score: float
    document: dict[str, str] | None = None


class RerankAnswer(Out):
    """Best first."""

    id: str
    results: list[Reranked]
    model: str
