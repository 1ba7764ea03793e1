"""Vectors come out right whatever the device does: no room, lost, or slow; on the processor, with failures put in.

A card is played by the processor under the name "cpu:0", which PyTorch knows and which is not "cpu".
"""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

import nearfield as nf
from nearfield.device import cards
from nearfield.embed import running, text
from nearfield.embed.running import Running
from nearfield.embed.text import TextEmbedder
from tests.embed.test_embedders import small_model

pytestmark = pytest.mark.slow
TEXTS = [f"text {i} about {'tides and ' * (i % 23)}the moon" for i in range(300)]
FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
GONE = RuntimeError("CUDA error: an illegal memory access was encountered")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    place = tmp_path_factory.mktemp("small")
    small_model(place, prompts={"query": "query: ", "document": "passage: "})
    return str(place / "model")


@pytest.fixture(scope="module")
def truth(folder: str) -> np.ndarray:
    return TextEmbedder.named(folder, device="cpu").encode(TEXTS)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card is there, and stretches are short."""
    monkeypatch.setattr(cards, "choose", lambda wanted: ("cpu", "asked") if wanted == "cpu" else ("cpu:0", "a pretended card"))
    monkeypatch.setattr(running, "STRETCH", 70)


class Failing:
    """Raises in the forward passes that `when` picks: (its number from 1, texts, tokens with padding, device)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception, when) -> None:
        self.calls, self.failures, self.sizes = 0, 0, []
        forward = Running._forward

        def failing(one, encoded, name):
            self.calls += 1
            size = len(encoded) * max(len(e) for e in encoded)
            self.sizes.append((one.device, len(encoded), size))
            if when(self.calls, len(encoded), size, one.device):
                self.failures += 1
                raise error
            return forward(one, encoded, name)

        monkeypatch.setattr(Running, "_forward", failing)


def alike(found: np.ndarray, truth: np.ndarray) -> bool:
    return found.dtype == np.float32 and found.shape == truth.shape and bool(np.abs(found - truth).max() < 1e-5)


def test_a_batch_without_room_is_halved_and_later_ones_are_small(folder: str, truth, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder, device="cpu")
    embedder.encode(["warm"])
    failing = Failing(monkeypatch, FULL, lambda number, texts, tokens, device: tokens > 300)
    seen: list[int] = []
    assert alike(embedder.encode(TEXTS, progress=lambda done, total: seen.append(done)), truth)
    assert seen == sorted(seen)
    assert seen[-1] == len(TEXTS)
    assert 0 < failing.failures < 10
    assert embedder.describe()["device"] == "cpu"


def test_the_budget_grows_again_when_there_is_room(folder: str, truth, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder, device="cpu")
    embedder.encode(["warm"])
    failing = Failing(monkeypatch, FULL, lambda number, texts, tokens, device: number < 5)
    embedder.encode(TEXTS)
    assert max(tokens for _, _, tokens in failing.sizes[5:]) < 1000
    for _ in range(8):
        embedder.encode(TEXTS[:50])
    failing.sizes.clear()
    assert alike(embedder.encode(TEXTS), truth)
    assert max(tokens for _, _, tokens in failing.sizes) > 1000


def test_it_is_halved_down_to_one_text(folder: str, truth, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder, device="cpu")
    embedder.encode(["warm"])
    Failing(monkeypatch, FULL, lambda number, texts, tokens, device: texts > 1)
    assert alike(embedder.encode(TEXTS[:40]), truth[:40])


def test_a_processor_without_room_for_one_text_says_so(folder: str, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder, device="cpu")
    embedder.encode(["warm"])
    Failing(monkeypatch, FULL, lambda *_: True)
    with pytest.raises(torch.OutOfMemoryError):
        embedder.encode(TEXTS[:3])


def test_a_model_that_its_library_feeds_is_halved_too(tmp_path, monkeypatch) -> None:
    small_model(tmp_path, prompts={"query": "query: ", "document": "passage: "}, include_prompt=False)
    embedder = TextEmbedder.named(str(tmp_path / "model"), device="cpu")
    wanted = embedder.encode(TEXTS[:80])
    model = embedder._ready()._model
    encode, sizes = model.encode_document, []

    def tight(texts, batch_size, **options):
        sizes.append(batch_size)
        if batch_size > 10:
            raise FULL
        return encode(texts, batch_size=batch_size, **options)

    monkeypatch.setattr(model, "encode_document", tight)
    assert alike(embedder.encode(TEXTS[:80]), wanted)
    assert sizes == [64, 32, 16, 8]


@pytest.mark.parametrize("at", [1, 2, 5])
@pytest.mark.parametrize("on_device", [False, True])
def test_a_lost_device_is_left_in_the_middle(folder: str, truth, card, monkeypatch, caplog, at: int, on_device: bool) -> None:
    embedder = TextEmbedder.named(folder)
    embedder.encode(["warm"])
    assert (embedder.describe()["device"], embedder.describe()["device_reason"]) == ("cpu:0", "a pretended card")
    failing = Failing(monkeypatch, GONE, lambda number, texts, tokens, device: device != "cpu" and number >= at)
    seen: list[int] = []
    with caplog.at_level(logging.WARNING, "nearfield.embed"):
        if on_device:
            found = embedder.encode_on_device(TEXTS).numpy()
        else:
            found = embedder.encode(TEXTS, progress=lambda done, total: seen.append(done))
        embedder.encode(TEXTS[:5])
    assert alike(found, truth)
    assert seen == sorted(seen)
    assert failing.failures == 1
    assert len([record for record in caplog.records if "goes on without cpu:0" in record.message]) == 1
    told = embedder.describe()
    assert (told["device"], told["precision"]) == ("cpu", "float32")
    assert "illegal memory access" in told["device_reason"]


def test_a_card_without_room_for_one_text_is_left(folder: str, truth, card, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder)
    embedder.encode(["warm"])
    Failing(monkeypatch, FULL, lambda number, texts, tokens, device: device != "cpu")
    assert alike(embedder.encode(TEXTS), truth)
    assert embedder.describe()["device"] == "cpu"


def test_threads_that_lose_a_device_together_load_the_model_once(folder: str, truth, card, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder)
    embedder.encode(["warm"])
    both = threading.Barrier(3)
    load, loads = text._load, []

    def counted(place, device):
        loads.append(device)
        return load(place, device)

    monkeypatch.setattr(text, "_load", counted)

    def together(number, texts, tokens, device) -> bool:
        if device != "cpu":
            both.wait(30)
        return device != "cpu"

    Failing(monkeypatch, GONE, together)
    found: dict[int, np.ndarray] = {}
    threads = [threading.Thread(target=lambda i=i: found.update({i: embedder.encode(TEXTS)})) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == ["cpu"]
    assert all(alike(found[i], truth) for i in range(3))


@pytest.mark.parametrize("error", [FULL, GONE])
def test_a_card_that_cannot_take_the_model_is_left(folder: str, truth, card, monkeypatch, error) -> None:
    load = text._load

    def full(place, device):
        if device != "cpu":
            raise error
        return load(place, device)

    monkeypatch.setattr(text, "_load", full)
    embedder = TextEmbedder.named(folder)
    assert alike(embedder.encode(TEXTS), truth)
    assert embedder.describe()["device"] == "cpu"


def test_another_error_is_not_taken_for_a_lost_device(folder: str, card, monkeypatch) -> None:
    embedder = TextEmbedder.named(folder)
    embedder.encode(["warm"])
    Failing(monkeypatch, RuntimeError("a bug"), lambda *_: True)
    with pytest.raises(RuntimeError, match="a bug"):
        embedder.encode(TEXTS)
    assert embedder.describe()["device"] == "cpu:0"


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_vectors_stay_on_the_device(folder: str, truth, card, device: str) -> None:
    embedder = TextEmbedder.named(folder, device=device)
    found = embedder.encode_on_device(TEXTS)
    assert isinstance(found, torch.Tensor)
    assert (found.dtype, found.shape, found.device.type) == (torch.float32, truth.shape, "cpu")
    assert alike(found.numpy(), truth)
    found += 1  # an ordinary tensor, not one of inference mode
    query = embedder.encode_on_device(["the moon"], kind="query")
    assert alike(query.numpy(), embedder.encode(["the moon"], kind="query"))
    assert embedder.encode_on_device([]).shape == (0, 16)


class Tokens:
    """A tokenizer that writes down when it was asked, and fails at one stretch."""

    def __init__(self, tokenizer, events: list[str], fail: int) -> None:
        self._tokenizer, self._events, self._fail, self.count = tokenizer, events, fail, 0

    def encode_batch(self, texts):
        self.count += 1
        self._events.append(f"tokens {self.count}")
        if self.count == self._fail:
            raise ValueError("not a text")
        return self._tokenizer.encode_batch(texts)


@pytest.fixture
def watched(folder: str, card, monkeypatch) -> Iterator[tuple]:
    embedder = TextEmbedder.named(folder)
    one = embedder._ready()
    events: list[str] = []
    tokens = Tokens(one._loaded.tokenizer, events, 0)
    one._loaded = replace(one._loaded, tokenizer=tokens)
    fill = Running.fill

    def noted(self, *args):
        events.append("device")
        fill(self, *args)

    monkeypatch.setattr(Running, "fill", noted)
    yield embedder, tokens, events
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nearfield-tokens")]


def test_off_the_processor_tokens_are_one_stretch_ahead_and_no_more(watched, truth) -> None:
    embedder, _, events = watched
    assert alike(embedder.encode(TEXTS), truth)
    assert sorted(events) == ["device"] * 5 + [f"tokens {i}" for i in range(1, 6)]
    for i, event in enumerate(events):
        if event == "device":
            nth = events[: i + 1].count("device")
            assert nth <= sum(e.startswith("tokens") for e in events[: i + 1]) <= nth + 1


@pytest.mark.parametrize("at", [1, 3, 5])
def test_an_error_of_the_tokenizer_reaches_the_caller(watched, at: int) -> None:
    embedder, tokens, events = watched
    tokens._fail = at
    with pytest.raises(ValueError, match="not a text"):
        embedder.encode(TEXTS)
    assert events.count("device") <= at - 1


def test_a_device_that_is_not_there_is_refused(folder: str) -> None:
    with pytest.raises(nf.InvalidInput, match="device"):
        TextEmbedder.named(folder, device="cuda:99").encode(["x"])
    with pytest.raises(nf.InvalidInput, match="device"):
        TextEmbedder.named(folder, device="tpu").encode(["x"])
