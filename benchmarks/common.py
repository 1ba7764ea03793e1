"""What every benchmark shares: data, machine, peers in their own virtual environment, results as a table and JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results"
PEERS = Path(os.environ.get("PEERS_PYTHON", ROOT / ".venv-peers" / "bin" / "python"))
SEED = 20261123


class Skipped(Exception):
    """A benchmark cannot run here; the message says what is missing."""


def minilm() -> tuple[np.ndarray, np.ndarray]:
    """MiniLM vectors of WordNet: base (112659, 384) and 1,000 queries, unit float32."""
    path = DATA / "minilm_base_f16.npy"
    if not path.exists():
        raise Skipped(f"{path.name} is not in ../shared/data")
    base = np.load(path).astype(np.float32)
    base /= np.linalg.norm(base, axis=1, keepdims=True)
    return base, np.load(DATA / "minilm_query_1k.npy").astype(np.float32)


def sift() -> tuple[np.ndarray, np.ndarray]:
    """SIFT descriptors: base (200000, 128) and 1,000 queries of other photographs, float32."""
    path = DATA / "sift_base_200k.npy"
    if not path.exists():
        raise Skipped(f"{path.name} is not in ../shared/data")
    return np.load(path).astype(np.float32), np.load(DATA / "sift_query_1k.npy").astype(np.float32)


def peer(script: str, *arguments: object, python: Path = PEERS) -> dict[str, Any]:
    """Runs a peer's script in the peers' environment; returns the JSON it prints last."""
    if not python.exists():
        raise Skipped("the peers are not installed; run: make bench-setup")
    path = ROOT / "benchmarks" / "peers" / f"{script}.py"
    done = subprocess.run([python, path, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skipped(f"{script} failed: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def per_call(call: Callable[[int], Any], times: int) -> np.ndarray:
    """Seconds of each of `times` calls."""
    return np.array([seconds(lambda i=i: call(i)) for i in range(times)])


def row(name: str, value: float, target: float, unit: str = "x", *, least: bool = True) -> dict[str, Any]:
    """One line of a result: a ratio or figure against its target."""
    met = value >= target if least else value <= target
    return {"name": name, "value": round(float(value), 4), "target": target, "unit": unit, "least": least, "met": bool(met)}


def report(name: str, rows: list[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Prints a table and writes benchmarks/results/NAME.json with machine, versions and seed."""
    for r in rows:
        sign = ">=" if r["least"] else "<="
        verdict = "met" if r["met"] else "FELL SHORT"
        print(f"  {r['name']:<68} {r['value']:>10.3f} {r['unit']:<4} {sign} {r['target']:<8} {verdict}", flush=True)
    for key, value in facts.items():
        print(f"    {key}: {value}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    import faiss

    import nearfield

    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
        "nearfield": nearfield.__version__,
        "faiss": faiss.__version__,
        "numpy": np.__version__,
        "seed": SEED,
    }
    (RESULTS / f"{name}.json").write_text(json.dumps({"rows": rows, "facts": facts, "about": about}, indent=1) + "\n")
