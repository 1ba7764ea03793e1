"""Vectors as codes on a device, and queries as a scan wants them. Knows tensors and bounds of error; selects nothing.

A code's error is measured when it is made: for every group of 32 rows the longest difference between a row and its code, and
the longest code. By Cauchy and Schwarz a row's true score is then at most its coded score plus a margin that is known for each
group and query: |q| e + (|q - q'| + r |q|) x', where q' is the query as it is multiplied, x' the code and r a bound of what
rounding adds to a sum of dim products (Higham 2002, section 3.1; doubled, as matrix units truncate).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfield.core.metric import Metric, Vectors
from nearfield.device import _torch, layout
from nearfield.device.layout import BITMAPS, GROUP, Dtype

CHUNK = 32 << 20
"""Bytes of float32 vectors that travel to the device at a time, at most."""
COPIES = 6
"""Times their bytes that encoding them takes of the device meanwhile."""
UNSEEN = 2.0**-62
"""Differences between a number and its code, in units of the code, whose squares float32 does not see: added to every error."""
ALONE = 64
"""Queries up to which the host prepares them: a few numbers are quicker there than the calls of a device."""
TOP = 128.0
"""The largest number of a float16 code: far from its largest, 65,504, so that small numbers keep their digits."""


@dataclass(slots=True)
class Codes:
    """n vectors on a device.

    Attributes:
        device: its name.
        n: vectors; rows beyond are padding.
        dim: numbers in each; more are zeros.
        metric: how they are compared.
        dtype: of the codes.
        factor: what a float16 code is multiplied by to be the vector; 1 where each row has a scale.
        codes: float16 or int8 (rows, dims).
        scale: float32 (rows,) of int8 codes; None.
        bias: float32 (rows,), minus the squared length, of l2; None.
        error: float32 (rows / GROUP,), the longest difference between a row and its code.
        longest: float32 (rows / GROUP,), the longest code.
        raw: float32 (n, dim) on the device; None where candidates are scored again on the host.
        reach: the longest code of all.
    """

    device: str
    n: int
    dim: int
    metric: Metric
    dtype: Dtype
    factor: float
    codes: Any
    scale: Any
    bias: Any
    error: Any
    longest: Any
    raw: Any = None
    reach: float = 0.0

    @property
    def rows(self) -> int:
        """Rows with the padding."""
        return int(self.codes.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors, the places of bitmaps counted whether they are used or not."""
        held = (self.codes, self.scale, self.bias, self.error, self.longest, self.raw)
        return sum(int(t.numel() * t.element_size()) for t in held if t is not None) + BITMAPS * (self.rows // 8)


def encode(
    x: Any,
    metric: Metric,
    device: str,
    dtype: Dtype = "float16",
    *,
    raw: bool = False,
    workspace: int = COPIES * CHUNK,
    progress: Callable[[int, int], None] | None = None,
) -> Codes:
    """Puts vectors on a device, some megabytes at a time.

    Args:
        x: prepared float32 (n, dim), at least one: NumPy, perhaps memory-mapped, or a tensor, which may be on the device.
        metric: how they are compared.
        device: as PyTorch names it.
        dtype: "float16", or "int8" with a scale for each row.
        raw: keep float32 vectors there too.
        workspace: bytes of the device that encoding may take beyond what it makes.
        progress: called with (rows there, n).
    """
    torch = _torch.torch()
    n, dim = (int(s) for s in x.shape)
    rows, dims = layout.padded(n, dim)
    layout.code_bytes(dtype)
    make = {"device": device, "dtype": torch.float32}
    out = Codes(
        device,
        n,
        dim,
        metric,
        dtype,
        1.0,
        torch.zeros((rows, dims), device=device, dtype=torch.float16 if dtype == "float16" else torch.int8),
        torch.zeros(rows, **make) if dtype == "int8" else None,
        torch.zeros(rows, **make) if metric is Metric.L2 else None,
        torch.zeros(rows // GROUP, **make),
        torch.zeros(rows // GROUP, **make),
        raw=torch.empty((n, dim), **make) if raw else None,
    )
    step = max(GROUP, min(CHUNK, workspace // COPIES) // (4 * dim) // GROUP * GROUP)
    if dtype == "float16":
        top = 1.0 if metric is Metric.COSINE else max(_top(x[start : start + step]) for start in range(0, n, step))
        out.factor = 2.0 ** max(-100.0, -np.floor(np.log2(TOP / top))) if top > 0 else 1.0
    for start in range(0, n, step):
        part = _sent(x[start : start + step], device)
        if out.raw is not None:
            out.raw[start : start + len(part)] = part
        _encode_part(torch, out, part, start)
        if progress is not None:
            progress(min(start + step, n), n)
    out.reach = float(out.longest.max())
    return out


def _top(x: Any) -> float:
    """The largest absolute number."""
    return float(max(x.max(), -x.min()))


def _sent(x: Any, device: str) -> Any:
    """A float32 tensor of the rows, on the device."""
    torch = _torch.torch()
    if isinstance(x, np.ndarray):
        x = torch.from_numpy(np.array(x, dtype=np.float32, order="C"))
    return x.to(device=device, dtype=torch.float32)


def _encode_part(torch: Any, out: Codes, part: Any, start: int) -> None:
    """Codes, lengths and bounds of some rows; `start` is a multiple of GROUP."""
    count, dims = len(part), out.codes.shape[1]
    wide = torch.nn.functional.pad(part, (0, dims - out.dim)) if dims != out.dim else part
    if out.dtype == "float16":
        unit = wide / out.factor
        codes = unit.half()
        difference, length = (unit - codes.float()).norm(dim=1), codes.float().norm(dim=1)
        difference, length = difference * out.factor, length * out.factor
        floor = UNSEEN * dims**0.5 * out.factor
    else:
        top = part.abs().amax(dim=1)
        scale = torch.where(top > 1e-30, top / 127, torch.ones_like(top))
        unit = wide / scale[:, None]
        codes = unit.round().clamp(-127, 127).to(torch.int8)
        difference, length = (unit - codes.float()).norm(dim=1) * scale, codes.float().norm(dim=1) * scale
        floor = UNSEEN * dims**0.5 * scale
        out.scale[start : start + count] = scale
    out.codes[start : start + count] = codes
    difference, length = difference * 1.0001 + floor, length * 1.0001
    if out.bias is not None:
        squared = (part * part).sum(dim=1)
        out.bias[start : start + count] = -squared * _below(out.dim)
    groups = -(-count // GROUP)
    first = start // GROUP
    for target, values in ((out.error, difference), (out.longest, length)):
        values = torch.nn.functional.pad(values, (0, groups * GROUP - count))
        target[first : first + groups] = values.view(groups, GROUP).amax(dim=1)


@dataclass(slots=True)
class Asked:
    """Queries as a scan wants them: a score is base + m x (q . code) x scale + bias, its margin u x error + v x longest.

    Attributes:
        q: float16 (b, dims), the direction of each query.
        m, u, v: float32 (b,).
        base: float32 (b,), what is the same for all rows of a query, so that a scan leaves it out: minus its squared length
            under l2, else 0.
        exact: float32 (b, dim), the queries as they came.
    """

    q: Any
    m: Any
    u: Any
    v: Any
    base: Any
    exact: Any = field(repr=False)

    def __len__(self) -> int:
        return int(self.q.shape[0])

    def part(self, start: int, stop: int) -> Asked:
        """Some of the queries."""
        return Asked(*(t[start:stop] for t in (self.q, self.m, self.u, self.v, self.base, self.exact)))


def ask(queries: Vectors | Any, codes: Codes) -> Asked:
    """Prepares float32 (b, dim) queries, NumPy or a tensor, for codes; they go to the device here."""
    torch = _torch.torch()
    if isinstance(queries, np.ndarray) and len(queries) <= ALONE:
        return _ask_on_host(torch, np.ascontiguousarray(queries, np.float32), codes)
    exact = _sent(queries, codes.device)
    top = exact.abs().amax(dim=1, keepdim=True)
    top = torch.where(top > 0, top, torch.ones_like(top))
    scaled = exact / top
    length = scaled.norm(dim=1, keepdim=True)
    length = torch.where(length > 0, length, torch.ones_like(length))
    unit = scaled / length
    q = unit.half()
    off = (unit - q.float()).norm(dim=1) * 1.0001
    size = torch.where(exact.any(dim=1), (top * length)[:, 0], 0.0)
    alpha, base = (2.0, -size * size * _below(codes.dim)) if codes.metric is Metric.L2 else (1.0, torch.zeros_like(size))
    padded = torch.nn.functional.pad(q, (0, codes.codes.shape[1] - codes.dim)).contiguous()
    return Asked(padded, alpha * size * codes.factor, alpha * size, alpha * size * (off + _rounding(codes)), base, exact)


def _ask_on_host(torch: Any, exact: Vectors, codes: Codes) -> Asked:
    """The same by NumPy, and one copy to the device: for a few queries the calls of a device cost more than the numbers."""
    m, dims = len(exact), int(codes.codes.shape[1])
    top = np.abs(exact).max(axis=1, keepdims=True)
    top[top == 0] = 1
    scaled = exact / top
    length = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    length[length == 0] = 1
    unit = scaled / length
    packed = np.zeros(m * (2 * dims + 16 + 4 * codes.dim), np.uint8)
    ends = np.cumsum([2 * m * dims, 16 * m])
    q = packed[: ends[0]].view(np.float16).reshape(m, dims)
    q[:, : codes.dim] = unit
    off = np.sqrt(np.square(unit - q[:, : codes.dim].astype(np.float32)).sum(axis=1)) * 1.0001
    size = np.where(exact.any(axis=1), (top * length)[:, 0], np.float32(0))
    by_distance = codes.metric is Metric.L2
    alpha = 2.0 if by_distance else 1.0
    numbers = packed[ends[0] : ends[1]].view(np.float32).reshape(4, m)
    numbers[:3] = alpha * size * codes.factor, alpha * size, alpha * size * (off + _rounding(codes))
    numbers[3] = -size * size * _below(codes.dim) if by_distance else 0
    packed[ends[1] :].view(np.float32)[:] = exact.ravel()
    sent = torch.from_numpy(packed).to(codes.device)
    m_, u, v, base = sent[ends[0] : ends[1]].view(torch.float32).view(4, m).unbind()
    q_ = sent[: ends[0]].view(torch.float16).view(m, dims)
    return Asked(q_, m_, u, v, base, sent[ends[1] :].view(torch.float32).view(m, codes.dim))


def _below(dim: int) -> float:
    """What squared lengths are multiplied by, so that scores of them are bounds whatever a sum of dim squares rounds."""
    return 1 - (dim + 64) * 2.0**-23


def _rounding(codes: Codes) -> float:
    """What rounding adds to a product of a query and a code, for each unit of their lengths."""
    return (codes.dim + 32) * 2.0**-22
