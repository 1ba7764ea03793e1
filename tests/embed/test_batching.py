"""Batches fit in the memory that is free, by a formula that is held against what PyTorch really allocates."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nearfield.embed.batching import FEWEST, SHARE, Shape, batches, tokens_that_fit

MINILM = Shape(384, 6, 12, 1536)
LARGE = Shape(1024, 24, 16, 4096)


class Peak(TorchDispatchMode):
    """The most bytes of new tensors that were alive at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[weakref.ref, int]] = {}
        self.most = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(tensor, torch.Tensor) and tensor._base is None:
                self.alive[id(tensor)] = weakref.ref(tensor), tensor.numel() * tensor.element_size()
        self.alive = {key: (ref, size) for key, (ref, size) in self.alive.items() if ref() is not None}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return found


def peak(shape: Shape, texts: int, longest: int, attention: str) -> int:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=100,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        attn_implementation=attention,
    )
    model = BertModel(config).eval()
    ids = torch.ones((texts, longest), dtype=torch.int64)
    mask = torch.ones_like(ids)
    mask[:, -1] = 0
    with torch.no_grad(), Peak() as watched:
        model(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids))
    return watched.most


@pytest.mark.slow
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("texts", "longest"), [(16, 8), (8, 64), (2, 256)])
def test_the_formula_is_no_less_than_what_is_allocated_and_not_far_from_it(texts: int, longest: int, attention: str) -> None:
    shape = Shape(64, 3, 4, 256)
    used = peak(shape, texts, longest, attention)
    promised = int(used / SHARE) + 1
    fit = (tokens_that_fit(1 << 40, shape, longest, 4) / (1 << 40)) * promised
    assert fit <= texts * longest
    assert fit >= texts * longest / (4 if attention == "eager" else 12)


def test_more_memory_more_tokens_longer_texts_fewer() -> None:
    found = [tokens_that_fit(free << 30, MINILM, 128, 2) for free in (2, 4, 8, 16, 80)]
    assert found == sorted(found)
    assert found[-1] > 15 * found[0]
    by_length = [tokens_that_fit(8 << 30, MINILM, longest, 2) for longest in (8, 128, 512, 8192)]
    assert by_length == sorted(by_length, reverse=True)
    assert tokens_that_fit(8 << 30, LARGE, 128, 2) < tokens_that_fit(8 << 30, MINILM, 128, 2)
    assert tokens_that_fit(8 << 30, MINILM, 128, 4) < tokens_that_fit(8 << 30, MINILM, 128, 2)


def test_a_card_has_room_for_what_keeps_it_busy_and_a_full_one_still_tries() -> None:
    assert tokens_that_fit(20 << 30, MINILM, 256, 2) > 65_536
    assert tokens_that_fit(0, MINILM, 256, 2) == FEWEST
    assert tokens_that_fit(100 << 20, LARGE, 256, 2) == FEWEST


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        ({"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}, MINILM),
        ({"dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072}, Shape(768, 6, 12, 3072)),
        ({"n_embd": 768, "n_layer": 12, "n_head": 12, "n_inner": None}, Shape(768, 12, 12, 3072)),
        ({"d_model": 512, "num_layers": 6, "num_heads": 8, "d_ff": 2048}, Shape(512, 6, 8, 2048)),
        ({}, Shape(128, 12, 2, 512)),
    ],
)
def test_sizes_are_read_under_the_names_models_give_them(config, shape: Shape) -> None:
    assert Shape.of(config, 128) == shape


def test_a_budget_that_changes_holds_from_the_next_batch_on() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 500).tolist()
    budgets = iter([1000, 500, 250, *[100] * 500])
    given: list[int] = []

    def budget() -> int:
        given.append(next(budgets))
        return given[-1]

    found = list(batches(lengths, budget, 64))
    assert sorted(i for batch in found for i in batch) == list(range(500))
    for batch, tokens in zip(found, given, strict=True):
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= tokens
