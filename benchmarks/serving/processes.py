"""Servers under measurement: started on loopback, waited for, stopped by the process that started them."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from benchmarks.common import ROOT


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(command: Sequence[str], ready: str, seconds: float = 120) -> Iterator[subprocess.Popen[bytes]]:
    """A process that answers GET `ready` before this returns; ended afterwards."""
    said = tempfile.TemporaryFile()  # noqa: SIM115
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, cwd=ROOT)
    try:
        until = time.monotonic() + seconds
        while True:
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.read()[-2000:].decode()}")
            try:
                with urllib.request.urlopen(ready, timeout=2) as answer:
                    if answer.status < 400:
                        break
            except (urllib.error.URLError, OSError):
                if time.monotonic() > until:
                    raise
            time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said.close()
