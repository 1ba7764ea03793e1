"""Searches on their way through the service: requests become asks, asks become batches, hits become answers.

Asks of one collection that want the same (all but the query itself) are one call of the engine.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from nearfield import Collection, Effort
from nearfield.core import inputs
from nearfield.core.config import parse_time
from nearfield.core.errors import DimensionMismatch, InvalidInput
from nearfield.core.types import Document, Hits
from nearfield.engine.segment_search import Request
from nearfield.serve.failures import Refused
from nearfield.serve.limits import Limits
from nearfield.serve.wire import (
    DocumentOut,
    HitOut,
    HitPassage,
    KeywordOut,
    PartOut,
    PlanOut,
    SearchAnswer,
    SegmentOut,
    Vector,
    Wanted,
)

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ask:
    """One prepared query (1, dim) of a collection, and what is wanted; `kind` tells asks apart that cannot share a call."""

    collection: Collection
    query: Vectors
    request: Request
    kind: tuple[Any, ...]


def vector(value: Vector, dim: int, field: str = "vector") -> Vectors:
    """float32 (dim,) from numbers or base64."""
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
        except ValueError:
            raise InvalidInput("not base64", field=field, expected="base64 of float32, or a list of numbers") from None
        if len(raw) != 4 * dim:
            received = f"{len(raw)} bytes"
            raise DimensionMismatch(
                "wrong dimension", field=field, expected=f"{4 * dim} bytes ({dim} float32)", received=received
            )
        return np.frombuffer(raw, "<f4").astype(np.float32)
    return np.array(value, np.float32)


def written(value: npt.NDArray[np.float32] | None, form: bool | Literal["base64"]) -> list[float] | str | None:
    """A vector for an answer."""
    if value is None:
        return None
    if form == "base64":
        return base64.b64encode(np.ascontiguousarray(value, "<f4").tobytes()).decode()
    return [float(v) for v in value]


def request_of(
    wanted: Wanted, collection: Collection, limits: Limits, arrived: float, recall: float
) -> tuple[Request, tuple[Any, ...]]:
    """What is wanted, checked, and the kind of ask it makes.

    `arrived` is time.monotonic() of the request, `recall` what to hold where none is asked for.
    """
    limits.check("k", wanted.k + wanted.offset, "k")
    limits.check("fields", len(wanted.fields or ()), "fields")
    seconds = limits.timeout if wanted.timeout is None else min(parse_time(wanted.timeout, "timeout"), limits.timeout)
    digest = check_filter(wanted.filter, limits)
    condition = None if wanted.filter is None else collection.parsed(wanted.filter)
    effort = None
    if wanted.effort is not None:
        effort = Effort(nprobe=wanted.effort.nprobe, efSearch=wanted.effort.efSearch, oversampling=wanted.effort.oversampling)
    request = Request(
        wanted.k,
        recall if wanted.recall is None else wanted.recall,
        condition,
        wanted.exact,
        wanted.documents,
        bool(wanted.vectors),
        wanted.offset,
        arrived + seconds,
        effort,
        wanted.passages_per_document,
    )
    kind = (
        id(collection), wanted.k, request.recall, digest, wanted.exact, wanted.documents, request.vectors,
        wanted.offset, effort, wanted.passages_per_document,
    )  # fmt: skip
    return request, kind


def batch(asks: Sequence[Ask]) -> list[Hits | BaseException]:
    """Answers asks: those of one kind by one call."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, ask in enumerate(asks):
        groups.setdefault(ask.kind, []).append(i)
    out: list[Hits | BaseException] = [InvalidInput("not answered")] * len(asks)
    for members in groups.values():
        first = asks[members[0]]
        queries = first.query if len(members) == 1 else np.concatenate([asks[i].query for i in members])
        latest = max((asks[i].request.deadline or 0.0) for i in members)
        try:
            hits = first.collection.answer(queries, replace(first.request, deadline=latest))
        except Exception as error:
            if len(members) > 1:
                raise
            out[members[0]] = error
            continue
        for i, found in zip(members, hits, strict=True):
            out[i] = found
    return out


def answer(hits: Hits, wanted: Wanted, took: dict[str, float], room: Room) -> SearchAnswer:
    """Hits as they go over the wire; raises Refused where they are more than `room` has left."""
    form, fields = wanted.vectors, picked(wanted.fields)
    out = []
    for i, (found, score) in enumerate(zip(hits.ids, hits.scores.tolist(), strict=True)):
        document = hits.document(i)
        if document is not None:
            room.take(document)
        made = HitOut(id=found, score=score, document=None if document is None else shown(document, form, fields))
        made.passages = _passages(hits, i, room)
        if hits.parts:
            made.parts = {name: float(values[i]) for name, values in hits.parts.items() if values[i] == values[i]}
        out.append(made)
    return SearchAnswer(hits=out, complete=hits.complete, plan=plan_of(hits), took=took)


class Room:
    """How large an answer may become: texts are counted as they are, metadata where it may be large.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = self.left = most

    def take(self, document: Document) -> None:
        """Counts a document; raises Refused where there is no room for it."""
        vectors = (0 if document.vector is None else len(document.vector)) + sum(len(p.vector) for p in document.parts)
        self.count(len(document.text or "") + 12 * vectors + (_size(document.metadata) if document.metadata else 0))

    def count(self, size: int) -> None:
        """Counts bytes; raises Refused where there is no room for them."""
        self.left -= size
        if self.left < 0:
            raise Refused(
                "answer_too_large",
                "the answer would be too large; ask for fewer, for fewer fields, or without documents",
                expected=f"at most {self.most:,} bytes",
            )


def _size(value: Any) -> int:
    """About the bytes of metadata as JSON."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _size(inner) for key, inner in value.items())
    return sum(map(_size, value)) if isinstance(value, list) else 8


def picked(fields: Sequence[str] | None) -> frozenset[str] | None:
    """The metadata keys that are wanted; None: all."""
    return None if fields is None else frozenset(fields)


def plan_of(hits: Hits) -> PlanOut:
    """The plan as it goes over the wire."""
    segments = [
        SegmentOut(
            segment=s.segment, rows=s.rows, allowed=s.allowed, method=s.method, kind=s.kind,
            effort=None if s.effort is None else dict(s.effort), recall=s.recall, bound=s.bound, source=s.source,
            tier=s.tier, device=s.device,
        )
        for s in hits.plan.segments
    ]  # fmt: skip
    words = hits.plan.keyword
    if words is None:
        return PlanOut(commit=hits.plan.commit, segments=segments)
    keyword = KeywordOut(
        terms=list(words.terms), matched=words.matched, fusion=words.fusion, weight=words.weight, depth=words.depth
    )
    return PlanOut(commit=hits.plan.commit, segments=segments, keyword=keyword)


def shown(document: Document, form: bool | Literal["base64"], fields: frozenset[str] | None) -> DocumentOut:
    """A document as it goes over the wire."""
    metadata = document.metadata if fields is None else {k: v for k, v in document.metadata.items() if k in fields}
    out = DocumentOut(
        id=document.id, text=document.text, metadata=metadata, vector=written(document.vector, form) if form else None
    )
    if document.parts and form:
        out.parts = [
            PartOut(vector=written(p.vector, form) or [], name=p.name, start=p.start, end=p.end) for p in document.parts
        ]
    return out


def _passages(hits: Hits, i: int, room: Room) -> list[HitPassage] | None:
    """The passages of a hit; None where documents have none."""
    if hits.passages is None:
        return None
    found = hits.passages[i]
    room.count(sum(len(p.text) for p in found))
    return [HitPassage(text=p.text, number=p.number, score=p.score, name=p.name, start=p.start, end=p.end) for p in found]


def checked(value: Vector, dim: int, field: str) -> Vectors:
    """float32 (dim,) of finite numbers from numbers or base64."""
    found = vector(value, dim, field)
    made: Vectors = inputs.vector(found, dim, field)[0]
    return made


def check_filter(value: Any, limits: Limits) -> bytes:
    """A digest of a filter, by which equal ones are known; raises InvalidInput for one that is larger than allowed."""
    if not value:
        return b""
    raw = msgspec.json.encode(value)
    limits.check("filter", len(raw), "filter_bytes")
    return hashlib.blake2b(raw, digest_size=16).digest()


def plain(value: Any) -> dict[str, Any]:
    """A dataclass of the library as JSON values; what is not finite is null."""
    found = msgspec.to_builtins(value, enc_hook=_plain)
    return found if isinstance(found, dict) else {"value": found}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)


def milliseconds(since: float) -> float:
    """Since a time.perf_counter()."""
    return round(1000 * (time.perf_counter() - since), 3)
