"""The page at / and the API's description at /docs: files of `static/`, read once. A name is looked up, not opened."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response

from nearfield.serve.failures import Refused
from nearfield.serve.route import Call, Route

TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FILES = {
    path.name: (path.read_bytes(), TYPES[path.suffix])
    for path in sorted((Path(__file__).parents[1] / "static").iterdir())
    if path.suffix in TYPES
}


def _file(name: str) -> Response:
    if name not in FILES:
        raise Refused("no_route", "the page has no such file", field="file", received=name)
    data, media = FILES[name]
    return Response(data, 200, {"cache-control": "no-cache"}, media)


async def index(call: Call) -> Response:
    """The page."""
    return _file("index.html")


async def docs(call: Call) -> Response:
    """The API, for people."""
    return _file("docs.html")


async def part(call: Call) -> Response:
    """A part of the page."""
    return _file(call.path("file"))


ROUTES = (
    Route("GET", "/", index, "open", "The page: search and operations.", media="text/html"),
    Route("GET", "/docs", docs, "open", "The API, for people.", media="text/html"),
    Route("GET", "/static/{file}", part, "open", "A part of the page.", media="*/*", fails=("no_route",)),
)
