"""Readiness: the models of the collections are loaded and tried before the server says that it is ready."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

import numpy as np

from nearfield import Database

log = logging.getLogger("nearfield.serve")


class Warming:
    """How far the warm-up is.

    Args:
        database: open.
        preload: collections to warm; None: all of them.
    """

    def __init__(self, database: Database, preload: Sequence[str] | None) -> None:
        self._database, self._preload = database, preload
        self._tried: set[str] = set()
        self._failed = 0
        self._done = threading.Event()

    def run(self) -> None:
        """Loads and tries the models, once; what fails is logged, and tried again by the first search."""
        try:
            for name in self._wanted():
                try:
                    self._try(name)
                except Exception as error:
                    self._failed += 1
                    log.error("collection %s did not warm up: %s: %s", name, type(error).__name__, error)
                self._tried.add(name)
        finally:
            self._done.set()

    def _wanted(self) -> list[str]:
        return self._database.list() if self._preload is None else list(self._preload)

    def _try(self, name: str) -> None:
        collection = self._database[name]
        takes = collection.takes
        if "image" in takes:
            seen = collection.embed_images([np.full((64, 64, 3), 127, np.uint8)])
            if "text" not in takes:
                collection.answer(collection.prepared(seen), collection.request(k=1))
                return
        if collection.embedder is not None:
            collection.answer(collection.prepared(["warm up"]), collection.request(k=1))
        elif len(collection):
            collection.answer(collection.prepared(np.ones((1, collection.dim), np.float32)), collection.request(k=1))

    def ready(self, what: str | None = None) -> tuple[bool, dict[str, int]]:
        """Whether all is loaded and warm, and of how many collections; `what` "vector" asks only for searches by vector."""
        waiting = len(set(self._wanted()) - self._tried)
        counts = {"warm": len(self._tried) - self._failed, "waiting": waiting, "failed": self._failed}
        return what == "vector" or self._done.is_set(), counts
