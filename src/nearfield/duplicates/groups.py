"""From links to groups with ids, and which document of each stays.

Knows rows and links. Groups come one at a time: what is read from documents is read when a group is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfield.core.duplicates import Group, Link
from nearfield.core.keeping import FIRST, NEWEST, KeepBy
from nearfield.duplicates.forest import components
from nearfield.duplicates.joining import Linked
from nearfield.duplicates.rows import Rows
from nearfield.store import metadata


@dataclass(frozen=True, slots=True)
class Placed:
    """A group with the places of its documents in `Rows`, ascending, and of the one that stays."""

    group: Group
    rows: tuple[int, ...]
    keep: int


def groups(rows: Rows, linked: Linked, keep: str | KeepBy) -> Iterator[Placed]:
    """The groups, by the document of each that was written first."""
    labels = components(linked.first, linked.second, len(rows))
    members = np.unique(np.concatenate([linked.first, linked.second]))
    members = members[np.argsort(labels[members], kind="stable")]
    of_links = np.argsort(labels[linked.first], kind="stable")
    link_labels = labels[linked.first][of_links]
    starts = np.flatnonzero(np.concatenate([[True], np.diff(labels[members]) != 0])) if len(members) else members
    for start, stop in zip(starts.tolist(), [*starts[1:].tolist(), len(members)], strict=False):
        some = members[start:stop]
        low, high = np.searchsorted(link_labels, [labels[some[0]], labels[some[0]] + 1])
        yield _group(rows, some.tolist(), linked, of_links[low:high].tolist(), keep)


def _group(rows: Rows, members: list[int], linked: Linked, links: list[int], keep: str | KeepBy) -> Placed:
    ids = {row: rows.id(row) for row in members}
    stays = chosen(rows, members, keep)
    made = tuple(Link(ids[int(linked.first[i])], ids[int(linked.second[i])], float(linked.scores[i])) for i in links)
    return Placed(Group(tuple(ids.values()), ids[stays], made), tuple(members), stays)


def chosen(rows: Rows, members: list[int], keep: str | KeepBy) -> int:
    """Which of a group's rows, ascending, stays."""
    if keep == FIRST:
        return members[0]
    if keep == NEWEST:
        return members[-1]
    assert isinstance(keep, KeepBy)
    values = {row: _value(metadata.decode(rows.metadata(row)), keep.field) for row in members}
    for kind in (float, int), str:
        alike = [row for row in members if isinstance(values[row], kind)]
        if alike:
            found: list[Any] = [values[row] for row in alike]
            best = max(found) if keep.order == "max" else min(found)
            return next(row for row in alike if values[row] == best)
    return members[0]


def _value(document: Any, field: str) -> float | int | str | None:
    """The number or string at a dotted path; None for anything else."""
    if field in document:
        found = document[field]
    else:
        found = document
        for key in field.split("."):
            found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        return None
    return None if isinstance(found, float) and not math.isfinite(found) else found
