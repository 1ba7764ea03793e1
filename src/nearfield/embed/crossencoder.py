"""Cross-encoders, run with PyTorch on this machine: query and text are read together, and one number comes out.

Weights are safetensors only, and no code that comes with a model is run. Nothing heavy is imported until the first score.
Everything runs in float32: what half precision does to an order of scores is not measured here.
"""

from __future__ import annotations

import copy
import json
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt, InvalidInput, MissingDependency, NotFound
from nearfield.device import _torch, cards
from nearfield.embed import text
from nearfield.embed.base import Progress
from nearfield.embed.batching import Shape, batches, tokens_that_fit
from nearfield.embed.rerank import EXPECTED, Scores
from nearfield.embed.running import MOST, TOKENS, TOKENS_ELSEWHERE, Loaded, padded

LONGEST = 1 << 20
"""Tokens of a pair at most, for models that name no limit."""
STRETCH = 1024
"""Pairs tokenised and sorted at a time: what bounds memory."""
RAW = ("Identity",)
"""Activations that a model's config may name by which its number stays as it is; any other, and none, mean the logistic one."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A cross-encoder in memory.

    Attributes:
        loaded: the classifier and its tokenizer, which cuts a pair to `limit` tokens.
        limit: tokens of a pair.
        shape: the transformer's sizes.
        raw: the number of a one-label model is given as it is, not through the logistic function.
        device: where it is.
        why: why there.
    """

    loaded: Loaded
    limit: int
    shape: Shape
    raw: bool
    device: str
    why: str


class CrossEncoderReranker:
    """A sequence classifier with one label or two, in a folder.

    With one label the score is what sentence-transformers' CrossEncoder gives: the logistic function of the logit, or the logit
    itself where the model's config names torch.nn.Identity. With two it is the probability of label 1 (softmax).

    A pair longer than the model's limit loses tokens from the end of its longer side, query or text, until it fits;
    `describe()` says how many pairs were cut. A device that is lost, or has no room for one pair, is left for the processor.

    Args:
        name: what `load_reranker` was given.
        folder: where config.json and model.safetensors are.
        device: as in `load_reranker`.

    Raises:
        NotFound: there is no model in the folder.
        InvalidInput: it is no sequence classifier with one or two labels; at the first score, no such device.
    """

    def __init__(self, name: str, folder: Path, device: str = "auto") -> None:
        self.name, self.folder, self._wanted = name, folder, device
        self._lock = threading.Lock()
        self._placed: Placed | None = None
        self._cut = 0
        if not (folder / "config.json").is_file():
            raise NotFound("there is no model in this folder", field="rerank", expected="a config.json", received=str(folder))
        self.labels = _labels(_json(folder / "config.json"), folder)

    @classmethod
    def named(cls, name: str, device: str = "auto") -> CrossEncoderReranker:
        """From a folder, or a Hugging Face name that is in the local cache (or can be fetched)."""
        if Path(name).is_dir():
            folder = Path(name).resolve()
            return cls(str(folder), folder, device)
        try:
            return cls(name, text.from_hub(name), device)
        except NotFound as error:
            raise NotFound(error.message, field="rerank", expected=EXPECTED, received=name) from error

    def score(self, query: str, texts: Sequence[str], progress: Progress | None = None) -> Scores:
        """float32 (n,), higher is better; in batches of like lengths."""
        out = np.empty(len(texts), np.float32)
        for start in range(0, len(texts), STRETCH):
            some = texts[start : start + STRETCH]

            def report(done: int, start: int = start) -> None:
                if progress is not None:
                    progress(start + done, len(texts))

            def work(placed: Placed, start: int = start, some: Sequence[str] = some, report: Any = report) -> None:
                self._stretch(placed, query, some, out[start : start + len(some)], report)

            self._carried(work)
        return out

    def describe(self) -> dict[str, Any]:
        """Where the model runs and why, as JSON values; loads nothing.

        Keys: loaded, device, device_reason, labels, max_tokens (of a pair; None before it is loaded), cut (pairs that were
        longer, since it was loaded).
        """
        placed = self._placed
        return {
            "loaded": placed is not None,
            "device": self._wanted if placed is None else placed.device,
            "device_reason": "the model is not loaded yet" if placed is None else placed.why,
            "labels": self.labels,
            "max_tokens": None if placed is None else placed.limit,
            "cut": self._cut,
        }

    def _stretch(self, placed: Placed, query: str, some: Sequence[str], out: Scores, report: Callable[[int], None]) -> None:
        encoded = placed.loaded.tokenizer.encode_batch([(query, one) for one in some])
        lengths = [len(one) for one in encoded]
        tokens, most = _budget(placed, max(lengths))
        done = 0
        for batch in batches(lengths, tokens, most):
            _score(placed, encoded, batch, out)
            done += len(batch)
            report(done)
        with self._lock:
            self._cut += sum(bool(one.overflowing) for one in encoded)

    def _carried(self, work: Callable[[Placed], None]) -> None:
        """Does `work`; once more, on the processor, where the device fails in the middle."""
        placed = self._ready()
        try:
            work(placed)
            return
        except Exception as error:
            if placed.device == "cpu" or not text.unusable(error):
                raise
            failed = error
        with self._lock:
            if self._placed is placed:
                self._placed = _load(self.folder, "cpu", text.given_up(placed.device, failed))
        work(self._ready())

    def _ready(self) -> Placed:
        if self._placed is None:
            with self._lock:
                if self._placed is None:
                    self._placed = self._start()
        return self._placed

    def _start(self) -> Placed:
        device, why = text.place(self._wanted)
        try:
            return _load(self.folder, device, why)
        except Exception as error:
            if device == "cpu" or not text.unusable(error):
                raise
            why = text.given_up(device, error)
        return _load(self.folder, "cpu", why)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Corrupt(f"{path} is not JSON ({error})", field="rerank") from error
    if not isinstance(found, dict):
        raise Corrupt(f"{path} is not a JSON object", field="rerank")
    return found


def _labels(config: dict[str, Any], folder: Path) -> int:
    """How many numbers the model gives for a pair; 1 or 2."""
    names = config.get("architectures") or []
    if not any(str(name).endswith("ForSequenceClassification") for name in names):
        raise InvalidInput(
            "not a cross-encoder: the model has no head that scores a pair (an embedder cannot rerank)",
            field="rerank",
            expected="an architecture ...ForSequenceClassification",
            received=f"{', '.join(map(str, names)) or 'none'} in {folder}",
        )
    kinds = config.get("id2label")
    found = len(kinds) if isinstance(kinds, dict) else config.get("num_labels", 2)
    if found not in (1, 2):
        raise InvalidInput(
            "which of its labels means relevant is not known", field="rerank", expected="one label or two", received=found
        )
    return int(found)


def _load(folder: Path, device: str, why: str) -> Placed:
    if not list(folder.glob("*.safetensors")):
        raise NotFound("the model has no safetensors weights; other formats can run code", field="rerank", received=str(folder))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
            from transformers.utils import logging as chatter

            chatter.disable_progress_bar()  # type: ignore[no-untyped-call]
            plain: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
            theirs = AutoTokenizer.from_pretrained(str(folder), **plain)
            model, found = AutoModelForSequenceClassification.from_pretrained(
                str(folder), use_safetensors=True, output_loading_info=True, dtype=torch.float32, **plain
            )
    except ImportError as error:
        raise MissingDependency("models need more packages; run: pip install 'nearfield[models]'", field="rerank") from error
    if found["missing_keys"]:
        lacking = ", ".join(sorted(found["missing_keys"]))
        raise Corrupt("the model's file lacks weights, which would be made up", field="rerank", received=lacking)
    model.eval().to(device)
    tokenizer, limit = _tokenizer(theirs, model.config, folder)
    fills = {"input_ids": theirs.pad_token_id or 0, "attention_mask": 0, "token_type_ids": theirs.pad_token_type_id}
    pad = {name: fills[name] for name in sorted({*theirs.model_input_names, "input_ids", "attention_mask"}) if name in fills}
    loaded = Loaded(torch, model, tokenizer, pad, theirs.padding_side == "left")
    return Placed(loaded, limit, Shape.of(model.config.to_dict(), 0), _raw(model.config), device, why)


def _tokenizer(theirs: Any, config: Any, folder: Path) -> tuple[Any, int]:
    """A tokenizer that cuts pairs and pads nothing, and the tokens that it cuts them to."""
    backend = getattr(theirs, "backend_tokenizer", None)
    if backend is None:
        raise InvalidInput("the model has no fast tokenizer", field="rerank", expected="a tokenizer.json", received=str(folder))
    positions = getattr(config, "max_position_embeddings", None)
    limit = min(theirs.model_max_length, positions or theirs.model_max_length, LONGEST)
    tokenizer = copy.deepcopy(backend)
    tokenizer.enable_truncation(max_length=int(limit), strategy="longest_first", direction=theirs.truncation_side)
    tokenizer.no_padding()
    return tokenizer, int(limit)


def _raw(config: Any) -> bool:
    """Whether the model's config asks for its number as it is."""
    named = (getattr(config, "sentence_transformers", None) or {}).get("activation_fn")
    named = named or getattr(config, "sbert_ce_default_activation_function", None) or ""
    return str(named).rpartition(".")[2] in RAW


def _budget(placed: Placed, longest: int) -> tuple[int, int]:
    """Tokens and pairs of a batch."""
    if placed.device == "cpu":
        return TOKENS, MOST
    if not placed.device.startswith("cuda"):
        return TOKENS_ELSEWHERE, STRETCH
    cuda = placed.loaded.torch.cuda
    free = cards.free_bytes(placed.device) + cuda.memory_reserved(placed.device) - cuda.memory_allocated(placed.device)
    return min(TOKENS_ELSEWHERE, tokens_that_fit(free, placed.shape, longest, 4)), STRETCH


def _score(placed: Placed, encoded: list[Any], batch: npt.NDArray[np.int64], out: Scores) -> None:
    """Scores of some pairs into `out`; a batch that finds no room is halved."""
    try:
        out[batch] = _forward(placed, [encoded[i] for i in batch])
        return
    except Exception as error:
        if len(batch) == 1 or not _torch.out_of_memory(error):
            raise
    # Only here, outside of the handler, is what the failed batch held let go.
    if placed.device.startswith("cuda"):
        placed.loaded.torch.cuda.empty_cache()
    for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
        _score(placed, encoded, half, out)


def _forward(placed: Placed, encoded: list[Any]) -> Scores:
    torch = placed.loaded.torch
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(v).to(placed.device) for name, v in padded(encoded, placed.loaded).items()}
        logits = placed.loaded.model(**inputs).logits.float()
        if logits.shape[1] == 2:
            scores = torch.softmax(logits, dim=1)[:, 1]
        else:
            scores = logits[:, 0] if placed.raw else torch.sigmoid(logits[:, 0])
        found: Scores = scores.cpu().numpy()
    if not np.isfinite(found).all():
        raise Corrupt("the model gives scores that are no numbers", field="rerank")
    return found
