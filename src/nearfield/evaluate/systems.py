"""Ways of searching a collection, for `evaluate`: each mode, and each again with a reranker.

Knows a collection by its two searches, near or remote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.core.types import Hits
from nearfield.evaluate.run import Search, System

MODES = ("dense", "keyword", "hybrid")
RERANKED = 50
MOST_RERANKED = 1_000
Known = dict[tuple[str, int], list[str]]
"""Ids that a mode gave for a text and a number of hits: a reranked run goes on with them, without asking again."""


class Searchable(Protocol):
    """What of a collection is used here, near or remote."""

    @property
    def search(self) -> Callable[..., Hits]:
        """As Collection.search."""
        ...

    @property
    def search_many(self) -> Callable[..., list[Hits]]:
        """As Collection.search_many."""
        ...


def systems(
    collection: Searchable,
    modes: Sequence[str] = MODES,
    *,
    rerank: Any = None,
    rerank_depth: int = RERANKED,
    filter: Mapping[str, Any] | None = None,
    fusion: Any = None,
    label: str = "",
) -> list[System]:
    """Each mode, and with `rerank` each mode again.

    Args:
        collection: what is searched.
        modes: "dense", "keyword", "hybrid".
        rerank: a reranker or its name: reads the first `rerank_depth` hits; those after them stay in their order.
        rerank_depth: 1 to 1,000.
        filter: which documents may be found.
        fusion: how hybrid searches put both together.
        label: goes before the names, where several collections are compared.

    Raises:
        InvalidInput: no mode, one twice, or an unknown one.
    """
    if isinstance(modes, str):
        modes = [modes]
    if not modes or len(set(modes)) != len(modes):
        raise InvalidInput("not modes", field="modes", expected="one or more, each once", received=modes)
    for mode in modes:
        inputs.choice(mode, MODES, "modes")
    if inputs.whole(rerank_depth, "rerank_depth", 1) > MOST_RERANKED:
        raise InvalidInput("too many", field="rerank_depth", expected=f"at most {MOST_RERANKED:,}", received=rerank_depth)
    out = []
    for mode in modes:
        known: Known = {}
        options: dict[str, Any] = {"mode": mode, "filter": filter, "documents": False}
        if fusion is not None and mode == "hybrid":
            options["fusion"] = fusion
        plain = _plain(collection, options, known)
        out.append(System(f"{label}{mode}", plain))
        if rerank is not None:
            more = options | {"rerank": rerank, "rerank_depth": rerank_depth}
            out.append(System(f"{label}{mode} + rerank", _reranked(collection, more, plain, known)))
    return out


def _plain(collection: Searchable, options: Mapping[str, Any], known: Known) -> Search:
    def search(texts: Sequence[str], wanted: int) -> list[list[str]]:
        found = [list(hits.ids) for hits in collection.search_many(list(texts), k=wanted, **options)]
        known.update(zip(((text, wanted) for text in texts), found, strict=True))
        return found

    return search


def _reranked(collection: Searchable, options: Mapping[str, Any], plain: Search, known: Known) -> Search:
    def search(texts: Sequence[str], wanted: int) -> list[list[str]]:
        missing = [text for text in texts if (text, wanted) not in known]
        if missing:
            plain(missing, wanted)
        out = []
        for text in texts:
            first = collection.search(text, k=min(wanted, options["rerank_depth"]), **options).ids
            out.append(list(dict.fromkeys([*first, *known[text, wanted]]))[:wanted])
        return out

    return search
