"""Two generations asked the same: overlap of hits, and judgements where there are some. Knows collections; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput
from nearfield.reembedding import changes
from nearfield.reembedding.report import Overlap

if TYPE_CHECKING:
    from nearfield.collection import Collection
    from nearfield.evaluate.report import Evaluation
    from nearfield.evaluate.run import Judgements

SAMPLE = 200
"""Documents whose texts are asked where no queries were given."""
SEED = 20_261_127
_AT_ONCE = 32

Queries = Mapping[str, str] | Sequence[str] | str | Path


def texts_of(queries: Queries | None, qrels: Judgements | None) -> Mapping[str, str] | None:
    """Queries as texts by id; None: none were given.

    Raises:
        InvalidInput: they are none; or judgements without the ids of queries.
    """
    if queries is None or isinstance(queries, (str, Path)):
        if queries is None and qrels is not None:
            raise InvalidInput("judgements need their queries", field="queries", expected="texts by id, or a file")
        from nearfield.evaluate import beir

        return None if queries is None else beir.queries(queries)
    if isinstance(queries, Mapping):
        return {str(key): inputs.text(text, f"queries[{key!r}]") for key, text in queries.items()}
    if qrels is not None:
        raise InvalidInput("judgements name queries by id", field="queries", expected="texts by id, or a file")
    return {str(i): inputs.text(text, f"queries[{i}]") for i, text in enumerate(queries)}


def overlap(old: Collection, new: Collection, queries: Mapping[str, str] | None, k: int) -> Overlap:
    """How far the two agree on `queries`, else on a sample of documents, each asked by its text and left out of its hits."""
    from nearfield.evaluate.bootstrap import intervals

    if queries:
        asked: list[tuple[str | None, str]] = [(None, text) for text in queries.values()]
    else:
        asked = list(_sample(new))
    hits = [_hits(collection, asked, k) for collection in (old, new)]
    shares = [_share(first, second, k) for first, second in zip(*hits, strict=True)]
    (found,) = intervals(np.array(shares, np.float64)[:, None], seed=SEED)
    return Overlap(k, found.mean, found.low, found.high, len(asked), "given queries" if queries else "documents' texts")


def _hits(collection: Collection, asked: Sequence[tuple[str | None, str]], k: int) -> list[list[str]]:
    """The ids of the first k for each text, without the document whose text it is."""
    out = []
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        found = collection.search_many([text for _, text in some], k=k + 1, exact=True, documents=False)
        out += [[i for i in hits.ids if i != own][:k] for hits, (own, _) in zip(found, some, strict=True)]
    return out


def _share(first: list[str], second: list[str], k: int) -> float:
    most = min(k, max(len(first), len(second)))
    return len(set(first) & set(second)) / most if most else 1.0


def _sample(collection: Collection) -> list[tuple[str | None, str]]:
    snapshot = collection.snapshot()
    ids = [found for some in changes.ids(snapshot, changes.since(snapshot, 0), 10_000) for found in some]
    chosen = np.random.default_rng(SEED).choice(len(ids), min(SAMPLE, len(ids)), replace=False)
    return [(d.id, d.text) for d in collection.get([ids[i] for i in sorted(chosen)]) if d is not None and d.text]


def evaluation(old: Collection, new: Collection, queries: Mapping[str, str], qrels: Judgements, k: int) -> Evaluation:
    """Both judged by people's grades, with the paired difference."""
    from nearfield.evaluate.run import System, evaluate

    systems = [System(f"{word}: {c.embedder}", _asker(c)) for word, c in (("old", old), ("new", new))]
    return evaluate(systems, queries, qrels, k=k)


def _asker(collection: Collection) -> Any:
    def ask(texts: Sequence[str], k: int) -> list[list[str]]:
        return [list(hits.ids) for hits in collection.search_many(list(texts), k=k, exact=True, documents=False)]

    return ask
