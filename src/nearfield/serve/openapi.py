"""The OpenAPI 3.1 document, made of the routes and their wire types: what is served is what is described."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec

from nearfield.serve.failures import CODES
from nearfield.serve.route import JSON, Route
from nearfield.serve.wire import Failed

ALWAYS = ("malformed", "unauthorized", "forbidden", "request_timeout", "too_large", "unsupported_media_type", "internal")
"""Errors that any route with a body may give."""
WITHOUT_BODY = ("unauthorized", "forbidden", "internal")


@lru_cache(maxsize=1)
def document(version: str) -> bytes:
    """The document as JSON."""
    from nearfield.serve.routes import ALL

    named = {t for route in ALL for t in (route.takes, route.gives) if t is not None and issubclass(t, msgspec.Struct)}
    types: list[type] = sorted(named | {Failed}, key=lambda t: t.__name__)
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in ALL:
        paths.setdefault(shown(route.path), {})[route.method.lower()] = _operation(route, by_type)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "nearfield", "version": version, "description": "Semantic search: measured, durable, quick."},
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        }
    )


def shown(path: str) -> str:
    """A route's path without the converters of its parameters."""
    return re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def _operation(route: Route, by_type: dict[type, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "summary": route.about,
        "operationId": _name(route),
        "tags": [route.handler.__module__.rpartition(".")[2]],
        "responses": _responses(route, by_type),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)", route.path)
    ]
    parameters += [
        {"name": name, "in": "query", "required": False, "description": about, "schema": {"type": "string"}}
        for name, about in route.query.items()
    ]
    if parameters:
        out["parameters"] = parameters
    if route.right != "open":
        out["security"] = [{"key": []}, {}]
    if route.takes is not None or route.accepts:
        content: dict[str, Any] = {} if route.takes is None else {JSON: {"schema": by_type[route.takes]}}
        for media, about in route.accepts.items():
            content[media] = {"schema": {"type": "string", "format": "binary", "description": about}}
        out["requestBody"] = {"required": True, "content": content}
    return out


def _name(route: Route) -> str:
    """A name that no other operation has: health/alive is served at two paths."""
    name = f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}"
    return f"{name}_again" if route.path == "/livez" else name


def _responses(route: Route, by_type: dict[type, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "done"}
    if route.media:
        schema = by_type.get(route.gives, {"type": "object"}) if route.gives else {"type": "string"}
        good["content"] = {route.media: {"schema": schema}}
    out = {str(route.status): good}
    usual: tuple[str, ...] = WITHOUT_BODY if route.takes is None and not route.accepts else ALWAYS
    usual = ("internal",) if route.right == "open" else usual
    codes: dict[int, list[str]] = {}
    for code in (*usual, *route.fails):
        codes.setdefault(CODES[code].status, []).append(code)
    if route.nothing:
        out["204"] = {"description": route.nothing}
    if route.path == "/readyz":
        out["503"] = {**good, "description": "not ready yet"}
    for status, found in sorted(codes.items()):
        about = "; ".join(f"{code}: {CODES[code].remedy}" for code in dict.fromkeys(found))
        out.setdefault(str(status), {"description": about, "content": {JSON: {"schema": by_type[Failed]}}})
    return out
