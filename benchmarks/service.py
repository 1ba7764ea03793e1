"""The service over HTTP: MiniLM 112,659 x 384, ten documents back, wrk with 1, 8, 32 connections; against Chroma and Milvus."""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from benchmarks.common import PEERS, ROOT, SEED, Skipped, minilm, peer, report, row
from benchmarks.minilm import _texts as texts_of
from benchmarks.serving.processes import free_port, server
from benchmarks.serving.wrk import posted

CONNECTIONS = (1, 8, 32)
SECONDS = 5.0
SHARES = {"common": 0.117, "rare": 0.009}
"""Share of the rows of each kind that is filtered for; the rest is "other"."""
ASKED = 500
MILVUS = Path(os.environ.get("MILVUS_PYTHON", ROOT / ".venv-milvus" / "bin" / "python"))

Body = Callable[[list[float], str | None], dict[str, Any]]


def main(scale: float = 1.0) -> None:
    """Each server alone on the machine, one after the other."""
    x, queries = minilm()
    x = x[: int(len(x) * scale)]
    kinds = np.random.default_rng(SEED).choice([*SHARES, "other"], len(x), p=[*SHARES.values(), 1 - sum(SHARES.values())])
    texts = texts_of(len(x))
    asked = queries[:ASKED]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/base.npy", x)
        Path(folder, "texts.json").write_text(json.dumps(texts))
        Path(folder, "kinds.json").write_text(json.dumps(kinds.tolist()))
        _fill(Path(folder, "db"), x, texts, kinds)
        for name, serving in (
            ("nearfield", _nearfield),
            ("nearfield, 2 workers", _two),
            ("chroma", _chroma),
            ("milvus", _milvus),
        ):
            try:
                with serving(folder) as (url, body, ids):
                    found[name] = _measure(url, body, ids, asked, x, kinds, folder)
            except Skipped as reason:
                found[name] = str(reason)
            print(f"    {name}: {found[name]}", flush=True)
    report("service", list(_rows(found)), found)


def _fill(path: Path, x: np.ndarray, texts: list[str], kinds: np.ndarray) -> None:
    with nf.open(path) as db:
        c = db.create("c", embedder=None, dim=x.shape[1])
        c.load(ids=[f"d{i}" for i in range(len(x))], vectors=x, texts=texts, metadata={"kind": kinds.tolist()})
        c.optimize()


Serving = Iterator[tuple[str, Body, Callable[[Any], list[str]]]]


@contextmanager
def _nearfield(folder: str, workers: int = 1) -> Serving:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "nearfield", "serve", f"{folder}/db", "--port", str(port), "--workers", str(workers)]

    def body(vector: list[float], kind: str | None) -> dict[str, Any]:
        return {"vector": vector, "k": 10} | ({} if kind is None else {"filter": {"kind": kind}})

    with server([*command, "--log-level", "warning"], f"{base}/readyz"):
        yield f"{base}/v1/collections/c/search", body, lambda told: [hit["id"] for hit in told["hits"]]


def _two(folder: str) -> Any:
    return _nearfield(folder, 2)


@contextmanager
def _chroma(folder: str) -> Serving:
    name = peer("service", "chroma", folder)["collection"]
    port = free_port()
    base = f"http://127.0.0.1:{port}/api/v2"

    def body(vector: list[float], kind: str | None) -> dict[str, Any]:
        wanted = {"query_embeddings": [vector], "n_results": 10, "include": ["documents", "metadatas", "distances"]}
        return wanted | ({} if kind is None else {"where": {"kind": kind}})

    command = [str(PEERS.parent / "chroma"), "run", "--path", f"{folder}/chroma", "--host", "127.0.0.1", "--port", str(port)]
    with server(command, f"{base}/heartbeat"):
        url = f"{base}/tenants/default_tenant/databases/default_database/collections/{name}/query"
        yield url, body, lambda told: told["ids"][0]


@contextmanager
def _milvus(folder: str) -> Serving:
    command = MILVUS.parent / "milvus-server"
    if not command.exists():
        raise Skipped("Milvus is not installed; run: make bench-setup")
    if any(name != "lo" and _up(name) for _, name in socket.if_nameindex()):
        raise Skipped(
            "Milvus listens on every interface, so it is measured where there is only loopback: "
            "unshare --net --map-root-user sh -c 'ip link set lo up; python -m benchmarks.run service'"
        )
    port = free_port()
    base = f"http://127.0.0.1:{port}/v1/vector/collections"

    def body(vector: list[float], kind: str | None) -> dict[str, Any]:
        wanted = {"collectionName": "c", "vector": vector, "limit": 10, "outputFields": ["id", "text", "kind"]}
        return wanted | ({} if kind is None else {"filter": f'kind == "{kind}"'})

    with server([str(command), "--data", f"{folder}/milvus", "--proxy-port", str(port)], base):
        peer("service", "milvus", folder, port, python=MILVUS)
        yield f"http://127.0.0.1:{port}/v1/vector/search", body, lambda told: [hit["id"] for hit in told["data"]]


def _up(interface: str) -> bool:
    return Path("/sys/class/net", interface, "operstate").read_text().strip() != "down"


def _measure(
    url: str, body: Body, ids: Callable[[Any], list[str]], asked: np.ndarray, x: np.ndarray, kinds: np.ndarray, folder: str
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for kind in (None, *SHARES):
        bodies = [body(q, kind) for q in asked.tolist()]
        out[f"recall {kind or 'unfiltered'}"] = round(_recall(url, bodies, ids, asked, x, kinds, kind), 4)
        for connections in CONNECTIONS if kind is None else (8,):
            posted(url, bodies, connections, 1, folder)
            found = posted(url, bodies, connections, SECONDS, folder)
            if found["errors"]:
                raise RuntimeError(f"{found['errors']} errors of {url}")
            out[f"{kind or 'unfiltered'} {connections}"] = {
                "qps": round(found["qps"], 1), "p50 ms": round(1000 * found["p50"], 2), "p99 ms": round(1000 * found["p99"], 2)
            }  # fmt: skip
    return out


def _recall(
    url: str,
    bodies: list[Any],
    ids: Callable[[Any], list[str]],
    asked: np.ndarray,
    x: np.ndarray,
    kinds: np.ndarray,
    kind: str | None,
) -> float:
    allowed = np.arange(len(x)) if kind is None else np.flatnonzero(kinds == kind)
    good = 0
    for query, wanted in zip(asked[:200], bodies[:200], strict=True):
        request = urllib.request.Request(url, json.dumps(wanted).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            got = ids(json.load(answer))
        similar = x[allowed] @ query
        truth = allowed[np.argpartition(-similar, 10)[:10]]
        good += len({f"d{i}" for i in truth} & set(got))
    return good / (10 * min(200, len(asked)))


def _rows(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    own = [found[n] for n in ("nearfield", "nearfield, 2 workers") if isinstance(found.get(n), dict)]
    for kind in ("unfiltered", *SHARES):
        yield row(f"recall@10, {kind}", min(o[f"recall {kind}"] for o in own), 0.95, "")
    for name, plain, filtered in (("chroma", 10, 50), ("milvus", 4, 3)):
        peer_ = found.get(name)
        if not isinstance(peer_, dict):
            continue
        for c in CONNECTIONS:
            best = max(own, key=lambda o, key=f"unfiltered {c}": o[key]["qps"])[f"unfiltered {c}"]
            yield row(f"QPS, {c} connections, against {name}", best["qps"] / peer_[f"unfiltered {c}"]["qps"], plain)
            yield row(
                f"P99, {c} connections, against {name}", best["p99 ms"] / peer_[f"unfiltered {c}"]["p99 ms"], 1, least=False
            )
        for kind, share in SHARES.items():
            best = max(o[f"{kind} 8"]["qps"] for o in own)
            yield row(
                f"QPS, filtered to {share:.1%}, 8 connections, against {name}", best / peer_[f"{kind} 8"]["qps"], filtered
            )
