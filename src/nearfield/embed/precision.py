"""Whether a model may run in half precision: measured on a few texts against float32 on the same device, never assumed.

Knows names of precisions and vectors; no model and no device's library.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nearfield.core.errors import InvalidInput, shorten
from nearfield.core.metric import Vectors
from nearfield.device import _torch

log = logging.getLogger("nearfield.embed")

AUTO, FLOAT32, BFLOAT16, FLOAT16 = "auto", "float32", "bfloat16", "float16"
PRECISIONS = (AUTO, FLOAT32, BFLOAT16, FLOAT16)
BYTES = {FLOAT32: 4, BFLOAT16: 2, FLOAT16: 2}
"""Of one number."""
LEAST = 0.9995
"""Least cosine with float32's vector from which half precision is taken: half of what a collection's fingerprint forgives."""
STRETCHED = 0.005
"""The most that a vector's length may differ, as a part of it: a quarter of what a fingerprint forgives."""
PROBES = (
    "tides",
    "How do I reset my password?",
    "What moves the sea: the pull of the moon and of the sun on a turning earth, twice a day, in every bay another way. " * 12,
    "鸟在唱歌,花在开放。月亮引起潮汐。",
    "潮の満ち引きは月の引力によって起こる。",
    "3.14159 26535 89793 23846; 2026-01-31T23:59:59Z; +1 (555) 010-9999; 0xDEADBEEF; 1e-30",
    "def area(r: float) -> float: return math.pi * r ** 2  # {} [] <> \\n",
)
"""Short, plain, long, Chinese, Japanese, digits, code."""


@dataclass(frozen=True, slots=True)
class Precision:
    """What a model runs in, and why.

    Attributes:
        name: "float32", "bfloat16" or "float16".
        least: the least cosine that was measured against float32, of the last precision tried; -1 where a vector was not
            finite; None where nothing was measured.
        reason: in words.
    """

    name: str
    least: float | None
    reason: str

    @property
    def half(self) -> bool:
        """Whether it is not float32."""
        return self.name != FLOAT32


def check(wanted: str) -> str:
    """Returns `wanted`; raises InvalidInput if it is no precision."""
    if wanted not in PRECISIONS:
        raise InvalidInput("not a precision", field="precision", expected=f"one of {', '.join(PRECISIONS)}", received=wanted)
    return wanted


def fidelity(truth: Vectors, found: Vectors) -> float:
    """The least cosine of pairs of rows, of (n, dim) each; -1 where a number is not finite or a length is another."""
    a, b = truth.astype(np.float64), found.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return -1.0
    long, other = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    if (np.abs(other - long) > STRETCHED * long).any():
        return -1.0
    return float((np.einsum("ij,ij->i", a, b) / (long * other + 1e-30)).min())


def choose(wanted: str, offered: Sequence[str], encode: Callable[[str], Vectors]) -> Precision:
    """The first precision that keeps the vectors.

    Args:
        wanted: "auto" tries what is offered; a half precision that is named is measured all the same, and not taken if it
            changes the vectors.
        offered: what this device is quick in, best first; empty: float32.
        encode: vectors of PROBES in a named precision, float32 (n, dim). A RuntimeError says that the precision cannot be
            had here.

    Raises:
        RuntimeError: what `encode` raised because the device is lost or has no room.
    """
    if wanted == FLOAT32:
        return Precision(FLOAT32, None, "it was asked for")
    tried = tuple(offered) if wanted == AUTO else (wanted,)
    if not tried:
        return Precision(FLOAT32, None, "half precision is not quicker on this device, or was not measured to be")
    truth, least, failed = encode(FLOAT32), None, []
    for name in tried:
        try:
            least = fidelity(truth, encode(name))
        except RuntimeError as error:
            if _torch.out_of_memory(error) or _torch.lost(error):
                raise
            failed.append(f"{name} cannot be had here ({shorten(str(error))})")
            continue
        if least >= LEAST:
            return Precision(name, least, f"measured on {len(PROBES)} texts: cosine with float32 at least {least:.6f}")
        failed.append(f"{name} changes vectors (least cosine {least:.6f}, needed {LEAST})")
    reason = "; ".join(failed)
    log.warning("the model runs in float32: %s", reason)
    return Precision(FLOAT32, least, reason)
