"""Collections and their fields."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from nearfield.serve.wire.base import In, Out
from nearfield.serve.wire.parts import PartsOut, PassagesIn, VectorFieldIn


class CreateRequest(In):
    """A collection to make."""

    name: str
    embedder: str | None = None
    dim: int | None = None
    metric: Literal["cosine", "ip", "l2"] = "cosine"
    index: Annotated[str | dict[str, Any], Meta(description='"auto", or a kind such as {"kind": "hnsw", "links": 32}')] = "auto"
    recall: Annotated[float, Meta(gt=0, le=1)] = 0.95
    fields: dict[str, str] = {}
    keyword: Annotated[
        Literal["english", "plain"] | None, Meta(description="how texts are indexed by their words; null: they are not")
    ] = "english"

    passages: Annotated[PassagesIn | None, Meta(description="texts are embedded passage by passage")] = None
    vectors: Annotated[dict[str, VectorFieldIn] | None, Meta(description="several vectors for each document, by name")] = None


class CollectionOut(Out):
    """A collection; `problem` is a code of an error where it cannot be opened, and nothing else is known.

    `takes`: what its model makes vectors of, "text", "image" or both; empty where vectors are brought.
    """

    name: str
    documents: int
    dim: int
    metric: str
    embedder: str | None
    recall: float
    commit: int
    aliases: list[str] = []
    takes: list[str] = []
    parts: PartsOut | None = None
    problem: str | None = None


class CollectionsOut(Out):
    """All collections."""

    collections: list[CollectionOut]


class FieldOut(Out):
    """A metadata field: how many documents have it, types of values and of elements of lists, range, commonest strings."""

    name: str
    documents: int
    types: dict[str, int]
    elements: dict[str, int] = {}
    least: float | None = None
    greatest: float | None = None
    words: dict[str, int] = {}


class FieldsOut(Out):
    """The metadata fields of a collection as of a commit."""

    commit: int
    fields: list[FieldOut]


class AliasRequest(In):
    """Another name for a collection; moved if it exists."""

    alias: str
