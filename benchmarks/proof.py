"""How often a scan by codes needs its second step, and whether it is exact: real vectors, on the processor.

Nothing is timed: what decides here is data, so that the figures hold for a card too.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import minilm, report, row, sift
from nearfield.core.metric import Metric
from nearfield.device.layout import DTYPES
from nearfield.device.scan import Scan
from nearfield.index import exact


def main(scale: float = 1.0) -> None:
    rows: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for name, (x, queries), metric in (("MiniLM, cosine", minilm(), Metric.COSINE), ("SIFT, l2", sift(), Metric.L2)):
        x, queries = x[: int(scale * len(x))], queries[: max(50, int(scale * len(queries)))]
        for k in (10, 100):
            wanted = exact.search(queries, x, k, metric)
            for dtype in DTYPES:
                scan = Scan.put(x, metric, "cpu", dtype)
                found = scan.search(queries, k)
                same = float(np.mean([np.array_equal(a, b) for a, b in zip(found[1], wanted[1], strict=True)]))
                label = f"{name}, {dtype}, k={k}"
                rows.append(row(f"answers equal to the exact scan's, row by row: {label}", same, 1.0, "share"))
                rows.append(
                    row(f"queries that needed the second step: {label}", scan.widened / len(queries), 0.02, "", least=False)
                )
                facts[f"bytes on a device over those of float32, {label}"] = round(scan.nbytes / x.nbytes, 4)
    report("proof", rows, facts)
