"""Rows back to documents: reading them whole, and rolling ranked rows up to ranked documents with their passages.

Knows snapshots, and how parts are named; no model, no writer. A document ranks by the best of its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nearfield.core import parts
from nearfield.core.filters import And, Filter, In
from nearfield.core.fuse import Fusion
from nearfield.core.metric import Vectors
from nearfield.core.parts import Part, PartsSpec, Passage
from nearfield.core.types import Document, Hits
from nearfield.engine import hybrid, rows, search
from nearfield.engine.keyword import Keywords
from nearfield.engine.segment_search import Request, check_deadline
from nearfield.engine.snapshot import Snapshot

WIDER = 4
"""By how much more rows are ranked where they were of too few documents."""


def get(snapshot: Snapshot, spec: PartsSpec, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
    """Documents by id, None where there is none; with `vectors`, with their parts."""
    found = rows.get(snapshot, [i if not i.startswith(parts.PREFIX) else "" for i in ids], vectors=vectors)
    return [None if head is None else _whole(snapshot, spec, head, vectors) for head in found]


def scan(snapshot: Snapshot, spec: PartsSpec, condition: Filter | None, batch: int, vectors: bool) -> Iterator[Document]:
    """All documents that match, in the order of their first rows."""
    for head in rows.scan(snapshot, parts.heads(condition), batch, vectors):
        yield _whole(snapshot, spec, head, vectors)


def _whole(snapshot: Snapshot, spec: PartsSpec, head: Document, vectors: bool) -> Document:
    """The document of its first row, without hidden keys; its parts where vectors are asked for."""
    found = tuple(_part(spec, row) for row in _rows(snapshot, head)) if vectors else ()
    return Document(head.id, head.text, shown(head.metadata), None, found)


def parts_of(snapshot: Snapshot, ids: Sequence[str]) -> list[list[Document] | None]:
    """The rows of documents with their vectors, the first one first; None where there is no document."""
    found = rows.get(snapshot, [i if not i.startswith(parts.PREFIX) else "" for i in ids], vectors=True)
    return [None if head is None else _rows(snapshot, head) for head in found]


def _rows(snapshot: Snapshot, head: Document) -> list[Document]:
    others = range(1, int(head.metadata.get(parts.PARTS, 1)))
    return [head, *(r for r in rows.get(snapshot, [parts.row_id(head.id, i) for i in others], vectors=True) if r is not None)]


def shown(metadata: Any) -> dict[str, Any]:
    """Metadata without the keys of parts."""
    return {key: value for key, value in metadata.items() if not key.startswith("$")}


def _part(spec: PartsSpec, row: Document) -> Part:
    assert row.vector is not None
    name = row.metadata.get(parts.NAME, "")
    dim = spec.fields[name].dim if name in spec.fields else len(row.vector)
    return Part(row.vector[:dim], name, row.metadata.get(parts.START), row.metadata.get(parts.END))


def passage(row: Document, score: float) -> Passage:
    """What a row stands for."""
    found = row.metadata
    text = parts.said(row.text, found) or ""
    return Passage(
        text, found.get(parts.START), found.get(parts.END), found.get(parts.NUMBER, 0), found.get(parts.NAME, ""), score
    )


Rank = Callable[[Sequence[int], Request], list[Hits]]
"""Ranks rows for some of the queries, by their places: ids and scores only."""


@dataclass(slots=True)
class _Ranked:
    """One query's answer so far: ranked rows, and for each document the place of its best."""

    hits: Hits
    best: dict[str, int]
    whole: bool

    @classmethod
    def of(cls, hits: Hits, asked: int) -> _Ranked:
        best: dict[str, int] = {}
        for at, row in enumerate(hits.ids):
            best.setdefault(parts.document_of(row), at)
        return cls(hits, best, len(hits.ids) < asked)


def searched(snapshot: Snapshot, spec: PartsSpec, m: int, rank: Rank, request: Request) -> list[Hits]:
    """Answers m queries in documents by their best rows.

    Rows are ranked again, more of them, until they are of k documents, or all that match were ranked.

    Args:
        snapshot: of which.
        spec: what parts there are.
        m: how many queries.
        rank: ranks rows.
        request: what is wanted of documents.
    """
    condition = spec.named(request.name, request.condition)
    want, total = request.k + request.offset, max(1, len(snapshot))
    done: list[_Ranked | None] = [None] * m
    waiting, depth = list(range(m)), min(2 * want + 8, total)
    while waiting:
        check_deadline(request)
        asked = replace(request, k=depth, offset=0, documents=False, vectors=False, condition=condition)
        for i, hits in zip(waiting, rank(waiting, asked), strict=True):
            done[i] = _Ranked.of(hits, depth)
        waiting = [i for i in waiting if not _enough(done[i], want, depth, total)]
        depth = min(WIDER * depth, total)
    return [_hits(snapshot, spec, i, r, rank, request, condition) for i, r in enumerate(done) if r is not None]


def _enough(ranked: _Ranked | None, want: int, depth: int, total: int) -> bool:
    return ranked is not None and (len(ranked.best) >= want or ranked.whole or depth >= total)


def _hits(
    snapshot: Snapshot, spec: PartsSpec, i: int, ranked: _Ranked, rank: Rank, request: Request, condition: Filter | None
) -> Hits:
    of, chosen = ranked.hits, list(ranked.best.items())[request.offset : request.offset + request.k]
    ids, places = [one for one, _ in chosen], [at for _, at in chosen]
    documents = found = None
    if request.documents:
        best = _best(snapshot, i, of, chosen, rank, request, condition)
        wanted = dict.fromkeys([*ids, *(row for several in best for row, _ in several)])
        read = dict(zip(wanted, rows.get(snapshot, list(wanted), vectors=request.vectors), strict=True))
        documents = [_whole(snapshot, spec, head, request.vectors) for head in map(read.get, ids) if head is not None]
        found = _shown(best, read)
    out = Hits(ids, of.scores[places], documents, of.metric, of.plan, len(ids) == request.k or of.complete, found)
    out.label(of.mode, {name: values[places] for name, values in of.parts.items()})
    return out


def _best(
    snapshot: Snapshot,
    i: int,
    hits: Hits,
    chosen: Sequence[tuple[str, int]],
    rank: Rank,
    request: Request,
    condition: Filter | None,
) -> list[list[tuple[str, float]]]:
    """For each document the best of its rows: the one that was ranked, and as many more as are asked for; with their scores."""
    best = {found: [(hits.ids[at], float(hits.scores[at]))] for found, at in chosen}
    if request.passages > 1 and chosen:
        for found, several in best_rows(snapshot, i, list(best), rank, request, condition).items():
            first = best[found][0]
            best[found] = [first, *(one for one in several if one[0] != first[0])][: request.passages]
    return list(best.values())


def best_rows(
    snapshot: Snapshot, i: int, ids: Sequence[str], rank: Rank, request: Request, condition: Filter | None
) -> dict[str, list[tuple[str, float]]]:
    """For each document the rows that match, with their scores for query i, best first, at most `request.passages`; exact."""
    own = In((parts.OF,), tuple(ids))
    condition = own if condition is None else And((own, condition))
    every = rows.count(snapshot, condition)
    out: dict[str, list[tuple[str, float]]] = {found: [] for found in ids}
    if not every:
        return out
    asked = replace(request, k=every, offset=0, documents=False, vectors=False, condition=condition, exact=True)
    hits = rank([i], asked)[0]
    for row, score in zip(hits.ids, hits.scores.tolist(), strict=True):
        several = out[parts.document_of(row)]
        if len(several) < request.passages:
            several.append((row, score))
    return out


def passages(snapshot: Snapshot, several: Sequence[Sequence[tuple[str, float]]]) -> list[tuple[Passage, ...]]:
    """What rows stand for, with their scores."""
    wanted = [row for some in several for row, _ in some]
    return _shown(several, dict(zip(wanted, rows.get(snapshot, wanted), strict=True)))


def _shown(several: Sequence[Sequence[tuple[str, float]]], read: Mapping[str, Document | None]) -> list[tuple[Passage, ...]]:
    return [tuple(passage(row, score) for name, score in some if (row := read[name]) is not None) for some in several]


def by_vectors(snapshot: Snapshot, queries: Vectors) -> Rank:
    """Ranks rows by prepared queries (m, dim)."""
    return lambda some, asked: search.search(snapshot, queries[some], asked)


def by_words(snapshot: Snapshot, keywords: Keywords, texts: Sequence[str]) -> Rank:
    """Ranks rows by the words of m texts."""
    return lambda some, asked: hybrid.by_keywords(snapshot, keywords, [texts[i] for i in some], asked)


def by_both(snapshot: Snapshot, keywords: Keywords, queries: Vectors, texts: Sequence[str], by: Fusion) -> Rank:
    """Ranks rows by prepared queries (m, dim) and the words of their texts, put together."""
    return lambda some, asked: hybrid.hybrid(snapshot, keywords, queries[some], [texts[i] for i in some], asked, by)
