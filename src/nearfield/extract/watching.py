"""Waits until something below a folder may have changed. Knows no file's kind; what really changed is found by looking.

With watchfiles the system tells of changes at once; without it, or where it cannot watch, time passes instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

POLL = 2.0
"""Seconds between two looks where the system tells of nothing."""
AT_LEAST = 5.0
"""Seconds between two looks where it does: some file systems, those of other machines for one, do not tell of everything."""
SETTLING = 300
"""Milliseconds without a further change after which changes are told of."""


def wakings(roots: list[Path], every: float | None = None) -> Iterator[set[str]]:
    """The paths that changed, as far as the system tells of them, each time that it is worth to look again; ends on Ctrl-C.

    Args:
        roots: folders.
        every: seconds after which it is worth to look in any case; None: 5 with watchfiles, 2 without.
    """
    try:
        from watchfiles import watch
    except ImportError:
        yield from _polling(every or POLL)
        return
    milliseconds = round(1000 * (every or AT_LEAST))
    try:
        for changes in watch(*roots, watch_filter=None, step=SETTLING, rust_timeout=milliseconds, yield_on_timeout=True):
            yield {path for _, path in changes}
    except (OSError, RuntimeError):  # too many folders for the system (inotify's limit), or a folder that went away
        yield from _polling(every or POLL)


def _polling(every: float) -> Iterator[set[str]]:
    while True:
        time.sleep(every)
        yield set()
