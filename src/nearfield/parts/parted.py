"""What a collection in parts has besides its engine: who embeds what under each name, and how large those vectors are.

Knows embedders and the engine's spec; nothing of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Vectors, prepare
from nearfield.core.parts import OWN
from nearfield.embedding import BoundEmbedder
from nearfield.engine.parted import PartedEngine
from nearfield.parts.split import Piece, Starts, split, word_starts

if TYPE_CHECKING:
    from nearfield.core.parts import VectorField
    from nearfield.embed.base import Embedder
    from nearfield.engine.local import LocalEngine

PRINTS = "fingerprints"
"""Beside the spec in the settings: fingerprints of the embedders that names have of their own, by the embedders' names."""


class Parted:
    """Names, and the embedders behind them.

    Args:
        engine: of the collection.
        own: the collection's embedder.
        others: those that names have of their own, by the embedders' names.
    """

    def __init__(self, engine: PartedEngine, own: BoundEmbedder, others: Mapping[str, BoundEmbedder]) -> None:
        self.engine, self.spec = engine, engine.spec
        self.own, self._others = own, others

    @property
    def names(self) -> tuple[str, ...]:
        """Of the vectors; ("",) where there are none by name."""
        return self.spec.names

    def embedder(self, name: str) -> BoundEmbedder | None:
        """Of a name; None: its vectors are brought."""
        found = self.spec.fields[name].embedder if name else OWN
        if found is None or (found == OWN and self.own.name is None):
            return None
        return self.own if found == OWN else self._others[found]

    def dim(self, name: str) -> int:
        """Numbers in each vector of a name."""
        return self.spec.fields[name].dim if name else self.engine.dim

    def checked(self, name: Any, field: str = "on") -> str:
        """A name of a vector; raises InvalidInput."""
        if name not in self.spec.fields:
            expected = (
                "one of " + ", ".join(map(repr, self.spec.fields)) if self.spec.fields else "none: there are no named vectors"
            )
            raise InvalidInput("no vector has this name", field=field, expected=expected, received=name)
        return str(name)

    def pieces(self, name: str, texts: Sequence[str]) -> list[list[Piece]]:
        """The passages of texts, those of each in order; the whole text where the name has no passages."""
        passages = self.spec.passages
        if passages is None or (name and self.spec.fields[name].source is not None):
            return [[Piece(0, len(text), 0)] for text in texts]
        embedder = self.embedder(name)
        starts: Sequence[Starts] | None = None if embedder is None else embedder.token_starts(texts)
        found = map(word_starts, texts) if starts is None else starts
        return [split(text, at, passages.tokens, passages.overlap) for text, at in zip(texts, found, strict=True)]

    def prepared(self, vectors: Vectors) -> Vectors:
        """Vectors of a name, float32 (m, its dim), as what is searched with: prepared, and filled up with zeros.

        Zeros change no inner product, no length and no distance: each adds a sum of zeros.
        """
        return prepare(padded(vectors, self.engine.dim), self.engine.metric)[0]


def padded(vectors: Vectors, dim: int) -> Vectors:
    """Float32 (m, dim): `vectors` (m, at most dim) with zeros behind."""
    if vectors.shape[1] == dim:
        return vectors
    out = np.zeros((len(vectors), dim), np.float32)
    out[:, : vectors.shape[1]] = vectors
    return out


def wire(engine: LocalEngine, own: BoundEmbedder, fields: Mapping[str, VectorField] | None = None) -> Parted | None:
    """The embedders of a collection in parts; None for another collection.

    Args:
        engine: of the collection.
        own: its embedder.
        fields: as `create` was given them: their embedders that are objects are taken in place of loading them.
    """
    if not isinstance(engine, PartedEngine):
        return None
    objects = [field.embedder for field in (fields or {}).values()]
    given: dict[str, Embedder] = {o.name: o for o in objects if o is not None and not isinstance(o, str)}
    stored = dict(engine.settings.parts or {}).get(PRINTS, {})
    others = {f.embedder for f in engine.spec.fields.values() if f.embedder not in (OWN, None)}
    bound = {
        name: BoundEmbedder(name, given.get(name), stored.get(name), None if engine.read_only else _store(engine, name))
        for name in sorted(map(str, others))
    }
    return Parted(engine, own, bound)


def _store(engine: PartedEngine, name: str) -> Callable[[dict[str, Any]], None]:
    def store(fingerprint: dict[str, Any]) -> None:
        settings = engine.settings
        assert settings.parts is not msgspec.UNSET
        prints = {**settings.parts.get(PRINTS, {}), name: fingerprint}
        engine.write_settings(msgspec.structs.replace(settings, parts={**settings.parts, PRINTS: prints}))

    return store
