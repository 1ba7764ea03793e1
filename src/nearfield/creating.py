"""What a new collection is to be: the arguments of `create`, checked, as the settings that are stored. Makes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric
from nearfield.index import encode_kind
from nearfield.store import layout
from nearfield.store.catalog import Settings

MAX_DIM = 32_768
FIELD_TYPES = ("timestamp",)


def settings_of(embedder: Any, dim: Any, metric: Any, index: Any, recall: Any, fields: Mapping[str, str] | None) -> Settings:
    """The settings; see Database.create."""
    if embedder is None:
        if dim is None:
            raise InvalidInput("a collection of brought vectors needs their dimension", field="dim", expected="1 to 32768")
    else:
        from nearfield import embed

        loaded = embed.load(embedder) if isinstance(embedder, str) else embedder
        if dim is not None and dim != loaded.dim:
            raise InvalidInput("the embedder makes other vectors", field="dim", expected=str(loaded.dim), received=dim)
        dim = loaded.dim
    if not 1 <= inputs.whole(dim, "dim", 1) <= MAX_DIM:
        raise InvalidInput("not a dimension", field="dim", expected=f"1 to {MAX_DIM}", received=dim)
    if isinstance(index, str):
        inputs.choice(index, ("auto",), "index")
    else:
        encode_kind(index)
        index.check(int(dim), Metric.parse(metric))
    for field, kind in (fields or {}).items():
        inputs.choice(kind, FIELD_TYPES, f"fields[{field!r}]")
    return Settings(
        layout.FORMAT,
        int(dim),
        str(Metric.parse(metric)),
        embedder if embedder is None or isinstance(embedder, str) else embedder.name,
        None if isinstance(index, str) else encode_kind(index),
        inputs.recall(recall),
        dict(fields or {}),
        secrets.randbits(63),
    )
