"""The verb `pin`, and what `stats` says of tiers: what is written down is what the next process goes by."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from tests.cli.conftest import Cli


@pytest.fixture
def target(tmp_path: Path) -> str:
    with nf.open(tmp_path / "data") as db:
        c = db.create("v", embedder=None, dim=8)
        c.load(ids=[str(i) for i in range(500)], vectors=np.random.default_rng(0).standard_normal((500, 8)))
        c.optimize()
    return "data/v"


def tiers_shown(out: str) -> list[str]:
    """The words of the table's column `tier`."""
    head, *rows = out[out.index("segment  rows") :].splitlines()
    at = head.index("tier")
    return [row[at:].split()[0] for row in rows if row.strip()[:1].isdigit()]


def test_a_pin_is_kept_for_who_opens_it_next(cli: Cli, target: str) -> None:
    assert "as it is asked" in cli("stats", target).out
    assert cli("pin", target, "hot", "--json").json == {"pin": "hot"}, "no card is needed here"
    assert cli("stats", target, "--json").json["pin"] == "hot"
    assert "pinned to hot" in cli("stats", target).out
    with nf.open("data", gpu_memory="100MB", device="cpu") as db:
        c = db["v"]
        db._tiers.settle()  # type: ignore[union-attr]
        assert c.stats().segments[0].device == "cpu"
        assert tiers_shown(cli("stats", target).out) == ["hot"], "as the process that writes keeps it"
        assert cli("stats", target, "--json").json["segments"][0]["tier"] == "hot"
        refused = cli("pin", target, "cold")
        assert refused.code == 1
        assert 'POST /v1/collections/v/pin with {"tier": "cold"}' in refused.err, "who has it open is told over HTTP"
        assert '{"tier": null}' in cli("pin", target, "none").err
    assert "pinned to cold" in cli("pin", target, "cold").out
    with nf.open("data", memory="1GB") as db:
        db["v"].stats()
        db._tiers.settle()  # type: ignore[union-attr]
    assert tiers_shown(cli("stats", target).out) == ["cold"]
    assert "not pinned" in cli("pin", target, "none").out
    assert cli("stats", target, "--json").json["pin"] is None


def test_another_word_is_bad_use(cli: Cli, target: str) -> None:
    said = cli("pin", target, "lukewarm")
    assert said.code == 2
    assert "'hot', 'warm', 'cold', 'none'" in said.err
    assert cli("pin", "data/none", "hot").code == 1
