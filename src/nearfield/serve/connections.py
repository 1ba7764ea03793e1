"""Connections that are slow, endless or deaf: each has bounds of time and bytes for a request's head, its end, and its answer.

uvicorn has no limit on a head's bytes or time, on what follows an answer, or on how long an answer waits to be taken.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 10.0
"""Seconds from a connection's first moment, or from a request's first byte, to the end of the request's head."""
HEAD_BYTES = 64 << 10
"""Bytes of a head, and of whatever else of a request is no body: trailers, chunk extensions. One read more may be parsed."""
REST = 10.0
"""Seconds that the rest of a request has after its answer was sent."""
STALLED = 20.0
"""Seconds that an answer waits to be taken."""
SPARE = 256
"""Descriptors that are kept for files."""


class Impatient(HttpToolsProtocol):
    """uvicorn's protocol with these limits."""

    _timers: dict[str, asyncio.TimerHandle]
    """What would end the connection, by its limit."""
    _in_head = True
    _incomplete = False
    _fruitless = 0
    """Bytes since the last that were of use: the end of a head, or a piece of body."""

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._timers = {}
        self._start("head", HEAD)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        before = self._fruitless = self._fruitless + len(data)
        super().data_received(data)
        if self._fruitless == before and before > HEAD_BYTES:
            self._give_up()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        self._in_head, self._fruitless = True, 0
        self._start("head", HEAD)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of the head; those that follow a body are not taken."""
        if not self._in_head:
            raise ValueError("trailers are not taken")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The end of its head."""
        self._stop("head")
        self._in_head, self._incomplete, self._fruitless = False, True, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of it."""
        self._fruitless = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._incomplete, self._fruitless = False, 0
        self._stop("rest")
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The end of its answer, which may come before the request's own end."""
        super().on_response_complete()
        if self._incomplete:
            self._start("rest", REST)

    def pause_writing(self) -> None:
        """The other side takes nothing just now."""
        super().pause_writing()
        self._start("stalled", STALLED)

    def resume_writing(self) -> None:
        """It takes again."""
        self._stop("stalled")
        super().resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio.Protocol."""
        for name in tuple(self._timers):
            self._stop(name)
        super().connection_lost(error)

    def _start(self, name: str, seconds: float) -> None:
        if name not in self._timers:
            self._timers[name] = self.loop.call_later(seconds, self._give_up)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _give_up(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.abort()


def allowed(wanted: int) -> int:
    """How many connections there may be: `wanted`, or what the limit on open files leaves, raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - SPARE))


__all__ = ["HEAD", "HEAD_BYTES", "REST", "STALLED", "Impatient", "allowed"]
