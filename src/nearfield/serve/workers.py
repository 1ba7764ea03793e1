"""Several processes behind one port: worker 0 writes and looks after the data, the others read and pass writes on to it.

The supervisor holds the listening socket and starts the workers, starts one again that dies, and passes signals on. A worker
whose supervisor is gone stops too: its standard input ends.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import msgspec

from nearfield.core.errors import InvalidInput

log = logging.getLogger("nearfield.serve")
STARTING = 60.0
"""Seconds that worker 0 has to open the database."""
PAUSE = 1.0
"""Seconds before a worker that died is started again."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which worker of a supervisor a process is: its number, the listening socket's descriptor, their directory."""

    number: int
    descriptor: int
    directory: str

    @property
    def socket(self) -> Path:
        """The Unix socket of the worker that writes."""
        return Path(self.directory) / "writer.sock"


class Supervisor:
    """Runs workers until a signal.

    Args:
        command: of one worker, without its place; the place is added as JSON.
        count: of workers, two or more.
        listening: the bound socket.
        grace: seconds that workers have to stop.
    """

    def __init__(self, command: list[str], count: int, listening: socket.socket, grace: float) -> None:
        self._command, self._count, self._listening, self._grace = command, count, listening, grace
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._stopping = threading.Event()
        self._again = threading.Event()

    def run(self) -> int:
        """Returns the exit code: 0 after a signal, else that of a worker 0 that could not begin."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._reload)
        with tempfile.TemporaryDirectory(prefix="nearfield-") as directory:
            (Path(directory) / "metrics").mkdir()
            try:
                code = self._begin(directory)
                if code is None:
                    self._watch(directory)
                    code = 0
                return code
            finally:
                self._end()

    def _begin(self, directory: str) -> int | None:
        """Starts worker 0, and the others when it is there; its exit code if it never was."""
        self._start(0, directory)
        until = time.monotonic() + STARTING
        while not (Path(directory) / "writer.sock").exists():
            code = self._workers[0].poll()
            if code is not None or self._stopping.is_set():
                return code or 0
            if time.monotonic() > until:
                raise InvalidInput("the worker that writes did not begin in time", field="workers")
            time.sleep(0.02)
        for number in range(1, self._count):
            self._start(number, directory)
        return None

    def _start(self, number: int, directory: str) -> None:
        descriptor = self._listening.fileno()
        place = msgspec.json.encode(Place(number, descriptor, directory)).decode()
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(Path(directory) / "metrics")}
        self._workers[number] = subprocess.Popen(
            [*self._command, place],
            stdin=subprocess.PIPE,
            pass_fds=(descriptor,),
            env=environment,
            preexec_fn=deaf_to_hangups,  # this process has no other threads
        )

    def _watch(self, directory: str) -> None:
        died: dict[int, float] = {}
        while not self._stopping.wait(0.2):
            if self._again.is_set():
                self._again.clear()
                self._tell(signal.SIGHUP)
            now = time.monotonic()
            for number, worker in self._workers.items():
                if worker.poll() is None:
                    continue
                if number not in died:
                    log.error("worker %d ended with %d; it is started again", number, worker.returncode)
                    died[number] = now
                elif now - died[number] >= PAUSE:
                    del died[number]
                    if worker.stdin is not None:
                        worker.stdin.close()
                    self._start(number, directory)

    def _tell(self, number: int) -> None:
        for worker in self._workers.values():
            if worker.poll() is None:
                worker.send_signal(number)

    def _end(self) -> None:
        """Readers first: what they pass on still finds the writer."""
        for group in ([w for n, w in self._workers.items() if n], [w for n, w in self._workers.items() if not n]):
            until = time.monotonic() + self._grace + 5
            for worker in group:
                if worker.poll() is None:
                    worker.terminate()
            for worker in group:
                try:
                    worker.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    log.error("a worker did not stop in time and is ended")
                    worker.kill()
                    worker.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping.set()

    def _reload(self, number: int, frame: FrameType | None) -> None:
        self._again.set()


def deaf_to_hangups() -> None:
    """Until something listens to SIGHUP it must not end the process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def follow_supervisor() -> None:
    """Ends this process in good order when standard input ends: whoever started it is gone."""

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock the interpreter wants at its end
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="nearfield-supervisor", daemon=True).start()
