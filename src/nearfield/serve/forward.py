"""What a process that only reads asks of the one that writes: whole requests, passed on over a Unix socket and back.

A request's target goes through byte for byte, as decoding and writing it anew could name another document; the writer makes
sure that it came to the same route. Streams go through piece by piece, within the limits that the writer would set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from nearfield.core.errors import Closed
from nearfield.serve import body
from nearfield.serve.route import JSON, Call, Route

HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authenticate", "proxy-authorization"}
"""Headers of one connection, which are not passed on (RFC 9110, 7.6.1)."""
ROUTE = "x-nearfield-route"
"""Which route the reader let the request in for."""
TIMEOUT = 600.0
"""Seconds without a byte after which the writer is given up."""


class Forward:
    """A way to the process that writes.

    Args:
        socket: its Unix socket, in a directory that no other user may enter: who comes this way has been let in already.
    """

    def __init__(self, socket: Path) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=1024)),
            base_url="http://localhost",
            timeout=httpx.Timeout(TIMEOUT, connect=5.0),
        )

    async def __call__(self, call: Call, route: Route) -> Response:
        """The writer's answer.

        Raises:
            Closed: it cannot be reached.
            Refused, Overloaded: the body is too large or too slow.
        """
        request = call.request
        scope = request.scope
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        own = {*HOP, ROUTE, "x-request-id", "content-length"}
        headers = [(k, v) for k, v in request.headers.items() if k not in own]
        headers += [("x-request-id", call.id), (ROUTE, route.name)]
        asked = self._client.build_request(
            request.method, "/", headers=headers, content=await _content(call), extensions={"target": target}
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.TransportError as error:
            raise Closed(f"the process that writes does not answer: {type(error).__name__}; it is started again") from None
        kept = {k: v for k, v in answer.headers.items() if k not in HOP}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, kept, background=BackgroundTask(answer.aclose))

    async def json(self, path: str) -> Any:
        """A GET's answer; None where there is none."""
        try:
            answer = await self._client.get(path)
            return msgspec.json.decode(answer.content) if answer.is_success else None
        except (httpx.TransportError, msgspec.DecodeError):
            return None

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._client.aclose()


async def _content(call: Call) -> bytes | AsyncIterator[bytes] | None:
    """The body: whole where it is one value, else as it comes."""
    headers = call.request.headers
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return None
    if call.media_type in (JSON, ""):
        return await body.whole(call.request, call.service.limits, call.share, call.most)
    return body.pieces(call.request, call.service.limits, call.share)
