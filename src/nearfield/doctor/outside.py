"""All that the doctor asks of the world outside this process, in one value that tests replace. Judges nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended.

    Attributes:
        code: its exit code, minus the signal that ended it, or None: it is not installed, or did not end in time.
        out: what it wrote to standard output.
        err: what it wrote to standard error; where it could not be started, why.
        hung: it was ended because its time was over.
    """

    code: int | None
    out: str = ""
    err: str = ""
    hung: bool = False


def run(command: Sequence[str], seconds: float, environ: Mapping[str, str]) -> Ran:
    """Runs a program to its end, or for so many seconds."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds, env=environ, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        return Ran(None, _text(error.stdout), _text(error.stderr), hung=True)
    except OSError as error:
        return Ran(None, err=str(error))
    return Ran(done.returncode, done.stdout, done.stderr)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def nvml() -> Any:
    """NVIDIA's management library (package nvidia-ml-py), or None where it is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


@dataclass(frozen=True, slots=True)
class Outside:
    """The world outside.

    Attributes:
        root: where /proc and /sys are.
        environ: environment variables; those of this process.
        packages: the folders in which distributions are looked for; Python's.
        run: runs a command for at most so many seconds with environment variables.
        nvml: gives pynvml, or None.
    """

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    packages: Sequence[str] = field(default_factory=lambda: tuple(sys.path))
    run: Callable[[Sequence[str], float, Mapping[str, str]], Ran] = run
    nvml: Callable[[], Any] = nvml

    def text(self, path: str) -> str:
        """The text of a file below the root; empty where it is not there or cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace")
        except OSError:
            return ""

    def number(self, path: str) -> int | None:
        """The number that is a file's text; None where there is none."""
        said = self.text(path).strip()
        return int(said) if said.isascii() and said.isdigit() else None


__all__ = ["Outside", "Ran", "nvml", "run"]
