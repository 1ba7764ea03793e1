"""Whether the server lives, is ready, and how it does; its limits, metrics, and its own description."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from nearfield.serve import openapi
from nearfield.serve.failures import Refused
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import Alive, ReadyOut

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def alive(call: Call) -> Alive:
    """The process answers."""
    return Alive(status="ok", version=call.service.version)


async def ready(call: Call) -> Response:
    """Whether models are loaded and warm, and how far that is."""
    what = call.request.query_params.get("for")
    if what not in (None, "vector", "text"):
        raise Refused("malformed", "unknown readiness", field="for", expected="vector or text", received=what)
    yes, state = call.service.warming.ready(what)
    told = msgspec.json.encode(ReadyOut(ready=yes, **state))
    return Response(told, 200 if yes else 503, {} if yes else {"retry-after": "1"}, "application/json")


async def metrics(call: Call) -> Response:
    """Prometheus text."""
    return Response(await call.service.aside(call.service.telemetry.export), 200, media_type=PROMETHEUS)


async def summary(call: Call) -> dict[str, object]:
    """The same for people."""
    return await call.service.aside(call.service.telemetry.summary)


async def limits(call: Call) -> dict[str, object]:
    """What a request may ask for."""
    return call.service.limits.to_dict()


async def description(call: Call) -> Response:
    """The OpenAPI document."""
    return Response(openapi.document(call.service.version), 200, media_type="application/json")


ROUTES = (
    Route("GET", "/healthz", alive, "open", "The process answers.", None, Alive),
    Route("GET", "/livez", alive, "open", "The process answers.", None, Alive),
    Route(
        "GET", "/readyz", ready, "open", "200 when models are loaded and warm; else 503, with how far it is.", None, ReadyOut,
        fails=("malformed",), query={"for": '"vector": only what searches by vector need; "text" or nothing: all'},
    ),
    Route("GET", "/metrics", metrics, "read", "Metrics for Prometheus.", media="text/plain", owner=True),
    Route("GET", "/metrics-summary", summary, "read", "Metrics for people: counts, means, quantiles.", None, dict, owner=True),
    Route("GET", "/v1/limits", limits, "read", "What a request may ask for.", None, dict),
    Route("GET", "/openapi.json", description, "open", "This description.", None, dict),
)  # fmt: skip
