"""Text queries over HTTP (embed, search, documents) against the bare model: 8 clients, and one alone.

The server has one core and wrk the other, so that the bare model on one core is what there is to reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, Skipped, minilm, report, row
from benchmarks.minilm import _texts as texts_of
from benchmarks.serving.processes import free_port, server
from benchmarks.serving.wrk import posted

SECONDS, ROUNDS, ASKED = 8.0, 3, 400
BARE = """
import json, sys, time, numpy as np
import torch
torch.set_num_threads(1)
from nearfield import embed
model = embed.load("minilm")
texts = json.load(open(sys.argv[1]))
model.encode(texts[:8], kind="query")
def timed(size, seconds):
    took, end, i = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        start = time.perf_counter()
        model.encode([texts[(i + j) % len(texts)] for j in range(size)], kind="query")
        took.append(time.perf_counter() - start)
        i += size
    return took
single, batches = timed(1, float(sys.argv[2])), timed(8, float(sys.argv[2]))
print(json.dumps({"p50": float(np.median(single)), "qps": 8 * len(batches) / sum(batches)}))
"""


def main(scale: float = 1.0) -> None:
    """Rounds alternate: the bare model, then the server."""
    if (os.cpu_count() or 1) < 2 or not hasattr(os, "sched_setaffinity"):
        raise Skipped("needs two cores and Linux: one for the server, one for wrk")
    x, _ = minilm()
    x = x[: int(len(x) * scale)]
    texts = texts_of(len(x))
    asked = [texts[i] for i in np.random.default_rng(SEED).choice(len(texts), ASKED, replace=False)]
    bare: list[dict[str, float]] = []
    full: list[dict[str, float]] = []
    alone: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "asked.json").write_text(json.dumps(asked))
        with nf.open(f"{folder}/db") as db:
            c = db.create("c", embedder="minilm")
            c.load(ids=[f"d{i}" for i in range(len(x))], vectors=x, texts=texts)
            c.optimize()
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "nearfield", "serve", f"{folder}/db", "--port", str(port), "--log-level", "warning"]
        bodies = [{"query": text, "k": 10} for text in asked]
        for _ in range(ROUNDS):
            bare.append(_bare(folder))
            with server(["taskset", "-c", "0", *command], f"{base}/readyz"):
                url = f"{base}/v1/collections/c/search"
                os.sched_setaffinity(0, {1})
                try:
                    posted(url, bodies, 8, 2, folder)
                    full.append(posted(url, bodies, 8, SECONDS, folder))
                    alone.append(posted(url, bodies, 1, SECONDS, folder))
                finally:
                    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    qps = float(np.median([f["qps"] for f in full])), float(np.median([b["qps"] for b in bare]))
    p50 = float(np.median([f["p50"] for f in alone])), float(np.median([b["p50"] for b in bare]))
    rows = [
        row("QPS of 8 clients, against the bare model in batches of 8", qps[0] / qps[1], 0.9),
        row("P50 alone, against one bare encode", p50[0] / p50[1], 1.3, least=False),
    ]
    facts: dict[str, Any] = {"bare": bare, "8 clients": full, "alone": alone}
    report("texts", rows, facts)


def _bare(folder: str) -> dict[str, float]:
    told = subprocess.run(
        ["taskset", "-c", "0", sys.executable, "-c", BARE, f"{folder}/asked.json", str(SECONDS / 2)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found: dict[str, float] = json.loads(told.stdout.splitlines()[-1])
    return found
