"""Background work."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from nearfield.serve.wire.base import ErrorOut, In, K, Out, Recall, Timeout


class TuneRequest(In):
    """What the index must reach."""

    recall: Recall | None = None
    latency: Timeout | None = None
    memory: int | str | None = None
    minutes: Annotated[float, Meta(gt=0)] | None = None
    k: K = 10
    queries: list[str] | None = None
    apply: bool = False


class RebuildRequest(In):
    """The kind to build anew as; or the index of words."""

    index: str | dict[str, Any] | None = None
    keyword: Annotated[
        bool | Literal["english", "plain"], Meta(description="the index of words in place of the vectors', or both")
    ] = False


class OptimizeRequest(In):
    """Seal, merge and index; `purge` also rewrites what holds deleted documents."""

    purge: bool = False


class BackupRequest(In):
    """A backup by name, in the server's backup directory."""

    name: str


class JobOut(Out):
    """Background work: `state` is waiting, running, done, failed or cancelled."""

    id: str
    kind: str
    collection: str | None
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    progress: list[str] = []
    started: float | None = None
    ended: float | None = None
    error: ErrorOut | None = None
    result: Any = None


class JobsOut(Out):
    """Jobs, newest first."""

    jobs: list[JobOut]
