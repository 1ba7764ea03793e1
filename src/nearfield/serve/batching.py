"""Batching without waiting: while one batch runs, what comes queues; the next batch takes all of it that fits.

At low load nothing is delayed, at high load batches fill. A lane runs batches in one thread of its own, or, where they have
proved to be quick, on the event loop itself: handing work to a thread and back costs more than a short search. Work whose
caller is gone or whose deadline has passed is dropped; a full queue refuses at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from nearfield.core.errors import DeadlineExceeded, NearfieldError, Overloaded

T = TypeVar("T")
R = TypeVar("R")

QUICK = 0.001
"""Seconds of one item up to which a kind of work may run on the event loop."""
SEEN = 3
"""Times that work of a kind must have been quick before it may."""
KINDS = 1024
"""Kinds of work whose time is remembered."""


@dataclass(slots=True)
class Item(Generic[T, R]):
    """One caller's work: `kind` says which items cost alike."""

    work: T
    kind: Hashable
    deadline: float | None
    future: asyncio.Future[R]
    queued: float = field(default_factory=time.monotonic)


Work = Callable[[Sequence[T]], Sequence[R | BaseException]]
"""Does a batch: a result or an exception for each item, in order."""


class Lane(Generic[T, R]):
    """A queue and who empties it.

    Args:
        name: for the thread and for metrics.
        work: does a batch; it is called by one thread at a time.
        most: items of a batch.
        capacity: items that may wait; beyond, callers are refused.
        weigh: the weight of an item, and `heaviest` the most that a batch may weigh: tokens, say.
        observe: told (batch size, seconds waited by each item, seconds of work) after each batch.
        inline: whether quick kinds may run on the event loop.
    """

    def __init__(
        self,
        name: str,
        work: Work[T, R],
        *,
        most: int = 64,
        capacity: int = 1024,
        weigh: Callable[[T], int] | None = None,
        heaviest: int = 0,
        observe: Callable[[int, Sequence[float], float], None] | None = None,
        inline: bool = False,
    ) -> None:
        self.name, self._work, self._most, self._capacity = name, work, most, capacity
        self._weigh, self._heaviest, self._observe, self._inline = weigh, heaviest, observe, inline
        self._queue: deque[Item[T, R]] = deque()
        self._soon: list[Item[T, R]] = []
        self._costs: OrderedDict[Hashable, list[float]] = OrderedDict()
        self._wake = threading.Condition()
        self._running = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def waiting(self) -> int:
        """Items in the queue."""
        return len(self._queue) + len(self._soon)

    async def ask(self, work: T, kind: Hashable = None, deadline: float | None = None) -> R:
        """Waits for the result of one item.

        Raises:
            Overloaded: the queue is full.
            DeadlineExceeded: `deadline` (time.monotonic()) passed before its turn came.
        """
        loop = asyncio.get_running_loop()
        if self._closed:
            raise Overloaded("the server is stopping", retry_after=5.0)
        if self.waiting >= self._capacity:
            raise Overloaded(
                "too many requests wait",
                expected=f"at most {self._capacity:,}",
                received=self.waiting,
                retry_after=self._delay(),
            )
        item: Item[T, R] = Item(work, kind, deadline, loop.create_future())
        if self._inline and self._quick(kind) and not self._queue:
            self._soon.append(item)
            if len(self._soon) == 1:
                loop.call_soon(self._run_here)
        else:
            self._loop = loop
            with self._wake:
                self._queue.append(item)
                self._start()
                self._wake.notify()
        return await item.future

    def _delay(self) -> float:
        """Seconds until the queue may be empty: what work lately took, times what waits."""
        each = [sum(c) / len(c) for c in self._costs.values()]
        return round(max(0.1, min(30.0, self.waiting * (max(each) if each else 0.01))), 1)

    def _quick(self, kind: Hashable) -> bool:
        known = self._costs.get(kind)
        return known is not None and len(known) >= SEEN and max(known) <= QUICK

    def _learn(self, kind: Hashable, seconds: float) -> None:
        known = self._costs.setdefault(kind, [])
        known.append(seconds)
        del known[:-8]
        self._costs.move_to_end(kind)
        if len(self._costs) > KINDS:
            self._costs.popitem(last=False)

    # -- on the event loop

    def _run_here(self) -> None:
        batch, self._soon = self._soon[: self._most], self._soon[self._most :]
        if self._soon:
            asyncio.get_running_loop().call_soon(self._run_here)
        if not self._running.acquire(blocking=False):
            with self._wake:
                self._queue.extend(batch)
                self._start()
                self._wake.notify()
            return
        try:
            self._finish(self._do(self._alive(batch)))
        finally:
            self._running.release()

    # -- in the lane's thread

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"nearfield-{self.name}", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closed:
                    self._wake.wait()
                if not self._queue:
                    return
                batch = self._take()
            with self._running:
                done = self._do(self._alive(batch))
            loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(self._finish, done)

    def _take(self) -> list[Item[T, R]]:
        out = [self._queue.popleft()]
        weight = self._weigh(out[0].work) if self._weigh else 0
        while self._queue and len(out) < self._most:
            if self._weigh is not None:
                weight += self._weigh(self._queue[0].work)
                if weight > self._heaviest:
                    break
            out.append(self._queue.popleft())
        return out

    def _alive(self, batch: Sequence[Item[T, R]]) -> list[Item[T, R]]:
        return [item for item in batch if not item.future.cancelled()]

    def _do(self, batch: list[Item[T, R]]) -> list[tuple[Item[T, R], Any]]:
        now = time.monotonic()
        late = [item for item in batch if item.deadline is not None and item.deadline < now]
        out: list[tuple[Item[T, R], Any]] = [(item, DeadlineExceeded(_LATE)) for item in late]
        batch = [item for item in batch if item.deadline is None or item.deadline >= now]
        if not batch:
            return out
        results = self._safely([item.work for item in batch])
        took = time.monotonic() - now
        for kind in {item.kind for item in batch}:
            self._learn(kind, took / len(batch))
        if self._observe is not None:
            self._observe(len(batch), [now - item.queued for item in batch], took)
        return out + list(zip(batch, results, strict=True))

    def _safely(self, works: list[T]) -> Sequence[Any]:
        """The results of a batch; where it fails as a whole each item is tried alone, so that one cannot spoil others."""
        try:
            return self._work(works)
        except NearfieldError as error:
            if len(works) == 1:
                return [error]
        except Exception as error:
            if len(works) == 1:
                return [error]
        return [self._safely([work])[0] for work in works]

    def _finish(self, done: Sequence[tuple[Item[T, R], Any]]) -> None:
        for item, result in done:
            if item.future.done():
                continue
            if isinstance(result, BaseException):
                item.future.set_exception(result)
            else:
                item.future.set_result(result)

    def close(self) -> None:
        """Finishes what was accepted, then ends the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=30)


_LATE = "the time given passed while the request waited; give it more, or send fewer at once"
