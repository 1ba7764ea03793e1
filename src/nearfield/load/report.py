"""What was measured, as JSON values, a table and a picture."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nearfield as nf
from nearfield.load.openloop import SLOW_GENERATOR, Load
from nearfield.planning import report

HEADER = ("rate", "answered/s", "P50 ms", "P90 ms", "P99 ms", "P99.9 ms", "max ms", "errors")


def as_dict(found: dict[str, Any], target: str, k: int) -> dict[str, Any]:
    """What `openloop.bench` found, as JSON values, with where and what."""
    return {
        "target": target,
        "k": k,
        "cold_seconds": found["cold"],
        "recall": found["recall"],
        "recall_queries": found["recall_queries"],
        "peak": None if found["peak"] is None else _load(found["peak"]),
        "loads": [_load(load) for load in found["loads"]],
        "about": {
            "nearfield": nf.__version__, "python": platform.python_version(),
            "machine": platform.processor() or platform.machine(),
            "system": platform.platform(),
        },
    }  # fmt: skip


def _load(load: Load) -> dict[str, Any]:
    return asdict(load) | {"qps": load.qps}


def rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """The lines of the table, as HEADER."""
    peak = [] if found["peak"] is None else [_cells(found["peak"], "as fast as it can")]
    return peak + [_cells(load, f"{load.rate:,.0f}") for load in found["loads"]]


def _cells(load: Load, rate: str) -> tuple[str, ...]:
    names = ("p50", "p90", "p99", "p99.9", "max")
    times = [f"{1000 * load.latency[name]:.2f}" if load.latency else "-" for name in names]
    errors = ", ".join(f"{count} {code}" for code, count in load.errors.items()) or "0"
    return (rate, f"{load.qps:,.0f}", *times, errors)


def notes(found: dict[str, Any]) -> list[str]:
    """What the table does not say."""
    out = [
        f"The first answer took {1000 * found['cold']:.2f} ms. Recall {found['recall']:.4f} against the exact answer, "
        f"{found['recall_queries']:,} queries. Latency counts from when a request was due."
    ]
    for load in found["loads"]:
        if load.stages:
            stages = ", ".join(f"{name} {1000 * seconds:.3f}" for name, seconds in load.stages.items())
            out.append(f"At {load.rate:,.0f} a second, mean milliseconds by stage: {stages}.")
        if load.late and load.late["p99"] > SLOW_GENERATOR:
            out.append(
                f"At {load.rate:,.0f} a second 1 % of the requests left {1000 * load.late['p99']:.0f} ms late or more: all "
                f"{load.connections} connections were busy, or this machine was too slow to send them."
            )
    return out


def draw(found: dict[str, Any], path: Path) -> None:
    """Latency quantiles against the rate, into a .png or .svg; raises MissingDependency without matplotlib."""
    figure = report.empty(8, 5)
    axes = figure.subplots()
    loads = [load for load in found["loads"] if load.latency]
    for name in ("p50", "p90", "p99", "p99.9"):
        axes.plot([load.rate for load in loads], [1000 * load.latency[name] for load in loads], marker=".", label=name.upper())
    if found["peak"] is not None:
        axes.axvline(found["peak"].qps, color="grey", ls="--", lw=0.8)
    axes.set(xlabel="requests due a second", ylabel="ms from due to answered", yscale="log", xlim=(0, None))
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=130)
