"""Processes that try something: started early, two at a time, each with its time; how each ended. Knows no verdict."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nearfield.doctor.child import MARK
from nearfield.doctor.outside import Outside, Ran

SECONDS = {"libraries": 120.0, "card": 120.0, "faiss-gpu": 300.0, "recall": 120.0, "embedding": 180.0}
"""What each trial may take, busy machines included: on two cores about ten seconds in all. faiss-gpu's has PTX to compile."""
AT_ONCE = 2
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
LAUNCH = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); from nearfield.doctor.child import main; main()"
NAMES = {
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGILL: "an instruction that this processor does not have",
    signal.SIGABRT: "a failed check in a library",
    signal.SIGKILL: "killed, mostly because memory ran out",
    signal.SIGBUS: "a bus error: a file or shared memory is too short",
    signal.SIGFPE: "an arithmetic error",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended.

    Attributes:
        result: what it told, if it came to its end.
        problem: why it did not; empty where it did.
        step: what it was at.
        signal: the signal that ended it, or 0.
        hung: it gave no answer in its time.
        said: what it wrote to standard error.
    """

    result: Any = None
    problem: str = ""
    step: str = ""
    signal: int = 0
    hung: bool = False
    said: str = ""


def outcome(ran: Ran, seconds: float) -> Outcome:
    """From how its process ended: a result counts only where the process then ended well."""
    told: dict[str, Any] = {}
    for row in ran.out.splitlines():
        if row.startswith(MARK):
            told |= _told(row.removeprefix(MARK))
    step = str(told.get("step", "start Python"))
    if ran.hung:
        return Outcome(None, f"no answer in {seconds:.0f} s", step, hung=True, said=ran.err)
    if ran.code is None:
        return Outcome(None, f"could not be started ({ran.err})", step, said=ran.err)
    if ran.code < 0:
        return Outcome(None, _named(-ran.code), step, -ran.code, said=ran.err)
    if ran.code == 0 and "result" in told:
        return Outcome(told["result"], step=step, said=ran.err)
    last = next((row for row in reversed(ran.err.splitlines()) if row.strip()), "")
    return Outcome(None, str(told.get("error") or last or f"ended with {ran.code}, and told nothing"), step, said=ran.err)


def _told(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}  # a line cut off by a crash
    return found if isinstance(found, dict) else {}


def _named(number: int) -> str:
    """A signal by its name, and what it mostly means."""
    try:
        known = signal.Signals(number)
    except ValueError:
        return f"ended by signal {number}"
    return f"crashed with {known.name}" + (f" ({NAMES[known]})" if known in NAMES else "")


class Trials:
    """Starts trials and keeps how they ended. Close it: what has not begun then never does, what runs is waited for."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._pool = ThreadPoolExecutor(AT_ONCE, "nearfield-doctor")
        self._begun: dict[tuple[str, ...], Future[Outcome]] = {}

    def begin(self, *words: str) -> None:
        """Puts a trial, its name and arguments, into the queue, if it is not there."""
        if words not in self._begun:
            self._begun[words] = self._pool.submit(self._try, words)

    def ended(self, *words: str) -> Outcome:
        """How a trial ended; waits for it, and begins it if need be."""
        self.begin(*words)
        return self._begun[words].result()

    def close(self) -> None:
        """Ends the queue."""
        self._pool.shutdown(cancel_futures=True)

    def _try(self, words: Sequence[str]) -> Outcome:
        seconds = SECONDS[words[0]]
        path = json.dumps([p or os.getcwd() for p in sys.path])
        return outcome(self._outside.run([sys.executable, "-c", LAUNCH, path, *words], seconds, self._environ()), seconds)

    def _environ(self) -> Mapping[str, str]:
        """Without the network for models: what is tried is that none is needed."""
        return {**self._outside.environ, **OFFLINE}


__all__ = ["SECONDS", "Outcome", "Trials", "outcome"]
