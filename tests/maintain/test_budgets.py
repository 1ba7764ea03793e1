"""Whatever state a machine's cards are in, a database that takes what there is opens, answers, and says what is wrong."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.device import cards
from nearfield.device.cards import Card
from nearfield.maintain import budgets

TWO = tuple(Card(f"cuda:{i}", "a card", 80_000_000_000, (9, 0)) for i in range(2))


def opened(path: Path, **options: object) -> tuple[str, ...]:
    """The alarms of a database that was opened so; it must answer."""
    with nf.open(path, **options) as db:
        c = db.create("c", embedder=None, dim=2)
        c.upsert([nf.Document("a")], vectors=np.ones((1, 2), np.float32))
        assert c.search(vector=[1.0, 1.0], k=1).ids == ["a"]
        return db.tiers().alarms


def test_auto_leaves_out_a_card_that_others_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "visible", lambda: TWO)
    monkeypatch.setattr(cards, "free_bytes", lambda name: 10_000_000 if name == "cuda:0" else 10_000_000_000)
    made = budgets.keeper(list, "auto", None, "auto", "shard")
    assert made is not None
    report = made.report()
    assert [(use.device, use.budget) for use in report.devices] == [("cuda:1", 7_000_000_000)]
    assert "cuda:0 has too little memory free" in report.alarms[0]
    with pytest.raises(nf.InvalidInput, match="cuda:0 has less memory free"):
        budgets.keeper(list, "20GB", None, "auto", "shard")
    with pytest.raises(nf.InvalidInput, match="too little"):
        budgets.keeper(list, "1MB", None, "auto", "shard")


def test_a_card_that_does_not_answer_is_an_alarm_and_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> int:
        raise RuntimeError("CUDA error: unknown error\nand what else it says")

    monkeypatch.setattr(cards, "visible", lambda: TWO)
    monkeypatch.setattr(cards, "free_bytes", broken)
    alarms = opened(tmp_path / "a", gpu_memory="auto")
    assert len(alarms) == 2
    assert "cuda:0 cannot be used (CUDA error: unknown error)" in alarms[0]
    monkeypatch.setattr(cards, "visible", broken)
    (alarm,) = opened(tmp_path / "b", gpu_memory="20GB")
    assert "no card can be used (CUDA error: unknown error)" in alarm


def test_no_card_is_an_alarm_only_where_one_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "visible", lambda: ())
    assert "no card" in opened(tmp_path / "a", gpu_memory="20GB")[0]
    assert opened(tmp_path / "b") == ()
    with pytest.raises(nf.InvalidInput, match="no such device here"):
        nf.open(tmp_path / "c", gpu_memory="20GB", device="cuda:0")


def test_a_pin_to_files_needs_no_budget(tmp_path: Path) -> None:
    with nf.open(tmp_path) as db:
        c = db.create("c", embedder=None, dim=2)
        c.load(ids=[str(i) for i in range(100)], vectors=np.random.default_rng(0).standard_normal((100, 2)))
        c.optimize()
        c.pin("cold")
        assert c.search(vector=[1.0, 1.0], k=1).plan.tiers == ("cold",)
        c.pin(None)
        assert c.search(vector=[1.0, 1.0], k=1).plan.tiers == ("warm",)
        with pytest.raises(nf.InvalidInput, match="gpu_memory"):
            c.pin("hot")
        c.pin("hot", now=False)
        assert c.stats().pin == "hot", "who opens it next may have a card"
