"""What parts a new collection is to have: the arguments `passages` and `vectors` of `create`, checked, as they are stored.

Knows embedders by what they say of themselves; makes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.parts import MOST_NAMES, OWN, FieldSpec, PartsSpec, Passages, VectorField

if TYPE_CHECKING:
    from nearfield.embed.base import Embedder


def spec_of(passages: Any, vectors: Any, own: Embedder | None, dim: int | None) -> tuple[PartsSpec, int | None]:
    """The parts of a new collection, and numbers in each of its engine's vectors: the most of any name's.

    Args:
        passages: Passages, or None.
        vectors: VectorField by name, or None.
        own: the collection's embedder, or None.
        dim: numbers in each of its vectors, or None where `vectors` say them.

    Raises:
        InvalidInput: anything that is wrong, by its name.
    """
    if passages is not None and not isinstance(passages, Passages):
        raise InvalidInput("not passages", field="passages", expected="nearfield.Passages(...)", received=passages)
    fields = {} if vectors is None else _fields(vectors, own, dim)
    texts = [f.embedder for f in fields.values() if f.source is None and not f.image] if fields else [OWN]
    if passages is not None:
        if not texts:
            raise InvalidInput(
                "no vector is of the documents' texts", field="passages", expected="a VectorField() among vectors"
            )
        for name in texts:
            _check_window(passages.check(), own if name == OWN else _load(name))
    return PartsSpec(passages, fields), max((f.dim for f in fields.values()), default=dim)


def _fields(vectors: Any, own: Embedder | None, dim: int | None) -> dict[str, FieldSpec]:
    if not isinstance(vectors, Mapping) or not 1 <= len(vectors) <= MOST_NAMES:
        expected = f"a dict of 1 to {MOST_NAMES} names, each with a nearfield.VectorField"
        raise InvalidInput("not named vectors", field="vectors", expected=expected, received=vectors)
    out = {}
    for name, field in vectors.items():
        inputs.name(name, "vectors")
        where = f"vectors[{name!r}]"
        if not isinstance(field, VectorField):
            raise InvalidInput("not a vector field", field=where, expected="nearfield.VectorField(...)", received=field)
        if field.source is not None and (not isinstance(field.source, str) or not field.source or field.source[0] == "$"):
            expected = "a metadata key, or None for the text"
            raise InvalidInput("not a source", field=f"{where}.source", expected=expected, received=field.source)
        out[name] = _field(field, where, own, dim)
    return out


def _field(field: VectorField, where: str, own: Embedder | None, dim: int | None) -> FieldSpec:
    embedder: Any = own if field.embedder == OWN else _load(field.embedder)
    size = field.dim if field.dim is not None else getattr(embedder, "dim", dim if field.embedder == OWN else None)
    if size is None:
        raise InvalidInput("vectors that are brought need their dimension", field=f"{where}.dim", expected="1 to 32768")
    if embedder is not None and inputs.whole(size, f"{where}.dim", 1) != embedder.dim:
        expected = str(embedder.dim)
        raise InvalidInput("the embedder makes other vectors", field=f"{where}.dim", expected=expected, received=field.dim)
    if field.image and field.source is not None:
        raise InvalidInput(
            "a picture is not of a metadata key", field=f"{where}.source", expected="None", received=field.source
        )
    if embedder is not None:
        from nearfield.embed.base import takes

        wanted = "image" if field.image else "text"
        if wanted not in takes(embedder):
            expected = f"an embedder that takes {wanted}s" if field.image else "an embedder that takes texts, or image=True"
            raise InvalidInput(
                "the embedder takes no such thing", field=f"{where}.embedder", expected=expected, received=embedder.name
            )
    stored = OWN if field.embedder == OWN and own is not None else getattr(embedder, "name", None)
    return FieldSpec(field.source, stored, int(inputs.whole(size, f"{where}.dim", 1)), field.image)


def _load(embedder: Any) -> Any:
    if not isinstance(embedder, str):
        return embedder
    from nearfield import embed

    return embed.load(embedder)


def _check_window(passages: Passages, embedder: Any) -> None:
    window = getattr(embedder, "window", None)
    if window is not None and passages.tokens > window:
        raise InvalidInput(
            "the model reads no more of a text than this; longer passages would be cut off unread",
            field="passages.tokens",
            expected=f"at most {window}",
            received=passages.tokens,
        )
