"""Where segments are kept, and where a collection's should be."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from nearfield.core.types import Tier
from nearfield.serve.wire.base import In, Out


class PinRequest(In):
    """The tier that all segments of a collection are kept in; null: as they are asked."""

    tier: Annotated[Tier | None, Meta(description="hot: on a card; warm: in memory; cold: in files; null: as they are asked")]


class PinOut(Out):
    """What a collection is pinned to, and how many of its segments are in each tier now."""

    pin: Tier | None
    segments: dict[str, int]


class DeviceOut(Out):
    """A device in bytes: its budget, and what is reserved of it, workspace included; `lost`: why it is not used any more."""

    device: str
    budget: int
    reserved: int
    lost: str | None


class TiersOut(Out):
    """Where segments of the open collections are: budgets (`memory` null: not limited), counts and bytes of each tier.

    `moves`: made so far, by the tier they went to; `alarms`: what went wrong and still matters; `doing`: the move that runs.
    """

    devices: list[DeviceOut]
    memory: int | None
    memory_used: int
    segments: dict[str, dict[str, int]]
    nbytes: dict[str, dict[str, int]]
    moves: dict[str, int]
    alarms: list[str]
    doing: str | None
