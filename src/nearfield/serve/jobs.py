"""Background jobs: one at a time in a thread of its own, each with lines of progress, a result or an error."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from nearfield.core.errors import Closed, NotFound, Overloaded
from nearfield.serve.failures import described
from nearfield.serve.wire import ErrorOut, JobOut

KEPT, LINES = 100, 20
"""Ended jobs that are remembered, and the last lines of progress of each."""
Progress = Callable[[str], None]
Work = Callable[[Progress], Any]
State = Literal["waiting", "running", "done", "failed", "cancelled"]


@dataclass(slots=True)
class Job:
    """One job."""

    id: str
    kind: str
    collection: str | None
    work: Work
    state: State = "waiting"
    progress: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    started: float | None = None
    ended: float | None = None
    error: ErrorOut | None = None
    result: Any = None

    def out(self) -> JobOut:
        """As it goes over the wire."""
        return JobOut(
            id=self.id,
            kind=self.kind,
            collection=self.collection,
            state=self.state,
            progress=list(self.progress),
            started=self.started,
            ended=self.ended,
            error=self.error,
            result=self.result,
        )


def _forgotten(progress: Progress) -> None:
    """In place of work that was done: what it held is let go."""


class Jobs:
    """The jobs of a server.

    Args:
        most: that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._queue: deque[Job] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def submit(self, kind: str, collection: str | None, work: Work) -> Job:
        """Queues a job; raises Overloaded if too many wait."""
        with self._wake:
            if self._closed:
                raise Closed("the server is stopping")
            if len(self._queue) >= self._most:
                raise Overloaded(
                    "too many jobs wait", expected=f"at most {self._most}", received=len(self._queue), retry_after=10
                )
            job = Job(secrets.token_hex(8), kind, collection, work)
            self._jobs[job.id] = job
            self._queue.append(job)
            self._forget()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="nearfield-jobs", daemon=True)
                self._thread.start()
            self._wake.notify()
            return job

    def get(self, id: str) -> Job:
        """A job; raises NotFound."""
        found = self._jobs.get(id)
        if found is None:
            raise NotFound("there is no such job, or it ended long ago", field="id", received=id)
        return found

    def all(self) -> list[Job]:
        """All that are remembered, newest first."""
        with self._wake:
            return list(reversed(self._jobs.values()))

    def cancel(self, id: str) -> Job:
        """Takes a waiting job from the queue; one that runs goes on to its end."""
        job = self.get(id)
        with self._wake:
            if job in self._queue:
                self._queue.remove(job)
                job.state, job.ended = "cancelled", time.time()
        return job

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        out: dict[str, int] = dict.fromkeys(("waiting", "running", "done", "failed", "cancelled"), 0)
        for job in self.all():
            out[job.state] += 1
        return out

    def _forget(self) -> None:
        ended = [job.id for job in self._jobs.values() if job.ended is not None]
        for id in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[id]

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._queue and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
                job = self._queue.popleft()
                job.state, job.started = "running", time.time()
            try:
                job.result = job.work(job.progress.append)
                job.state = "done"
            except Exception as error:
                job.error, job.state = described(error), "failed"
            job.work, job.ended = _forgotten, time.time()

    def close(self) -> None:
        """Takes no more; what waits is cancelled; a running one is not waited for here."""
        with self._wake:
            self._closed = True
            for job in self._queue:
                job.state, job.ended = "cancelled", time.time()
            self._queue.clear()
            self._wake.notify_all()
