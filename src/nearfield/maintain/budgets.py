"""From what a caller says of budgets to a keeper of tiers: which devices, how many bytes, what is wrong from the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nearfield.core import inputs
from nearfield.core.config import parse_size
from nearfield.core.errors import InvalidInput
from nearfield.device import cards
from nearfield.device.pool import Pool
from nearfield.device.spread import SPREADS
from nearfield.maintain.tiers import Named, TierKeeper

AUTO_SHARE = 0.7
"""Of a card's free memory that gpu_memory="auto" takes: models, and whatever else runs there, need some too."""
LEAST = 64 << 20
"""Bytes of a budget below which a device is not worth it."""


def keeper(
    engines: Callable[[], Sequence[Named]],
    gpu_memory: int | str | None,
    memory: int | str | None,
    device: str | Sequence[str],
    spread: str,
) -> TierKeeper | None:
    """The keeper for some budgets; None where there are none: then every segment is in memory, as the system has it.

    Args:
        engines: the collections that are open now.
        gpu_memory: of each device, such as "20GB"; "auto" takes most of what is free; None: no device is used.
        memory: for segments in memory; None: not limited.
        device: "auto", every card there is; or the names of those to use, such as "cuda:0", or "cpu".
        spread: "shard" deals the rows of a segment out over several cards, "replicate" puts all of them on each.

    Raises:
        InvalidInput: a budget that is none, or a device that is not there but was named.
    """
    inputs.choice(spread, SPREADS, "spread")
    limit = None if memory is None else parse_size(memory, "memory")
    if gpu_memory is None:
        return None if limit is None else TierKeeper(engines, limit, None)
    names, alarms = _devices(device)
    budgets: dict[str, int] = {}
    for name in names:
        try:
            budgets[name] = _budget(gpu_memory, name)
        except RuntimeError as error:
            alarms.append(f"{name} cannot be used ({_first(error)}): searches go by the processor; see `nearfield doctor`")
    if gpu_memory == "auto":
        full = [name for name, budget in budgets.items() if budget < LEAST]
        alarms += [f"{name} has too little memory free: searches go by the processor" for name in full]
        budgets = {name: budget for name, budget in budgets.items() if name not in full}
    return TierKeeper(engines, limit, Pool(budgets) if budgets else None, spread, alarms)


def _devices(wanted: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """Devices to use, and alarms: a service on a machine whose card is gone comes up all the same."""
    if wanted == "auto":
        try:
            found = [card.name for card in cards.visible()]
        except RuntimeError as error:
            return [], [f"no card can be used ({_first(error)}): searches go by the processor; see `nearfield doctor`"]
        return found, [] if found else ["no card that PyTorch can use: searches go by the processor; see `nearfield doctor`"]
    several = [wanted] if isinstance(wanted, str) else list(wanted)
    names = [cards.choose(name)[0] for one in several for name in one.split(",")]
    if len(set(names)) < len(names):
        raise InvalidInput("a device is named twice", field="device", expected="each once", received=wanted)
    return names, []


def _budget(gpu_memory: int | str, name: str) -> int:
    free = cards.free_bytes(name)
    budget = int(AUTO_SHARE * free) if gpu_memory == "auto" else parse_size(gpu_memory, "gpu_memory")
    if budget < LEAST and gpu_memory != "auto":
        raise InvalidInput("too little to be of use", field="gpu_memory", expected=f"at least {LEAST:,} bytes", received=budget)
    if budget > free:
        raise InvalidInput(
            f"{name} has less memory free", field="gpu_memory", expected=f"at most {free:,} bytes, or 'auto'", received=budget
        )
    return budget


def _first(error: BaseException) -> str:
    """The first line of what it says."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
