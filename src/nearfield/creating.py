"""What a new collection is to be: the arguments of `create`, checked, as the settings that are stored. Makes nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric
from nearfield.index import encode_kind
from nearfield.store import layout
from nearfield.store.catalog import Settings

if TYPE_CHECKING:
    from nearfield.core.parts import PartsSpec
    from nearfield.store.keyword import Options

MAX_DIM = 32_768
FIELD_TYPES = ("timestamp",)
WORDS = ("english", "plain")
"""How texts may be indexed by their words."""


def words_of(keyword: Any) -> Options | None:
    """The options of a keyword index; see Database.create."""
    if keyword is None:
        return None
    from nearfield.store.keyword import Options

    return Options(stemming="english" if inputs.choice(keyword, WORDS, "keyword") == "english" else None)


def settings_of(
    embedder: Any,
    dim: Any,
    metric: Any,
    index: Any,
    recall: Any,
    fields: Mapping[str, str] | None,
    passages: Any = None,
    vectors: Any = None,
) -> Settings:
    """The settings; see Database.create."""
    loaded: Any = None
    spec: PartsSpec | None = None
    if embedder is None:
        if dim is None and vectors is None:
            raise InvalidInput("a collection of brought vectors needs their dimension", field="dim", expected="1 to 32768")
    else:
        from nearfield import embed

        loaded = embed.load(embedder) if isinstance(embedder, str) else embedder
        if dim is not None and dim != loaded.dim:
            raise InvalidInput("the embedder makes other vectors", field="dim", expected=str(loaded.dim), received=dim)
        dim = loaded.dim
    if passages is not None or vectors is not None:
        from nearfield.parts.spec import spec_of

        spec, dim = spec_of(passages, vectors, loaded, dim)
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
        parts=UNSET if spec is None else spec.to_dict(),
    )
