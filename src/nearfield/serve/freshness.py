"""A process that only reads keeps up with the one that writes: commits, names, and the recall margins that it found."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

from nearfield import Collection, Database
from nearfield.core.errors import NotFound
from nearfield.serve.forward import Forward
from nearfield.serve.recall import Monitor

log = logging.getLogger("nearfield.serve")
EVERY, MARGINS = 0.05, 100
"""Seconds between looks at what another process wrote, and looks between those at its recall margins."""


class Freshness:
    """Looks at what another process wrote, in a thread of its own: what else there is to do may take long.

    Args:
        database: open for reading.
        monitor: takes over the margins.
    """

    def __init__(self, database: Database, monitor: Monitor) -> None:
        self._database, self._monitor = database, monitor
        self._thread = ThreadPoolExecutor(1, "nearfield-refresh")
        self._failing: dict[str, str] = {}
        self._named: dict[str, Collection] = {}

    def collection(self, name: str) -> Collection:
        """A collection by name or alias, looked up anew at each refresh; raises NotFound."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = self._database[name]
        return found

    async def keep(self, forward: Forward | None) -> None:
        """Keeps up until cancelled; `forward` is where margins are asked for."""
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            await asyncio.sleep(EVERY)
            turn += 1
            try:
                await self.catch_up()
                if turn % MARGINS == 0 and forward is not None:
                    for name in await loop.run_in_executor(self._thread, self._database.list):
                        told = await forward.json(f"/v1/collections/{name}/recall")
                        if told is not None:
                            self._monitor.follow(self._database[name], told["margin"])
            except Exception as error:  # whatever it is, the next turn tries again
                self._noted("the list of collections", error)

    async def catch_up(self) -> None:
        """Sees what was committed up to now."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._refresh)

    def _refresh(self) -> None:
        self._named = {}
        for name in self._database.list():
            try:
                self._database[name].refresh()
                self._failing.pop(name, None)
            except NotFound:  # dropped just now
                continue
            except Exception as error:
                self._noted(name, error)

    def _noted(self, what: str, error: Exception) -> None:
        """Logs why something cannot be refreshed, once."""
        told = f"{type(error).__name__}: {error}"
        if self._failing.get(what) != told:
            self._failing[what] = told
            log.error("%s cannot be refreshed: %s", what, told)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=True)
