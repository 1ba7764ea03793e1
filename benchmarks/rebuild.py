"""P99 of searches over HTTP, open loop at half of the peak rate, with a rebuild running and without; rounds alternate."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import minilm, report, row
from benchmarks.serving.processes import free_port, server
from nearfield.load import openloop
from nearfield.load.queries import packed
from nearfield.load.targets import Served

CONNECTIONS, ROUNDS, SECONDS = 16, 5, 8.0


def main(scale: float = 1.0) -> None:
    """The generator is a process of this machine too: what it takes is taken from the server, with and without a rebuild."""
    x, queries = minilm()
    x = x[: int(len(x) * scale)]
    with tempfile.TemporaryDirectory() as folder:
        with nf.open(f"{folder}/db") as db:
            c = db.create("c", embedder=None, dim=x.shape[1])
            c.load(ids=[f"d{i}" for i in range(len(x))], vectors=x)
            c.optimize()
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "nearfield", "serve", f"{folder}/db", "--port", str(port), "--log-level", "warning"]
        with server(command, f"{base}/readyz"):
            found = asyncio.run(_measure(base, [{"vector": packed(q), "k": 10} for q in queries]))
    ratios = [busy["latency"]["p99"] / idle["latency"]["p99"] for idle, busy in zip(found["idle"], found["busy"], strict=True)]
    rows = [row("P99 with a rebuild, against P99 without, median of rounds", float(np.median(ratios)), 2, least=False)]
    report("rebuild", rows, {"ratios": [round(r, 2) for r in ratios]} | found)


async def _measure(base: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
    target = Served(base, "c", None, CONNECTIONS, 30.0)
    out: dict[str, Any] = {"idle": [], "busy": []}
    try:
        peak = await openloop.as_fast_as_it_can(target, requests, 5.0, CONNECTIONS)
        out["peak"] = round(peak.qps)
        for turn in range(ROUNDS):
            out["idle"].append(asdict(await openloop.at_rate(target, requests, peak.qps / 2, SECONDS, CONNECTIONS, turn)))
            body = b'{"index": {"kind": "hnsw", "links": 32, "build_effort": 200}}'
            _post(f"{base}/v1/collections/c/rebuild", body)
            time.sleep(1)
            out["busy"].append(asdict(await openloop.at_rate(target, requests, peak.qps / 2, SECONDS, CONNECTIONS, turn)))
            out.setdefault("rebuild went on", []).append(_running(base))
            while _running(base):
                time.sleep(0.2)
    finally:
        await target.close()
    return out


def _post(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def _running(base: str) -> bool:
    with urllib.request.urlopen(f"{base}/v1/jobs", timeout=30) as answer:
        return b'"running"' in answer.read()
