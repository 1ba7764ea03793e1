"""Batches of like lengths under a budget of tokens: little padding, bounded memory. Pure arithmetic; knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FEWEST = 512
"""Tokens of a batch at least, however little memory is free: what does not fit then is found out and halved."""
SHARE = 0.5
"""Of the memory that is free, what a batch may take: others allocate too, and the allocator cannot use every gap."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A transformer's sizes.

    Attributes:
        hidden: numbers of a token between layers.
        layers: how many.
        heads: of attention.
        intermediate: numbers of a token inside a layer's feed-forward part.
    """

    hidden: int
    layers: int
    heads: int
    intermediate: int

    @classmethod
    def of(cls, config: dict[str, Any], dim: int) -> Shape:
        """From a model's config.json; what it does not say is taken as usual: 12 layers, heads of 64, 4 x hidden inside."""

        def first(names: tuple[str, ...], otherwise: int) -> int:
            found = (config.get(name) for name in names)
            return next((value for value in found if isinstance(value, int) and value > 0), otherwise)

        hidden = first(("hidden_size", "d_model", "n_embd", "dim"), max(dim, 1))
        layers = first(("num_hidden_layers", "num_layers", "n_layer", "n_layers"), 12)
        heads = first(("num_attention_heads", "num_heads", "n_head", "n_heads"), max(1, hidden // 64))
        return cls(hidden, layers, heads, first(("intermediate_size", "d_ff", "n_inner", "hidden_dim"), 4 * hidden))


def tokens_that_fit(free: int, shape: Shape, longest: int, dtype_bytes: int) -> int:
    """Tokens of a batch, padding included, whose activations fit in half of the memory that is free.

    Without gradients only one layer's numbers are alive at a time. For each token, in numbers of `dtype_bytes`:
        8 x hidden           what comes in, the residual, query, key, value, attention's output, its projection, what goes out
        2 x intermediate     before and after the activation function
        3 x heads x longest  scores, with the mask and their softmax, where no fused kernel spares them: the worst case counts
    and in float32 2 x hidden for the norms, and 3 int64 of input. Kept once under half precision: copies of the weights,
    layers x (4 x hidden^2 + 2 x hidden x intermediate).

    Args:
        free: bytes of the device that nobody uses.
        shape: the transformer's sizes.
        longest: tokens of the longest text, which attention is quadratic in.
        dtype_bytes: of an activation: 4 in float32, 2 in half precision.

    Returns:
        At least FEWEST.
    """
    numbers = 8 * shape.hidden + 2 * shape.intermediate + 3 * shape.heads * max(1, longest)
    each = numbers * dtype_bytes + 2 * 4 * shape.hidden + 3 * 8
    weights = shape.layers * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    copies = 0 if dtype_bytes >= 4 else weights * dtype_bytes
    return max(FEWEST, int((free * SHARE - copies) / each))


def batches(lengths: Sequence[int], tokens: int | Callable[[], int], most: int) -> Iterator[npt.NDArray[np.int64]]:
    """Splits items into batches of like lengths, longest first.

    Args:
        lengths: tokens in each item.
        tokens: the most that a batch may hold, padding included; a longer item gets a batch of its own. A function is
            asked before each batch.
        most: the most items in a batch.

    Yields:
        int64 indices of each batch's items; each index once.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        budget = tokens() if callable(tokens) else tokens
        count = max(1, min(most, budget // longest))
        yield order[start : start + count]
        start += count
