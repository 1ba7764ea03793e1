"""What `nearfield serve` makes of --gpu-memory, --memory, --device and --spread, before anything is opened."""

from pathlib import Path

import pytest

import nearfield as nf
from nearfield.device import cards
from nearfield.device.cards import plainly_none
from nearfield.serve.budgets import Budgets, decide
from nearfield.serve.keys import Keys
from nearfield.serve.server import Options, check, run


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A machine without a card."""
    return tmp_path


@pytest.fixture
def carded(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    return tmp_path


def told(root: Path, gpu_memory: str = "auto", device: str = "auto", workers: int = 1, memory: str | None = None) -> Budgets:
    return decide(gpu_memory, memory, device, "shard", workers, root, {})


def test_auto_means_a_card_where_one_is(carded: Path) -> None:
    assert told(carded) == Budgets("auto")
    assert told(carded, device="cuda:1") == Budgets("auto", device="cuda:1")
    assert decide("auto", None, "auto", "replicate", 1, carded, {}) == Budgets("auto", spread="replicate")
    assert told(carded, "AUTO", memory="16GB") == Budgets("auto", "16GB")


def test_auto_means_none_where_there_is_none(bare: Path) -> None:
    assert told(bare) == Budgets()
    assert told(bare, memory="16GB") == Budgets(memory="16GB")
    assert told(bare, device="cuda:0") == Budgets("auto", device="cuda:0"), "who names a card is told that it is missing"
    assert decide("auto", None, "auto", "replicate", 1, bare, {}) == Budgets("auto", spread="replicate"), "an alarm says it"


@pytest.mark.parametrize(
    ("environment", "none"), [({}, False), ({"CUDA_VISIBLE_DEVICES": "0"}, False), ({"CUDA_VISIBLE_DEVICES": ""}, True)]
)
def test_cards_can_be_hidden(carded: Path, environment: dict[str, str], none: bool) -> None:
    assert plainly_none(carded, environment) is none


@pytest.mark.parametrize("word", ["none", "0", "None", "0GB"])
def test_no_card_is_a_word_or_nothing(carded: Path, word: str) -> None:
    assert told(carded, word) == Budgets()
    assert told(carded, word, workers=4) == Budgets()


def test_a_size_is_taken_as_it_is(bare: Path) -> None:
    assert told(bare, "20GB") == Budgets("20GB")
    assert decide("20GB", None, "cuda:0,cuda:1", "replicate", 1, bare, {}) == Budgets(
        "20GB", None, "cuda:0,cuda:1", "replicate"
    )
    assert told(bare, "1GB", device="cpu") == Budgets("1GB", device="cpu")


def test_with_workers_auto_means_none_and_says_so(carded: Path) -> None:
    found = told(carded, workers=2)
    assert found.gpu_memory is None
    assert "--workers" in found.reason
    assert not told(carded).reason


@pytest.mark.parametrize(
    ("options", "field", "remedy"),
    [
        ({"gpu_memory": "20GB", "workers": 2}, "workers", "--workers 1"),
        ({"device": "cuda:0", "workers": 2}, "workers", "--workers 1"),
        ({"device": "cpu", "workers": 2}, "workers", "--workers 1"),
        ({"spread": "replicate", "workers": 2}, "workers", "--workers 1"),
        ({"memory": "16GB", "workers": 2}, "memory", "--workers 1"),
        ({"gpu_memory": "much"}, "gpu_memory", "bytes"),
        ({"gpu_memory": "1KB"}, "gpu_memory", "at least"),
        ({"memory": "-1"}, "memory", "bytes"),
        ({"gpu_memory": "none", "device": "cuda:0"}, "device", "--gpu-memory beside it"),
        ({"gpu_memory": "none", "device": "cpu"}, "device", "--gpu-memory beside it"),
        ({"gpu_memory": "0", "spread": "replicate"}, "spread", "--gpu-memory beside it"),
        ({"device": "cpu"}, "device", "--gpu-memory beside it"),
        ({"device": ""}, "device", "'auto'"),
        ({"spread": "smear"}, "spread", "shard"),
    ],
)
def test_what_cannot_be_kept_is_refused_before_it_listens(
    tmp_path: Path, options: dict[str, object], field: str, remedy: str
) -> None:
    with pytest.raises(nf.InvalidInput) as caught:
        check(Options(tmp_path, **options), Keys())  # type: ignore[arg-type]
    assert caught.value.field == field
    assert remedy in str(caught.value.expected)


@pytest.mark.parametrize("gpu_memory", ["auto", "20GB"])
def test_a_card_that_is_not_there_is_refused_and_nothing_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], gpu_memory: str
) -> None:
    monkeypatch.setattr(cards, "visible", lambda: ())
    with pytest.raises(nf.InvalidInput, match="no card is here") as caught:
        run(Options(tmp_path, port=0, gpu_memory=gpu_memory, device="cuda:0"))
    assert caught.value.field == "device"
    assert "listening on" not in capfd.readouterr().err
