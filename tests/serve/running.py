"""A real server in a process of its own, on a free port of loopback; it is always stopped."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx


@dataclass
class Running:
    """A server: its address, its process, and the lines that it said."""

    url: str
    process: subprocess.Popen[str]
    lines: list[dict[str, object]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)

    def until_ready(self, what: str = "", seconds: float = 60) -> None:
        with self.client() as client:
            end = time.monotonic() + seconds
            while client.get(f"/readyz{what}").status_code != 200:
                assert time.monotonic() < end, "it never was ready"
                time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def running(directory: Path, *options: str, **environment: str) -> Iterator[Running]:
    """`nearfield serve`; with workers all of them are gone when it returns."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nearfield", "serve", str(directory), "--port", "0", *options],
        stderr=subprocess.PIPE, text=True, env=os.environ | environment, start_new_session=True,
    )  # fmt: skip
    found = Running("", process)
    listening = threading.Event()

    def read() -> None:
        for line in process.stderr:
            try:
                told = json.loads(line)
            except json.JSONDecodeError:
                found.others.append(line)
                continue
            found.lines.append(told)
            if str(told.get("message", "")).startswith("listening on "):
                found.url = told["message"].removeprefix("listening on ")
                listening.set()
        listening.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert listening.wait(60), "it said nothing"
        assert found.url, f"it did not begin: {found.lines} {found.others}"
        yield found
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        reader.join(10)
        process.stderr.close()
