"""What FAISS, torch and numpy say of themselves, as told by a process that imported them. Knows no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Card:
    """One graphics card.

    Attributes:
        name: as its maker names it.
        capability: its compute capability, such as (9, 0); None where it is not told.
        memory: bytes; 0 where they are not told.
    """

    name: str
    capability: tuple[int, int] | None = None
    memory: int = 0


@dataclass(frozen=True, slots=True)
class Torch:
    """PyTorch.

    Attributes:
        version: such as "2.13.0+cpu".
        cuda: the CUDA it was built for, such as "13.0"; None for a build without.
        hip: the ROCm it was built for, or None.
        archs: what its kernels were compiled for: "sm_90" machine code, "compute_90" PTX.
        cards: those it can use.
        capability: the processor instructions it uses.
        problem: why it cannot use a card, in its words; empty where it can, or was built without CUDA.
    """

    version: str
    cuda: str | None = None
    hip: str | None = None
    archs: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    capability: str = ""
    problem: str = ""

    @property
    def cuda_major(self) -> int | None:
        """The CUDA version it was built for, without the part after the dot."""
        return int(self.cuda.split(".")[0]) if self.cuda else None


@dataclass(frozen=True, slots=True)
class Faiss:
    """FAISS.

    Attributes:
        version: such as "1.15.1".
        cards: how many cards it can use.
        level: the processor instructions it uses.
    """

    version: str
    cards: int = 0
    level: str = ""


@dataclass(frozen=True, slots=True)
class Libraries:
    """What could be asked; a library that is not there, or does not start, is None.

    Attributes:
        numpy: the instruction sets that numpy uses, the widest last.
        openmp: paths of the OpenMP runtimes that were in the process with all of them.
    """

    torch: Torch | None = None
    faiss: Faiss | None = None
    numpy: tuple[str, ...] | None = None
    openmp: tuple[str, ...] = ()


def decode(told: Mapping[str, Any]) -> Libraries:
    """From what a process told, as JSON values; raises msgspec.ValidationError."""
    import msgspec

    return msgspec.convert(dict(told), Libraries)


__all__ = ["Card", "Faiss", "Libraries", "Torch", "decode"]
