"""Documents in and out, and what was done with them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from nearfield.serve.wire.base import ErrorOut, Filter, IfExists, Image, In, Out, Vector
from nearfield.serve.wire.duplicates import LikeOut
from nearfield.serve.wire.parts import PartIn, PartOut


class DocumentIn(In):
    """A document to write."""

    id: Annotated[str, Meta(description="1 to 512 bytes of UTF-8, unique in the collection")]
    text: str | None = None
    metadata: dict[str, Any] = {}
    vector: Vector | None = None
    image: Image | None = None
    parts: Annotated[
        list[PartIn] | None, Meta(description="vectors that are brought, where documents have passages or named vectors")
    ] = None


class DocumentOut(Out):
    """A document as it is stored."""

    id: str
    text: str | None = None
    metadata: Any = None
    vector: list[float] | str | None = None
    parts: list[PartOut] | None = None


class UpsertRequest(In):
    """Documents to write, all or nothing."""

    documents: list[DocumentIn]
    if_exists: IfExists = "replace"
    skip_duplicates_above: Annotated[
        float | None, Meta(description="leave out what is at least so similar to a stored document or an earlier one")
    ] = None


class LineError(Out):
    """A line that was not written."""

    line: int
    error: ErrorOut


class WrittenOut(Out):
    """What a write did; readers see it from `commit` on. Streams also say what was refused, line by line."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0
    deleted: int = 0
    commit: int = 0
    alike: list[LikeOut] = []
    failed: int = 0
    errors: list[LineError] = []


class DeleteRequest(In):
    """What to delete: ids, or all that a filter matches."""

    ids: list[str] | None = None
    filter: Filter | None = None


class GetRequest(In):
    """Documents by id."""

    ids: list[str]
    vectors: bool | Literal["base64"] = False
    fields: list[str] | None = None


class GetAnswer(Out):
    """Documents in the order asked; null where there is none."""

    documents: list[DocumentOut | None]


class ScanRequest(In):
    """All documents that match, as NDJSON."""

    filter: Filter | None = None
    vectors: bool | Literal["base64"] = False
    fields: list[str] | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None


class CountRequest(In):
    """How many match."""

    filter: Filter | None = None


class CountAnswer(Out):
    """How many there are."""

    count: int


class UpdateRequest(In):
    """Metadata keys to set and to remove; text and vector stay."""

    metadata: dict[str, Any] = {}
    remove: list[str] = []
