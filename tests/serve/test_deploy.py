"""What is written for operators names only what exists: metrics, routes, files, extras, options."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml

from nearfield.cli.main import build
from nearfield.serve.openapi import shown
from nearfield.serve.routes import ALL
from nearfield.serve.telemetry import METRICS, exported

ROOT = Path(__file__).parents[2]
NAMES = {
    name
    for m in METRICS
    for name in ([f"{exported(m)}{end}" for end in ("_bucket", "_sum", "_count")] if m.kind == "histogram" else [exported(m)])
}
LABELS = {name: set(m.labels) for m in METRICS for name in NAMES if name.startswith(f"nearfield_{m.name}")}


def expressions() -> list[str]:
    board = json.loads((ROOT / "docker/grafana/dashboard.json").read_text())
    alerts = yaml.safe_load((ROOT / "docker/alerts.yml").read_text())
    return [t["expr"] for p in board["panels"] for t in p["targets"]] + [
        r["expr"] for g in alerts["groups"] for r in g["rules"]
    ]


@pytest.mark.parametrize("expression", expressions())
def test_only_metrics_and_labels_that_exist_are_named(expression: str) -> None:
    named = re.findall(r"nearfield_\w+", expression)
    assert set(named) <= NAMES
    assert named or 'up{job="nearfield"}' in expression
    for name, labels in re.findall(r"(nearfield_\w+)\{([^}]*(?:\{name\}[^}]*)?)\}", expression):
        assert set(re.findall(r'(\w+)=~?"', labels)) <= LABELS[name]
    for route in re.findall(r'route="([^"]*)"', expression):
        assert route in {f"{r.method} {shown(r.path)}" for r in ALL}


def test_every_metric_is_shown_somewhere() -> None:
    """On the dashboard or in an alert, but for those that `docs/SERVICE.md` alone explains."""
    named = " ".join(expressions())
    assert {m.name for m in METRICS if f"nearfield_{m.name}" not in named} <= {"slow_queries", "ready", "recall_samples"}


def test_the_image_is_made_of_what_is_there() -> None:
    text = (ROOT / "docker/Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M):
        assert all((ROOT / source).exists() for source in sources.split())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"/src\[([\w,]+)\]", text):
        assert set(named.split(",")) <= extras.keys()
    options = {o for p in typer.main.get_command(build()).commands["serve"].params for o in p.opts}  # type: ignore[attr-defined]
    unit = (ROOT / "systemd/nearfield.service").read_text()
    for used in re.findall(r"(--[a-z-]+)", re.search(r"ENTRYPOINT.*", text)[0] + re.search(r"ExecStart=.*", unit)[0]):
        assert used in options


def test_compose_mounts_what_is_there() -> None:
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    for service in services.values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / "docker" / volume.split(":")[0]).exists()
