"""The devices of this machine as values, and the choice of one with its reason. Probes nothing until asked.

A device is named as PyTorch names it: "cuda:0" for the first card, "cpu" for the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

from nearfield.core.errors import InvalidInput
from nearfield.device import _torch


@dataclass(frozen=True, slots=True)
class Card:
    """One graphics card.

    Attributes:
        name: as PyTorch names it, such as "cuda:0".
        model: as its maker names it.
        memory: bytes, all of them.
        capability: its compute capability, such as (9, 0).
    """

    name: str
    model: str
    memory: int
    capability: tuple[int, int]


def visible() -> tuple[Card, ...]:
    """The cards that PyTorch can use here; none without PyTorch, without a driver, or in a build for processors alone."""
    if not _torch.installed():
        return ()
    torch = _torch.torch()
    if not torch.cuda.is_available():
        return ()
    found = []
    for number in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(number)
        found.append(Card(f"cuda:{number}", about.name, int(about.total_memory), (about.major, about.minor)))
    return tuple(found)


def free_bytes(name: str) -> int:
    """Bytes that a device has free now, whoever uses the rest; of the processor what the system says is available."""
    if name == "cpu":
        import psutil

        return int(psutil.virtual_memory().available)
    free, _ = _torch.torch().cuda.mem_get_info(name)
    return int(free)


def choose(wanted: str = "auto") -> tuple[str, str]:
    """The device to use and why.

    Args:
        wanted: "auto" takes the card with the most memory free, or the processor where there is none; "cpu"; "cuda", the
            same among cards alone; "cuda:N", that one.

    Raises:
        InvalidInput: no such device here.
    """
    if wanted == "cpu":
        return "cpu", "the processor was asked for"
    cards = visible()
    if wanted in ("auto", "cuda") and cards:
        best = max(cards, key=lambda card: free_bytes(card.name))
        return best.name, f"{best.model} has the most memory free of {len(cards)} cards" if len(
            cards
        ) > 1 else f"{best.model} is there"
    if wanted == "auto":
        return "cpu", "no card that PyTorch can use; `nearfield doctor` says why"
    if wanted in (card.name for card in cards):
        return wanted, "it was asked for"
    there = ", ".join(f"'{card.name}'" for card in cards) or "no card"
    raise InvalidInput(
        "no such device here; `nearfield doctor` says why",
        field="device",
        expected=f"'auto', 'cpu', or of {there}",
        received=wanted,
    )
