"""1,000,000 vectors, kill -9 of the server under writes: how long until it is ready for vectors and answers the first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import numpy as np

import nearfield as nf
from benchmarks.common import SEED, report, row
from benchmarks.serving.processes import free_port

N, DIM, ROUNDS = 1_000_000, 384, 3


def main(scale: float = 1.0) -> None:
    """Times count from the start of the new process; its modules come from the page cache, as after a crash."""
    rng = np.random.default_rng(SEED)
    n = int(N * scale)
    centres = rng.standard_normal((1000, DIM)).astype(np.float32)
    ready, first, lost = [], [], 0
    acknowledged: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        with nf.open(f"{folder}/db") as db:
            c = db.create("c", embedder=None, dim=DIM, index=nf.IvfPq(subvectors=DIM // 4))
            for start in range(0, n, 100_000):
                many = min(100_000, n - start)
                x = centres[rng.integers(0, 1000, many)] + 0.5 * rng.standard_normal((many, DIM)).astype(np.float32)
                c.load(ids=[f"d{i}" for i in range(start, start + many)], vectors=x.astype(np.float32))
            c.optimize()
        for turn in range(ROUNDS + 1):
            port = free_port()
            base = f"http://127.0.0.1:{port}"
            command = [sys.executable, "-m", "nearfield", "serve", f"{folder}/db", "--port", str(port), "--log-level", "error"]
            begun = time.perf_counter()
            process = subprocess.Popen(command)
            try:
                _until(f"{base}/readyz?for=vector")
                ready.append(time.perf_counter() - begun)
                told = _search(base, centres[turn])
                first.append(time.perf_counter() - begun)
                assert len(told["hits"]) == 10
                lost += sum(not _there(base, i) for i in acknowledged)
                writer = threading.Thread(target=_write, args=(base, turn, centres, acknowledged))
                writer.start()
                time.sleep(3)
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            writer.join()
    rows = [
        row("seconds until /readyz?for=vector, the worst after a kill", max(ready[1:]), 1, "s", least=False),
        row("seconds until the first answer, the worst after a kill", max(first[1:]), 1, "s", least=False),
        row("acknowledged writes that were lost", lost, 0, "", least=False),
    ]
    facts = {"vectors": n, "ready s": [round(s, 3) for s in ready], "first answer s": [round(s, 3) for s in first]}
    report("restart", rows, facts | {"acknowledged under load": len(acknowledged)})


def _until(url: str) -> None:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)


def _post(url: str, body: object) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _search(base: str, vector: np.ndarray) -> dict:
    return _post(f"{base}/v1/collections/c/search", {"vector": vector.tolist(), "k": 10})


def _there(base: str, document_id: str) -> bool:
    return _post(f"{base}/v1/collections/c/get", {"ids": [document_id]})["documents"][0] is not None


def _write(base: str, turn: int, centres: np.ndarray, acknowledged: set[str]) -> None:
    for i in range(1_000_000):
        name = f"w{turn}-{i}"
        try:
            _post(f"{base}/v1/collections/c/documents", {"documents": [{"id": name, "vector": centres[i % 1000].tolist()}]})
        except (urllib.error.URLError, OSError, ValueError):
            return
        acknowledged.add(name)
