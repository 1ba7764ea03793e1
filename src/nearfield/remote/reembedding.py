"""Generations of a server's collections: jobs that are begun, and waited for. Part of RemoteDatabase."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from nearfield.core import errors, inputs
from nearfield.remote import failures, packing

if TYPE_CHECKING:
    from nearfield.remote.database import RemoteDatabase

EVERY = 0.2
"""Seconds between looks at a job."""


class RemoteReembedding:
    """Embeds anew, goes back, forgets."""

    def reembed(
        self,
        name: str,
        embedder: str,
        *,
        queries: Mapping[str, str] | Sequence[str] | None = None,
        qrels: Mapping[str, Mapping[str, float]] | None = None,
        k: int = 10,
        switch: bool = True,
        undo_window: float | str = "7d",
        progress: Callable[[str], None] | None = None,
    ) -> dict[str, Any]:
        """Embeds all documents by another model; see Database.reembed, whose report comes as its `to_dict`.

        The model must be one that the server allows. If this call is interrupted, the server goes on.
        """
        told = {"embedder": embedder, "queries": queries, "qrels": qrels, "k": k, "switch": switch, "undo_window": undo_window}
        return self._job(_place(name), told, progress)

    def undo_reembed(
        self, name: str, *, undo_window: float | str = "7d", progress: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """Goes back to the model before; see Database.undo_reembed."""
        return self._job(f"{_place(name)}/undo", {"undo_window": undo_window}, progress)

    def forget_generation(self, name: str) -> bool:
        """Removes the generation that is not live; see Database.forget_generation."""
        return bool(cast("RemoteDatabase", self).ask("DELETE", _place(name))["removed"])

    def generations(self, name: str) -> tuple[dict[str, Any], ...]:
        """What is kept beside the live generation; see Database.generations."""
        path = f"/v1/collections/{packing.quoted(inputs.name(name))}/stats"
        return tuple(cast("RemoteDatabase", self).ask("GET", path)["generations"])

    def _job(self, path: str, told: dict[str, Any], progress: Callable[[str], None] | None) -> dict[str, Any]:
        """Begins a job and waits for its result; raises the error it ended with."""
        db = cast("RemoteDatabase", self)
        job = db.ask("POST", path, told)
        last = ""
        while job["state"] in ("waiting", "running"):
            time.sleep(EVERY)
            job = db.ask("GET", f"/v1/jobs/{job['id']}")
            lines = job.get("progress")  # what is empty is not told
            if progress is not None and lines and lines[-1] != last:
                last = lines[-1]
                progress(last)
        if job["state"] == "cancelled":
            raise errors.Closed("the job was cancelled")
        if job.get("error") is not None:
            raise failures.told(job["error"])
        result: dict[str, Any] = job["result"]
        return result


def _place(name: str) -> str:
    return f"/v1/collections/{packing.quoted(inputs.name(name))}/reembed"
