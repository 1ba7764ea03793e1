"""Text queries over HTTP, end to end: embedded, searched, documents fetched; open loop, latency from when a request was due.

Three steps, for calls that are bounded: `--step build` makes vectors on the card and loads them into a collection in --folder
(10M x 384: 15.4 GB, twice that while it is merged), `--step merge` makes one segment of them, `--step serve` starts
`nearfield serve` with the collection on the card and asks it. `--step all` does all three.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import nearfield as nf
from benchmarks.common import Skipped
from benchmarks.gpu import common, model
from benchmarks.gpu.common import Here, line
from benchmarks.gpu.made import Made
from benchmarks.serving.processes import free_port, server
from nearfield.load.openloop import Load, at_rate
from nearfield.load.targets import Served

ROWS, NAME = 10_000_000, "c"
LOADED = 1 << 20
"""Rows of one call of `load`."""
RATE, CONNECTIONS, P99 = 2000.0, 64, 0.010
QUERIES, K = 1000, 10


def parsed(argv: list[str] | None) -> argparse.Namespace:
    parser = common.arguments(__doc__)
    parser.add_argument("--step", choices=("build", "merge", "serve", "all"), default="all")
    parser.add_argument("--folder", type=Path, required=True, help="where the database is made and stays")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--embedder", default="minilm", help="a name or a folder; hash:384 where there is none")
    parser.add_argument("--gpu-memory", default="auto", help="as `nearfield serve` takes it")
    parser.add_argument("--each", type=float, default=15.0, help="seconds at each rate")
    parser.add_argument("--rate", type=float, default=RATE)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    asked = parsed(argv)
    at = common.here(asked)
    n = at.rows(asked.rows)
    lines: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    with common.left_out(facts, asked.step):
        if asked.step in ("build", "all"):
            _build(at, asked.folder, n, asked.embedder, facts)
        if asked.step in ("merge", "all"):
            _merge(asked.folder, facts)
        if asked.step in ("serve", "all"):
            facts["embedder"] = asked.embedder
            _serve(at, asked, lines, facts)
    common.report("serve", f"{n:,}, {asked.step}", at, asked.out, lines, facts)


def _build(at: Here, folder: Path, n: int, embedder: str, facts: dict[str, Any]) -> None:
    """Loads what is missing: stopped by the end of a call and started again, it goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    with nf.open(folder / "db") as db:
        collection = db.get_or_create(NAME, embedder=embedder, recall=1.0)
        need, free = 2.2 * 4 * (n - len(collection)) * collection.dim, shutil.disk_usage(folder).free
        if need > free:
            raise Skipped(f"the disk has {free / 1e9:.1f} GB free and loading and merging take up to {need / 1e9:.1f}")
        made = Made(n, common.recipe(collection.dim, n), at.device, at.seed)
        texts, facts["texts"] = model.texts(min(n, 100_000), at.seed)
        for first in range(len(collection) // LOADED * LOADED, n, LOADED):
            if at.left() < 0:
                facts["build"] = f"no time was left at {len(collection):,} rows: run this step again"
                return
            last = min(first + LOADED, n)
            ids = [f"d{i}" for i in range(first, last)]
            vectors = made[first:last].cpu().numpy()
            collection.load(
                ids=ids, vectors=vectors, texts=[texts[i % len(texts)] for i in range(first, last)], if_exists="skip"
            )
            print(f"  {last:,} of {n:,} rows after {time.perf_counter() - start:.0f} s", flush=True)
        facts["build"] = f"{len(collection):,} rows in {time.perf_counter() - start:.1f} s"


def _merge(folder: Path, facts: dict[str, Any]) -> None:
    """One segment: each costs a search of its own."""
    start = time.perf_counter()
    with nf.open(folder / "db") as db:
        db[NAME].optimize(progress=lambda said: print(f"  {said}", flush=True))
        facts["merge"] = f"{time.perf_counter() - start:.1f} s"


def _serve(at: Here, asked: argparse.Namespace, lines: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    with nf.open(asked.folder / "db") as db:
        collection = db[NAME]
        rows, segments = len(collection), len(collection.stats().segments)
        collection.pin("hot", now=False)
    facts["rows"], facts["segments"] = rows, segments
    texts, _ = model.texts(QUERIES, at.seed + 1)
    requests = [{"query": " ".join(text.split()[:12]), "k": K} for text in texts]
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "nearfield",
        "serve",
        str(asked.folder / "db"),
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]
    command += ["--gpu-memory", _memory(at, asked), "--device", at.device, "--recall-share", "0"]
    command += ["--model", asked.embedder]
    started = time.perf_counter()
    with server(command, f"{base}/readyz", 400):
        facts["seconds until ready"] = round(time.perf_counter() - started, 1)
        facts["seconds until hot"], facts["scanned by"] = _hot(base, requests[0]["query"], started)
        tried = asyncio.run(_rates(at, base, requests, asked.rate, asked.each, facts))
    wanted = next(load for load in tried if load.rate == asked.rate)
    lines.append(line(f"P99 at {asked.rate:,.0f} requests a second", 1e3 * p99(wanted), 1e3 * P99, "ms", least=False))
    held = [load for load in tried if holds(load)]
    facts["highest rate with P99 <= 10 ms"] = max((load.rate or 0 for load in held), default="none that was tried")
    facts["rates"] = [_told(load) for load in tried]
    facts["connections"], facts["seconds at each rate"] = CONNECTIONS, asked.each


def _hot(base: str, text: str, started: float, most: float = 200.0) -> tuple[float, list[str]]:
    """Seconds from the start until all segments are on a device, and what then scans them: the quicker of device and index."""
    with nf.connect(base) as remote:
        while True:
            segments = remote[NAME].search(text, k=K).plan.segments
            took = time.perf_counter() - started
            if all(segment.tier == "hot" for segment in segments):
                return round(took, 1), sorted({segment.device or "the processor" for segment in segments})
            if took > most:
                raise Skipped("the collection did not get on to the card: see `nearfield doctor`, and --gpu-memory")
            time.sleep(0.2)


def _memory(at: Here, asked: argparse.Namespace) -> str:
    return asked.gpu_memory if at.cuda or asked.gpu_memory != "auto" else "256MB"


async def _rates(
    at: Here, base: str, requests: list[dict[str, Any]], rate: float, each: float, facts: dict[str, Any]
) -> list[Load]:
    """The rate that is asked for; then up while P99 holds, or down until it does; then between, while there is time."""
    target = Served(base, NAME, None, CONNECTIONS, 30.0)
    tried: list[Load] = []

    async def measured(wanted: float) -> Load:
        tried.append(await at_rate(target, requests, wanted, each, CONNECTIONS))
        print(f"  {_told(tried[-1])}", flush=True)
        return tried[-1]

    try:
        answer = await target.ask(requests[0])
        if answer.error:
            raise RuntimeError(f"the first search failed: {answer.why or answer.error}")
        facts["first answer"] = {"seconds": round(answer.seconds, 4), "took": dict(answer.took)}
        await at_rate(target, requests, min(rate, 200.0), min(5.0, each), CONNECTIONS)
        low, high = (rate, None) if holds(await measured(rate)) else (None, rate)
        while at.left() > 1.5 * each and (wanted := between(low, high)) is not None:
            if holds(await measured(wanted)):
                low = wanted
            else:
                high = wanted
    finally:
        await target.close()
    return tried


def between(low: float | None, high: float | None) -> float | None:
    """The next rate to try, between the highest that held and the lowest that did not; None once they are within 5 %."""
    if high is None:
        return None if low is None else 1.5 * low
    if low is None:
        return high / 2 if high > 20 else None
    return None if high < 1.05 * low else (low + high) / 2


def p99(load: Load) -> float:
    """Seconds; endless where nothing was answered."""
    return load.latency.get("p99", float("inf"))


def holds(load: Load) -> bool:
    """Whether 99 % of the answers came in time, and none failed."""
    return p99(load) <= P99 and not load.errors


def _told(load: Load) -> dict[str, Any]:
    return {
        "rate": load.rate,
        "answered/s": round(load.qps, 1),
        "ms": {name: round(1e3 * value, 3) for name, value in load.latency.items()},
        "left late, P99 ms": round(1e3 * load.late.get("p99", 0.0), 3),
        "errors": load.errors,
        "stages, mean ms": {name: round(1e3 * value, 3) for name, value in load.stages.items()},
    }


if __name__ == "__main__":
    common.script(main)
