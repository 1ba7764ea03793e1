"""Vectors in, an immutable searchable thing out. A new kind is a file here and a line in KINDS."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from nearfield.core.errors import InvalidInput
from nearfield.index.base import Kind
from nearfield.index.cagra import Cagra
from nearfield.index.flat import Flat
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq
from nearfield.index.rabitq import Rabitq
from nearfield.index.usearch import Usearch

KINDS: dict[str, Any] = {kind.name: kind for kind in (Cagra, Flat, Hnsw, Ivf, IvfPq, Rabitq, Usearch)}


def encode_kind(kind: Any) -> dict[str, Any]:
    """A kind as JSON values; raises InvalidInput for anything that is not one."""
    if type(kind) not in KINDS.values():
        names = ", ".join(f"nearfield.{k.__name__}()" for k in KINDS.values())
        raise InvalidInput("not an index kind", field="index", expected=f"'auto' or one of {names}", received=kind)
    return {"kind": kind.name, **asdict(kind)}


def decode_kind(value: dict[str, Any]) -> Kind:
    """The kind of `encode_kind`; raises InvalidInput for a kind this version does not have."""
    fields = dict(value)
    name = fields.pop("kind", None)
    if name not in KINDS:
        raise InvalidInput("unknown index kind", field="index", expected=f"one of {', '.join(KINDS)}", received=name)
    try:
        kind: Kind = KINDS[name](**fields)
    except TypeError as error:
        raise InvalidInput(
            "not parameters of this kind", field="index", expected=str(KINDS[name]()), received=fields
        ) from error
    return kind
