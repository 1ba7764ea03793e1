"""A collection's embedder: loaded on first use, and held to the fingerprint that the collection stores.

Knows embedders and fingerprints; nothing of rows. A vector query loads no model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors

if TYPE_CHECKING:
    from nearfield.embed.base import Embedder, Opener


class BoundEmbedder:
    """The embedder of one collection.

    Args:
        name: what the collection stores; None for a collection of brought vectors.
        given: an embedder object in place of loading `name`; also an attribute.
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
        self.given = given
        self._checked = False
        self._lock = threading.Lock()
        if given is not None:
            self._compare_declared(given)

    def encode(self, texts: Sequence[str], kind: str, progress: Callable[[int, int | None], None] | None = None) -> Vectors:
        """float32 (n, dim) of texts, as "query" or "document"; raises ModelMismatch if the model is not the stored one."""
        embedder = self._ready()
        if "text" not in _takes(embedder):
            raise InvalidInput(
                f"the model {self.name!r} takes pictures only",
                field="query" if kind == "query" else "text",
                expected="a picture (image=), a vector or an id",
                received=texts[0] if texts else None,
            )
        return np.ascontiguousarray(embedder.encode(texts, kind=kind, progress=progress), dtype=np.float32)

    @property
    def takes(self) -> tuple[str, ...]:
        """What the embedder makes vectors of: "text", "image" or both; nothing where vectors are brought. Loads no weights."""
        if self.name is None:
            return ()
        if self._embedder is None and self._stored is not None:
            return tuple(self._stored["declared"].get("takes", ("text",)))
        return _takes(self._known())

    def encode_images(self, openers: Sequence[Opener], progress: Callable[[int, int | None], None] | None = None) -> Vectors:
        """float32 (n, dim) of pictures, each opened when its turn comes; a row of zeros where an opener gives None.

        Raises:
            InvalidInput: the model takes texts only, or there is none.
            ModelMismatch: the model is not the stored one.
        """
        from nearfield.embed.base import SeesPictures

        if self.name is not None and "image" not in self.takes:
            raise InvalidInput(
                f"the model {self.name!r} takes texts only; pictures need one such as CLIP",
                field="image",
                expected="a text, a vector or an id",
            )
        embedder = self._ready()
        assert isinstance(embedder, SeesPictures)
        return np.ascontiguousarray(embedder.encode_images(openers, progress=progress), dtype=np.float32)

    @property
    def window(self) -> int | None:
        """Tokens of a document that the model reads; None: it does not say. Loads no weights."""
        from nearfield.embed.tokens import Tokenized

        known = None if self.name is None else self._known()
        return known.window if isinstance(known, Tokenized) else None

    def token_starts(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]] | None:
        """For each text where the model's tokens begin; None: it does not say, or there is no model. Loads no weights."""
        from nearfield.embed.tokens import Tokenized

        known = None if self.name is None else self._known()
        return known.token_starts(texts) if isinstance(known, Tokenized) else None

    def _known(self) -> Embedder:
        """The embedder, compared by what it says of itself only."""
        with self._lock:
            if self._embedder is None:
                self._embedder = self._load()
                self._compare_declared(self._embedder)
            return self._embedder

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


def _takes(embedder: Embedder) -> tuple[str, ...]:
    from nearfield.embed.base import takes

    return takes(embedder)
