"""Thumbnails of documents that were written with pictures."""

from __future__ import annotations

from starlette.responses import Response

from nearfield.pictures import decoding
from nearfield.serve.route import Call, Route


async def thumbnail(call: Call) -> Response:
    """A document's thumbnail; 204 where it has none. It may change with the document, so a copy is asked about again."""
    collection, document = call.service.collection(call.path("name")), call.path("id")
    found = await call.service.aside(lambda: collection.thumbnail(document))
    if found is None:
        return Response(status_code=204)
    return Response(found, 200, {"cache-control": "private, no-cache"}, decoding.media_type(found))


ROUTES = (
    Route(
        "GET", "/v1/collections/{name}/thumbnails/{id:path}", thumbnail, "read",
        "The thumbnail of a document written with a picture: WebP, at most 256 pixels; 204: it has none.", None, None,
        fails=("not_found", "invalid_input"), media="image/webp", nothing="the document has no thumbnail",
    ),
)  # fmt: skip
