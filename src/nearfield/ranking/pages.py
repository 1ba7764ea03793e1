"""Pages of a search: what the first page could see, the token after a page, and where a token leads.

Knows an engine's snapshots; tokens are made in cursor.py. A token is made when it is asked for, of what the hits and the
engine's newest snapshot still know: hits that were deleted or written anew since cannot come again, so nothing of them is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nearfield.core.errors import InvalidInput
from nearfield.core.ranked import Seen
from nearfield.core.types import Hits
from nearfield.engine.lookup import Lookup, last_row
from nearfield.ranking import cursor
from nearfield.ranking.cursor import Cursor

if TYPE_CHECKING:
    from nearfield.core.metric import Vectors
    from nearfield.engine.local import LocalEngine
    from nearfield.engine.segment_search import Request
    from nearfield.engine.snapshot import Snapshot
    from nearfield.ranking.wanted import Wanted

MOST_GAPS = 64
"""Ranges of rows being loaded at the same time that a token can name."""


def seen(engine: LocalEngine) -> tuple[Snapshot, Seen]:
    """The newest snapshot, and what can be seen in it."""
    if engine.reserved:
        return _seen_beside_loads(engine)
    snapshot, known = engine.snapshot, engine.seen
    if known is None or known[0] != snapshot.commit:
        engine.seen = known = (snapshot.commit, Seen(last_row(snapshot)))
    return (snapshot, known[1]) if not engine.reserved else _seen_beside_loads(engine)


def _seen_beside_loads(engine: LocalEngine) -> tuple[Snapshot, Seen]:
    before = dict(engine.reserved)
    snapshot = engine.snapshot
    last = last_row(snapshot)
    before |= dict(engine.reserved)
    there = {view.segment.record.min_row for view in snapshot.segments}
    gaps = sorted((first, beyond) for first, beyond in before.items() if first <= last and first not in there)
    return snapshot, Seen(last, tuple(gaps[-MOST_GAPS:]))


class Pages:
    """Makes the token after a page.

    Args:
        engine: of the collection.
        parts: what decides the ranking: texts, numbers, bytes.
        request: with the filter.
        wanted: with what may not come back; None: a plain search.
        before: the place of the page before; None: this is the first.
    """

    __slots__ = ("before", "engine", "parts", "request", "wanted")

    def __init__(
        self,
        engine: LocalEngine,
        parts: tuple[Any, ...],
        request: Request,
        wanted: Wanted | None = None,
        before: Cursor | None = None,
    ) -> None:
        self.engine, self.parts, self.request, self.wanted, self.before = engine, parts, request, wanted, before

    def __call__(self, hits: Hits) -> str | None:
        """The token; None: nothing comes after."""
        if len(hits) < self.request.k or hits.seen is None:
            return None
        score = float(hits.scores[-1])
        start = self.before or self._start(hits.seen)
        row = start.row if self.before is not None and self.before.score == score else -1
        lookup = Lookup(self.engine.snapshot)
        for i in range(len(hits) - 1, -1, -1):
            if float(hits.scores[i]) != score:
                break
            found = lookup.row(hits.ids[i])
            if found >= 0 and start.holds(found):
                row = found
                break
        after = Cursor(score, row, start.last, start.shown + len(hits), start.digest, start.gaps)
        return cursor.write(after, secret(self.engine))

    def _start(self, seen: Seen) -> Cursor:
        asked = digest(self.parts, self.request, self.wanted)
        return Cursor(0.0, -1, seen.last, self.request.offset, asked, seen.gaps)


@dataclass(frozen=True, slots=True)
class NoPages:
    """In place of a token where there are no pages."""

    wanted: Wanted

    def __call__(self, hits: Hits) -> str | None:
        """Raises InvalidInput with the remedy."""
        self.wanted.check_pages()
        return None


def no_stable_order(hits: Hits) -> str | None:
    """In place of a token where scores change with every write; raises InvalidInput with the remedy."""
    del hits
    raise unstable()


def unstable() -> InvalidInput:
    """The error of asking for a page where there are none, because scores change with every write."""
    return InvalidInput(
        "keyword and fused scores change with every write, so their pages would not be stable; ask for a larger k, or use "
        "offset, or mode='dense' by one vector",
        field="after",
        expected="a dense search, of one name where vectors have names",
    )


def dense(text: str | None, prepared: Vectors) -> tuple[Any, ...]:
    """What decides a dense ranking: the text, as a model may answer a little differently in another batch, or the vector."""
    return ("vector", prepared.tobytes()) if text is None else ("text", text)


def follow(hits: Hits, engine: LocalEngine, parts: tuple[Any, ...], request: Request) -> Hits:
    """The hits of a plain search, able to say what comes after them."""
    hits.page = Pages(engine, parts, request)
    return hits


def place(engine: LocalEngine, token: str, parts: Sequence[Any], request: Request, wanted: Wanted) -> Cursor:
    """Where a token leads; raises InvalidInput for one that is not of this search."""
    return cursor.read(token, secret(engine), digest(parts, request, wanted))


def digest(parts: Sequence[Any], request: Request, wanted: Wanted | None) -> bytes:
    """Of what is asked: what ranks, and what decides which documents may come."""
    condition = None if request.condition is None else repr(request.condition)
    more = ([], None, None) if wanted is None else (sorted(wanted.exclude), wanted.min_score, wanted.min_percentile)
    return cursor.digest([*parts, condition, request.name, *more])


def secret(engine: LocalEngine) -> bytes:
    """What seals the tokens of one generation of a collection: the seed of its hashes, which nobody outside sees."""
    return engine.settings.seed.to_bytes(16, "little", signed=True) + engine.directory.name.encode()[-32:]
