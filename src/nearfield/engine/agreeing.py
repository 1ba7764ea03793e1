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
TRIES, FEW = 20, 4
"""Answers made at most to one question, or to several at a time, where writes overtake each; the last is given as it is."""
PATIENCE = 0.25
"""Seconds in which a commit that was read must be published."""


def agreed(engine: LocalEngine, ask: Callable[[Snapshot], T], m: int = 1) -> T:
    """What `ask` makes of the newest snapshot, asked again where documents were rewritten before their words were read.

    Args:
        engine: whose snapshots and words.
        ask: answers on a snapshot.
        m: how many questions it answers.
    """
    for left in range((TRIES if m == 1 else FEW) - 1, -1, -1):
        snapshot = engine.snapshot
        engine.keywords.begin()
        found = ask(snapshot)
        if not left or not _behind(engine, snapshot.commit, engine.keywords.newest):
            break
    return found


def _behind(engine: LocalEngine, commit: int, read: int) -> bool:
    """Whether a newer snapshot has what one of `commit` may lack, whose words were read as of commit `read`."""
    if read <= commit:
        return False
    if engine.read_only:
        return engine.refresh() > commit
    until = time.monotonic() + PATIENCE
    while engine.snapshot.commit < read:
        if time.monotonic() > until:
            return False
        time.sleep(0.0005)
    return engine.rewritten > commit
