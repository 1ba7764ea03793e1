"""What a collection consists of at one moment, and how a call keeps to it: the engine, and the embedder that made its vectors.

Knows neither how a generation is made nor who switches. A switch replaces the generation of a collection by one assignment; a
call that began before goes on, whole, with the one it began with, and a write that came too late for that one is made again
with the next.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeVar

from nearfield.core.metric import Vectors
from nearfield.embedding import BoundEmbedder
from nearfield.engine.committer import Moved

if TYPE_CHECKING:
    from nearfield.engine.local import LocalEngine
    from nearfield.maintain.worker import Maintainer
    from nearfield.parts.parted import Parted

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Held")


class Home(Protocol):
    """Where a collection was opened: it knows of the other generations."""

    def follow(self, held: Held) -> None:
        """Gives `held`, unless it is fixed, the newest generation, if another process has switched to one."""
        ...

    def others(self, number: int) -> tuple[dict[str, Any], ...]:
        """The generations that belong to a live one, as JSON values."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """An engine and the embedder of its vectors; `number` names its directory, `maintainer` is None of read-only openers.

    `parted`: who embeds what, where documents are in parts.
    """

    number: int
    engine: LocalEngine
    embedder: BoundEmbedder
    maintainer: Maintainer | None
    parted: Parted | None = None


class Held:
    """What holds a generation; the base of Collection. Calls marked `steady` or `steady_write` see one from begin to end."""

    name: str
    _home: Home | None = None
    _is_fixed = False

    def __init__(self, generation: Generation) -> None:
        self._live = generation
        self._call = threading.local()
        self._view: tuple[Generation, Self] | None = None

    @property
    def _generation(self) -> Generation:
        """That of the running call of this thread, else the live one."""
        return getattr(self._call, "generation", None) or self._live

    @property
    def _engine(self) -> LocalEngine:
        return self._generation.engine

    @property
    def _embedder(self) -> BoundEmbedder:
        return self._generation.embedder

    @property
    def _maintainer(self) -> Maintainer | None:
        return self._generation.maintainer

    @property
    def _parted(self) -> Parted | None:
        return self._generation.parted

    def fixed(self) -> Self:
        """The collection as it is embedded now, for who needs several calls to agree, such as `embed` and then `answer`.

        Searches by it go on with the same model and the same vectors, whatever `reembed` switches to meanwhile, and see writes
        until then. It is the same object until the next switch; keep it no longer than a request takes.
        """
        if self._is_fixed:
            return self
        generation, seen = self._generation, self._view
        if seen is None or seen[0] is not generation:
            view = copy.copy(self)
            view._live, view._call, view._view, view._is_fixed = generation, threading.local(), None, True
            self._view = seen = (generation, view)
        seen[1].name = self.name
        return seen[1]

    def encoder(self) -> Callable[[Sequence[str], str], Vectors]:
        """Embeds texts, as `embed` does, by the model of now, also after a switch."""
        return self._embedder.encode

    def _switch(self, generation: Generation) -> None:
        """From now on calls begin with another generation."""
        self._live, self._view = generation, None


def steady(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Marks a method of `Held` that must see one generation from begin to end; calls inside it see the same."""

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        held = self._call
        if getattr(held, "generation", None) is not None:
            return method(self, *args, **kwargs)
        held.generation = self._live
        try:
            return method(self, *args, **kwargs)
        finally:
            held.generation = None

    return call


def steady_write(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Marks a method as `steady` does, and runs it again, whole, where another generation took over before it wrote anything.

    Iterators among the arguments are read into lists first, so that they can be read again.
    """

    @functools.wraps(method)
    def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        held = self._call
        if getattr(held, "generation", None) is not None:
            return method(self, *args, **kwargs)
        again: list[Any] = [list(a) if isinstance(a, Iterator) else a for a in args]
        named: dict[str, Any] = {key: list(a) if isinstance(a, Iterator) else a for key, a in kwargs.items()}
        while True:
            held.generation = generation = self._live
            try:
                return method(self, *again, **named)
            except (Moved, FileNotFoundError):  # the second: its directory was removed while it wrote a segment
                if self._live is generation:
                    raise
            finally:
                held.generation = None

    return call
