"""An embedder without a model: words hashed into a vector. Texts that share words are near. For tests and trials."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors
from nearfield.embed.base import Progress


class HashEmbedder:
    """Deterministic: each lower-case word adds a fixed random direction (feature hashing).

    Args:
        dim: numbers in each vector, 2 to 4096.
        salt: changes every vector; two salts are two models.
    """

    def __init__(self, dim: int = 64, salt: str = "") -> None:
        if not 2 <= dim <= 4096:
            raise InvalidInput("not a dimension", field="embedder", expected="hash:2 to hash:4096", received=dim)
        self.name = f"hash:{dim}" + (f":{salt}" if salt else "")
        self.dim = dim
        self._salt = salt

    @classmethod
    def named(cls, name: str) -> HashEmbedder:
        """From "hash", "hash:DIM" or "hash:DIM:SALT"."""
        parts = name.split(":", 2)
        if len(parts) > 1 and not parts[1].isdigit():
            raise InvalidInput("not a dimension", field="embedder", expected="hash:DIM, such as hash:64", received=name)
        return cls(int(parts[1]) if len(parts) > 1 else 64, parts[2] if len(parts) > 2 else "")

    def declared(self) -> dict[str, Any]:
        """What decides the vectors."""
        return {"model": "hash", "dim": self.dim, "salt": self._salt}

    def encode(self, items: Sequence[str], kind: str = "document", progress: Progress | None = None) -> Vectors:
        """float32 (n, dim), unit length."""
        out = np.zeros((len(items), self.dim), np.float32)
        for i, text in enumerate(items):
            for word in re.findall(r"\w+", text.lower()) or [text]:
                digest = hashlib.blake2b(f"{self._salt}{word}".encode(), digest_size=8).digest()
                out[i] += np.random.default_rng(int.from_bytes(digest, "little")).standard_normal(self.dim)
            if progress is not None and (i % 1000 == 999 or i + 1 == len(items)):
                progress(i + 1, len(items))
        length = np.linalg.norm(out, axis=1, keepdims=True)
        return np.ascontiguousarray(out / np.where(length == 0, 1, length), dtype=np.float32)
