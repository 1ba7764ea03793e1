"""Which card is chosen, and what is said where none is."""

import subprocess
import sys
from pathlib import Path

import pytest

from nearfield.core.errors import InvalidInput, MissingDependency
from nearfield.device import _torch, cards
from nearfield.device.cards import Card

FREE = {"cuda:0": 5, "cuda:1": 9, "cuda:2": 9}


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "visible", lambda: tuple(Card(name, f"model {name}", 10, (9, 0)) for name in FREE))
    monkeypatch.setattr(cards, "free_bytes", FREE.__getitem__)


@pytest.mark.usefixtures("three")
def test_the_roomiest_is_the_first_of_those_with_the_most_free() -> None:
    for among, name in ((None, "cuda:1"), (2, "cuda:1"), (1, "cuda:0"), (9, "cuda:1")):
        found = cards.roomiest(among)
        assert found is not None
        assert (found[0].name, found[1]) == (name, FREE[name])
    assert cards.roomiest(0) is None
    for wanted in ("auto", "cuda"):
        assert cards.choose(wanted) == ("cuda:1", "model cuda:1 has the most memory free of 3 cards")
    assert cards.choose("cuda:2") == ("cuda:2", "it was asked for")
    assert cards.choose("cpu")[0] == "cpu"


@pytest.mark.usefixtures("three")
def test_who_names_another_is_told_all_names() -> None:
    for wanted in ("cuda:3", "gpu", ""):
        with pytest.raises(InvalidInput) as caught:
            cards.choose(wanted)
        assert caught.value.expected == "'auto', 'cpu', 'cuda', 'cuda:0', 'cuda:1', 'cuda:2'"


def test_where_no_card_is_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "visible", lambda: ())
    assert cards.choose("auto") == ("cpu", "no card that PyTorch can use; `nearfield doctor` says why")
    for wanted in ("cuda", "cuda:0"):
        with pytest.raises(InvalidInput) as caught:
            cards.choose(wanted)
        assert caught.value.expected == "'auto', 'cpu'; no card is here"


def test_without_pytorch_the_remedy_is_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_torch, "installed", lambda: False)
    assert cards.choose("auto") == ("cpu", cards.NO_TORCH)
    with pytest.raises(MissingDependency, match="PyTorch is not installed"):
        cards.choose("cuda:0")
    with pytest.raises(InvalidInput):
        cards.choose("gpu")


@pytest.mark.parametrize("path", ["dev/nvidia0", "dev/nvidiactl", "proc/driver/nvidia", "dev/dxg", "dev/kfd"])
def test_there_is_plainly_no_card_without_a_driver_or_where_all_are_hidden(tmp_path: Path, path: str) -> None:
    assert cards.plainly_none(tmp_path, {})
    (tmp_path / path).mkdir(parents=True)
    assert not cards.plainly_none(tmp_path, {})
    for value, none in (("0", False), ("1,0", False), ("", True), ("-1", True), ("NoDevFiles", True)):
        assert cards.plainly_none(tmp_path, {"CUDA_VISIBLE_DEVICES": value}) is none


def test_looking_for_a_driver_loads_no_torch() -> None:
    code = "import sys; from nearfield.device import cards; cards.plainly_none(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
