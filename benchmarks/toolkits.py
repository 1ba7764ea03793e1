"""Web toolkits: 384 numbers as JSON in, ten documents out, 16 connections of wrk: docs/decisions/web-toolkit.md."""

from __future__ import annotations

import tempfile

import numpy as np

from benchmarks.common import PEERS, Skipped, report, row
from benchmarks.serving.processes import free_port, server
from benchmarks.serving.wrk import posted

SECONDS, ROUNDS, CONNECTIONS = 4, 5, 16
UVICORN = ("-m", "uvicorn", "--factory", "--no-access-log", "--log-level", "error", "--loop", "uvloop", "--http", "httptools")
SERVERS = {
    "Starlette + msgspec on uvicorn": (*UVICORN, "benchmarks.serving.toolkit_apps:starlette_app"),
    "Litestar + msgspec on uvicorn": (*UVICORN, "benchmarks.serving.toolkit_apps:litestar_app"),
    "FastAPI + pydantic on uvicorn": (*UVICORN, "benchmarks.serving.toolkit_apps:fastapi_app"),
    "Starlette + msgspec on granian": (
        "-m", "granian", "--interface", "asgi", "--factory", "--no-access-log", "benchmarks.serving.toolkit_apps:starlette_app",
    ),
}  # fmt: skip


def main(scale: float = 1.0) -> None:
    """Rounds are interleaved: each toolkit once in each."""
    if not PEERS.exists():
        raise Skipped("needs make bench-setup")
    rng = np.random.default_rng(1)
    bodies = [{"vector": v, "k": 10} for v in rng.standard_normal((100, 384)).astype(np.float32).tolist()]
    found: dict[str, list[float]] = {name: [] for name in SERVERS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(max(1, round(ROUNDS * scale))):
            for name, command in SERVERS.items():
                port = free_port()
                with server([str(PEERS), *command, "--port", str(port)], f"http://127.0.0.1:{port}/"):
                    posted(f"http://127.0.0.1:{port}/search", bodies, CONNECTIONS, 1, folder)
                    found[name].append(posted(f"http://127.0.0.1:{port}/search", bodies, CONNECTIONS, SECONDS, folder)["qps"])
    best = found["Starlette + msgspec on uvicorn"]
    rows = [
        row(f"Starlette + msgspec on uvicorn against {name}", float(np.median(best)) / float(np.median(values)), 1.0)
        for name, values in found.items()
        if values is not best
    ]
    report("toolkits", rows, {name: {"requests/s, least to most": [round(min(v)), round(max(v))]} for name, v in found.items()})
