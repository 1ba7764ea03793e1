"""Whatever state a machine's cards are in, a database that takes what there is opens, answers, and says what is wrong."""

from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import MissingDependency
from nearfield.device import _torch, cards
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
    with pytest.raises(nf.InvalidInput, match=r"no such device here.*expected 'auto', 'cpu'; no card is here"):
        nf.open(tmp_path / "c", gpu_memory="20GB", device="cuda:0")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"gpu_memory": "abc"}, "gpu_memory"),
        ({"gpu_memory": "1KB"}, "gpu_memory"),
        ({"gpu_memory": -1}, "gpu_memory"),
        ({"gpu_memory": True}, "gpu_memory"),
        ({"device": "cuda:0"}, "device"),
        ({"device": "cpu", "memory": "1GB"}, "device"),
        ({"device": ["cuda:0"], "gpu_memory": "none"}, "device"),
        ({"spread": "replicate"}, "spread"),
        ({"spread": "replicate", "gpu_memory": 0}, "spread"),
        ({"spread": "smear", "gpu_memory": "1GB"}, "spread"),
        ({"device": [], "gpu_memory": "1GB"}, "device"),
        ({"device": "", "gpu_memory": "1GB"}, "device"),
        ({"device": "cuda:0,", "gpu_memory": "1GB"}, "device"),
        ({"device": ["auto", "cuda:0"], "gpu_memory": "1GB"}, "device"),
        ({"device": 0, "gpu_memory": "1GB"}, "device"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_device_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], field: str
) -> None:
    def never(*arguments: object) -> int:
        raise AssertionError("a device was looked for")

    monkeypatch.setattr(cards, "visible", never)
    monkeypatch.setattr(cards, "free_bytes", never)
    with pytest.raises(nf.InvalidInput) as caught:
        nf.open(tmp_path, **options)  # type: ignore[arg-type]
    assert caught.value.field == field
    nf.open(tmp_path).close()


@pytest.mark.parametrize("nothing", [None, "none", " None ", 0, "0", "0GB"])
def test_no_card_is_said_in_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nothing: int | str | None) -> None:
    monkeypatch.setattr(cards, "visible", lambda: TWO)
    with nf.open(tmp_path, gpu_memory=nothing, device="auto", spread="shard") as db:
        assert db.tiers().devices == ()
        assert db.tiers().alarms == ()


def test_names_of_devices_come_in_a_list_or_between_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "visible", lambda: TWO)
    monkeypatch.setattr(cards, "free_bytes", lambda name: 10_000_000_000)
    for device in ("auto", ["auto"], "cuda:0,cuda:1", "cuda:0, cuda:1", ["cuda:0", "cuda:1"], ("cuda:0,cuda:1",)):
        made = budgets.keeper(list, "1GB", None, device, "shard")
        assert made is not None
        assert [use.device for use in made.report().devices] == ["cuda:0", "cuda:1"]
    with pytest.raises(nf.InvalidInput, match="named twice"):
        budgets.keeper(list, "1GB", None, "cuda:1,cuda:1", "shard")


def test_without_pytorch_the_remedy_is_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_torch, "installed", lambda: False)
    (alarm,) = opened(tmp_path / "a", gpu_memory="auto")
    assert "pip install 'nearfield[models]'" in alarm
    for device in ("cpu", "cuda:0"):
        with pytest.raises(MissingDependency, match=r"PyTorch is not installed: pip install 'nearfield\[models\]'"):
            nf.open(tmp_path / "b", gpu_memory="20GB", device=device)


def test_a_pin_to_a_card_says_whether_the_budget_or_the_card_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards, "visible", lambda: ())
    for options, remedy in (({}, "--gpu-memory"), ({"memory": "1GB"}, "--gpu-memory"), ({"gpu_memory": "1GB"}, "doctor")):
        with nf.open(tmp_path, **options) as db, pytest.raises(nf.InvalidInput) as caught:  # type: ignore[arg-type]
            (db["c"] if "c" in db else db.create("c", embedder=None, dim=2)).pin("hot")
        assert remedy in caught.value.message
        assert ("no card is here" in caught.value.message) == ("gpu_memory" in options)


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
