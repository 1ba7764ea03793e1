"""How many threads one of NumPy's products takes. The only import of threadpoolctl.

Threads that share a product wait for each other, spinning: on a busy machine for a time slice each. Many products of middling
size are quicker each on one thread, as many at a time as there are cores.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import threadpoolctl

_lock = threading.Lock()
_inside = 0
_limit: threadpoolctl.threadpool_limits | None = None


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def bound(most: int) -> None:
    """Bounds the threads of one product, for good."""
    threadpoolctl.threadpool_limits(most, user_api="blas")


@contextlib.contextmanager
def one_for_each() -> Iterator[None]:
    """Within it each product of this process takes one thread; afterwards as many as before. Several threads may enter it."""
    global _inside, _limit
    with _lock:
        if _inside == 0:
            _limit = threadpoolctl.threadpool_limits(1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _limit is not None:
                _limit.restore_original_limits()
                _limit = None
