"""Reading what a request brings: whole bodies, NDJSON lines and Arrow batches, each within limits of size and time.

A stream is read no faster than it is written to disk: the next piece is asked for when the last was taken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pyarrow as pa
from starlette.requests import ClientDisconnect, Request

from nearfield.core.errors import Overloaded
from nearfield.serve.arrow import Stream
from nearfield.serve.failures import Refused, too_large
from nearfield.serve.limits import Limits

MIB = 1 << 20
STEP = 2000
"""Lines of a stream that are written together."""


class Held:
    """Counts the bytes of bodies that requests hold, those of all of them together.

    Args:
        most: bytes that may be held.
    """

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    def take(self, size: int) -> None:
        """Counts bytes in; raises Overloaded where they are too many."""
        if self.now + size > self.most:
            told = f"at most {self.most:,} bytes"
            raise Overloaded("too many large bodies at once", field="body", expected=told, received=self.now, retry_after=1.0)
        self.now += size

    def give(self, size: int) -> None:
        """Counts them out."""
        self.now -= size


class Share:
    """What one request holds of them."""

    def __init__(self, held: Held) -> None:
        self._held, self._size = held, 0

    def take(self, size: int) -> None:
        """See Held."""
        self._held.take(size)
        self._size += size

    def keep(self, size: int) -> None:
        """Gives back all but `size` bytes."""
        size = min(size, self._size)
        self._held.give(self._size - size)
        self._size = size


async def whole(request: Request, limits: Limits, share: Share, most: int) -> bytes:
    """The body, at most `most` bytes; raises Refused where it is too large or too slow."""
    declared = _declared(request)
    if declared > most:
        raise too_large(declared, most)
    found: list[bytes] = []
    size = 0
    async for piece in _pieces(request, limits, share):
        size += len(piece)
        if size > most:
            raise too_large(size, most)
        found.append(piece)
    return found[0] if len(found) == 1 else b"".join(found)


async def pieces(request: Request, limits: Limits, share: Share) -> AsyncIterator[bytes]:
    """A stream as it comes, for someone else to look at: it is not held here."""
    async for piece in _pieces(request, limits, share):
        yield piece
        share.keep(0)


async def lines(request: Request, limits: Limits, share: Share) -> AsyncIterator[list[tuple[int, bytes]]]:
    """Numbered lines that are not blank, up to STEP or `limits.line` bytes at once; a longer line ends the stream, Refused."""
    rest, number, size = b"", 0, 0
    held: list[tuple[int, bytes]] = []
    async for piece in _pieces(request, limits, share):
        *found, rest = (rest + piece).split(b"\n")
        for line in found:
            number += 1
            if len(line) > limits.line:
                raise too_large(len(line), limits.line, f"line {number}")
            if line.strip():
                held.append((number, line))
                size += len(line)
            if len(held) == STEP or size > limits.line:
                yield held
                held, size = [], 0
                share.keep(len(piece) + len(rest))
        if len(rest) > limits.line:
            raise too_large(len(rest), limits.line, f"line {number + 1}")
    if rest.strip():
        held.append((number + 1, rest))
    if held:
        yield held


async def batches(request: Request, limits: Limits, share: Share) -> AsyncIterator[pa.RecordBatch]:
    """Batches of an Arrow IPC stream, each as soon as it is there; a message above `limits.line` bytes is Refused."""
    stream = Stream(limits.line)
    async for piece in _pieces(request, limits, share):
        stream.feed(piece)
        while (message := stream.message()) is not None:
            batch = await asyncio.to_thread(stream.batch, message)
            if batch is not None:
                yield batch
        share.keep(stream.held)
    stream.end()


async def _pieces(request: Request, limits: Limits, share: Share) -> AsyncIterator[bytes]:
    """What comes, while it comes fast enough: `limits.read` seconds for each MiB, and as many to begin with."""
    started, size, spent = time.monotonic(), 0, 0.0
    stream = request.stream().__aiter__()
    while True:
        allowed = limits.read * (1 + size / MIB) - (time.monotonic() - started - spent)
        try:
            async with asyncio.timeout(max(0.01, allowed)):
                piece = await stream.__anext__()
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused("request_timeout", "the body came too slowly", expected=f"1 MiB in {limits.read:g} s") from None
        except ClientDisconnect:
            raise Refused("malformed", "the client went away") from None
        if piece:
            size += len(piece)
            share.take(len(piece))
            began = time.monotonic()
            yield piece
            spent += time.monotonic() - began


def _declared(request: Request) -> int:
    try:
        return int(request.headers.get("content-length", "0"))
    except ValueError:
        return 0
