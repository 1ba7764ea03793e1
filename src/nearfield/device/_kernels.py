# mypy: ignore-errors
# ruff: noqa: ANN001
"""The source of the kernels. Imported by kernel.py alone, where Triton is known to be there.

Numbers that change from search to search are not specialised, so that none of them makes a live search wait for a compiler.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["n", "batch", "several"], do_not_specialize_on_alignment=["m", "u", "v"])
def maxima(
    codes, scale, bias, error, longest, bits, q, m, u, v, out, n, batch, several,
    DIMS: tl.constexpr, STEP: tl.constexpr, WIDE: tl.constexpr, TILE: tl.constexpr, GROUP: tl.constexpr,
    WHOLE: tl.constexpr, SCALED: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
) -> None:  # fmt: skip
    """One tile of rows against WIDE queries: products, upper bounds, the maximum of each group (or of the whole tile)."""
    program = tl.program_id(0)
    tile = (program // several).to(tl.int64)
    b = (program % several) * WIDE + tl.arange(0, WIDE)
    there = b < batch
    rows = tile * TILE + tl.arange(0, TILE)
    found = tl.zeros((WIDE, TILE), tl.float32)
    for start in range(0, DIMS, STEP):
        d = start + tl.arange(0, STEP)
        x = tl.load(codes + rows[:, None] * DIMS + d[None, :])
        asked = tl.load(q + b[:, None] * DIMS + d[None, :], mask=there[:, None], other=0.0)
        found = tl.dot(asked, tl.trans(x.to(tl.float16)), found)
    found = found * tl.load(m + b, mask=there, other=0.0)[:, None]
    if SCALED:
        found = found * tl.load(scale + rows)[None, :]
    if BIASED:
        found = found + tl.load(bias + rows)[None, :]
    keep = rows < n
    if MASKED:
        keep = keep & (((tl.load(bits + (rows >> 3)).to(tl.int32) >> (rows & 7).to(tl.int32)) & 1) == 1)
    found = tl.where(keep[None, :], found, float("-inf"))
    EACH: tl.constexpr = TILE // GROUP
    best = tl.max(tl.reshape(found, (WIDE, EACH, GROUP)), axis=2)
    groups = tile * EACH + tl.arange(0, EACH)
    best += tl.load(u + b, mask=there, other=0.0)[:, None] * tl.load(error + groups)[None, :]
    best += tl.load(v + b, mask=there, other=0.0)[:, None] * tl.load(longest + groups)[None, :]
    if WHOLE:
        tl.store(out + tile * batch + b, tl.max(best, axis=1), mask=there)
    else:
        tl.store(out + groups[None, :] * batch + b[:, None], best, mask=there[:, None])


@triton.jit(do_not_specialize=["n", "wanted"], do_not_specialize_on_alignment=["m", "u", "v"])
def rows_of(
    codes, scale, bias, error, longest, bits, q, m, u, v, groups, out, n, wanted,
    DIMS: tl.constexpr, STEP: tl.constexpr, ROWS: tl.constexpr, GROUP: tl.constexpr,
    SCALED: tl.constexpr, BIASED: tl.constexpr, MASKED: tl.constexpr,
) -> None:  # fmt: skip
    """One chosen group of one query: the upper bound of each of its rows."""
    program = tl.program_id(0).to(tl.int64)
    b = program // wanted
    rows = tl.load(groups + program) * ROWS + tl.arange(0, ROWS)
    found = tl.zeros((ROWS,), tl.float32)
    for start in range(0, DIMS, STEP):
        d = start + tl.arange(0, STEP)
        x = tl.load(codes + rows[:, None] * DIMS + d[None, :]).to(tl.float32)
        found += tl.sum(x * tl.load(q + b * DIMS + d).to(tl.float32)[None, :], axis=1)
    found = found * tl.load(m + b)
    if SCALED:
        found = found * tl.load(scale + rows)
    if BIASED:
        found = found + tl.load(bias + rows)
    found += tl.load(u + b) * tl.load(error + rows // GROUP) + tl.load(v + b) * tl.load(longest + rows // GROUP)
    keep = rows < n
    if MASKED:
        keep = keep & (((tl.load(bits + (rows >> 3)).to(tl.int32) >> (rows & 7).to(tl.int32)) & 1) == 1)
    tl.store(out + program * ROWS + tl.arange(0, ROWS), tl.where(keep, found, float("-inf")))
