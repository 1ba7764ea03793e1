"""The two passes of a scan in plain PyTorch, for any device: the reference of the kernels, and what runs where they do not.

Pass one keeps of each group of rows only the largest upper bound of a score; pass two looks at the rows of the groups with the
largest. Scores are float32 products of the codes; the score matrix of a tile lives only until its maxima are taken.
"""

from __future__ import annotations

from typing import Any

from nearfield.device import _torch
from nearfield.device.codes import Asked, Codes
from nearfield.device.layout import GROUP, TILE

ROOM = 64 << 20
"""Bytes that a pass may take, where nothing else is said."""


def maxima(codes: Codes, asked: Asked, bits: Any, group: int, room: int = ROOM) -> Any:
    """The largest upper bound of the scores of each group of rows.

    Args:
        codes: the vectors.
        asked: b queries.
        bits: uint8 (rows / 8,) on the device, which rows may be returned, little bit order; None for all.
        group: rows of a group, a multiple of GROUP that divides TILE.
        room: bytes that may be taken meanwhile, as far as one tile allows.

    Returns:
        float32 (rows / group, b); -inf where no row of a group may be returned.
    """
    torch = _torch.torch()
    out = torch.empty((codes.rows // group, len(asked)), device=codes.device, dtype=torch.float32)
    each = 12 * len(asked) + 4 * codes.codes.shape[1] + 16
    step = max(TILE, room // each // TILE * TILE)
    q = asked.q.float().T
    for start in range(0, codes.rows, step):
        stop = min(start + step, codes.rows)
        bounds = _bounds(torch, codes, asked, q, bits, start, stop)
        out[start // group : stop // group] = bounds.view((stop - start) // group, -1, len(asked)).amax(dim=1)
    return out


def _bounds(torch: Any, codes: Codes, asked: Asked, q: Any, bits: Any, start: int, stop: int) -> Any:
    """Upper bounds (groups of GROUP, GROUP, b) of the scores of some rows."""
    scores = codes.codes[start:stop].float() @ q
    if codes.scale is not None:
        scores *= codes.scale[start:stop, None]
    scores *= asked.m
    if codes.bias is not None:
        scores += codes.bias[start:stop, None]
    keep = torch.arange(start, stop, device=codes.device) < codes.n
    if bits is not None:
        keep &= _unpacked(torch, bits[start // 8 : stop // 8])
    scores[~keep] = float("-inf")
    found = scores.view(-1, GROUP, len(asked))
    margin = codes.error[start // GROUP : stop // GROUP, None] * asked.u
    margin += codes.longest[start // GROUP : stop // GROUP, None] * asked.v
    return found + margin[:, None, :]


def _unpacked(torch: Any, bits: Any) -> Any:
    """Bool (8 x bytes,) of packed bits."""
    return (bits[:, None] >> torch.arange(8, device=bits.device, dtype=torch.uint8) & 1).bool().flatten()


def rows_of(codes: Codes, asked: Asked, bits: Any, groups: Any, group: int, room: int = ROOM) -> Any:
    """Upper bounds of the scores of the rows of chosen groups.

    Args:
        codes: the vectors.
        asked: b queries.
        bits: as in `maxima`.
        groups: int64 (b, w), the groups of each query.
        group: rows of a group.
        room: as in `maxima`.

    Returns:
        float32 (b, w x group); -inf for rows that may not be returned.
    """
    torch = _torch.torch()
    rows = (groups[:, :, None] * group + torch.arange(group, device=codes.device)).flatten(1)
    out = torch.empty(rows.shape, device=codes.device, dtype=torch.float32)
    step = max(GROUP, room // (8 * codes.codes.shape[1] + 40))
    for i, start in ((i, start) for i in range(len(asked)) for start in range(0, rows.shape[1], step)):
        where = rows[i, start : start + step]
        scores = codes.codes[where].float() @ asked.q[i].float()
        if codes.scale is not None:
            scores *= codes.scale[where]
        scores *= asked.m[i]
        if codes.bias is not None:
            scores += codes.bias[where]
        scores += codes.error[where // GROUP] * asked.u[i] + codes.longest[where // GROUP] * asked.v[i]
        keep = where < codes.n
        if bits is not None:
            keep &= (bits[where >> 3] >> (where & 7).to(torch.uint8) & 1).bool()
        out[i, start : start + step] = torch.where(keep, scores, float("-inf"))
    return out
