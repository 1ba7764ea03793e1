"""One thread owns a card's FAISS resources and makes every call on it; others ask it and wait.

FAISS's indexes on a card are not safe to use from two threads, not even for reading (its wiki, "Threads and asynchronous
calls"). What lives on the card never leaves the thread: callers hold a number. Knows no index and no collection.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nearfield.core.errors import Closed
from nearfield.device import _torch
from nearfield.device.scan import DeviceLost
from nearfield.index import _faiss

log = logging.getLogger("nearfield.index")
T = TypeVar("T")


@dataclass(slots=True)
class Held:
    """What the thread holds, given to each call.

    Attributes:
        resources: FAISS's StandardGpuResources.
        device: the card's number.
        kept: what lives on the card, by number.
    """

    resources: Any
    device: int
    kept: dict[int, Any] = field(default_factory=dict)


class Owner:
    """The thread of one card.

    Args:
        device: the card's number, 0 for "cuda:0".
        temporary: bytes that FAISS may keep for itself; None: what it takes on such a card (`sizes.temporary`), which is
            also the most.
    """

    def __init__(self, device: int, temporary: int | None = None) -> None:
        self.device = device
        self._temporary = temporary
        self._work: queue.SimpleQueue[tuple[Callable[[Held], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._lock, self._closed, self._next = threading.Lock(), False, 0
        self._lost: str | None = None
        ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name=f"faiss-cuda:{device}", daemon=True)
        self._thread.start()
        ready.result()

    @property
    def lost(self) -> str | None:
        """Why the card does not work any more in this process; None while it does."""
        return self._lost

    def call(self, work: Callable[[Held], T]) -> T:
        """What `work` returns, done by the thread; raises what it raises, Closed after `close`, DeviceLost of a dead card."""
        done: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise Closed(f"the card cuda:{self.device} was given back")
            self._work.put((work, done))
        return done.result()

    def make(self, work: Callable[[Held], Any]) -> int:
        """Keeps what `work` makes on the card; its number."""
        with self._lock:
            self._next += 1
            number = self._next

        def keep(held: Held) -> int:
            held.kept[number] = work(held)
            return number

        return self.call(keep)

    def drop(self, number: int) -> None:
        """Lets go of what was made, without waiting; nothing happens where it is gone already."""
        done: Future[Any] = Future()
        with self._lock:
            if not self._closed:
                self._work.put((lambda held: held.kept.pop(number, None) and None, done))

    def close(self) -> None:
        """Ends the thread after what was asked before, and gives all memory of the card back. May be called again."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._work.put(None)
        self._thread.join()

    def _run(self, ready: Future[None]) -> None:
        try:
            resources = _faiss.faiss.StandardGpuResources()
            if self._temporary is not None:
                resources.setTempMemory(self._temporary)
            held = Held(resources, self.device)
        except Exception as error:
            self._closed = True
            ready.set_exception(error)
            return
        ready.set_result(None)
        del resources
        while (item := self._work.get()) is not None:
            self._do(held, *item)
            del item
        held.kept.clear()

    def _do(self, held: Held, work: Callable[[Held], Any], done: Future[Any]) -> None:
        """One call; its error is the caller's, and the thread goes on."""
        if self._lost is not None:
            done.set_exception(DeviceLost(self._lost, f"cuda:{self.device}"))
            return
        try:
            found = work(held)
        except Exception as error:
            _release(error)
            if not _torch.lost(error):
                done.set_exception(error)
                return
            self._lost = f"cuda:{self.device} does not work any more in this process: {str(error)[:200]}"
            log.error("%s; searches go on without it", self._lost)
            gone = DeviceLost(self._lost, f"cuda:{self.device}")
            gone.__cause__ = error
            done.set_exception(gone)
        else:
            done.set_result(found)


def _release(error: BaseException) -> None:
    """Lets go of what the frames of an error hold, here on the thread that may: who gets the error would else free it."""
    found: BaseException | None = error
    while found is not None:
        if found.__traceback__ is not None:
            traceback.clear_frames(found.__traceback__)
            if found is error:
                found.__traceback__ = found.__traceback__.tb_next
        found = found.__cause__ or found.__context__


_owners: dict[int, Owner] = {}
_owning = threading.Lock()


def owner_of(device: int, temporary: int | None = None) -> Owner:
    """The one owner of a card in this process, made when it is first asked for, and anew after it was closed.

    `temporary`: bytes that FAISS may keep to work in, where the owner is made now; None: as FAISS has it.
    """
    with _owning:
        found = _owners.get(device)
        if found is None or found._closed:
            found = _owners[device] = Owner(device, temporary)
        return found


def close_all() -> None:
    """Gives every card back."""
    with _owning:
        for owner in _owners.values():
            with contextlib.suppress(Closed):
                owner.close()
        _owners.clear()
