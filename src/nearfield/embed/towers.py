"""A model of pictures on one device: pixels in, unit vectors out; texts too where it has a tower for them.

Knows how pictures are prepared ahead, batched, halved where there is no room, and measured in half precision. Texts go the way
of embed/running.py.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.device import _torch
from nearfield.embed import precision
from nearfield.embed.base import Opener
from nearfield.embed.batching import Shape
from nearfield.embed.probes import pictures as probe_pictures
from nearfield.embed.running import Loaded, Running, padded

MOST, MOST_ELSEWHERE = 16, 128
"""Pictures of a batch, on a processor and elsewhere."""
PREPARERS = 8
"""Threads that decode and resize ahead, at most; Pillow lets others run while it does."""
GIVEN = ("input_ids", "attention_mask")
"""What a text tower is given."""

Inputs = dict[str, npt.NDArray[Any]]
"""What the model takes of pictures, by name: arrays whose first axis is the picture."""


@dataclass(frozen=True, slots=True)
class Vision:
    """What pictures need: the library's image processor, and where a vector is taken (see image.Family.pooling)."""

    prepare: Any
    pooling: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures ready for the model: which rows they are, their inputs, and how many pictures are done after them."""

    rows: npt.NDArray[np.int64]
    inputs: Inputs
    done: int


class Towers(Running):
    """A model of pictures on a device. Safe to call from many threads.

    Args:
        loaded: the model, there already; its tokenizer is None where it has no text tower.
        vision: what pictures need.
        device, why, wanted, shape, dim: see Running.
    """

    def __init__(self, loaded: Loaded, vision: Vision, device: str, why: str, wanted: str, shape: Shape, dim: int) -> None:
        self._vision = vision
        self._pictures_at_once = MOST if device == "cpu" else MOST_ELSEWHERE
        super().__init__(loaded, device, why, wanted, shape, dim)
        if loaded.tokenizer is None:
            self.precision = precision.choose(wanted, self._offered(), self._probe)

    def _probe(self, name: str) -> Vectors:
        """Vectors of probe texts, where there is a tower for them, and of probe pictures."""
        found = [] if self._loaded.tokenizer is None else [super()._probe(name)]
        found += [self._seen(self._prepared(pixels), name).cpu().numpy() for pixels in probe_pictures()]
        return np.concatenate(found).astype(np.float32)

    # -- texts

    def _forward(self, encoded: list[Any], name: str) -> Any:
        """float32 (n, dim) of texts on the device, unit length."""
        torch = self._torch
        with torch.inference_mode(), self._cast(name):
            found = self._model.get_text_features(**{k: self._sent(v) for k, v in padded(encoded, self._loaded).items()})
        return self._unit(found)

    # -- pictures

    def pictures(self, items: Sequence[Opener]) -> Iterator[Batch]:
        """Pictures prepared in a few threads, some ahead of who takes them; alike in shape within a batch."""
        ahead: deque[tuple[int, Future[Inputs | None]]] = deque()
        held: list[tuple[int, Inputs]] = []
        threads = max(1, min(PREPARERS, os.cpu_count() or 1))
        coming = iter(enumerate(items))
        with ThreadPoolExecutor(threads, "nearfield-pictures") as pool:
            try:
                while True:
                    while len(ahead) < threads + 2 and (following := next(coming, None)) is not None:
                        ahead.append((following[0], pool.submit(self._opened, following[1])))
                    if not ahead:
                        break
                    row, future = ahead.popleft()
                    ready = future.result()
                    if ready is None:
                        continue
                    if held and (len(held) >= self._pictures_at_once or _shapes(held[0][1]) != _shapes(ready)):
                        yield _together(held, row)
                        held = []
                    held.append((row, ready))
                if held:
                    yield _together(held, len(items))
            finally:
                for _, future in ahead:
                    future.cancel()

    def _opened(self, opener: Opener) -> Inputs | None:
        pixels = opener()
        return None if pixels is None else self._prepared(pixels)

    def _prepared(self, pixels: npt.NDArray[np.uint8]) -> Inputs:
        """One picture as the model takes it."""
        found = self._vision.prepare(images=[np.array(pixels)], input_data_format="channels_last", return_tensors="np")
        return {key: np.asarray(value) for key, value in found.items()}

    def see(self, inputs: Inputs) -> Vectors:
        """float32 (n, dim) of prepared pictures, on the host; what outgrows half precision is run again in float32."""
        found = self._halving(inputs, self.precision.name)
        if self.precision.half:
            bad = ~np.isfinite(found).all(axis=1)
            if bad.any():
                found[bad] = self._halving({key: value[bad] for key, value in inputs.items()}, precision.FLOAT32)
        return found

    def _halving(self, inputs: Inputs, name: str) -> Vectors:
        n = len(next(iter(inputs.values())))
        try:
            return np.asarray(self._seen(inputs, name).cpu().numpy(), np.float32)
        except Exception as error:
            if n == 1 or not _torch.out_of_memory(error):
                raise
        # Only here, outside of the handler, is what the failed batch held let go.
        self._pictures_at_once = min(self._pictures_at_once, n // 2)
        self._let_go()
        halves = [{k: v[part] for k, v in inputs.items()} for part in (slice(None, n // 2), slice(n // 2, None))]
        return np.concatenate([self._halving(half, name) for half in halves])

    def _seen(self, inputs: Inputs, name: str) -> Any:
        """float32 (n, dim) of pictures on the device, unit length."""
        torch, model = self._torch, self._model
        with torch.inference_mode(), self._cast(name):
            sent = {key: torch.from_numpy(np.ascontiguousarray(value)).to(self.device) for key, value in inputs.items()}
            if self._vision.pooling == "projection":
                return self._unit(model.get_image_features(**sent))
            found = model(**sent)
            first = self._vision.pooling == "first"
            return self._unit(found.last_hidden_state[:, 0] if first else found.pooler_output.flatten(1))

    def _cast(self, name: str) -> Any:
        if name == precision.FLOAT32:
            return nullcontext()
        return self._torch.autocast(self._torch.device(self.device).type, dtype=getattr(self._torch, name))

    def _unit(self, found: Any) -> Any:
        """Unit vectors in float32, of a tensor or of what holds one."""
        pooled = getattr(found, "pooler_output", found).float()
        return pooled / pooled.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _shapes(inputs: Inputs) -> list[tuple[int, ...]]:
    return [value.shape[1:] for value in inputs.values()]


def _together(held: Sequence[tuple[int, Inputs]], done: int) -> Batch:
    rows = np.array([row for row, _ in held], np.int64)
    return Batch(rows, {key: np.concatenate([one[key] for _, one in held]) for key in held[0][1]}, done)
