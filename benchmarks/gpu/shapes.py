"""Which shape of the first kernel is quickest: queries of a program, numbers of a step, warps, stages.

The constants in nearfield/device/kernel.py are to be set from this. A shape that a card has no room for is left out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.gpu import common, rooflines
from benchmarks.gpu.common import Here
from benchmarks.gpu.exact import group_of
from benchmarks.gpu.made import QUERIES, Made
from nearfield.core.metric import Metric
from nearfield.device import blocks, kernel, layout
from nearfield.device.codes import Asked, Codes, ask, encode
from nearfield.device.layout import Dtype

SIZES = {128: 10_000_000, 384: 4_000_000, 768: 2_000_000}
"""Rows for each dim: about as many bytes."""
BATCHES = (1, 16, 64, 256, 1024)
NEAR = 0.97
"""Share of the best speed that the shape in use should have."""

Shape = tuple[int, int, int, int]
"""Queries of a program, numbers of a step, warps, stages."""


def candidates(dim: int, batch: int) -> list[Shape]:
    """Shapes worth trying: no wider than the batch needs, no more stages than steps, and one that is worked on."""
    dims = layout.padded(1, dim)[1]
    wides = [16] if batch <= 16 else [wide for wide in (16, 32, 64, 128, 256) if wide <= 2 * batch and batch <= 64 * wide]
    out = []
    for wide, step, warps in itertools.product(wides, (32, 64, 128), (4, 8)):
        steps = dims // step
        if dims % step == 0 and wide * layout.TILE // (32 * warps) <= 256:
            out += [(wide, step, warps, stages) for stages in (2, 3, 4) if stages <= max(2, steps + 1)]
    return out


@contextmanager
def shaped(shape: Shape) -> Iterator[None]:
    """The kernel in another shape."""
    before = kernel._shape
    kernel._shape = lambda batch: shape
    try:
        yield
    finally:
        kernel._shape = before


def main(argv: list[str] | None = None) -> None:
    parser = common.arguments(__doc__)
    parser.add_argument("--dim", action="append", type=int, help="by default 128")
    parser.add_argument("--dtype", action="append", choices=layout.DTYPES, help="by default both")
    parser.add_argument("--batch", action="append", type=int, help=f"by default {', '.join(map(str, BATCHES))}")
    asked = parser.parse_args(argv)
    at = common.here(asked)
    for dim in asked.dim or (128,):
        n = at.rows(SIZES.get(dim, 1_000_000_000 // dim))
        recipe = common.recipe(dim, n)
        queries = Made(max(asked.batch or BATCHES), recipe, at.device, at.seed, QUERIES).whole()
        for dtype in asked.dtype or layout.DTYPES:
            codes = encode(Made(n, recipe, at.device, at.seed), Metric.COSINE, at.device, dtype)
            lines: list[dict[str, Any]] = []
            facts: dict[str, Any] = {}
            for batch in asked.batch or BATCHES:
                with common.left_out(facts, f"batch {batch}"):
                    _batch(at, codes, ask(queries[:batch], codes), dtype, lines, facts)
            common.report("shapes", f"{n:,} x {dim}, {dtype}", at, asked.out, lines, facts)
            del codes


def _batch(at: Here, codes: Codes, asked: Asked, dtype: Dtype, lines: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    batch, how = len(asked), f"batch {len(asked)}"
    if not kernel.usable(at.device):
        took = common.repeated(lambda: blocks.maxima(codes, asked, None, group_of(codes)), at.device, 3)
        facts[how] = f"no kernel runs here; plain PyTorch took {1e3 * took:.4g} ms"
        return
    used = kernel._shape(batch)
    step = next(s for s in (used[1], 32, 16) if codes.codes.shape[1] % s == 0)
    used = (used[0], step, *used[2:])
    timed: dict[Shape, float] = {}
    failed: dict[str, str] = {}
    for shape in dict.fromkeys([used, *candidates(codes.dim, batch)]):
        if at.left() < 0:
            facts[f"{how}, not tried"] = "no time was left in this call; run it with --dim, --dtype and --batch"
            break
        try:
            timed[shape] = _timed(at, codes, asked, shape)
        except Exception as error:
            failed[str(shape)] = str(error).splitlines()[0][:120]
    if not timed:
        facts[how] = {"every shape failed": failed}
        return
    best = min(timed, key=lambda shape: timed[shape])
    bound = rooflines.scan_qps(codes.n, codes.dim, dtype, batch, at.roof)
    if used in timed:
        lines.append(common.line(f"{how}, the shape in use against the best", timed[best] / timed[used], NEAR, "x", 1.0))
    facts[how] = {
        "best (queries, step, warps, stages)": best,
        "best q/s": round(batch / timed[best], 1),
        "in use": used,
        "in use q/s": round(batch / timed[used], 1) if used in timed else "it failed",
        "bound q/s": round(bound, 1),
        "all, ms": {str(shape): round(1e3 * t, 4) for shape, t in sorted(timed.items(), key=lambda kv: kv[1])},
        "failed": failed,
    }


def _timed(at: Here, codes: Codes, asked: Asked, shape: Shape) -> float:
    """Median seconds of the first pass, compiled before."""
    with shaped(shape):

        def call() -> Any:
            return kernel.maxima(codes, asked, None, group_of(codes))

        until, took = time.monotonic() + 0.5, []
        call()
        while len(took) < 5 or (len(took) < 40 and time.monotonic() < until):
            took.append(common.seconds(call, at.device))
    return float(np.median(took))


if __name__ == "__main__":
    common.script(main)
