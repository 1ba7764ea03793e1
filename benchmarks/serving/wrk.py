"""Runs wrk, a closed-loop load generator in C, against a URL."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import Skipped

SCRIPT = Path(__file__).with_name("post.lua")


def posted(url: str, bodies: Sequence[Any], connections: int, seconds: float, folder: str) -> dict[str, float]:
    """qps, p50 and p99 in seconds, and errors, of POSTing bodies over and over from one thread."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise Skipped("needs wrk: apt-get install wrk")
    path = Path(folder, "bodies.jsonl")
    path.write_text("\n".join(json.dumps(body) for body in bodies) + "\n")
    told = subprocess.run(
        [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(SCRIPT), url],
        env=os.environ | {"BODIES": str(path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(told.stdout[told.stdout.index('{"requests"') :].splitlines()[0])
    return {
        "connections": connections, "qps": found["requests"] / found["seconds"], "p50": found["p50"], "p99": found["p99"],
        "errors": found["errors"],
    }  # fmt: skip
