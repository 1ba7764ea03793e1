"""Values as they go over the wire and come back. Knows no connection."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.types import Document, Written


def wanted(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a search, as its request has them."""
    out = dict(options)
    if out.get("vectors"):
        out["vectors"] = "base64"
    if out.get("effort") is not None:
        out["effort"] = {key: value for key, value in out["effort"].to_dict().items() if value}
    return out


def encoded(body: Any) -> bytes:
    """JSON; raises InvalidInput for what JSON cannot say."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"this cannot be sent as JSON: {error}", field="body") from None


def packed(vector: Any) -> str:
    """A vector as base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()


def document(told: Mapping[str, Any]) -> Document:
    """A document as an answer tells it."""
    vector = told.get("vector")
    read = None if vector is None else np.frombuffer(base64.b64decode(vector), "<f4").astype(np.float32)
    return Document(told["id"], told.get("text"), told.get("metadata") or {}, read)


def written(told: Mapping[str, Any]) -> Written:
    """What a write did, as an answer tells it."""
    return Written(**{name: told.get(name, 0) for name in ("added", "replaced", "skipped", "deleted", "commit")})


def quoted(name: str) -> str:
    """A name or id as one part of a path."""
    return quote(name, safe="")
