"""What a card tells becomes gauges; no library, no driver or a card that fails tells nothing and harms nothing."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from nearfield.serve import gpu


class Failure(Exception):
    pass


def library(cards: int, broken: tuple[int, ...] = (), driver: bool = True) -> Any:
    """A pynvml of some cards; the utilisation of card i is 10 i %, and i GiB are in use."""

    def init() -> None:
        if not driver:
            raise Failure("no driver")

    def rates(i: int) -> Any:
        if i in broken:
            raise Failure("fell off the bus")
        return SimpleNamespace(gpu=10 * i)

    return SimpleNamespace(
        NVMLError=Failure, nvmlInit=init, nvmlDeviceGetCount=lambda: cards, nvmlDeviceGetHandleByIndex=lambda i: i,
        nvmlDeviceGetUtilizationRates=rates, nvmlDeviceGetMemoryInfo=lambda i: SimpleNamespace(used=i << 30),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def looked_for_anew() -> Iterator[None]:
    gpu._cards.cache_clear()
    yield
    gpu._cards.cache_clear()


def test_each_card_that_answers_is_told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", library(3, broken=(1,)))
    assert list(gpu.read()) == [("0", 0.0, 0), ("2", 0.2, 2 << 30)]
    told = client.get("/metrics").text
    assert 'nearfield_gpu_utilisation_ratio{gpu="2"} 0.2' in told
    assert 'nearfield_gpu_memory_bytes{gpu="2"} 2.147483648e+09' in told


@pytest.mark.parametrize("found", [None, library(1, driver=False), library(0)])
def test_without_a_card_there_is_nothing(client: TestClient, monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", found)
    assert list(gpu.read()) == []
    assert "gpu" not in client.get("/metrics").text
