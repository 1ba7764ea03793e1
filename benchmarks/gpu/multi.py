"""Several cards behind one search: shards (rows dealt out) and replicas (all rows on each) against one card, same rows.

Final scores come from the host, as they do in a collection. On a processor its one device stands in twice, to run the code.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from benchmarks.common import Skipped
from benchmarks.gpu import common, rooflines
from benchmarks.gpu.common import Here, line
from benchmarks.gpu.made import QUERIES, Made
from nearfield.core.metric import Metric
from nearfield.device import cards, layout
from nearfield.device.scan import Scan
from nearfield.device.spread import Replicas, Shards, bounds

K, ROWS, DIM = 10, 10_000_000, 128
BATCH = 1024
CALLERS = 8
"""Threads that ask single queries at the same time."""
SHARE = 0.8
"""Of as many times the speed of one card as there are cards: asked of shards in batches, of replicas under many callers."""

Searched = Scan | Shards | Replicas


def main(argv: list[str] | None = None) -> None:
    parser = common.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--dtype", choices=layout.DTYPES, default="float16")
    asked = parser.parse_args(argv)
    at = common.here(asked)
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    names = [card.name for card in cards.visible()] if at.cuda else ["cpu", "cpu"]
    n = at.rows(asked.rows)
    with common.left_out(facts, "several cards"):
        if len(names) < 2:
            raise Skipped("there is one card")
        _measure(at, n, asked.dtype, names, lines, facts)
    common.report("multi", f"{n:,} x {DIM}, {asked.dtype}, {len(names)} devices", at, asked.out, lines, facts)


def _measure(
    at: Here, n: int, dtype: layout.Dtype, names: list[str], lines: list[dict[str, Any]], facts: dict[str, Any]
) -> None:
    recipe = common.recipe(DIM, n)
    vectors = Made(n, recipe, at.device, at.seed).whole().cpu().numpy()
    queries = Made(BATCH if at.cuda else 32, recipe, at.device, at.seed, QUERIES).whole().cpu().numpy()
    count = len(names)
    truth = None
    found: dict[str, dict[str, float]] = {}
    for how in ("one", "shards", "replicas"):
        made = _put(how, vectors, dtype, names)
        answer = made.search(queries[:64], K)[1]
        truth = answer if truth is None else truth
        if not np.array_equal(answer, truth):
            raise RuntimeError(f"{how} answer otherwise than one device")
        found[how] = {
            "one query, ms": 1e3
            * common.repeated(lambda made=made: made.search(queries[:1], K), at.device, 20 if at.cuda else 3),
            "batch q/s": len(queries)
            / common.repeated(lambda made=made: made.search(queries, K), at.device, 5 if at.cuda else 2),
            "many callers q/s": _together(made, queries, 3.0 if at.cuda else 0.3),
        }
        made.close()
    one = found["one"]
    for how, key in (("shards", "batch q/s"), ("replicas", "many callers q/s")):
        lines.append(line(f"{how} over one device, {key}", found[how][key] / one[key], SHARE * count, "x", float(count)))
    facts["devices"] = names
    facts["bound of one, q/s"] = round(rooflines.scan_qps(n, DIM, dtype, len(queries), at.roof), 1)
    facts.update({how: {key: round(value, 3) for key, value in values.items()} for how, values in found.items()})


def _put(how: str, vectors: np.ndarray, dtype: layout.Dtype, names: list[str]) -> Searched:
    if how == "one":
        return Scan.put(vectors, Metric.COSINE, names[0], dtype)
    if how == "replicas":
        return Replicas([Scan.put(vectors, Metric.COSINE, name, dtype) for name in names])
    edges = bounds(len(vectors), len(names))
    parts = zip(edges, names, strict=False)
    return Shards([(start, Scan.put(vectors[start:stop], Metric.COSINE, name, dtype)) for (start, stop), name in parts])


def _together(made: Searched, queries: np.ndarray, seconds: float) -> float:
    """Single queries a second of several threads."""
    done = [0] * CALLERS
    until = time.perf_counter() + seconds

    def ask(number: int) -> None:
        while time.perf_counter() < until:
            at = (number + done[number]) % len(queries)
            made.search(queries[at : at + 1], K)
            done[number] += 1

    start = time.perf_counter()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - start)


if __name__ == "__main__":
    common.script(main)
