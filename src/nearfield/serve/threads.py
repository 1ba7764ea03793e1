"""Who gets how many of this machine's cores.

Threads that share a call wait for each other, spinning: on a busy machine for a time slice each, in which nobody else runs. So
searches and embeddings take at most half of a process's cores for one call; so do index builds, in processes of their own.
"""

from __future__ import annotations

import os

from nearfield.index import _faiss
from nearfield.index.threads import bound, cores


def share_threads(processes: int) -> int:
    """Bounds the threads of one call, in FAISS, in NumPy's products and in PyTorch, for as many processes; returns the bound.

    PyTorch asks OMP_NUM_THREADS when it is imported, which is when a model is loaded; where that is set already it stays.
    """
    most = max(1, cores() // (2 * processes))
    os.environ.setdefault("OMP_NUM_THREADS", str(most))
    _faiss.set_threads(most)
    bound(most)
    return most


__all__ = ["cores", "share_threads"]
