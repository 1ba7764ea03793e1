"""Tiers: where segments are kept, budgets and alarms; pinning a collection to one."""

from __future__ import annotations

from collections import Counter

import msgspec

from nearfield.core.types import TIERS
from nearfield.serve.route import Call, Route
from nearfield.serve.wire import PinOut, PinRequest, TiersOut

PATIENCE = 5.0
"""Seconds for which a request waits for its moves, which hold a thread of the few that write."""


async def tiers(call: Call) -> TiersOut:
    """Where they are now."""
    found = await call.service.aside(call.service.database.tiers)
    return msgspec.convert(found.to_dict(), TiersOut)


async def pin(call: Call) -> PinOut:
    """Pins a collection, or lets it go; answers when its segments have been moved, or are still being after some seconds."""
    wanted = await call.read(PinRequest)

    def work() -> PinOut:
        collection = call.service.collection(call.path("name"))
        collection.pin(wanted.tier, timeout=PATIENCE)
        found = Counter(segment.tier for segment in collection.stats().segments)
        return PinOut(pin=wanted.tier, segments={tier: found[tier] for tier in TIERS})

    return await call.service.write(work)


ROUTES = (
    Route(
        "GET", "/v1/tiers", tiers, "read", "Where segments are kept: cards, memory, files; budgets, moves, alarms.",
        None, TiersOut, owner=True,
    ),
    Route(
        "POST", "/v1/collections/{name}/pin", pin, "write", "Keep a collection in one tier, or as it is asked (null).",
        PinRequest, PinOut, fails=("not_found", "invalid_input", "overloaded", "read_only", "out_of_space", "closed"),
    ),
)  # fmt: skip
