"""The two passes of a scan as Triton kernels: matrix product and maximum in one, so that no score is ever written. CUDA only.

The source is in _kernels.py, the only `import triton`. What they compute is what blocks.py computes: a test holds them equal
through Triton's interpreter. Programs that share a tile of rows follow each other, so that a tile is read from memory once
whatever the number of queries.
"""

from __future__ import annotations

import importlib.util
import os
from functools import cache
from typing import Any

from nearfield.device import _torch
from nearfield.device.codes import Asked, Codes
from nearfield.device.layout import GROUP, TILE

SMALL = 16
"""The least number of queries that matrix units take; fewer are filled up."""


def usable(device: str) -> bool:
    """Whether the kernels run on a device: a CUDA card with Triton beside PyTorch, or anything under Triton's interpreter."""
    if importlib.util.find_spec("triton") is None:
        return False
    return device.startswith("cuda") or os.environ.get("TRITON_INTERPRET") == "1"


@cache
def _kernels() -> tuple[Any, Any]:
    """The two kernels, compiled for each shape when first used."""
    from nearfield.device import _kernels as made

    return made.maxima, made.rows_of


def _shape(batch: int) -> tuple[int, int, int, int]:
    """Queries of a program, numbers of a step, warps, stages at most: more than there are steps only take shared memory."""
    if batch <= SMALL:
        return SMALL, 64, 4, 4
    if batch <= 64:
        return 64, 64, 4, 4
    return 128, 64, 8, 3


def _read(codes: Codes, asked: Asked, bits: Any) -> tuple[Any, ...]:
    """What both kernels read; another tensor stands in for one that is not there, and is not read."""
    scale, bias, bits = (codes.error if t is None else t for t in (codes.scale, codes.bias, bits))
    return codes.codes, scale, bias, codes.error, codes.longest, bits, asked.q, asked.m, asked.u, asked.v


def maxima(codes: Codes, asked: Asked, bits: Any, group: int, room: int = 0) -> Any:
    """See blocks.maxima; it takes no room of its own. Triton starts on the current card: that of the codes, see at_work."""
    torch = _torch.torch()
    kernel, _ = _kernels()
    batch, dims = len(asked), int(codes.codes.shape[1])
    out = torch.empty((codes.rows // group, batch), device=codes.device, dtype=torch.float32)
    wide, step, warps, stages = _shape(batch)
    step = next(s for s in (step, 32, 16) if dims % s == 0)
    several, stages = -(-batch // wide), min(stages, max(2, dims // step))
    kernel[(codes.rows // TILE * several,)](
        *_read(codes, asked, bits),
        out,
        codes.n,
        batch,
        several,
        DIMS=dims,
        STEP=step,
        WIDE=wide,
        TILE=TILE,
        GROUP=GROUP,
        WHOLE=group == TILE,
        SCALED=codes.scale is not None,
        BIASED=codes.bias is not None,
        MASKED=bits is not None,
        num_warps=warps,
        num_stages=stages,
        enable_fp_fusion=True,
    )
    return out


def rows_of(codes: Codes, asked: Asked, bits: Any, groups: Any, group: int, room: int = 0) -> Any:
    """See blocks.rows_of; it takes no room of its own."""
    torch = _torch.torch()
    _, kernel = _kernels()
    batch, wanted = (int(s) for s in groups.shape)
    out = torch.empty((batch, wanted * group), device=codes.device, dtype=torch.float32)
    dims = int(codes.codes.shape[1])
    kernel[(batch * wanted,)](
        *_read(codes, asked, bits),
        groups.contiguous(),
        out,
        codes.n,
        wanted,
        DIMS=dims,
        STEP=next(s for s in (64, 32, 16) if dims % s == 0),
        ROWS=group,
        GROUP=GROUP,
        SCALED=codes.scale is not None,
        BIASED=codes.bias is not None,
        MASKED=bits is not None,
        num_warps=4,
        enable_fp_fusion=True,
    )
    return out
