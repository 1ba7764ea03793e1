"""Reads files that were sent, one at a time, in a process of its own with a deadline. Knows no route.

It has a thread of its own, so that a file that takes its time keeps nobody waiting but the next file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nearfield.core.errors import Overloaded
from nearfield.extract.results import Limits as FileLimits
from nearfield.extract.worker import Extractor
from nearfield.serve.limits import Limits

R = TypeVar("R")
WAITING = 16
"""Files that may wait; beyond, 429."""


class Extracting:
    """The one place where files are read.

    Args:
        limits: of requests: `file` bytes of a file, `documents` in it, `extract` seconds for reading it.
    """

    def __init__(self, limits: Limits) -> None:
        self.extractor = Extractor(
            FileLimits(file=limits.file, seconds=limits.extract, text=max(limits.file, 16 << 20), documents=limits.documents)
        )
        self._pool = ThreadPoolExecutor(1, "nearfield-extract")
        self._waiting = 0

    async def run(self, work: Callable[[Extractor], R]) -> R:
        """Runs work that reads a file.

        Raises:
            Overloaded: too many files wait.
        """
        if self._waiting > WAITING:
            raise Overloaded("too many files wait to be read", field="file", expected=f"at most {WAITING}", retry_after=5.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, self.extractor)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Ends what is being read."""
        self.extractor.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
