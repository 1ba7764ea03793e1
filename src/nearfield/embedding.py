"""A collection's embedder: loaded on first use, and held to the fingerprint that the collection stores.

Knows embedders and fingerprints; nothing of rows. A vector query loads no model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors

if TYPE_CHECKING:
    from nearfield.embed.base import Embedder


class BoundEmbedder:
    """The embedder of one collection.

    Args:
        name: what the collection stores; None for a collection of brought vectors.
        given: an embedder object in place of loading `name`.
        stored: the stored fingerprint as JSON values, or None before the first use.
        store: writes a fingerprint into the collection, or None where it cannot be written.
    """

    def __init__(
        self,
        name: str | None,
        given: Embedder | None,
        stored: dict[str, Any] | None,
        store: Callable[[dict[str, Any]], None] | None,
    ) -> None:
        self.name, self._embedder, self._stored, self._store = name, given, stored, store
        self._checked = False
        self._lock = threading.Lock()
        if given is not None:
            self._compare_declared(given)

    def encode(self, texts: Sequence[str], kind: str, progress: Callable[[int, int | None], None] | None = None) -> Vectors:
        """float32 (n, dim) of texts, as "query" or "document"; raises ModelMismatch if the model is not the stored one."""
        embedder = self._ready()
        return np.ascontiguousarray(embedder.encode(texts, kind=kind, progress=progress), dtype=np.float32)

    def _ready(self) -> Embedder:
        if self._checked and self._embedder is not None:
            return self._embedder
        with self._lock:
            if self._embedder is None:
                self._embedder = self._load()
                self._compare_declared(self._embedder)
            if not self._checked:
                self._compare_probes(self._embedder)
                self._checked = True
            return self._embedder

    def _load(self) -> Embedder:
        if self.name is None:
            raise InvalidInput(
                "this collection was created with embedder=None; bring vectors, or create one with an embedder",
                field="embedder",
            )
        from nearfield import embed

        return embed.load(self.name)

    def _compare_declared(self, embedder: Embedder) -> None:
        if self._stored is None:
            return
        from nearfield.embed import fingerprint

        fingerprint.compare_declared(fingerprint.Fingerprint.from_dict(self._stored), embedder)

    def _compare_probes(self, embedder: Embedder) -> None:
        from nearfield.embed import fingerprint

        now = fingerprint.take(embedder)
        if self._stored is not None:
            fingerprint.compare_probes(fingerprint.Fingerprint.from_dict(self._stored), now)
        elif self._store is not None:
            self._store(now.to_dict())
            self._stored = now.to_dict()
