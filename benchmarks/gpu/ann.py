"""Approximate search on a card: FAISS-GPU's lists built there, recall against speed, and how near that is to their bytes.

100M x 128 made on the card (benchmarks/gpu/made.py; generator.py compares it with SIFT). One kind a call, since a build takes
minutes. Product codes are refined from float16 rows on the card. Beside the front: nearfield's exact scan of the same rows.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import Any

from benchmarks.common import Skipped
from benchmarks.gpu import common, lists, rooflines, truth
from benchmarks.gpu.common import Here, line
from benchmarks.gpu.lists import Lists, Spec
from benchmarks.gpu.made import QUERIES, Made
from nearfield.core.metric import Metric
from nearfield.device import layout
from nearfield.device.codes import Codes, encode
from nearfield.device.scan import Scan

K, RECALL = 10, 0.95
PROBES = (4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
REFINED = (0, 20, 50, 100, 200)
"""Candidates of product codes that are scored again; 0: as they are ranked."""
ASKED = 2000
"""Queries whose recall is measured."""
BATCH = 10_000
"""Queries of the batch that is timed: one call."""
ENOUGH = 0.995
"""Recall beyond which no more lists are tried."""
OF_BOUND, MILLION = 0.4, 1e6


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = common.arguments(__doc__)
    parser.add_argument("--kind", choices=lists.KINDS, default="ivfpq")
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--lists", type=int, help="by default 65,536 at 100M, and as many rows to a list elsewhere")
    parser.add_argument("--parts", type=int, default=64, help="bytes of a product code")
    parser.add_argument("--no-exact", dest="exact", action="store_false", help="without nearfield's exact scan at the end")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    asked = parsed(argv)
    at = common.here(asked)
    faiss = common.faiss_on(at.device)
    n = at.rows(asked.rows)
    spec = Spec(asked.kind, asked.lists or max(16, round(n / 1526)), asked.parts)
    recipe = common.recipe(asked.dim, n, unit=False)
    rows = Made(n, recipe, at.device, at.seed)
    queries = Made(BATCH if at.cuda else 500, recipe, at.device, at.seed, QUERIES).whole()
    some = queries[:ASKED]
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] = {"rows": n, "dim": asked.dim, "lists": spec.lists, "code bytes": spec.code(asked.dim)}
    part = f"{n:,} x {asked.dim}, {spec.kind}" + (f"{spec.parts}" if spec.kind == "ivfpq" else "")
    _, true = truth.nearest(rows, some, K, by_distance=True)
    codes = None
    with common.left_out(facts, spec.kind):
        if spec.kind == "ivfpq":
            codes = _refining(at, rows)
        lists.check(spec, n, asked.dim, at.room())
        start = time.perf_counter()
        index = Lists(faiss, spec, rows, at.device)
        facts["build seconds"] = round(time.perf_counter() - start, 1)
        sizes = index.sizes.double()
        facts["largest list over the mean"] = round(float(sizes.max() / sizes.mean()), 2)
        points = sweep(at, index, codes, queries, true, facts)
        _judge(at, points, lines, facts)
        index.close()
    del codes
    if asked.exact:
        gc.collect()
        with common.left_out(facts, "nearfield's exact scan"):
            _exact(at, rows, queries, facts)
    common.report("ann", part, at, asked.out, lines, facts)


def _refining(at: Here, rows: Made) -> Codes:
    """The rows as float16, for product codes to be refined from."""
    need, room = layout.nbytes(*rows.shape, "float16", Metric.L2), at.room()
    if need > room:
        raise Skipped(f"float16 rows to refine from take {need / 1e9:.1f} GB and {room / 1e9:.1f} are free")
    return encode(rows, Metric.L2, at.device, "float16")


def sweep(at: Here, index: Lists, codes: Codes | None, queries: Any, true: Any, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Every number of lists, and of refined candidates: recall, speed, and the bytes that a query reads."""
    points: list[dict[str, Any]] = []
    dim = queries.shape[1]
    rows = None if codes is None else codes.codes[: codes.n, :dim]
    for probes in (p for p in PROBES if p <= min(index.spec.lists, lists.MOST_PROBES)):
        reached = 0.0
        for refined in REFINED if rows is not None else (0,):
            if at.left() < 0:
                facts["sweep"] = f"no time was left at {probes} lists"
                return points

            def search(some: Any, probes: int = probes, refined: int = refined) -> Any:
                found = index.search(some, max(K, refined), probes)
                if not refined or codes is None:
                    return found
                return lists.rescored(found, some, rows, codes.factor, K)

            recall = truth.recall(search(queries[: len(true)]), true)
            took = common.repeated(lambda search=search: search(queries), at.device, 5 if at.cuda else 2, warm=1)
            probed = index.probed(queries[: len(true)], probes)
            nbytes = rooflines.lists_bytes(probed, index.spec.code(dim), refined, 2 * dim)
            bound = rooflines.lists_qps(nbytes, at.roof.bandwidth)
            qps = len(queries) / took
            points.append(
                {
                    "lists": probes, "refined": refined, "recall": round(recall, 4), "q/s": round(qps, 1),
                    "bytes a query": round(nbytes), "bound q/s": round(bound, 1), "share of the bound": round(qps / bound, 4),
                }
            )  # fmt: skip
            print(f"  {points[-1]}", flush=True)
            reached = max(reached, recall)
        if reached >= ENOUGH:
            break
    return points


def _judge(at: Here, points: list[dict[str, Any]], lines: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """The front, and what is asked at recall 0.95."""
    kept = rooflines.front([(p["recall"], p["q/s"]) for p in points])
    facts["front"] = [points[i] for i in kept]
    facts["all points"] = points
    good = [p for p in points if p["recall"] >= RECALL]
    lines.append(line("highest recall@10", max(p["recall"] for p in points), RECALL, ""))
    if not good:
        facts[f"recall {RECALL}"] = "not reached: more lists or refined candidates are needed"
        return
    best = max(good, key=lambda p: p["q/s"])
    lines.append(line(f"recall {RECALL}: share of the bytes' bound", best["share of the bound"], OF_BOUND, "", 1.0))
    if best["bound q/s"] >= MILLION:
        lines.append(line(f"recall {RECALL}: queries a second", best["q/s"], MILLION, "q/s", best["bound q/s"]))
    facts[f"recall {RECALL}"] = best


def _exact(at: Here, rows: Made, queries: Any, facts: dict[str, Any]) -> None:
    """The exact scan of the same rows: its recall is 1, so that it stands beside every point of the front."""
    n, dim = rows.shape
    for dtype in layout.DTYPES:
        need, room = layout.nbytes(n, dim, dtype, Metric.L2, raw=True) + layout.WORKSPACE, at.room()
        if need > room:
            facts[f"exact, {dtype}"] = f"left out: {need / 1e9:.1f} GB are needed and {room / 1e9:.1f} free; see gpu-exact.json"
            continue
        scan = Scan(encode(rows, Metric.L2, at.device, dtype, raw=True), None, layout.WORKSPACE)
        some = queries[:4096]
        one = common.repeated(lambda scan=scan: scan.nearest(queries[:1], K), at.device, 20 if at.cuda else 2)
        many = common.repeated(lambda scan=scan, some=some: scan.nearest(some, K), at.device, 3 if at.cuda else 1)
        facts[f"exact, {dtype}"] = {
            "one query, ms": round(1e3 * one, 3),
            f"batch {len(some)}, q/s": round(len(some) / many, 1),
            "bound q/s": round(rooflines.scan_qps(n, dim, dtype, len(some), at.roof), 1),
        }
        scan.close()
        del scan


if __name__ == "__main__":
    common.script(main)
