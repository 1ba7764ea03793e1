"""What all wire types are, values that many of them share, and the one shape of errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
K = Annotated[int, Meta(ge=1, description="how many hits; the server's limit is in GET /v1/limits")]
Recall = Annotated[float, Meta(gt=0, le=1, description="the recall to hold; the collection's own by default; 1 is exact")]
Vector = Annotated[list[float] | str, Meta(description="numbers, or base64 of little-endian float32: `dim` of them, finite")]
Image = Annotated[str, Meta(description="base64 of a picture's file: JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF; never a path")]
Filter = Annotated[dict[str, Any], Meta(description="Mongo operators over metadata; see docs/FILTERS.md")]
Timeout = Annotated[float | str, Meta(description='seconds, or text such as "50ms"')]
IfExists = Literal["replace", "skip", "error"]


class In(Struct, forbid_unknown_fields=True, kw_only=True):
    """A request's body."""


class Out(Struct, omit_defaults=True, kw_only=True):
    """An answer's body: what is absent has its default."""


class ErrorOut(Out):
    """What went wrong, and whose move it is; `code` is stable."""

    code: str
    message: str
    field: str | None = None
    expected: str | None = None
    received: str | None = None
    remedy: str | None = None
    retry_after: float | None = None
    request_id: str | None = None


class Failed(Out):
    """The body of every answer that is not 2xx."""

    error: ErrorOut
