"""Whether the server lives and is ready."""

from __future__ import annotations

from nearfield.serve.wire.base import Out


class Alive(Out):
    """The process answers."""

    status: str
    version: str


class ReadyOut(Out):
    """Whether models are loaded and warm: of how many collections they are, how many wait, and how many failed."""

    ready: bool
    warm: int
    waiting: int
    failed: int
