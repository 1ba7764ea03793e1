"""Near-duplicates of a server's collection, as `Collection` has them. Knows routes; the server compares and deletes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from nearfield.core import inputs, keeping
from nearfield.core.duplicates import Deduplication, Group, Join, Link, Suggestion
from nearfield.core.errors import NearfieldError
from nearfield.core.keeping import Keep, KeepBy
from nearfield.core.metric import Metric

if TYPE_CHECKING:
    from nearfield.remote.database import RemoteDatabase

POLL = 0.2
"""Seconds between two looks at a job."""


class RemoteDuplicates:
    """Groups of near-duplicates of a server's collection; each time through them asks the server again."""

    def __init__(self, database: RemoteDatabase, path: str, told: Mapping[str, Any]) -> None:
        self._database, self._path, self._told = database, path, told
        self._join: Join | None = None

    @property
    def join(self) -> Join:
        """How the pairs were found; asks the server if that was not done yet."""
        if self._join is None:
            next(iter(self), None)
        assert self._join is not None
        return self._join

    def __iter__(self) -> Iterator[Group]:
        for line in self._database.lines(f"{self._path}/duplicates", self._told):
            if "join" in line:
                self._join = msgspec.convert(line["join"], Join)
            else:
                yield _group(line)


class RemoteDuplicating:
    """Part of RemoteCollection, which has `path`, `metric` and a database."""

    path: str
    metric: Metric
    _database: RemoteDatabase

    def duplicates(
        self,
        above: float,
        *,
        keep: Keep = "first",
        filter: Mapping[str, Any] | None = None,
        recall: float = 0.99,
    ) -> RemoteDuplicates:
        """Groups of near-duplicates; see Collection.duplicates. The server bounds how many documents; `dedup` it does not."""
        return RemoteDuplicates(self._database, self.path, self._asked(above, keep, filter, recall))

    def dedup(
        self,
        above: float,
        *,
        keep: Keep = "first",
        filter: Mapping[str, Any] | None = None,
        recall: float = 0.99,
        dry_run: bool = True,
        progress: Callable[[str], None] | None = None,
    ) -> Deduplication:
        """Deletes near-duplicates, or says which; see Collection.dedup. A job of the server, which goes on without its caller.

        `groups` of the report are the first thousand. `progress` is called with lines for people.
        """
        told = self._asked(above, keep, filter, recall) | {"dry_run": dry_run}
        job = self._database.ask("POST", f"{self.path}/dedup", told)
        said = ""
        while job["state"] in ("waiting", "running"):
            time.sleep(POLL)
            job = self._database.ask("GET", f"/v1/jobs/{job['id']}")
            if progress is not None and job.get("progress") and job["progress"][-1] != said:
                said = job["progress"][-1]
                progress(said)
        if job["state"] != "done":
            raise NearfieldError((job.get("error") or {}).get("message") or f"the job was {job['state']}")
        found = job["result"]
        return Deduplication(
            tuple(map(_group, found["groups"])),
            found["dry_run"],
            found["documents"],
            found["deleted"],
            found["spared"],
            msgspec.convert(found["join"], Join),
            found["commit"],
        )

    def suggest_threshold(self, *, sample: int = 2000, filter: Mapping[str, Any] | None = None) -> Suggestion:
        """A threshold for `duplicates`; see Collection.suggest_threshold."""
        told = {"sample": inputs.whole(sample, "sample", 100), "filter": None if filter is None else dict(filter)}
        found = self._database.ask("POST", f"{self.path}/suggest_threshold", told)
        return Suggestion(
            found["above"],
            found["reason"],
            found["sampled"],
            found["share"],
            {float(share): score for share, score in found["quantiles"].items()},
            tuple((low, high, count) for low, high, count in found["histogram"]),
        )

    def _asked(self, above: float, keep: Keep, filter: Mapping[str, Any] | None, recall: float) -> dict[str, Any]:
        checked = keeping.keep(keep)
        stays: Any = {"field": checked.field, "order": checked.order} if isinstance(checked, KeepBy) else checked
        limit = keeping.above(above, self.metric)
        return {"above": limit, "keep": stays, "filter": None if filter is None else dict(filter), "recall": recall}


def _group(told: Mapping[str, Any]) -> Group:
    return Group(tuple(told["ids"]), told["keep"], tuple(Link(*link) for link in told["links"]))
