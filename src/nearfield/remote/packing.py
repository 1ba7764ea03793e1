"""Values as they go over the wire and come back. Knows no connection."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric
from nearfield.core.parts import Part, Passage
from nearfield.core.ranked import More, RerankPlan, Text
from nearfield.core.types import Document, Hits, KeywordPlan, Like, Plan, SegmentPlan, Written
from nearfield.pictures import decoding


def wanted(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a search, as its request has them."""
    out = dict(options)
    if out.get("vectors"):
        out["vectors"] = "base64"
    if out.get("effort") is not None:
        out["effort"] = {key: value for key, value in out["effort"].to_dict().items() if value}
    if out.get("fusion") is not None:
        out["fusion"] = dataclasses.asdict(out["fusion"])
    if out.get("rerank") is not None and not isinstance(out["rerank"], str):
        expected = "the name of one that the server allows"
        raise InvalidInput("a reranker cannot be sent", field="rerank", expected=expected, received=out["rerank"])
    if "exclude" in out:
        out["exclude"] = list(out["exclude"])
    if out.get("image") is not None:
        out["image"] = picture(out["image"], "image")
    return out


def example(given: Any) -> Any:
    """An example of a recommendation: an id, a text or a vector."""
    if isinstance(given, str):
        return given
    return {"text": given.text} if isinstance(given, Text) else {"vector": packed(given)}


def examples(given: Any) -> list[Any]:
    """Examples, one or several; an array (n, dim) is n vectors."""
    one = isinstance(given, (str, Text)) or (isinstance(given, np.ndarray) and given.ndim == 1)
    return [example(value) for value in ([given] if one else given)]


def picture(source: Any, field: str) -> str:
    """A picture as base64 of its file: read here, as a server opens no paths."""
    return base64.b64encode(decoding.file_of(source, field)).decode()


def encoded(body: Any) -> bytes:
    """JSON; raises InvalidInput for what JSON cannot say."""
    try:
        return msgspec.json.encode(body)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"this cannot be sent as JSON: {error}", field="body") from None


def packed(vector: Any) -> str:
    """A vector as base64 of little-endian float32."""
    return base64.b64encode(np.ascontiguousarray(vector, "<f4").tobytes()).decode()


def _unpacked(vector: str) -> Any:
    return np.frombuffer(base64.b64decode(vector), "<f4").astype(np.float32)


def document(told: Mapping[str, Any]) -> Document:
    """A document as an answer tells it."""
    vector = told.get("vector")
    read = None if vector is None else _unpacked(vector)
    parts = tuple(
        Part(_unpacked(p["vector"]), p.get("name", ""), p.get("start"), p.get("end")) for p in told.get("parts") or ()
    )
    return Document(told["id"], told.get("text"), told.get("metadata") or {}, read, parts)


def part(value: Part) -> dict[str, Any]:
    """A part that is brought."""
    return {"vector": packed(value.vector), "name": value.name, "start": value.start, "end": value.end}


def hits(told: Mapping[str, Any], metric: Metric, *, asked: bool = False) -> Hits:
    """Hits as an answer tells them; `asked`: whether it was to say what comes after."""
    plan, found = told["plan"], told["hits"]
    steps = tuple(msgspec.convert(step, SegmentPlan) for step in plan["segments"])
    words, reread = plan.get("keyword"), plan.get("rerank")
    whole = bool(found) and all("document" in hit for hit in found)
    made = Hits(
        [hit["id"] for hit in found],
        np.array([hit["score"] for hit in found], np.float32),
        [document(hit["document"]) for hit in found] if whole else None,
        metric,
        Plan(plan["commit"], steps, _read(reread, RerankPlan), _read(words, KeywordPlan)),
        told["complete"],
        [_passages(hit) for hit in found] if any(hit.get("passages") is not None for hit in found) else None,
    )
    if found and (words is None or reread is not None) and found[0].get("parts"):
        mode = "fused" if reread is None else _mode(words)
        made.label(mode, {name: _scores(found, name) for name in found[0]["parts"]})
        words = None
    if words is not None:
        names = ("keyword",) if words.get("fusion") is None else ("dense", "keyword")
        parts = {name: _scores(found, name) for name in names}
        made.label("keyword" if len(names) == 1 else "hybrid", parts)
    made.more, made.page = _more(told), _Page(told.get("next"), asked)
    return made


def _mode(words: Mapping[str, Any] | None) -> str:
    if words is None:
        return "dense"
    return "keyword" if words.get("fusion") is None else "hybrid"


def _scores(found: Sequence[Mapping[str, Any]], name: str) -> Any:
    """One part of the scores; NaN where a hit does not have it."""
    return np.array([hit.get("parts", {}).get(name, np.nan) for hit in found], np.float32)


def _read(told: Any, kind: type[Any]) -> Any:
    return None if told is None else msgspec.convert(told, kind)


def _more(told: Mapping[str, Any]) -> More | None:
    """Groups and percentiles, where they were asked for."""
    found, groups = told["hits"], told.get("groups")
    bounds = None
    if groups is not None:
        ends = np.cumsum([len(group["ids"]) for group in groups]).tolist()
        bounds = tuple((g.get("value"), end - len(g["ids"]), end) for g, end in zip(groups, ends, strict=True))
    shares = None
    if found and all("percentile" in hit for hit in found):
        shares = np.array([hit["percentile"] for hit in found], np.float64)
    return None if bounds is None and shares is None else More(bounds, shares)


@dataclasses.dataclass(frozen=True, slots=True)
class _Page:
    """The token of the page after, if the server was asked for it."""

    token: str | None
    asked: bool

    def __call__(self, hits: Hits) -> str | None:
        if not self.asked:
            raise InvalidInput(
                "the server was not asked for pages", field="pages", expected=f"search(pages=True) for {len(hits)}"
            )
        return self.token


def _passages(hit: Mapping[str, Any]) -> tuple[Passage, ...]:
    """What of a document was found."""
    return tuple(
        Passage(p["text"], p.get("start"), p.get("end"), p["number"], p.get("name", ""), p["score"])
        for p in hit.get("passages") or ()
    )


def written(told: Mapping[str, Any]) -> Written:
    """What a write did, as an answer tells it."""
    numbers = {name: told.get(name, 0) for name in ("added", "replaced", "skipped", "deleted", "commit")}
    return Written(**numbers, alike=tuple(Like(a["id"], a["like"], a["score"]) for a in told.get("alike", ())))


def quoted(name: str) -> str:
    """A name or id as one part of a path."""
    return quote(name, safe="")
