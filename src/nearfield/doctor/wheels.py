"""For which cards code was compiled: the rules of CUDA, and what each FAISS wheel of PyPI contains. Knows no machine.

The table was read from the wheels' binaries. A wheel that is not in it is judged by the trial on the card alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from nearfield.doctor.packages import Wheel

LEAST_DRIVER = {11: 450, 12: 525, 13: 580}
"""CUDA version: the oldest Linux driver whose programs of all its minor versions run (NVIDIA, CUDA compatibility)."""
_ARCH = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a wheel holds: its name, how its version begins, and what its kernels were compiled for."""

    name: str
    version: str
    archs: tuple[str, ...]


TABLE = (
    Contents("faiss-gpu-cu12", "1.14.1", ("sm_70", "sm_80")),
    Contents("faiss-gpu", "1.15.1", ("sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "compute_90")),
    Contents("faiss-gpu-cuvs", "1.15.1", ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "compute_90")),
    Contents("faiss-cuda", "1.14.1", ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100")),
    Contents("faiss-cuda", "1.14.3", ("sm_70", "sm_80", "sm_86", "sm_89", "sm_90")),
)


def archs(wheel: Wheel) -> tuple[str, ...]:
    """What a FAISS wheel's kernels were compiled for; nothing where the table does not have it."""
    for known in TABLE:
        if wheel.name == known.name and (wheel.version == known.version or wheel.version.startswith(known.version + ".")):
            return known.archs
    return ()


def on_cards(wheel: Wheel) -> bool:
    """Whether a FAISS wheel is one for cards."""
    return wheel.name != "faiss-cpu" and (cuda_major(wheel) is not None or "gpu" in wheel.name or "cuda" in wheel.name)


def cuda_major(wheel: Wheel) -> int | None:
    """The CUDA version that a FAISS wheel asks for, without the part after the dot; None where it asks for none."""
    for need in wheel.requires:
        match = re.match(r"nvidia-(?:cuda-runtime|cublas)(?:-cu(\d+))?\b(?:.*?>=(\d+))?", need)
        if match and (match[1] or match[2]):
            return int(match[1] or match[2])
    named = re.search(r"-cu(\d\d)$", wheel.name)
    return int(named[1]) if named else None


def runs(capability: tuple[int, int], compiled: Iterable[str]) -> Literal["", "ptx", "code"]:
    """How code runs on a card of a compute capability.

    Machine code ("sm_80") runs on cards of the same major number and no lower minor number; "sm_90a" on that card alone,
    "sm_100f" on its family. PTX ("compute_80") is compiled by the driver, on first use, for that capability and any above.

    Returns:
        "code": as it is; "ptx": after the driver compiled it; "": not at all.
    """
    best: Literal["", "ptx", "code"] = ""
    for one in compiled:
        match = _ARCH.fullmatch(one.strip())
        if match is None:
            continue
        own = (int(match[2]), int(match[3]))
        if match[4] == "a":
            fits = own == capability
        elif match[1] == "sm" or match[4] == "f":
            fits = own[0] == capability[0] and own[1] <= capability[1]
        else:
            fits = own <= capability
        if fits and match[1] == "sm":
            return "code"
        if fits:
            best = "ptx"
    return best


__all__ = ["LEAST_DRIVER", "TABLE", "Contents", "archs", "cuda_major", "on_cards", "runs"]
