"""Exact search on a card, against its bytes, its products, torch.matmul with topk, and FAISS-GPU Flat on the same codes.

Vectors are made on the card and never leave it; scores are cosines. One query is measured as its caller waits for it, launches
included; batches in turns with the others. Recall is against float32 truth, computed apart.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from benchmarks.common import Skipped
from benchmarks.gpu import common, peers, rooflines, truth
from benchmarks.gpu.common import Here, line
from benchmarks.gpu.made import QUERIES, Made
from nearfield.core.metric import Metric
from nearfield.device import layout
from nearfield.device.codes import Codes, ask, encode
from nearfield.device.layout import Dtype
from nearfield.device.scan import WHOLE_FROM, Scan, passes_for

K = 10
CASES = ((10_000_000, 128), (1_000_000, 128), (10_000_000, 768), (100_000_000, 128))
BATCHES = (256, 1024, 4096)
ASKED = 1000
"""Queries whose answers are compared with the truth."""
SINGLES = 200
OVER_FLOOR = 1.35
OF_TORCH = {128: 3.0, 768: 1.3}
OF_FAISS = {128: 1.5}
OF_PRODUCTS = {768: 0.4}
QPS = {(100_000_000, 128): 6_000.0, (1_000_000, 128): 500_000.0}
MAXIMA = 4 << 30
"""Bytes of maxima up to which the first pass is measured by itself."""
HOST = 32 << 30
"""Bytes of float32 vectors up to which the search that scores on the host is measured too."""


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = common.arguments(__doc__)
    parser.add_argument("--case", action="append", help="such as 100000000x128; by default all four")
    parser.add_argument("--dtype", action="append", choices=layout.DTYPES, help="by default both")
    parser.add_argument("--batch", action="append", type=int, help=f"by default {', '.join(map(str, BATCHES))}")
    parser.add_argument("--workspace", type=int, default=layout.WORKSPACE, help="bytes a search may take beside the codes")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Each case in each type of codes, as long as there is time and room."""
    asked = parsed(argv)
    at = common.here(asked)
    cases = CASES if asked.case is None else [tuple(int(part) for part in case.split("x")) for case in asked.case]
    batches = tuple(asked.batch or BATCHES)
    for n, dim in cases:
        for dtype in asked.dtype or layout.DTYPES:
            part = f"{n:,} x {dim}, {dtype}"
            lines: list[dict[str, Any]] = []
            facts: dict[str, Any] = {}
            with common.left_out(facts, part):
                if at.left() < 0:
                    raise Skipped("no time was left in this call; run it with --case and --dtype")
                case(at, n, dim, dtype, batches, asked.workspace, lines, facts)
            common.report("exact", part, at, asked.out, lines, facts)


def case(
    at: Here,
    whole: int,
    dim: int,
    dtype: Dtype,
    batches: tuple[int, ...],
    workspace: int,
    lines: list[dict[str, Any]],
    facts: dict[str, Any],
) -> None:
    """One size in one type of codes."""
    n = at.rows(whole)
    need, room = layout.nbytes(n, dim, dtype, Metric.COSINE, raw=True) + workspace, at.room()
    if need > room:
        raise Skipped(f"codes and float32 vectors take {need / 1e9:.1f} GB and {room / 1e9:.1f} are free")
    recipe = common.recipe(dim, n)
    source = Made(n, recipe, at.device, at.seed)
    queries = Made(max(ASKED, *batches), recipe, at.device, at.seed, QUERIES).whole()
    codes = encode(source, Metric.COSINE, at.device, dtype, raw=True)
    scan = Scan(codes, None, workspace)
    facts["codes"] = f"{rooflines.code_bytes(n, dim, dtype):,} bytes"
    some = queries[:ASKED]
    _, true = truth.nearest(source, some, K)
    _, found = scan.nearest(some, K)
    lines.append(line("recall@10 against float32 truth", truth.recall(found, true), 0.99, "", 1.0))
    facts["widened"] = f"{scan.widened} of {len(some)} queries"
    single(at, scan, codes, queries, dtype, lines, facts)
    several(at, scan, codes, queries, true, whole, dtype, batches, lines, facts)
    if 4 * n * dim <= HOST:
        by_host(at, codes, queries, workspace, batches[0], facts)


def single(
    at: Here, scan: Scan, codes: Codes, queries: Any, dtype: Dtype, lines: list[dict[str, Any]], facts: dict[str, Any]
) -> None:
    """One query at a time, and what of it is reading, what is launching."""
    nbytes = rooflines.code_bytes(codes.n, codes.dim, dtype)
    floor = nbytes / at.roof.bandwidth
    for i in range(3):
        scan.nearest(queries[i : i + 1], K)
    times = SINGLES if at.cuda else 5
    took = [common.seconds(lambda i=i: scan.nearest(queries[i : i + 1], K), at.device) for i in range(times)]
    middle = float(np.median(took))
    lines.append(line("one query, ms", 1e3 * middle, OVER_FLOOR * 1e3 * floor, "ms", 1e3 * floor, least=False))
    facts["one query"] = {
        "ms: median, P99": [round(1e3 * float(v), 4) for v in (middle, np.percentile(took, 99))],
        "over the floor": round(middle / floor, 3),
"over the floor by this run's copy": round(middle * at.measured.bandwidth / nbytes, 3),
        "first pass alone, ms": round(1e3 * first_pass(at, codes, queries[:1]), 4),
        "launches": common.launches(lambda: scan.nearest(queries[:1], K), at.device),
    }  # fmt: skip


def first_pass(at: Here, codes: Codes, some: Any) -> float:
    """Median seconds of the maxima of some queries: product and selection, nothing else."""
    prepared = ask(some, codes)
    passes, group = passes_for(codes.device), group_of(codes)
    return common.repeated(lambda: passes.maxima(codes, prepared, None, group), at.device, 20 if at.cuda else 3)


def pass_qps(at: Here, codes: Codes, some: Any) -> float | None:
    """The same as queries a second; None where the maxima of the batch are too many to be there at once."""
    if 4 * codes.rows // group_of(codes) * len(some) > MAXIMA:
        return None
    return round(len(some) / first_pass(at, codes, some), 1)


def group_of(codes: Codes) -> int:
    """Rows of a maximum, as the scan has them where few hits are wanted."""
    return layout.TILE if codes.n >= WHOLE_FROM else layout.GROUP


def several(
    at: Here,
    scan: Scan,
    codes: Codes,
    queries: Any,
    true: Any,
    whole: int,
    dtype: Dtype,
    batches: tuple[int, ...],
    lines: list[dict[str, Any]],
    facts: dict[str, Any],
) -> None:
    """Batches, in turns with what they are compared with."""
    best, dim = 0.0, codes.dim
    for batch in batches:
        some = queries[:batch]
        plain, tile = peers.by_torch(codes, some, K)
        calls = {"nearfield": lambda some=some: scan.nearest(some, K), "torch": lambda some=some, plain=plain: plain(some)}
        with common.left_out(facts, "FAISS-GPU Flat"):
            theirs = peers.by_faiss(at, codes, K)
            calls["faiss"] = lambda some=some, theirs=theirs: theirs(some)
            facts["FAISS-GPU Flat"] = f"recall@10 {truth.recall(theirs(some[: len(true)]), true[: len(some)]):.4f}"
        took = common.interleaved(calls, at.device, 20, min(20.0, max(3.0, at.left() / 8)))
        qps = {name: batch / value for name, value in took.items()}
        best = max(best, qps["nearfield"])
        bound = rooflines.scan_qps(codes.n, dim, dtype, batch, at.roof)
        how = f"batch {batch}"
        if dim in OF_TORCH:
            lines.append(line(f"{how}, against torch.matmul + topk", qps["nearfield"] / qps["torch"], OF_TORCH[dim], "x"))
        if dim in OF_FAISS and "faiss" in qps:
            lines.append(line(f"{how}, against FAISS-GPU Flat", qps["nearfield"] / qps["faiss"], OF_FAISS[dim], "x"))
        if dim in OF_PRODUCTS:
            limit = batch / rooflines.product_seconds(codes.n, dim, batch, at.roof.products)
            lines.append(line(f"{how}, share of the products' bound", qps["nearfield"] / limit, OF_PRODUCTS[dim], "", 1.0))
        facts[how] = {
            **{f"{name} q/s": round(value, 1) for name, value in qps.items()},
            "bound q/s": round(bound, 1),
            "share of the bound": round(qps["nearfield"] / bound, 4),
            "torch explained by q/s": round(rooflines.torch_qps(codes.n, dim, dtype, batch, at.roof), 1),
            "torch's tile": tile,
            "torch's recall@10": round(truth.recall(plain(some[: len(true)]), true[: len(some)]), 4),
            "first pass alone q/s": pass_qps(at, codes, some),
        }
    if at.scale == 1 and (whole, dim) in QPS:
        bound = rooflines.scan_qps(codes.n, dim, dtype, max(batches), at.roof)
        lines.append(line("queries a second, best batch", best, QPS[whole, dim], "q/s", bound))
    facts["widened, batches included"] = scan.widened


def by_host(at: Here, codes: Codes, queries: Any, workspace: int, batch: int, facts: dict[str, Any]) -> None:
    """The search that a collection makes: final scores on the host from its float32 vectors."""
    raw = codes.raw
    assert raw is not None
    host = Scan(codes, raw.cpu().numpy(), workspace)
    asked = queries.cpu().numpy()
    one = common.repeated(lambda: host.search(asked[:1], K), at.device, 50 if at.cuda else 3)
    many = common.repeated(lambda: host.search(asked[:batch], K), at.device, 5 if at.cuda else 2)
    facts["final scores on the host"] = {"one query, ms": round(1e3 * one, 4), f"batch {batch}, q/s": round(batch / many, 1)}


if __name__ == "__main__":
    common.script(main)
