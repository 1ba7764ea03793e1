"""Log lines as JSON, one to a line on stderr: what the server says, each request, and searches that were slow, with their plan.

Texts and vectors of queries are written only into the slow-query log, and only where that was asked for: they are data.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from nearfield.core.types import Hits
from nearfield.serve import asking
from nearfield.serve.wire import SearchRequest

log = logging.getLogger("nearfield.serve")


class Json(logging.Formatter):
    """A record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        out: dict[str, Any] = {"time": stamp(record.created), "level": record.levelname.lower(), "message": record.getMessage()}
        out |= getattr(record, "fields", {})
        if record.exc_info:
            out["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(out).decode()


def stamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z"


def start(level: str = "info") -> None:
    """Sends the server's and uvicorn's lines to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json())
    for name in ("nearfield", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())


class SlowQueries:
    """A file of searches that took longer than a threshold: request, plan and time, one JSON object to a line.

    Args:
        path: the file, appended to; readable by its owner alone.
        threshold: seconds; 0 writes every search, which `nearfield replay` can ask again.
    """

    def __init__(self, path: Path, threshold: float) -> None:
        self.threshold = threshold
        self._lock = threading.Lock()
        self._path, self._failing = path, False
        self._file = _appending(path)

    def write(self, id: str, collection: str, wanted: SearchRequest, hits: Hits, seconds: float) -> None:
        """Notes a search that took `seconds`."""
        request = msgspec.to_builtins(wanted)
        line = {
            "time": stamp(time.time()),
            "request_id": id,
            "collection": collection,
            "milliseconds": round(1000 * seconds, 3),
            "request": {key: value for key, value in request.items() if value is not None},
            "ids": hits.ids,
            "complete": hits.complete,
            "plan": msgspec.to_builtins(asking.plan_of(hits)),
        }
        told = msgspec.json.encode(line) + b"\n"
        try:
            with self._lock:
                self._file.write(told)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.error("the log of slow queries cannot be written: %s", error)
            self._failing = True

    def reopen(self) -> None:
        """Opens the file by its name again, for log rotation."""
        opened = _appending(self._path)
        with self._lock:
            self._file, old = opened, self._file
        old.close()

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._file.close()


def _appending(path: Path) -> BinaryIO:
    """Unbuffered: a line is there when it was written, and one that could not be is not tried again at the end."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab", buffering=0)
