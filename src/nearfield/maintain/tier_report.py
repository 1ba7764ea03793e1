"""Where segments are, as values for people, metrics and programs. Changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nearfield.core.config import format_size
from nearfield.device.pool import DeviceUse


@dataclass(frozen=True, slots=True)
class Tiers:
    """Where segments are, in numbers; bytes.

    Attributes:
        devices: budgets and what is held of them.
        memory: budget of warm segments; None: not limited.
        memory_used: what the warm segments take when all of them has been touched, and indexes whose clones are on a card.
        segments: for each collection how many segments are of each tier.
        nbytes: for each collection the bytes of each tier: on devices, in memory, and of files that are opened on use.
        moves: segments moved so far, by the tier they went to.
        alarms: what went wrong and still matters, for people: devices that were lost or are not there.
        doing: the move that runs now, or None.
    """

    devices: tuple[DeviceUse, ...]
    memory: int | None
    memory_used: int
    segments: dict[str, dict[str, int]]
    nbytes: dict[str, dict[str, int]]
    moves: dict[str, int]
    alarms: tuple[str, ...]
    doing: str | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    def text(self) -> str:
        """A line for people."""
        parts = [f"{use.device}: {format_size(use.reserved)} of {format_size(use.budget)}" for use in self.devices]
        limit = "" if self.memory is None else f" of {format_size(self.memory)}"
        return "; ".join([*parts, f"memory: {format_size(self.memory_used)}{limit}", *self.alarms])
