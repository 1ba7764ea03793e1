import pytest

import nearfield as nf
from tests.cli.conftest import Cli
from tests.planning.conftest import FIXED


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfield.planning.plan.this_machine", lambda refresh=False: FIXED)


def test_plan_shows_a_table_with_reasons(cli: Cli) -> None:
    said = cli("plan", "--n", "50_000_000", "--dim", 768, "--memory", "64GB", "--gpu-memory", "80GB")
    assert said.code == 0
    assert "IVF16384,PQ192x4fs" in said.out
    assert "Proposed: IvfPq(bits=4)." in said.out
    assert "more than 50% of 64.0 GB" in said.out
    assert "exact scan, float16" in said.out
    assert "For a card: exact scan, float16." in said.out


def test_a_card_alone_is_filled(cli: Cli) -> None:
    said = cli("plan", "--dim", 768, "--gpu-memory", "24GB")
    assert said.code == 0
    assert "IVF16384,PQ96x8" in said.out
    assert cli("plan", "--dim", 768, "--gpu-memory", "24GB", "--json").json["gpu"]["best"]["n"] > 10**8
    assert cli("plan", "--n", 10**9, "--dim", 768, "--memory", "1GB", "--gpu-memory", "1GB").code == 1


def test_plan_says_how_many_fit(cli: Cli) -> None:
    found = cli("plan", "--dim", 768, "--memory", "64GB", "--json").json
    assert found["n"] is None
    assert found["best"]["n"] == max(r["n"] for r in found["recipes"] if r["kind"] == found["best"]["kind"])
    assert "How many vectors fit" in cli("plan", "--dim", 768, "--memory", "64GB").out


def test_json_is_the_plan(cli: Cli) -> None:
    said = cli(
        "plan", "--n", 1000, "--dim", 8, "--recall", 0.9, "--metric", "l2", "--latency", "10ms", "--disk", "1GB", "--json"
    )
    assert said.json == {**nf.plan(1000, 8, recall=0.9, metric="l2", latency="10ms", disk="1GB").to_dict(), **_lists(said.json)}


def _lists(found: dict) -> dict:
    """What JSON turns from tuples into lists."""
    return {key: found[key] for key in ("recipes", "best")}


def test_exit_codes(cli: Cli) -> None:
    assert cli("plan", "--n", 10**9, "--dim", 768, "--memory", "1GB").code == 1
    assert cli("plan", "--dim", 768).code == 2
    assert cli("plan", "--n", 5).code == 2
    said = cli("plan", "--n", 10, "--dim", 8, "--memory", "much")
    assert said.code == 2
    assert "memory" in said.err
