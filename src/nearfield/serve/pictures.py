"""Pictures over HTTP: base64 in JSON, within limits of bytes and pixels. No path is ever opened for a request.

Knows wire types and limits; a picture that is searched with becomes a vector before anything else looks at the request.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.pictures import decoding
from nearfield.serve import asking
from nearfield.serve.limits import Limits
from nearfield.serve.wire import DocumentIn, ExplainRequest, SearchRequest

if TYPE_CHECKING:
    from nearfield import Collection
    from nearfield.serve.service import Service

W = TypeVar("W", SearchRequest, ExplainRequest)


def file_of(value: str, limits: Limits, field: str) -> bytes:
    """A picture's file from base64: within the limits, by its header; raises InvalidInput."""
    limits.check(field, len(value) * 3 // 4, "image")
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("not base64", field=field, expected="base64 of a picture's file") from None
    facts = decoding.facts(raw, field)
    limits.check(field, facts.width * facts.height, "pixels")
    return raw


def of_documents(documents: Sequence[DocumentIn], limits: Limits) -> list[bytes | None]:
    """The pictures that documents bring."""
    return [None if d.image is None else file_of(d.image, limits, f"documents[{i}].image") for i, d in enumerate(documents)]


async def as_vector(service: Service, collection: Collection, wanted: W) -> tuple[W, dict[str, float]]:
    """The request with its picture embedded, and how many milliseconds that took; as it came where it has none."""
    if wanted.image is None:
        return wanted, {}
    if wanted.vector is not None:
        raise InvalidInput("give a picture or a vector, not both", field="image", expected="one of image, vector")
    value, start = wanted.image, time.perf_counter()

    def work() -> str:
        found = collection.embed_images([file_of(value, service.limits, "image")])[0]
        return base64.b64encode(np.ascontiguousarray(found, "<f4").tobytes()).decode()

    vector = await service.aside(work)
    return msgspec.structs.replace(wanted, vector=vector, image=None), {"embed": asking.milliseconds(start)}
