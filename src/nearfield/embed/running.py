"""A model on one device: batches of tokens in, vectors on that device out. Knows how a batch is fed, sized, and retried.

A batch that finds no room is halved, and later ones stay small for a while. What cannot be helped here (a device that is lost,
or has no room for one text) is raised for the one who holds the model to answer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.device import _torch, cards
from nearfield.embed import precision
from nearfield.embed.batching import Shape, batches, tokens_that_fit

TOKENS, MOST = 2048, 64
"""A batch on a processor: tokens with padding, and texts."""
TOKENS_ELSEWHERE, MOST_ELSEWHERE = 65_536, 4096
"""The most of a batch elsewhere: a card is busy with so many, and more would wait for each other."""
AHEAD = 2
"""Batches that a card is given before it is waited for: it is never idle, and another thread's query waits for no more."""
STRETCH = 8192
"""Texts tokenised and sorted at a time: what bounds memory."""

Report = Callable[[int], None]
"""Called with the texts of a stretch that are done."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory.

    Attributes:
        torch: the module.
        model: the SentenceTransformer.
        tokenizer: a tokenizers.Tokenizer of our own, its truncation set once and its padding off, so that threads can
            share it; None for a model that only its library can feed (no fast tokenizer, or not a transformer).
        pad: what fills each input up to the batch's longest, by name; the mask's is 0.
        left: padding goes before the text.
    """

    torch: Any
    model: Any
    tokenizer: Any
    pad: dict[str, int]
    left: bool


class Running:
    """A model on a device. Safe to call from many threads.

    Args:
        loaded: the model, there already.
        device: where it is, as PyTorch names it.
        why: why there.
        wanted: of precision.PRECISIONS; measured here.
        shape: the transformer's sizes.
        dim: numbers of a vector.

    Attributes:
        device: as given.
        why: as given.
        precision: what it runs in.
    """

    def __init__(self, loaded: Loaded, device: str, why: str, wanted: str, shape: Shape, dim: int) -> None:
        self.device, self.why = device, why
        self._torch, self._model, self._loaded, self._shape, self._dim = loaded.torch, loaded.model, loaded, shape, dim
        self._cuda = device.startswith("cuda")
        self._limit = TOKENS if device == "cpu" else TOKENS_ELSEWHERE
        if loaded.tokenizer is None:
            self.precision = precision.Precision(precision.FLOAT32, None, "the model is fed by its library")
        else:
            self.precision = precision.choose(wanted, self._offered(), self._probe)

    def _offered(self) -> tuple[str, ...]:
        """Half precisions that the device is quick in: from Volta on float16, from Ampere on bfloat16 too."""
        capability = self._torch.cuda.get_device_capability(self.device) if self._cuda else (0, 0)
        if capability >= (8, 0):
            return precision.FLOAT16, precision.BFLOAT16
        return (precision.FLOAT16,) if capability >= (7, 0) else ()

    def _probe(self, name: str) -> Vectors:
        encoded = self._loaded.tokenizer.encode_batch(list(precision.PROBES))
        return np.asarray(self._forward(encoded, name).cpu().numpy(), np.float32)

    def stretches(self, items: Sequence[str], prompt: str) -> Iterator[tuple[int, Any]]:
        """Where each stretch starts, and what `vectors` takes; off the processor the next is made while one is encoded."""

        def prepared(start: int) -> Any:
            texts = items[start : start + STRETCH]
            return texts if self._loaded.tokenizer is None else self._loaded.tokenizer.encode_batch([prompt + t for t in texts])

        starts = range(0, len(items), STRETCH)
        if self.device == "cpu" or len(starts) < 2:
            for start in starts:
                yield start, prepared(start)
            return
        with ThreadPoolExecutor(1, thread_name_prefix="nearfield-tokens") as pool:
            coming = pool.submit(prepared, 0)
            for start in starts:
                ready = coming.result()
                if start + STRETCH < len(items):
                    coming = pool.submit(prepared, start + STRETCH)
                yield start, ready

    def empty(self, n: int) -> Any:
        """A float32 tensor (n, dim) on the device, to be filled."""
        return self._torch.empty((n, self._dim), dtype=self._torch.float32, device=self.device)

    def write(self, prepared: Any, prompt: str, kind: str, out: Vectors, report: Report | None) -> None:
        """Vectors of one stretch into `out`, float32 (n, dim) on the host: brought over once."""
        if self.device == "cpu":
            self.fill(prepared, prompt, kind, self._torch.from_numpy(out), report)
            return
        found = self.empty(len(out))
        self.fill(prepared, prompt, kind, found, report)
        if self._cuda:
            host = self._torch.empty(found.shape, dtype=found.dtype, pin_memory=True)
            host.copy_(found, non_blocking=True)
            self._torch.cuda.current_stream(self.device).synchronize()
        else:
            host = found.cpu()
        out[:] = host.numpy()

    def fill(self, prepared: Any, prompt: str, kind: str, out: Any, report: Report | None) -> None:
        """Vectors of one stretch into `out`, a tensor (n, dim) of the device.

        A text whose numbers outgrow half precision is run again in float32.
        """
        if self._loaded.tokenizer is None:
            self._by_library(prepared, prompt, kind, out)
            if report is not None:
                report(len(prepared))
            return
        self._run(prepared, np.arange(len(prepared)), self.precision.name, out, report)
        if self.precision.half:
            whole = self._torch.isfinite(out).all(dim=1).cpu().numpy()
            if not whole.all():
                self._run(prepared, np.flatnonzero(~whole), precision.FLOAT32, out, None)

    def _run(self, prepared: Any, some: npt.NDArray[np.int64], name: str, out: Any, report: Report | None) -> None:
        """Vectors of some texts of a stretch, batch by batch."""
        lengths = [len(prepared[i]) for i in some]
        most = MOST if self.device == "cpu" else MOST_ELSEWHERE
        fit = self._tokens(max(lengths), name)
        before, done = self._limit, 0
        given: deque[Any] = deque()
        for batch in batches(lengths, lambda: min(fit, self._limit), most):
            self._batch(prepared, some[batch], name, out)
            done += len(batch)
            if self._cuda:
                self._wait(given)
            if report is not None:
                report(done)
        if self._limit == before:
            self._limit = min(2 * before, TOKENS if self.device == "cpu" else TOKENS_ELSEWHERE)

    def _tokens(self, longest: int, name: str) -> int:
        """Tokens of a batch that fit now; what PyTorch keeps for later counts as free."""
        if not self._cuda:
            return self._limit
        cuda = self._torch.cuda
        free = cards.free_bytes(self.device) + cuda.memory_reserved(self.device) - cuda.memory_allocated(self.device)
        return tokens_that_fit(free, self._shape, longest, precision.BYTES[name])

    def _wait(self, given: deque[Any]) -> None:
        """Waits until the card has all but the last batches behind it."""
        mark = self._torch.cuda.Event(blocking=True)
        mark.record(self._torch.cuda.current_stream(self.device))
        given.append(mark)
        if len(given) > AHEAD:
            given.popleft().synchronize()

    def _batch(self, prepared: Any, batch: npt.NDArray[np.int64], name: str, out: Any) -> None:
        try:
            encoded = [prepared[i] for i in batch]
            out[self._torch.from_numpy(batch).to(out.device)] = self._forward(encoded, name)
            return
        except Exception as error:
            if len(batch) == 1 or not _torch.out_of_memory(error):
                raise
        # Only here, outside of the handler, is what the failed batch held let go.
        self._limit = max(1, len(batch) * max(len(prepared[i]) for i in batch) // 2)
        self._let_go()
        for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
            self._batch(prepared, half, name, out)

    def _let_go(self) -> None:
        if self._cuda:
            self._torch.cuda.empty_cache()

    def _forward(self, encoded: list[Any], name: str) -> Any:
        """float32 (n, dim) on the device. In half precision the transformer runs; what pools and scales stays in float32."""
        torch, model = self._torch, self._model
        with torch.inference_mode():
            features = {key: self._sent(values) for key, values in padded(encoded, self._loaded).items()}
            if name == precision.FLOAT32:
                return model.forward(features)["sentence_embedding"].float()
            with torch.autocast(torch.device(self.device).type, dtype=getattr(torch, name)):
                features = model[0](features)
            features["token_embeddings"] = features["token_embeddings"].float()
            for module in list(model)[1:]:
                features = module(features)
            return features["sentence_embedding"].float()

    def _sent(self, values: npt.NDArray[np.int64]) -> Any:
        """To the device; to a card from pinned memory, so that what it still does is not waited for."""
        tensor = self._torch.from_numpy(values)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self._cuda else tensor.to(self.device)

    def _by_library(self, texts: Sequence[str], prompt: str, kind: str, out: Any) -> None:
        encode = self._model.encode_query if kind == "query" else self._model.encode_document
        size = MOST
        while True:
            try:
                found = encode(
                    list(texts), prompt=prompt or None, batch_size=size, show_progress_bar=False, convert_to_tensor=True
                )
                out.copy_(found)
                return
            except Exception as error:
                if size == 1 or not _torch.out_of_memory(error):
                    raise
            size //= 2
            self._let_go()


def padded(encoded: list[Any], loaded: Loaded) -> dict[str, npt.NDArray[np.int64]]:
    """int64 (n, longest) inputs of a batch, by name."""
    longest = max(len(one) for one in encoded)
    out = {name: np.full((len(encoded), longest), fill, np.int64) for name, fill in loaded.pad.items()}
    sources = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    for row, one in enumerate(encoded):
        where = slice(longest - len(one), None) if loaded.left else slice(0, len(one))
        for name, values in out.items():
            values[row, where] = getattr(one, sources[name])
    return out
