"""The dashboard and the alerts name only metrics, labels and routes that exist, and every metric is shown somewhere."""

import json
import re
from pathlib import Path

import pytest
import yaml

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
    assert named or 'up{job="nearfield"}' in expression or "ALERTS{" in expression
    for name, labels in re.findall(r"(nearfield_\w+)\{([^}]*(?:\{name\}[^}]*)?)\}", expression):
        assert set(re.findall(r'(\w+)=~?"', labels)) <= LABELS[name]
    for route in re.findall(r'route="([^"]*)"', expression):
        assert route in {f"{r.method} {shown(r.path)}" for r in ALL}


def test_every_metric_is_shown_somewhere() -> None:
    """On the dashboard or in an alert, but for those that `docs/SERVICE.md` alone explains."""
    named = " ".join(expressions())
    assert {m.name for m in METRICS if f"nearfield_{m.name}" not in named} <= {"slow_queries", "ready", "recall_samples"}


def test_panels_do_not_lie_on_each_other() -> None:
    panels = json.loads((ROOT / "docker/grafana/dashboard.json").read_text("utf-8"))["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    grids = [p["gridPos"] for p in panels]
    places = [(g["x"] + x, g["y"] + y) for g in grids for x in range(g["w"]) for y in range(g["h"])]
    assert len(set(places)) == len(places)


def test_a_lost_device_pages_and_a_full_budget_is_a_ticket() -> None:
    alerts = yaml.safe_load((ROOT / "docker/alerts.yml").read_text("utf-8"))
    severity = {rule["alert"]: rule["labels"]["severity"] for group in alerts["groups"] for rule in group["rules"]}
    assert severity["NearfieldDeviceLost"] == "page"
    assert severity["NearfieldTiersRestless"] == "ticket"
