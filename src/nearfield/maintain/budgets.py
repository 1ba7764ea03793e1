"""From what a caller says of budgets to a keeper of tiers: which devices, how many bytes, what is wrong from the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from nearfield.core import inputs
from nearfield.core.config import parse_size
from nearfield.core.errors import InvalidInput, MissingDependency
from nearfield.device import _torch, cards, wanted
from nearfield.device.pool import Pool
from nearfield.device.spread import SPREADS
from nearfield.maintain.tiers import Named, TierKeeper

AUTO_SHARE = 0.7
"""Of a card's free memory that gpu_memory="auto" takes: models, and whatever else runs there, need some too."""


def keeper(
    engines: Callable[[], Sequence[Named]],
    gpu_memory: int | str | None,
    memory: int | str | None,
    device: str | Sequence[str],
    spread: str,
) -> TierKeeper | None:
    """The keeper for some budgets; None where there are none: then every segment is in memory, as the system has it.

    What the caller says is checked before devices are looked for: it is refused on any machine or on none.

    Args:
        engines: the collections that are open now.
        gpu_memory: of each device, such as "20GB"; "auto" takes most of what is free; None, "none" or 0: no device is used.
        memory: for segments in memory; None: not limited.
        device: "auto", every card there is; or the names of those to use, such as "cuda:0", or "cpu".
        spread: "shard" deals the rows of a segment out over several cards, "replicate" puts all of them on each.

    Raises:
        InvalidInput: a budget that is none, a device that is not there but was named, or a device or spread without
            `gpu_memory`.
        MissingDependency: a device was named, and PyTorch is not installed.
    """
    inputs.choice(spread, SPREADS, "spread")
    limit = None if memory is None else parse_size(memory, "memory")
    asked, named = wanted.budget(gpu_memory), wanted.devices(device)
    if asked is None:
        wanted.unused(device, spread)
        return None if limit is None else TierKeeper(engines, limit, None)
    names, alarms = _every() if named is None else (_each(named), [])
    budgets: dict[str, int] = {}
    for name in names:
        try:
            budgets[name] = _budget(asked, name)
        except RuntimeError as error:
            alarms.append(f"{name} cannot be used ({_first(error)}): searches go by the processor; see `nearfield doctor`")
    if asked == "auto":
        full = [name for name, budget in budgets.items() if budget < wanted.LEAST]
        alarms += [f"{name} has too little memory free: searches go by the processor" for name in full]
        budgets = {name: budget for name, budget in budgets.items() if name not in full}
    return TierKeeper(engines, limit, Pool(budgets) if budgets else None, spread, alarms)


def _every() -> tuple[list[str], list[str]]:
    """All cards, and alarms: a service on a machine whose card is gone comes up all the same."""
    try:
        found = [card.name for card in cards.visible()]
    except RuntimeError as error:
        return [], [f"no card can be used ({_first(error)}): searches go by the processor; see `nearfield doctor`"]
    if found:
        return found, []
    return [], [f"searches go by the processor: {cards.none_because()}"]


def _each(named: Sequence[str]) -> list[str]:
    """The devices of some names; raises what `keeper` says."""
    if not _torch.installed():
        raise MissingDependency(cards.NO_TORCH, field="device", received=", ".join(named))
    names = [cards.choose(name)[0] for name in named]
    if len(set(names)) < len(names):
        raise InvalidInput("a device is named twice", field="device", expected="each once", received=", ".join(named))
    return names


def _budget(asked: int | Literal["auto"], name: str) -> int:
    free = cards.free_bytes(name)
    if asked == "auto":
        return int(AUTO_SHARE * free)
    if asked > free:
        raise InvalidInput(
            f"{name} has less memory free", field="gpu_memory", expected=f"at most {free:,} bytes, or 'auto'", received=asked
        )
    return asked


def _first(error: BaseException) -> str:
    """The first line of what it says."""
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
