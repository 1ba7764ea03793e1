"""Where one segment's vectors are now, and how often it is searched. Shared by all snapshots that hold the segment.

A placement changes where an answer comes from, never the answer: scans on a device are exact. What moves segments is
maintain/tiers.py; this knows no budget. `hot`: on a device too; `warm`: in memory; `cold`: in files, opened on use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from nearfield.core.types import Tier
from nearfield.device.resident import OnDevices
from nearfield.engine.cloned import ClonedIndex

Resident = OnDevices | ClonedIndex
"""What a device holds of a segment: its vectors, which are scanned, or its index."""


class Placement:
    """Of one segment.

    Attributes:
        tier: where it is.
        resident: what a device holds of it; None unless hot.
        searches: queries that looked at it so far; `trimmed`: how many had when its memory was last given back, if it is cold.
        on_failure: called with the resident and the error when a device failed; None: nobody keeps tiers.
    """

    def __init__(self, tier: Tier = "warm") -> None:
        self.tier: Tier = tier
        self.resident: Resident | None = None
        self.searches = self.trimmed = 0
        self.on_failure: Callable[[Resident, Exception], None] | None = None
        self._lock = threading.Lock()

    @property
    def scanner(self) -> OnDevices | None:
        """Its vectors on a device, or None."""
        there = self.resident
        return there if isinstance(there, OnDevices) else None

    def clone(self, number: int) -> ClonedIndex | None:
        """Its index `number` on a card, or None."""
        there = self.resident
        return there if isinstance(there, ClonedIndex) and there.number == number else None

    def touch(self, queries: int) -> Tier:
        """Notes that so many queries looked at the segment, and says where it is."""
        self.searches += queries
        return self.tier

    def move(self, tier: Tier, resident: Resident | None = None) -> Resident | None:
        """Sets where the segment is; returns what was on a device before, for the caller to close."""
        with self._lock:
            before, self.resident, self.tier = self.resident, resident, tier
            return before

    def leave(self) -> None:
        """Gives back what is on a device: the collection is being closed."""
        there = self.move("warm")
        if there is not None:
            there.close()

    def failed(self, resident: Resident, error: Exception) -> None:
        """A device failed: the segment is warm from now on, as if it had never been there. The vectors are in their file."""
        with self._lock:
            if self.resident is not resident:
                return
            self.resident, self.tier = None, "warm"
        if self.on_failure is not None:
            self.on_failure(resident, error)
