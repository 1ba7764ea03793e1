"""A machine's rates: positive, remembered for this machine and this FAISS, measured again when they should be."""

from dataclasses import replace
from pathlib import Path

import pytest

from nearfield.planning import machine
from tests.planning.conftest import FIXED


def test_rates_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SPACE", 8 << 20)
    monkeypatch.setattr(machine, "GRAPH", (500, 16, 8, 16))
    found = machine.measure("here").to_dict()
    assert found.pop("name") == "here"
    assert all(value > 0 for value in found.values())
    assert found["linking"] >= 1


def test_rates_are_remembered_until_refreshed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = []

    def measure(name: str) -> machine.Machine:
        calls.append(name)
        return _named(name)

    monkeypatch.setattr(machine, "measure", measure)
    first = machine.this_machine(directory=tmp_path)
    assert machine.this_machine(directory=tmp_path) == first
    assert len(calls) == 1
    machine.this_machine(refresh=True, directory=tmp_path)
    assert len(calls) == 2
    monkeypatch.setattr(machine, "describe", lambda: "another machine")
    assert machine.this_machine(directory=tmp_path).name == "another machine"
    assert len(calls) == 3
    assert len(list(tmp_path.iterdir())) == 2


def _named(name: str) -> machine.Machine:
    return replace(FIXED, name=name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 0}', b'{"format": 1, "name": "x"}', b"\xff\x00"])
def test_a_damaged_cache_is_measured_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    monkeypatch.setattr(machine, "measure", _named)
    machine.this_machine(directory=tmp_path)
    (place,) = tmp_path.iterdir()
    whole = place.read_bytes()
    place.write_bytes(content)
    assert machine.this_machine(directory=tmp_path).cores == FIXED.cores
    assert place.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "measure", _named)
    (tmp_path / "file").write_text("")
    assert machine.this_machine(directory=tmp_path / "file").cores == FIXED.cores


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert machine.cache_directory() == tmp_path / "nearfield"
    monkeypatch.setattr("sys.platform", "darwin")
    assert "Library" in machine.cache_directory().parts


def test_the_key_names_cores_and_faiss() -> None:
    assert "cores" in machine.describe()
    assert "faiss" in machine.describe()
