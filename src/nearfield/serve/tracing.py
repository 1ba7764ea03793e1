"""Requests as OpenTelemetry spans, sent to a collector over OTLP/HTTP if asked for. The only import of opentelemetry.

The caller's W3C trace context (`traceparent`) is honoured: a request's span is a child of the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from nearfield.core.errors import MissingDependency

PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
"""A `traceparent` header; https://www.w3.org/TR/trace-context/."""


def trace_id(header: str | None) -> str | None:
    """The trace that a `traceparent` header names; None without one."""
    found = PARENT.fullmatch(header or "")
    return found[1] if found and found[1] != 32 * "0" else None


class Traces:
    """Sends spans.

    Args:
        endpoint: of a collector, such as "http://127.0.0.1:4318/v1/traces".

    Raises:
        MissingDependency: the packages are not installed.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise MissingDependency(
                "traces need more packages; run: pip install 'nearfield[traces]'", field="traces"
            ) from error
        self._provider = TracerProvider(resource=Resource.create({"service.name": "nearfield"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        self._tracer = self._provider.get_tracer("nearfield")

    def note(
        self, headers: Mapping[str, str], name: str, id: str, status: int, began: int, ended: int, took: Mapping[str, float]
    ) -> None:
        """One request: `began` and `ended` in nanoseconds since 1970, `took` milliseconds by stage, in their order."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(dict(headers))
        span = self._tracer.start_span(name, parent, SpanKind.SERVER, start_time=began)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("http.route", name.partition(" ")[2])
        span.set_attribute("http.request.method", name.partition(" ")[0])
        span.set_attribute("nearfield.request_id", id)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        inside, at = set_span_in_context(span), began
        for stage, milliseconds in took.items():
            then = at + int(1e6 * milliseconds)
            self._tracer.start_span(stage, inside, start_time=at).end(min(then, ended))
            at = then
        span.end(ended)

    def close(self) -> None:
        """Sends what waits."""
        self._provider.shutdown()
