"""Reads files in a process of their own, with a deadline and a limit of memory: one that hangs or swells stops no other.

Knows no format. The process is started with the first file and used for all that follow; where it had to be ended, another is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType

import msgspec

from nearfield.core.errors import Closed, MissingDependency
from nearfield.extract import framing
from nearfield.extract.framing import Answer, Request
from nearfield.extract.kinds import Kind
from nearfield.extract.results import Contents, Limits, Unreadable

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
"""What the process gets of the environment: no key and no secret that is in it."""
MOST_BESIDES = 1 << 20
"""Bytes of an answer besides texts and metadata."""
IDLE = 60.0
"""Seconds after which `rest` lets an unused process go."""


class Extractor:
    """Reads one file after the other; a context manager, safe to share between threads, which then wait for each other.

    Args:
        limits: what one file may ask for.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None
        self._turn = threading.Lock()
        self._closed = False
        self._used = time.monotonic()

    def read(self, kind: Kind, data: bytes) -> Contents:
        """What a file of a kind holds.

        Raises:
            Unreadable: with the reason: what its reader says, too large, too slow, too much memory.
            MissingDependency: what reads this kind is not installed.
            Closed: after `close`.
        """
        if len(data) > self.limits.file:
            raise too_large(len(data), self.limits)
        with self._turn:
            answer = self._ask(msgspec.msgpack.encode(Request(kind, data)))
            self._used = time.monotonic()
        if answer.missing:
            raise MissingDependency(answer.reason or "a package is missing")
        if answer.contents is None:
            raise Unreadable(answer.reason or "it cannot be read")
        return answer.contents

    def _ask(self, frame: bytes) -> Answer:
        if self._closed:
            raise Closed("the extractor is closed; make another")
        child = self._child = self._child or self._start()
        assert child.stdin is not None
        assert child.stdout is not None
        found, ended = None, 0
        try:
            with contextlib.suppress(BrokenPipeError):
                framing.send(child.stdin, frame)  # type: ignore[arg-type]
            found = framing.receive(child.stdout, 4 * self.limits.text + MOST_BESIDES)  # type: ignore[arg-type]
            if found is not None:
                return msgspec.msgpack.decode(found, type=Answer)
            with contextlib.suppress(subprocess.TimeoutExpired):
                ended = child.wait(1.0)
        except msgspec.DecodeError:
            found = None
        finally:
            if found is None:
                self._end()
        if ended == -signal.SIGALRM:
            return Answer(reason=f"reading it takes longer than {self.limits.seconds:g} s; split it, or save it anew")
        return Answer(reason="its reader broke down over it; it is damaged, or takes too much memory")

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "nearfield.extract.child", msgspec.json.encode(self.limits).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **{key: value for key, value in os.environ.items() if key in KEPT},
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            },
            start_new_session=True,
        )

    def rest(self) -> None:
        """Lets the process go if it was not used for a minute; the next file starts another."""
        if self._turn.acquire(blocking=False):
            try:
                if time.monotonic() - self._used > IDLE:
                    self._end()
            finally:
                self._turn.release()

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def close(self) -> None:
        """Ends the process, in the midst of a file too."""
        self._closed = True
        child = self._child
        if child is not None:
            child.kill()
        with self._turn:
            self._end()

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def too_large(size: int, limits: Limits) -> Unreadable:
    """What is said of a file above the limit."""
    return Unreadable(f"it has {size:,} bytes, more than {limits.file >> 20} MiB; split it")
