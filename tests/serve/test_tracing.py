"""Spans as a collector receives them: children of the caller's, with the stages inside."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from starlette.testclient import TestClient

from nearfield.serve.service import Service
from nearfield.serve.tracing import Traces, trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_is_a_span_of_the_callers_trace(service: Service, books: TestClient, collector: tuple) -> None:
    url, bodies = collector
    service.traces = Traces(url)
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    assert books.post("/v1/collections/books/search", json={"query": "moon"}, headers=headers).status_code == 200
    service.traces.close()
    service.traces = None
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: span for span in spans}
    request = by_name["POST /v1/collections/{name}/search"]
    assert request.trace_id.hex() == TRACE
    assert request.parent_span_id.hex() == SPAN
    assert {"embed", "search"} <= by_name.keys()
    for stage in ("embed", "search"):
        assert by_name[stage].parent_span_id == request.span_id
        assert request.start_time_unix_nano <= by_name[stage].start_time_unix_nano
        assert by_name[stage].end_time_unix_nano <= request.end_time_unix_nano


@pytest.mark.parametrize("header", [None, "", "nonsense", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{SPAN}"])
def test_a_header_that_is_wrong_is_passed_over(header: str | None) -> None:
    assert trace_id(header) is None
