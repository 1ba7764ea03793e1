"""An index of a segment with its measured curve, opened when it is first used and let go again when the segment is cold."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace

from nearfield.core.errors import Corrupt, InvalidInput
from nearfield.index import decode_kind
from nearfield.index.base import Effort, Index
from nearfield.index.curve import Curve, Point
from nearfield.store.catalog import IndexRecord


class IndexFile:
    """The files of one index.

    Args:
        opener: opens them; raises Corrupt if they are not what was written.
        expected: bytes of memory that the index takes once it has been touched, as far as is known before it is opened.
    """

    def __init__(self, opener: Callable[[], Index], expected: int = 0) -> None:
        self._opener, self._resident = opener, expected
        self.broken: str | None = None
        """Why it could not be opened; it is not tried again, and waits to be built anew."""
        self._index: Index | None = None
        self._lock = threading.Lock()

    def get(self) -> Index:
        """The index, opened if it is not."""
        index = self._index
        if index is None:
            with self._lock:
                if self.broken is not None:
                    raise Corrupt(self.broken)
                if self._index is None:
                    try:
                        self._index = self._opener()
                    except (Corrupt, OSError) as error:
                        self.broken = str(error)
                        raise
                    self._resident = self._index.resident_bytes
                index = self._index
        return index

    @property
    def is_open(self) -> bool:
        """Whether it takes memory now."""
        return self._index is not None

    @property
    def resident_bytes(self) -> int:
        """Bytes of memory that it takes when it is open and has been touched."""
        index = self._index
        return self._resident if index is None else index.resident_bytes

    def let_go(self) -> None:
        """Closes it, once the searches that run are done with it."""
        with self._lock:
            if self._index is not None:
                self._resident = self._index.resident_bytes
            self._index = None


class OpenIndex:
    """A segment's index, with its measured curve."""

    def __init__(self, record: IndexRecord, file: IndexFile, curve: Curve) -> None:
        self.record, self.file, self.curve = record, file, curve
        self.kind = str(record.kind.get("kind", ""))
        self._chosen: dict[tuple[float, int, float], Point | None] = {}

    @property
    def index(self) -> Index:
        """The index itself; opened now if it is not."""
        return self.file.get()

    def point_for(self, recall: float, k: int, share: float = 1.0) -> Point | None:
        """The cheapest measured setting whose bound reaches `recall` among a share of rows; None if none does."""
        share = math.floor(share * 100) / 100
        key = (recall, k, share)
        if key not in self._chosen:
            if len(self._chosen) > 1000:
                self._chosen.clear()
            self._chosen[key] = self.curve.effort_for(recall, k, share)
        return self._chosen[key]

    def setting(self, effort: Effort) -> Effort:
        """An effort that a caller chose, with the kind's own oversampling where none was said.

        Raises:
            InvalidInput: it lacks the knob that this index has, or sets one that it has not.
        """
        kind = decode_kind(self.record.kind)
        usual = kind.efforts(1 << 20)[-1]
        for name in ("nprobe", "efSearch"):
            if bool(getattr(usual, name)) != bool(getattr(effort, name)):
                has = ", ".join(n for n in ("nprobe", "efSearch") if getattr(usual, n)) or "neither nprobe nor efSearch"
                raise InvalidInput(
                    f"this does not suit the index {kind.recipe} of segment {self.record.segment}",
                    field=f"effort.{name}",
                    expected=f"an Effort with {has}",
                    received=getattr(effort, name),
                )
        steps = list(kind.oversamplings)
        return effort if effort.oversampling else replace(effort, oversampling=steps[min(1, len(steps) - 1)])
