"""The text embedder on a card: half precision that was measured, batches that fit, vectors that stay there."""

import threading

import numpy as np
import pytest
import torch

from nearfield.device import cards
from nearfield.embed import fingerprint, precision
from nearfield.embed.running import TOKENS_ELSEWHERE, Running
from nearfield.embed.text import TextEmbedder

pytestmark = pytest.mark.gpu
TEXTS = [f"text {i} about {'the tides and the moon and ' * (i % 40)}the sea" for i in range(3000)]


@pytest.fixture(scope="module")
def plain() -> TextEmbedder:
    return TextEmbedder.named("minilm", device="cpu")


@pytest.fixture(scope="module")
def truth(plain: TextEmbedder) -> np.ndarray:
    return plain.encode(TEXTS[:200])


def test_a_card_is_taken_by_itself_in_a_half_precision_that_was_measured() -> None:
    embedder = TextEmbedder.named("minilm")
    embedder.encode(["warm"])
    told = embedder.describe()
    assert told["device"].startswith("cuda")
    if torch.cuda.get_device_capability(told["device"]) >= (7, 0):
        assert told["precision"] in (precision.FLOAT16, precision.BFLOAT16)
        assert told["least_cosine"] >= precision.LEAST


@pytest.mark.parametrize("name", precision.PRECISIONS)
def test_vectors_are_those_of_the_processor(name: str, plain: TextEmbedder, truth: np.ndarray) -> None:
    embedder = TextEmbedder.named("minilm", device="cuda", precision=name)
    assert precision.fidelity(truth, embedder.encode(TEXTS[:200])) >= (0.99999 if name == "float32" else 0.999)
    assert fingerprint.compare_probes(fingerprint.take(plain), fingerprint.take(embedder))


def test_vectors_stay_on_the_card_and_are_those_of_encode() -> None:
    embedder = TextEmbedder.named("minilm", device="cuda")
    found = embedder.encode_on_device(TEXTS)
    assert (found.dtype, tuple(found.shape), found.device.type) == (torch.float32, (len(TEXTS), embedder.dim), "cuda")
    host = embedder.encode(TEXTS)
    assert precision.fidelity(host, found.cpu().numpy()) > 0.9999
    assert np.allclose(np.linalg.norm(host, axis=1), 1, atol=1e-3)


def test_many_stretches_keep_their_order_and_a_bound_of_memory() -> None:
    embedder = TextEmbedder.named("minilm", device="cuda")
    texts = [f"number {i}" for i in range(30_000)]
    first = embedder.encode(texts[:8192])
    device = embedder.describe()["device"]
    torch.cuda.reset_peak_memory_stats(device)
    embedder.encode(texts[:8192])
    once = torch.cuda.max_memory_allocated(device)
    seen: list[int] = []
    found = embedder.encode(texts, progress=lambda done, total: seen.append(done))
    assert torch.cuda.max_memory_allocated(device) < 1.5 * once
    assert precision.fidelity(first, found[:8192]) > 0.9999
    assert precision.fidelity(embedder.encode(texts[-10:]), found[-10:]) > 0.999
    assert seen == sorted(seen)
    assert seen[-1] == len(texts)


def test_a_batch_takes_no_more_memory_than_the_formula_says() -> None:
    embedder = TextEmbedder.named("minilm", device="cuda")
    embedder.encode(["warm"])
    one = embedder._ready()
    free = cards.free_bytes(one.device)
    assert one._tokens(256, one.precision.name) > 0
    texts = ["tides of the sea " * 60] * (TOKENS_ELSEWHERE // 200)
    torch.cuda.reset_peak_memory_stats(one.device)
    before = torch.cuda.memory_allocated(one.device)
    embedder.encode(texts)
    used = torch.cuda.max_memory_allocated(one.device) - before
    longest = len(one._loaded.tokenizer.encode_batch(texts[:1])[0])
    tokens = min(TOKENS_ELSEWHERE, longest * len(texts))
    assert used <= 0.5 * free * max(tokens / one._tokens(longest, one.precision.name), 0.01) + (64 << 20)


def test_a_card_out_of_memory_halves_its_batches_and_carries_on(truth: np.ndarray) -> None:
    """With memory really short: PyTorch is allowed no more than what it holds and a little."""
    embedder = TextEmbedder.named("minilm", device="cuda")
    embedder.encode(["warm"])
    device = embedder.describe()["device"]
    index = torch.device(device).index
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    allowed = torch.cuda.memory_reserved(device) + (96 << 20)
    torch.cuda.set_per_process_memory_fraction(min(1.0, allowed / total), index)
    try:
        found = embedder.encode(["tides of the sea " * 60] * 2000 + TEXTS[:200])
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, index)
    assert precision.fidelity(truth, found[2000:]) >= 0.999
    assert embedder.describe()["device"] == device


def test_a_lost_card_is_left_for_the_processor(truth: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss is pretended: a real one would take this process's card from the tests that follow."""
    embedder = TextEmbedder.named("minilm", device="cuda")
    embedder.encode(["warm"])
    forward = Running._forward

    def gone(self, encoded, name):
        if self.device != "cpu":
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return forward(self, encoded, name)

    monkeypatch.setattr(Running, "_forward", gone)
    assert np.abs(embedder.encode(TEXTS[:200]) - truth).max() < 1e-5
    assert embedder.describe()["device"] == "cpu"


def test_a_query_does_not_wait_for_a_bulk() -> None:
    embedder = TextEmbedder.named("minilm", device="cuda")
    embedder.encode(["warm"])
    done: list[str] = []
    first = threading.Event()

    def bulk() -> None:
        embedder.encode(["tides of the sea " * 60] * 60_000, progress=lambda *_: first.set())
        done.append("bulk")

    thread = threading.Thread(target=bulk)
    thread.start()
    assert first.wait(60)
    embedder.encode(["a query"], kind="query")
    done.append("query")
    thread.join()
    assert done == ["query", "bulk"]
