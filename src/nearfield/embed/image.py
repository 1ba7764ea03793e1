"""Models of pictures, run with PyTorch on this machine. How a folder's config.json tells them apart is said here, once.

CLIP and SigLIP put texts into the same space; ViT, ResNet and their like take pictures only.
Weights are safetensors only, and no code that comes with a model is run. Nothing heavy is imported until the first encode.
How a model runs on its device: embed/towers.py. Pictures come as pixels; what a file is, is not known here.
"""

from __future__ import annotations

import contextlib
import copy
import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.core.errors import Corrupt, InvalidInput, MissingDependency, NotFound
from nearfield.core.metric import Vectors
from nearfield.embed import precision as precisions
from nearfield.embed.base import Opener, Progress
from nearfield.embed.batching import Shape
from nearfield.embed.running import Loaded
from nearfield.embed.text import TextEmbedder
from nearfield.embed.tokenizing import Shared
from nearfield.embed.towers import GIVEN, Towers, Vision


@dataclass(frozen=True, slots=True)
class Family:
    """Models of one architecture, as config.json's `model_type` names it.

    Attributes:
        pooling: where a picture's vector is taken: "projection" (get_image_features), "first" (the class token of the last
            layer, as DINOv2's authors and linear probes of ViT take it) or "pooled" (the average over the last map).
        texts: it has a text tower, of the same space.
        length: texts are padded to this many tokens, as the model was trained; None: to the longest of a batch.
        options: of from_pretrained: ViT's pooler is random in most checkpoints, and is not made.
    """

    pooling: str
    texts: bool = False
    length: int | None = None
    options: tuple[tuple[str, Any], ...] = ()


_NO_POOLER = (("add_pooling_layer", False),)
FAMILIES = {
    "clip": Family("projection", True),
    "siglip": Family("projection", True, 64),
    "siglip2": Family("projection", True, 64),
    "vit": Family("first", options=_NO_POOLER),
    "deit": Family("first", options=_NO_POOLER),
    "dinov2": Family("first"),
    "dinov2_with_registers": Family("first"),
    "resnet": Family("pooled"),
    "convnext": Family("pooled"),
    "convnextv2": Family("pooled"),
}


def place_of(folder: Path) -> Path | None:
    """Where in a model's folder a model of pictures is: the folder itself, or the one module of a sentence-transformers CLIP.

    None: it is a model of texts, or none that is known here.
    """
    for place in (folder, folder / "0_CLIPModel", folder / "0_Transformer"):
        if _read(place, "config.json").get("model_type") in FAMILIES:
            modules = _read(folder, "modules.json")
            rest = modules[1:] if isinstance(modules, list) else []
            return place if all(str(m.get("type", "")).endswith(".Normalize") for m in rest) else None
    return None


def _read(place: Path, name: str) -> Any:
    try:
        return json.loads((place / name).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


class ImageEmbedder(TextEmbedder):
    """A model of pictures in a folder; vectors have unit length, whatever the model gives.

    Loading, devices, precision and giving a device up are as those of TextEmbedder; half precision is measured with probe
    texts and pictures.

    Args:
        name: what a collection stores.
        folder: where config.json, preprocessor_config.json and model.safetensors are.
        device, precision: see TextEmbedder.

    Attributes:
        takes: "image", and "text" where there is a text tower.

    Raises:
        NotFound: there is no model in the folder.
        InvalidInput: none of a family known here.
    """

    def __init__(self, name: str, folder: Path, device: str = "auto", precision: str = precisions.AUTO) -> None:
        super().__init__(name, folder, device, precision)
        kind = self._config.get("model_type")
        if kind not in FAMILIES:
            raise InvalidInput(
                "not a model of pictures", field="embedder", expected="one of: " + ", ".join(FAMILIES), received=kind
            )
        self.family = FAMILIES[kind]
        self.takes: tuple[str, ...] = ("text", "image") if self.family.texts else ("image",)

    @cached_property
    def _config(self) -> dict[str, Any]:
        found = self._json("config.json")
        return found if isinstance(found, dict) else {}

    @cached_property
    def dim(self) -> int:
        """Numbers in each vector."""
        config = self._config
        vision, text = config.get("vision_config") or {}, config.get("text_config") or {}
        if config.get("model_type") == "clip":
            found = config.get("projection_dim", 512)
        elif self.family.texts:
            found = vision.get("hidden_size") or text.get("projection_size") or 768
        else:
            sizes = config.get("hidden_sizes")
            found = sizes[-1] if isinstance(sizes, list) and sizes else config.get("hidden_size")
        if not isinstance(found, int) or found < 1:
            raise Corrupt("the model's files do not say its dimension", field="embedder", received=str(self.folder))
        return found

    def declared(self) -> dict[str, Any]:
        """What decides the vectors; the weights' SHA-256 is computed once."""
        return {
            "model": Path(self.name).name,
            "weights": self._weights_hash,
            "pooling": self.family.pooling,
            "prompts": {},
            "takes": list(self.takes),
            "dim": self.dim,
        }

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """float32 (n, dim) of texts, unit length. Raises InvalidInput where the model takes pictures only."""
        if not self.family.texts:
            raise InvalidInput("this model takes pictures only", field="embedder", expected="pictures", received="texts")
        return super().encode(items, kind, progress)

    def encode_images(self, items: Sequence[Opener], progress: Progress | None = None) -> Vectors:
        """float32 (n, dim) of pictures, unit length; memory is bounded whatever their number.

        Args:
            items: each is called once, in any thread, and gives uint8 (height, width, 3); or None: its row is zeros.
            progress: called with (pictures done, n).
        """
        out = np.zeros((len(items), self.dim), np.float32)
        for ready in self._towers().pictures(items):

            def write(running: Any, ready: Any = ready) -> None:
                out[ready.rows] = running.see(ready.inputs)

            self._carried(write)
            if progress is not None:
                progress(ready.done, len(items))
        return out

    def _towers(self) -> Towers:
        found = self._ready()
        assert isinstance(found, Towers)
        return found

    def _on(self, device: str, why: str, precision: str) -> Towers:
        texts = self._config.get("text_config")
        shape = Shape.of(texts if isinstance(texts, dict) else self._config, self.dim)
        loaded, vision = _load(self.folder, self.family, device)
        return Towers(loaded, vision, device, why, precision, shape, self.dim)


def _load(folder: Path, family: Family, device: str) -> tuple[Loaded, Vision]:
    if not list(folder.glob("*.safetensors")):
        raise NotFound(
            "the model has no safetensors weights; other formats can run code", field="embedder", received=str(folder)
        )
    if not (folder / "preprocessor_config.json").is_file() and not (folder / "processor_config.json").is_file():
        raise NotFound(
            "the model does not say how its pictures are prepared",
            field="embedder",
            expected="a preprocessor_config.json",
            received=str(folder),
        )
    told: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import torch
            from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
            from transformers.utils import logging as chatter

            chatter.disable_progress_bar()  # type: ignore[no-untyped-call]
            with _quiet(chatter):
                options = {"use_safetensors": True, "dtype": torch.float32, **dict(family.options)}
                model = AutoModel.from_pretrained(str(folder), **options, **told).to(device)
                prepare = AutoImageProcessor.from_pretrained(str(folder), backend="pil", **told)  # type: ignore[no-untyped-call]
                tokenizer = AutoTokenizer.from_pretrained(str(folder), **told) if family.texts else None
    except ImportError as error:
        raise MissingDependency("models need more packages; run: pip install 'nearfield[models]'", field="embedder") from error
    model.eval()
    return _texts(torch, model, tokenizer, family), Vision(prepare, family.pooling)


@contextlib.contextmanager
def _quiet(chatter: Any) -> Iterator[None]:
    """What the library says of weights that are left out on purpose is not for users."""
    before = chatter.get_verbosity()
    chatter.set_verbosity_error()
    try:
        yield
    finally:
        chatter.set_verbosity(before)


def _texts(torch: Any, model: Any, theirs: Any, family: Family) -> Loaded:
    """The model with a tokenizer of our own, which threads can share; without one for a model of pictures only."""
    if not family.texts:
        return Loaded(torch, model, None, {}, False)
    limit = int(getattr(model.config.text_config, "max_position_embeddings", 77))
    length, fill = min(limit, family.length or limit), theirs.pad_token_id or 0
    backend = getattr(theirs, "backend_tokenizer", None)
    tokenizer: Any
    if backend is None:
        tokenizer = Shared(theirs, length, filled=family.length is not None)
    else:
        tokenizer = copy.deepcopy(backend)
        tokenizer.enable_truncation(max_length=length, direction=theirs.truncation_side)
        tokenizer.no_padding()
        if family.length is not None:
            tokenizer.enable_padding(
                direction=theirs.padding_side, length=length, pad_id=fill, pad_token=theirs.pad_token or "<pad>"
            )
    fills = {"input_ids": fill, "attention_mask": 0}
    pad = {name: value for name, value in fills.items() if name in GIVEN and name in {"input_ids", *theirs.model_input_names}}
    return Loaded(torch, model, tokenizer, pad, theirs.padding_side == "left")
