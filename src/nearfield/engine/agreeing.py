"""One snapshot for vectors and words: keyword tables are read as of now, and what was asked may be of a moment before.

Knows an engine and how far its words were read; nothing of queries. Rows leave the tables when their document is written anew,
so words that are ahead of a snapshot lack documents that it shows. Then it is asked again, on a newer one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from nearfield.engine.local import LocalEngine
    from nearfield.engine.snapshot import Snapshot

T = TypeVar("T")
TRIES = 20
"""Answers made at most, where writes overtake each; the last is given as it is."""
PATIENCE = 0.25
"""Seconds in which a commit that was read must be published."""


def agreed(engine: LocalEngine, ask: Callable[[Snapshot], T]) -> T:
    """What `ask` makes of the newest snapshot, asked again while its words were read as of a later commit."""
    for left in range(TRIES - 1, -1, -1):
        snapshot = engine.snapshot
        engine.keywords.begin()
        found = ask(snapshot)
        newest = engine.keywords.newest
        if newest <= snapshot.commit or not left or not _reached(engine, newest):
            break
    return found


def _reached(engine: LocalEngine, commit: int) -> bool:
    """Waits until the engine shows a commit that was made; False where it does not."""
    if engine.read_only:
        return engine.refresh() >= commit
    until = time.monotonic() + PATIENCE
    while engine.snapshot.commit < commit:
        if time.monotonic() > until:
            return False
        time.sleep(0.0005)
    return True
