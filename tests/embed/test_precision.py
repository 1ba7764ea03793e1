"""Half precision is taken only where it was measured to keep the vectors; how it was measured can be shown."""

import logging

import numpy as np
import pytest
import torch

import nearfield as nf
from nearfield import embed
from nearfield.embed import fingerprint, precision
from nearfield.embed.precision import BFLOAT16, FLOAT16, FLOAT32
from nearfield.embed.running import Running
from nearfield.embed.text import TextEmbedder
from tests.embed.test_embedders import small_model

TRUTH = np.random.default_rng(0).standard_normal((len(precision.PROBES), 32)).astype(np.float32)


def turned(share: float) -> np.ndarray:
    """TRUTH, each row of the same length but turned until its cosine is about 1 - share."""
    found = TRUTH + np.sqrt(2 * share) * np.roll(TRUTH, 1, axis=1)
    return found * np.linalg.norm(TRUTH, axis=1, keepdims=True) / np.linalg.norm(found, axis=1, keepdims=True)


def spoiled(value: float) -> np.ndarray:
    found = TRUTH.copy()
    found[3, 5] = value
    return found


def given(found: dict[str, object]):
    asked: list[str] = []

    def encode(name: str) -> np.ndarray:
        asked.append(name)
        if isinstance(found[name], Exception):
            raise found[name]
        return found[name]

    return encode, asked


def test_fidelity_is_the_least_cosine_of_the_pairs() -> None:
    found = turned(1e-4)
    cosine = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in zip(TRUTH, found, strict=True)]
    assert precision.fidelity(TRUTH, found) == pytest.approx(min(cosine), abs=1e-6)
    assert precision.fidelity(TRUTH, TRUTH) == pytest.approx(1)


@pytest.mark.parametrize("found", [spoiled(np.nan), spoiled(np.inf), spoiled(-np.inf), 1.01 * TRUTH, 0 * TRUTH])
def test_what_is_not_finite_or_has_another_length_has_no_fidelity(found) -> None:
    assert precision.fidelity(TRUTH, found) == -1


def test_the_first_precision_that_keeps_the_vectors_is_taken() -> None:
    encode, asked = given({FLOAT32: TRUTH, FLOAT16: turned(1e-5), BFLOAT16: turned(1e-5)})
    chosen = precision.choose("auto", (FLOAT16, BFLOAT16), encode)
    assert (chosen.name, chosen.half, asked) == (FLOAT16, True, [FLOAT32, FLOAT16])
    assert precision.LEAST <= chosen.least < 1
    assert "measured" in chosen.reason
    encode, asked = given({FLOAT32: TRUTH, FLOAT16: spoiled(np.inf), BFLOAT16: turned(1e-5)})
    assert precision.choose("auto", (FLOAT16, BFLOAT16), encode).name == BFLOAT16
    encode, asked = given({FLOAT32: TRUTH, FLOAT16: RuntimeError("not implemented for 'Half'"), BFLOAT16: turned(1e-5)})
    assert precision.choose("auto", (FLOAT16, BFLOAT16), encode).name == BFLOAT16


@pytest.mark.parametrize("found", [turned(0.01), spoiled(np.nan), RuntimeError("not implemented for 'Half'")])
def test_where_none_keeps_them_it_is_float32_and_says_why(found, caplog) -> None:
    encode, _ = given({FLOAT32: TRUTH, FLOAT16: found})
    for wanted in ("auto", FLOAT16):
        with caplog.at_level(logging.WARNING, "nearfield.embed"):
            chosen = precision.choose(wanted, (FLOAT16,), encode)
        assert (chosen.name, chosen.half) == (FLOAT32, False)
        assert "float16" in chosen.reason
        assert chosen.reason in caplog.text


def test_nothing_is_measured_where_nothing_is_offered() -> None:
    encode, asked = given({})
    for wanted, offered in (("auto", ()), (FLOAT32, (FLOAT16,))):
        chosen = precision.choose(wanted, offered, encode)
        assert (chosen.name, chosen.least) == (FLOAT32, None)
    assert asked == []


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error: launch failure")])
def test_a_device_that_fails_is_not_taken_for_a_precision_that_does(error) -> None:
    encode, _ = given({FLOAT32: TRUTH, FLOAT16: error})
    with pytest.raises(RuntimeError):
        precision.choose("auto", (FLOAT16,), encode)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(nf.InvalidInput, match="float16"):
        TextEmbedder.named("minilm", precision="float8")


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("small")
    small_model(folder, prompts={"query": "query: ", "document": "passage: "})
    return str(folder / "model")


@pytest.mark.slow
def test_minilm_in_half_precision_is_the_same_model() -> None:
    plain, half = embed.load("minilm"), TextEmbedder.named("minilm", precision=BFLOAT16)
    stored = fingerprint.take(plain)
    assert fingerprint.compare_probes(stored, fingerprint.take(half))
    assert (half.describe()["precision"], plain.describe()["precision"]) == (BFLOAT16, FLOAT32)
    assert precision.LEAST <= half.describe()["least_cosine"] < 1
    assert plain.describe()["least_cosine"] is None
    texts = ["the moon and the tides", "bread " * 50, "猫在睡觉", "1 2 3 4 5", ""]
    a, b = plain.encode(texts), half.encode(texts)
    assert precision.fidelity(a, b) > 0.999
    assert not np.array_equal(a, b)
    assert np.allclose(np.linalg.norm(b, axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_a_model_that_half_precision_changes_stays_in_float32(small: str, monkeypatch) -> None:
    plain = TextEmbedder.named(small, device="cpu").encode(["tides", "the moon"])
    monkeypatch.setattr(precision, "LEAST", 1.1)
    half = TextEmbedder.named(small, device="cpu", precision=FLOAT16)
    assert np.array_equal(half.encode(["tides", "the moon"]), plain)
    told = half.describe()
    assert told["precision"] == FLOAT32
    assert "float16 changes vectors" in told["precision_reason"]
    assert told["least_cosine"] > 0.9


@pytest.mark.slow
def test_a_text_that_outgrows_half_precision_is_run_again_in_float32(small: str, monkeypatch) -> None:
    texts = [f"text {i} about tides" for i in range(40)]
    wanted = TextEmbedder.named(small, device="cpu").encode(texts)
    half = TextEmbedder.named(small, device="cpu", precision=BFLOAT16)
    half.encode(["warm"])
    forward, again = Running._forward, []

    def overflowing(self, encoded, name):
        found = forward(self, encoded, name)
        if name == BFLOAT16:
            found = found.clone()
            found[::7] = torch.inf
        else:
            again.append(len(encoded))
        return found

    monkeypatch.setattr(Running, "_forward", overflowing)
    found = half.encode(texts)
    assert 0 < sum(again) < 10
    exact = np.abs(found - wanted).max(1) < 1e-6
    assert exact.sum() == sum(again)
    assert precision.fidelity(wanted, found) > 0.999


@pytest.mark.slow
def test_a_model_that_its_library_feeds_stays_in_float32(tmp_path) -> None:
    small_model(tmp_path, prompts={"query": "query: ", "document": "passage: "}, include_prompt=False)
    embedder = TextEmbedder.named(str(tmp_path / "model"), device="cpu", precision=BFLOAT16)
    embedder.encode(["x"])
    assert embedder.describe()["precision"] == FLOAT32
    assert "library" in embedder.describe()["precision_reason"]


def test_what_is_not_loaded_says_so(tmp_path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    told = TextEmbedder("m", tmp_path, device="cuda:3", precision=FLOAT16).describe()
    assert (told["loaded"], told["device"], told["precision"], told["least_cosine"]) == (False, "cuda:3", FLOAT16, None)


def test_cards_before_volta_are_offered_no_half_precision(monkeypatch) -> None:
    one = Running.__new__(Running)
    one._torch, one.device = torch, "cuda:0"
    for capability, offered in (
        ((6, 1), ()),
        ((7, 5), (FLOAT16,)),
        ((8, 0), (FLOAT16, BFLOAT16)),
        ((12, 0), (FLOAT16, BFLOAT16)),
    ):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device, capability=capability: capability)
        one._cuda = True
        assert one._offered() == offered
        one._cuda = False
        assert one._offered() == ()
