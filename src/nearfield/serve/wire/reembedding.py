"""Another model for a collection that is there."""

from __future__ import annotations

from nearfield.serve.wire.base import In, K, Out, Timeout


class ReembedRequest(In):
    """The model, one that the operator allows; what the two are compared with; whether to switch; how long one is kept."""

    embedder: str
    queries: dict[str, str] | list[str] | None = None
    qrels: dict[str, dict[str, float]] | None = None
    k: K = 10
    switch: bool = True
    undo_window: Timeout = "7d"


class UndoReembedRequest(In):
    """How long the generation that was live is kept."""

    undo_window: Timeout = "7d"


class ForgottenOut(Out):
    """Whether there was one."""

    removed: bool
