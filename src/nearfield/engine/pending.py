"""Documents that are committed but not yet in a segment, in memory, searchable at once and exactly.

Knows arrays and counts, not SQLite. Blocks are append-only: a view holds the blocks, how many rows of each it sees, and
which are alive, so that publishing a commit costs what was written. Rows ascend through all blocks.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from nearfield.core.filters import Filter
from nearfield.core.matching import matches
from nearfield.core.metric import Metric
from nearfield.core.types import Document
from nearfield.store import metadata
from nearfield.store.catalog import PendingRow
from nearfield.store.columns import Columns

CAPACITY = 4096
_COLUMNS = 512


class Block:
    """Room for 4,096 rows; appended to by the committer alone, never beyond what a view already counts."""

    def __init__(self, dim: int, metric: Metric) -> None:
        self.vectors = np.zeros((CAPACITY, dim), dtype=np.float32)
        self.norms = np.zeros(CAPACITY, dtype=np.float32) if metric is Metric.COSINE else None
        self.rows = np.zeros(CAPACITY, dtype=np.int64)
        self.ids: list[str] = []
        self.texts: list[str | None] = []
        self.metadata: list[bytes] = []
        self.offsets: dict[str, list[int]] = {}
        self._columns: dict[int, Columns] = {}

    def append(self, row: PendingRow) -> None:
        """Adds one row after the last."""
        at = len(self.ids)
        self.vectors[at] = np.frombuffer(row.vector, dtype=np.float32)
        if self.norms is not None:
            self.norms[at] = row.norm
        self.rows[at] = row.row
        self.texts.append(row.text)
        self.metadata.append(row.metadata)
        self.offsets.setdefault(row.id, []).append(at)
        self.ids.append(row.id)

    def mask(self, condition: Filter, count: int) -> npt.NDArray[np.bool_]:
        """Which of the first `count` rows match: whole stretches by columns, the short tail one by one."""
        out = np.empty(count, dtype=np.bool_)
        for start in range(0, count, _COLUMNS):
            stop = min(start + _COLUMNS, count)
            if stop - start == _COLUMNS:
                if start not in self._columns:
                    decoded = [metadata.decode(m) for m in self.metadata[start:stop]]
                    self._columns[start] = Columns.build(decoded)
                out[start:stop] = self._columns[start].mask(condition)
            else:
                out[start:stop] = [matches(condition, metadata.decode(m)) for m in self.metadata[start:stop]]
        return out

    def document(self, at: int, *, vector: bool) -> Document:
        """The document at an offset."""
        values = None
        if vector:
            values = np.array(self.vectors[at]) if self.norms is None else self.vectors[at] * self.norms[at]
        return Document(self.ids[at], self.texts[at], metadata.decode(self.metadata[at]), values)


@dataclass(frozen=True, slots=True)
class Part:
    """A block as one snapshot sees it: its first `count` rows, of which `live` (None: all) are alive."""

    block: Block
    count: int
    live: npt.NDArray[np.bool_] | None = None
    dead: int = 0


@dataclass(frozen=True, slots=True)
class PendingView:
    """All pending rows of one snapshot."""

    parts: tuple[Part, ...] = ()
    first_rows: tuple[int, ...] = ()

    def __len__(self) -> int:
        return sum(p.count - p.dead for p in self.parts)

    @property
    def nbytes(self) -> int:
        """Bytes of vectors held for live rows' blocks."""
        return sum(p.count * p.block.vectors.strides[0] for p in self.parts)

    def find(self, row: int) -> tuple[int, int]:
        """(part, offset) of a row, dead or alive; (-1, -1) if it is not pending."""
        part = bisect.bisect_right(self.first_rows, row) - 1
        if part >= 0:
            seen = self.parts[part]
            at = int(np.searchsorted(seen.block.rows[: seen.count], row))
            if at < seen.count and seen.block.rows[at] == row:
                return part, at
        return -1, -1

    def find_id(self, document_id: str) -> tuple[Block, int] | None:
        """(block, offset) of the live row of an id, or None."""
        for part in self.parts:
            for at in part.block.offsets.get(document_id, ()):
                if at < part.count and (part.live is None or part.live[at]):
                    return part.block, at
        return None

    def live_rows(self) -> Iterator[tuple[Block, int]]:
        """(block, offset) of every live row, ascending."""
        for part in self.parts:
            for at in range(part.count):
                if part.live is None or part.live[at]:
                    yield part.block, at

    def changed(self, added: Sequence[PendingRow], removed: Sequence[int], dim: int, metric: Metric) -> PendingView:
        """The view after a commit. Blocks of which nothing lives are let go."""
        parts = list(self.parts)
        for row in added:
            if not parts or len(parts[-1].block.ids) == CAPACITY:
                parts.append(Part(Block(dim, metric), 0))
            parts[-1].block.append(row)
        parts = [_grown(part) for part in parts]
        view = PendingView(tuple(parts), tuple(int(p.block.rows[0]) for p in parts))
        if not removed:
            return view
        gone: dict[int, list[int]] = {}
        for number in removed:
            part, at = view.find(number)
            if part >= 0:
                gone.setdefault(part, []).append(at)
        for number, offsets in gone.items():
            part_ = parts[number]
            live = np.ones(part_.count, np.bool_) if part_.live is None else part_.live.copy()
            live[offsets] = False
            parts[number] = replace(part_, live=live, dead=int(part_.count - live.sum()))
        kept = [p for p in parts if p.dead < p.count]
        return PendingView(tuple(kept), tuple(int(p.block.rows[0]) for p in kept))


def _grown(part: Part) -> Part:
    count = len(part.block.ids)
    if count == part.count:
        return part
    live = part.live
    if live is not None:
        live = np.concatenate([live, np.ones(count - part.count, np.bool_)])
    return replace(part, count=count, live=live)
