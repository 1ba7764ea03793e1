"""From what `nearfield serve` was told of cards and memory to what a database is opened with. Asks no card anything.

A card is held by one process: batches fill it, and a second process would hold everything on it a second time. So is a budget
of memory: processes share the mapped files, and what one lets go another still holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nearfield.core import inputs
from nearfield.core.config import parse_size
from nearfield.core.errors import InvalidInput
from nearfield.device import cards, wanted
from nearfield.device.spread import SPREADS


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a database is opened with; see nearfield.open.

    Attributes:
        gpu_memory: None: no card is used.
        memory: None: not limited.
        device: "auto", or names.
        spread: "shard" or "replicate".
        reason: why a card that may be there is not used; "" where there is nothing to say.
    """

    gpu_memory: str | None = None
    memory: str | None = None
    device: str = "auto"
    spread: str = "shard"
    reason: str = ""


def decide(
    gpu_memory: str,
    memory: str | None,
    device: str,
    spread: str,
    workers: int,
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> Budgets:
    """What to open with.

    Args:
        gpu_memory: bytes of each card, such as "20GB"; "auto": most of what is free, where there is a card and one process;
            "none" or 0: no card.
        memory: bytes for warm segments; None: not limited.
        device: "auto", "cuda:0", several separated by commas; "cpu" stands for a card where `gpu_memory` says how much.
        spread: over several cards; one that is not "shard" asks for cards, as a device does.
        workers: processes.
        root: where /dev and /proc are.
        environ: environment variables.

    Raises:
        InvalidInput: not a size, no such spread, a device or spread where no card is used, or what several processes cannot
            hold.
    """
    inputs.choice(spread, SPREADS, "spread")
    if memory is not None:
        parse_size(memory, "memory")
    if workers > 1 and memory is not None:
        raise InvalidInput(
            "a budget of memory is of one process: workers share the files, and what one lets go another holds",
            field="memory", expected="--workers 1, or no --memory", received=memory,
        )  # fmt: skip
    asked, named = wanted.budget(gpu_memory), wanted.devices(device)
    if asked is None:
        wanted.unused(device, spread, "--gpu-memory")
        return Budgets(None, memory)
    told = asked != "auto" or named is not None or spread != "shard"
    if workers > 1 and told:
        raise InvalidInput(
            "a card is held by one process, whose batches fill it", field="workers", received=workers,
            expected="--workers 1, or no --gpu-memory, --device and --spread",
        )  # fmt: skip
    if asked == "auto" and named is not None and "cpu" in named:
        raise InvalidInput(
            "the processor stands for a card where it is said how much of memory: give --gpu-memory", field="device",
            expected="'auto', which is the default, or --gpu-memory beside it", received=device,
        )  # fmt: skip
    if not told and cards.plainly_none(root, environ):
        return Budgets(None, memory)
    if workers > 1:
        return Budgets(None, memory, reason="no card is used: one process would hold it, and there are more; see --workers")
    return Budgets("auto" if asked == "auto" else gpu_memory, memory, device, spread)
