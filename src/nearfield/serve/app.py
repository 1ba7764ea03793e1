"""The HTTP application: routes, keys, request ids, errors, headers. The only module that knows how Starlette is wired.

A request gets an id (its own X-Request-ID where that is plain, else a new one), is counted, and has its key checked before its
body is read. Every answer that is not 2xx is one documented shape.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from nearfield.core.errors import NearfieldError
from nearfield.serve import failures
from nearfield.serve.failures import Refused
from nearfield.serve.forward import ROUTE
from nearfield.serve.keys import Keys
from nearfield.serve.openapi import shown
from nearfield.serve.route import Call, Route
from nearfield.serve.routes import ALL
from nearfield.serve.service import Service
from nearfield.serve.telemetry import Telemetry

log = logging.getLogger("nearfield.serve")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'",
}
Endpoint = Callable[[Request], Awaitable[Response]]
LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")
_ENCODE = msgspec.json.Encoder()


def make(service: Service, keys: Keys, host: str = "", *, trusted: bool = False) -> ASGIApp:
    """The application for a service.

    `keys` may be empty: then everyone on this machine may do everything, but only by a name of this machine or `host`, so that
    a page whose name leads here (DNS rebinding) may not. `trusted`: who comes has been let in, and counted, by another process.
    """
    by_path: dict[str, dict[str, Route]] = {}
    for route in ALL:
        by_path.setdefault(route.path, {})[route.method] = route
    hosts = {*LOCAL, host.lower()}
    paths = []
    for path, methods in by_path.items():
        names = [*methods, *(["HEAD"] if "GET" in methods else [])]
        paths.append(Path(path, _endpoint(service, keys, methods, hosts, trusted), methods=names))
    app = Starlette(routes=paths, exception_handlers={HTTPException: _unrouted, 404: _unrouted, 405: _unrouted})
    app.router.redirect_slashes = False
    return _Headers(app)


def _endpoint(
    service: Service, keys: Keys, methods: dict[str, Route], hosts: set[str], trusted: bool
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        route = methods["GET" if request.method == "HEAD" else request.method]
        most = service.limits.body if route.right == "write" else service.limits.query
        call = Call(service, request, request.scope["nearfield.id"], most)
        telemetry, name = service.telemetry, f"{route.method} {shown(route.path)}"
        service.inflight += 1
        try:
            if not trusted:
                _check_key(keys, route, request, hosts)
            elif request.headers.get(ROUTE, route.name) != route.name:
                raise Refused("no_route", "the two processes understand this path differently", field="path")
            if service.forward is not None and route.owned:
                found: Any = await service.forward(call, route)
                if route.right == "write":
                    await service.freshness.catch_up()  # who wrote over this connection reads it over this connection
            else:
                found = await route.handler(call)
            response = found if isinstance(found, Response) else _told(found, route, telemetry)
        except Exception as error:
            response = _failed(error, call, telemetry)
        finally:
            service.inflight -= 1
            call.share.keep(0)
        if trusted:
            return response
        took = time.monotonic() - call.arrived
        telemetry.count("requests", name, str(response.status_code))
        telemetry.observe("request_seconds", took, name)
        service.logged(call, name, response.status_code, took)
        return response

    return answer


def _told(found: Any, route: Route, telemetry: Telemetry) -> Response:
    start = time.perf_counter()
    response = Response(_ENCODE.encode(found), route.status, media_type=route.media)
    telemetry.observe("stage_seconds", time.perf_counter() - start, "encode")
    return response


def _check_key(keys: Keys, route: Route, request: Request, hosts: set[str]) -> None:
    if route.right == "open":
        return
    if not keys:
        _check_origin(request, hosts)
    right = keys.right_of(request.headers.get("authorization"))
    if right is None:
        raise Refused("unauthorized", "no valid key", field="authorization")
    if route.right == "write" and right != "write":
        raise Refused("forbidden", "this key may only read", field="authorization")


def _check_origin(request: Request, hosts: set[str]) -> None:
    """Without keys a browser's pages are told apart by where they come from: only this server's own may ask."""
    host = request.headers.get("host", "").lower()
    if re.sub(r":\d+$", "", host) not in hosts:
        raise Refused("forbidden", "without keys only this machine's own names are served", field="host", expected="localhost")
    origin = request.headers.get("origin")
    if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
        raise Refused("forbidden", "without keys no page of another origin is served", field="origin", expected=host)


def _failed(error: BaseException, call: Call, telemetry: Any) -> Response:
    status, headers, told = failures.answer(error, call.id)
    code = failures.failure_of(error).code
    if status >= 500 and not isinstance(error, NearfieldError):
        log.error("request %s failed", call.id, exc_info=error)
    if code in ("overloaded", "too_large", "unauthorized", "forbidden"):
        telemetry.count("rejected", code)
    if code == "deadline_exceeded":
        telemetry.count("expired")
    call.notes["error"] = code
    return Response(told, status, headers, "application/json")


async def _unrouted(request: Request, error: Exception) -> Response:
    allowed = isinstance(error, HTTPException) and error.status_code == 405
    refused = Refused("method_not_allowed" if allowed else "no_route", "there is no such route", received=request.method)
    status, headers, told = failures.answer(refused, request.scope.get("nearfield.id"))
    if allowed and isinstance(error, HTTPException) and error.headers:
        headers["allow"] = error.headers.get("Allow", "")
    return Response(told, status, headers, "application/json")


class _Headers:
    """Gives each request its id, and each answer that and the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._prefix, self._numbers = secrets.token_hex(6), count(1)
        self._always = [(key.encode(), value.encode()) for key, value in SECURITY.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"x-request-id"), "")
        own = given if _ID.fullmatch(given) else f"{self._prefix}-{next(self._numbers):x}"
        scope["nearfield.id"] = own
        always = [*self._always, (b"x-request-id", own.encode())]

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                there = {key for key, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in always if pair[0] not in there)]
            await send(message)

        await self._app(scope, receive, answer)
