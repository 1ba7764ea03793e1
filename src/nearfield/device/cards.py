"""The devices of this machine as values, and the choice of one with its reason. Probes nothing until asked.

Only `plainly_none` looks without PyTorch, which takes seconds to load.

A device is named as PyTorch names it: "cuda:0" for the first card, "cpu" for the processor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nearfield.core.errors import InvalidInput, MissingDependency
from nearfield.device import _torch

DRIVERS = ("dev/nvidia[0-9]*", "dev/nvidiactl", "proc/driver/nvidia", "dev/dxg", "dev/kfd")
"""What a machine with a card has: NVIDIA's driver, whose device files may be made on first use, the same below Windows (dxg),
AMD's (kfd). A container may show /proc/driver of a machine whose cards it was not given: then PyTorch is asked."""
HIDING = ("", "-1", "NoDevFiles")
"""Values of CUDA_VISIBLE_DEVICES that hide every card from a process."""
NO_TORCH = "PyTorch is not installed: pip install 'nearfield[models]'"


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


def plainly_none(root: Path = Path("/"), environ: Mapping[str, str] = os.environ) -> bool:
    """Whether there is no card, or all are hidden from this process. False: one may be there, and PyTorch knows.

    Args:
        root: where /dev and /proc are.
        environ: environment variables.
    """
    return environ.get("CUDA_VISIBLE_DEVICES") in HIDING or not any(any(root.glob(pattern)) for pattern in DRIVERS)


def none_because() -> str:
    """Why `visible` finds no card, and what to do; for who was told that it found none."""
    return "no card that PyTorch can use; `nearfield doctor` says why" if _torch.installed() else NO_TORCH


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


def roomiest(among: int | None = None) -> tuple[Card, int] | None:
    """The card with the most bytes free, and how many; the first of equals; None: no card.

    Args:
        among: so many cards from the first; None: all.
    """
    found = [(card, free_bytes(card.name)) for card in visible()[:among]]
    return max(found, key=lambda pair: pair[1], default=None)


def choose(wanted: str = "auto") -> tuple[str, str]:
    """The device to use and why.

    Args:
        wanted: "auto" takes the card with the most memory free, or the processor where there is none; "cpu"; "cuda", the
            same among cards alone; "cuda:N", that one.

    Raises:
        InvalidInput: no such device here.
        MissingDependency: a card is named, and PyTorch is not installed.
    """
    if wanted == "cpu":
        return "cpu", "the processor was asked for"
    names = [card.name for card in visible()]
    best = roomiest() if wanted in ("auto", "cuda") else None
    if best is not None:
        model = best[0].model
        most = f"{model} has the most memory free of {len(names)} cards"
        return best[0].name, most if len(names) > 1 else f"{model} is there"
    if wanted == "auto":
        return "cpu", none_because()
    if wanted in names:
        return wanted, "it was asked for"
    if wanted.partition(":")[0] == "cuda" and not _torch.installed():
        raise MissingDependency(NO_TORCH, field="device", received=wanted)
    words = ["auto", "cpu", *(["cuda", *names] if names else [])]
    raise InvalidInput(
        "no such device here; `nearfield doctor` says why",
        field="device",
        expected=", ".join(f"'{word}'" for word in words) + ("" if names else "; no card is here"),
        received=wanted,
    )
