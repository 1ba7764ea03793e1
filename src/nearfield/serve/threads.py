"""Who gets how many of this machine's cores. The only import of threadpoolctl.

Threads that share a call wait for each other, spinning: on a busy machine for a time slice each, in which nobody else runs. So
the searches of a process take at most half of its cores for one call; so do index builds, whose processes are told themselves.
"""

from __future__ import annotations

import os

import threadpoolctl

from nearfield.index import _faiss


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_threads(processes: int) -> int:
    """Bounds the threads of one search's call, in FAISS and in NumPy's products, for as many processes; returns the bound."""
    most = max(1, cores() // (2 * processes))
    _faiss.set_threads(most)
    threadpoolctl.threadpool_limits(most, user_api="blas")
    return most


__all__ = ["cores", "share_threads"]
