"""Rerankers and the chat model that the operator allowed: a request names one, and never a file or an address.

They run in a few threads of their own, so that a slow one keeps no search waiting. Knows no HTTP of ours.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from nearfield import embed
from nearfield.core.errors import Corrupt, DeadlineExceeded, InvalidInput, NearfieldError, NotFound, Overloaded
from nearfield.serve.failures import Refused

if TYPE_CHECKING:
    from nearfield.embed import Reranker
    from nearfield.embed.base import Progress
    from nearfield.embed.rerank import Scores

log = logging.getLogger("nearfield.serve")
R = TypeVar("R")
THREADS = 4
WAITING = 16
"""Calls that may wait for a thread."""
AT_ONCE = 64
"""Texts that are scored between two looks at the time."""
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})=(.+)", re.S)


@dataclass(frozen=True, slots=True)
class ChatModel:
    """A chat model: the address of its API, its name there. The key stays in the environment."""

    url: str
    model: str


def chat_of(url: str | None, model: str | None) -> ChatModel | None:
    """The chat model of an address and a name; None without either; raises InvalidInput."""
    if url is None and model is None:
        return None
    if not url or not url.startswith(("http://", "https://")):
        raise InvalidInput("not an address", field="chat-url", expected="http(s)://HOST/v1, with --chat-model", received=url)
    if not model:
        raise InvalidInput("say which model answers", field="chat-model", expected="its name at --chat-url")
    return ChatModel(url, model)


def named(told: Iterable[str]) -> dict[str, str]:
    """Rerankers by the names that requests use: "NAME=RERANKER" gives one a name of its own; raises InvalidInput."""
    out: dict[str, str] = {}
    for text in told:
        found = _NAMED.fullmatch(text)
        name, spec = (found[1], found[2]) if found else (text, text)
        if not spec or name in out:
            raise InvalidInput(
                "not a reranker, or one twice", field="reranker", expected="NAME=RERANKER or RERANKER", received=text
            )
        out[name] = spec
    return out


class _Named:
    """A reranker under the name that requests use; where it is, and what is wrong with its files, is for the log alone."""

    def __init__(self, name: str, spec: str) -> None:
        self.name = name
        self._found = self._kept(lambda: embed.load_reranker(spec))

    def score(self, query: str, texts: Sequence[str], progress: Progress | None = None) -> Scores:
        """See embed.Reranker."""
        return self._kept(lambda: self._found.score(query, texts, progress))

    def _kept(self, work: Callable[[], R]) -> R:
        try:
            return work()
        except (InvalidInput, NotFound, Corrupt) as error:
            log.error("the reranker %s cannot be used: %s", self.name, error)
            raise Refused("upstream", "this reranker cannot be used", field="rerank", received=self.name) from error


class Allowed:
    """Rerankers by name, each loaded when it is first asked for, and the chat model.

    Args:
        rerankers: as of the command line, see `named`.
        chat: None: questions are not answered.
    """

    def __init__(self, rerankers: Sequence[str] = (), chat: ChatModel | None = None) -> None:
        self._rerankers, self.chat = named(rerankers), chat
        self._loaded: dict[str, Reranker] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, "nearfield-models")
        self._running = 0

    @property
    def rerankers(self) -> tuple[str, ...]:
        """The names that requests may use."""
        return tuple(self._rerankers)

    def reranker(self, name: str) -> Reranker:
        """The reranker of a name; may load it.

        Raises:
            InvalidInput: the operator did not allow it.
            Refused: "upstream": it cannot be loaded.
        """
        spec = self._rerankers.get(name)
        if spec is None:
            allowed = ", ".join(self._rerankers) or "none; the operator allows some with --reranker"
            raise InvalidInput("this server has no such reranker", field="rerank", expected=allowed, received=name)
        with self._lock:
            found = self._loaded.get(name)
            if found is None:
                found = self._loaded[name] = _Named(name, spec)
        return found

    async def score(self, name: str, query: str, texts: Sequence[str], deadline: float) -> Scores:
        """float32 (n,) of texts by a reranker; `deadline` is of time.monotonic()."""

        def work() -> Scores:
            reranker = self.reranker(name)
            out = np.empty(len(texts), np.float32)
            for start in range(0, len(texts), AT_ONCE):
                if time.monotonic() > deadline:
                    raise DeadlineExceeded("it took longer than allowed", field="timeout")
                some = texts[start : start + AT_ONCE]
                out[start : start + len(some)] = reranker.score(query, some)
            return out

        return await self.run(work)

    async def run(self, work: Callable[[], R]) -> R:
        """Runs work in a thread of these; what another server did wrong is told without its address.

        Raises:
            Overloaded: as many wait as may.
            Refused: "upstream": a model's server failed.
        """
        if self._running >= THREADS + WAITING:
            raise Overloaded("too many requests wait for a model", expected=f"at most {WAITING}", retry_after=5.0)
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: _told(work))
        finally:
            self._running -= 1

    def close(self) -> None:
        """Waits for what runs."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _told(work: Callable[[], R]) -> R:
    try:
        return work()
    except NearfieldError as error:
        if isinstance(error, Overloaded) and error.field in ("rerank", "url"):
            log.warning("a model's server does not answer: %s", error)
            raise Overloaded("the model's server is busy or cannot be reached", retry_after=error.retry_after) from error
        if isinstance(error, DeadlineExceeded) and error.field == "timeout":
            log.warning("a model is too slow: %s", error)
            raise DeadlineExceeded("the model did not answer in time", field="timeout") from error
        if type(error) is NearfieldError:
            log.error("a model's server failed: %s", error)
            raise Refused("upstream", "the model's server failed") from error
        raise
