"""Which metadata fields a snapshot's documents have, of which types, with their range and commonest words.

It is what a person needs who builds a filter. Knows columns and pending rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from nearfield.core.filters import Filter
from nearfield.engine.snapshot import Snapshot
from nearfield.store import column as kinds
from nearfield.store import metadata
from nearfield.store.column import Column
from nearfield.store.columns import Columns, Mask

WORDS = 20
"""Words of a field that are named."""
EACH = 100
"""Words of a segment that are counted: one that is rare everywhere is missed."""
NAMES = {
    kinds.NULL: "null", kinds.BOOL: "bool", kinds.INT: "int", kinds.FLOAT: "float", kinds.STRING: "string",
    kinds.LIST: "list", kinds.OBJECT: "object", kinds.ODD: "int",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        name: its dotted path, as filters name it.
        documents: how many live documents have it.
        types: how many of them have a value of each type: null, bool, int, float, string, list, object.
        elements: the same for the elements of lists.
        least, greatest: of the numbers, those in lists included; None where there are none.
        words: the commonest strings with how often they occur, those in lists included; at most WORDS.
    """

    name: str
    documents: int
    types: dict[str, int]
    elements: dict[str, int]
    least: float | None
    greatest: float | None
    words: dict[str, int]


@dataclass(slots=True)
class _Tally:
    types: Counter[str] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    numbers: list[float] = field(default_factory=list)

    def add(self, column: Column, keep: Mask, types: Counter[str]) -> None:
        """Counts the entries of a column that are kept, and the elements of their lists."""
        for kind, count in enumerate(np.bincount(column.kinds[keep]).tolist()):
            if count and kind != kinds.MISSING:
                types[NAMES[kind]] += count
        for values, kind in ((column.ints, kinds.INT), (column.floats, kinds.FLOAT)):
            if values is not None and len(found := values[keep & (column.kinds == kind)]):
                self.numbers += [found.min().item(), found.max().item()]
        if column.codes is not None and column.words is not None:
            counts = np.bincount(column.codes[keep & (column.kinds == kinds.STRING)], minlength=len(column.words))
            for code in np.argsort(-counts, kind="stable")[:EACH].tolist():
                if counts[code]:
                    self.words[column.words[code].as_py()] += int(counts[code])
        if column.child is not None and column.starts is not None:
            self.add(column.child, np.repeat(keep, np.diff(column.starts)), self.elements)

    def field(self, path: tuple[str, ...]) -> Field:
        """What was counted."""
        finite = [v for v in self.numbers if np.isfinite(v)]
        return Field(
            ".".join(path),
            self.types.total(),
            dict(self.types),
            dict(self.elements),
            min(finite, default=None),
            max(finite, default=None),
            dict(self.words.most_common(WORDS)),
        )


def collect(snapshot: Snapshot, only: Filter | None = None) -> list[Field]:
    """The fields of all live documents, or of the rows that match `only`, without hidden keys; by name."""
    tallies: dict[tuple[str, ...], _Tally] = {}

    def count(columns: Columns, live: Mask) -> None:
        for path in columns.paths:
            column = columns.column(path)
            if column is not None:
                tally = tallies.setdefault(path, _Tally())
                tally.add(column, live if column.at is None else live[column.at], tally.types)

    for view in snapshot.segments:
        count(view.segment.columns, view.live_mask() if only is None else view.live_mask() & view.segment.columns.mask(only))
    for part in snapshot.pending.parts:
        live = np.ones(part.count, np.bool_) if part.live is None else part.live
        if only is not None:
            live = live & part.block.mask(only, part.count)
        count(Columns.build([metadata.decode(m) for m in part.block.metadata[: part.count]]), live)
    found = [tally.field(path) for path, tally in sorted(tallies.items())]
    return [f for f in found if f.documents and (only is None or not f.name.startswith("$"))]


__all__ = ["Field", "collect"]
