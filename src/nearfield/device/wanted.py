"""What a caller says of devices, read: how many bytes of each, and which ones. Looks for no device and loads no PyTorch.

`nearfield.open` and `nearfield serve` read it by the same functions: what one refuses, the other refuses too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nearfield.core.config import parse_size
from nearfield.core.errors import InvalidInput

LEAST = 64 << 20
"""Bytes of a budget below which a device is not worth it."""


def budget(gpu_memory: int | str | None) -> int | Literal["auto"] | None:
    """Bytes of each device; "auto": most of what is free; None, "none" and 0 are one: no device is used.

    Raises:
        InvalidInput: not a size, or too few bytes to be of use.
    """
    word = gpu_memory.strip().lower() if isinstance(gpu_memory, str) else gpu_memory
    if word is None or word == "none":
        return None
    if word == "auto":
        return "auto"
    nbytes = parse_size(word, "gpu_memory")
    if 0 < nbytes < LEAST:
        raise InvalidInput(
            "too little to be of use", field="gpu_memory", expected=f"at least {LEAST:,} bytes, or 'none'", received=gpu_memory
        )
    return nbytes or None


def devices(device: str | Sequence[str]) -> tuple[str, ...] | None:
    """The names of devices, such as "cuda:0" or "cuda:0,cuda:1" or a list of them; None: "auto", whatever is there.

    Raises:
        InvalidInput: none is named, or something else than text.
    """
    several = [device] if isinstance(device, str) else device
    if not isinstance(several, Sequence) or not all(isinstance(one, str) for one in several):
        raise InvalidInput("not a name", field="device", expected="'auto', or names such as 'cuda:0'", received=device)
    names = tuple(name.strip() for one in several for name in one.split(","))
    if names == ("auto",):
        return None
    if not names or "" in names:
        raise InvalidInput("no device is named", field="device", expected="'auto', or names such as 'cuda:0'", received=device)
    if "auto" in names:
        raise InvalidInput("'auto' is every card there is", field="device", expected="it alone, or names", received=device)
    return names


def unused(device: str | Sequence[str], spread: str, option: str = "gpu_memory=") -> None:
    """Raises InvalidInput where no device is used and one is named, or how rows are spread; `option`: what is missing."""
    if devices(device) is not None:
        raise InvalidInput(
            f"a device is named, and nothing may be put on it: give {option}",
            field="device",
            expected=f"'auto', which is the default, or {option} beside it",
            received=device,
        )
    if spread != "shard":
        raise InvalidInput(
            f"no device is used to spread rows over: give {option}",
            field="spread",
            expected=f"'shard', which is the default, or {option} beside it",
            received=spread,
        )
