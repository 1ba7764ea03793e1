"""Documents: write, in one body or as a stream; delete, get, scan, count, update."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from starlette.responses import Response, StreamingResponse

from nearfield import Collection, Document
from nearfield.core.errors import InvalidInput, NearfieldError
from nearfield.core.types import Written
from nearfield.serve import asking, body, parts, pictures
from nearfield.serve.asking import Room
from nearfield.serve.failures import described
from nearfield.serve.limits import Limits
from nearfield.serve.route import Call, Route, decoded
from nearfield.serve.wire import (
    CountAnswer,
    CountRequest,
    DeleteRequest,
    DocumentIn,
    DocumentOut,
    GetAnswer,
    GetRequest,
    IfExists,
    LikeOut,
    LineError,
    ScanRequest,
    UpdateRequest,
    UpsertRequest,
    WrittenOut,
)  # fmt: skip

NDJSON, ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"
ERRORS = 100
"""Refused lines that an answer names; the rest are counted."""
CHUNK = 500
"""Documents that a scan reads and sends at a time."""


async def write(call: Call) -> WrittenOut:
    """Upserts: JSON, all or nothing; NDJSON and Arrow, piece by piece, each piece durable before the next is read."""
    collection = call.service.collection(call.path("name"))
    if call.media_type == NDJSON:
        return await _write_lines(call, collection)
    if call.media_type == ARROW:
        return await _write_batches(call, collection)
    wanted = await call.read(UpsertRequest)
    call.service.limits.check("documents", len(wanted.documents), "documents")
    limits = call.service.limits
    skip = wanted.skip_duplicates_above
    written = await call.service.write(lambda: _upsert(collection, wanted.documents, wanted.if_exists, limits, skip))
    call.notes.update(collection=collection.name, documents=len(wanted.documents))
    return _told(written)


def _upsert(
    collection: Collection, documents: Sequence[DocumentIn], if_exists: str, limits: Limits, skip: float | None = None
) -> Written:
    """Writes documents: all bring vectors, or none does; a text that is embedded has a limit."""
    images = pictures.of_documents(documents, limits)
    parts.check(documents, collection)
    made = [
        Document(d.id, d.text, d.metadata, parts=parts.brought(d, i), image=image)
        for i, (d, image) in enumerate(zip(documents, images, strict=True))
    ]
    brought = [d.vector for d in documents]
    if all(v is None for v in brought):
        for i, d in enumerate(documents):
            limits.check(f"documents[{i}].text", len(d.text or ""), "text")
        return collection.upsert(made, if_exists=if_exists, skip_duplicates_above=skip)
    vectors = np.empty((len(made), collection.dim), np.float32)
    for i, value in enumerate(brought):
        where = f"documents[{i}].vector"
        if value is None:
            raise InvalidInput("some documents bring vectors, this one does not", field=where, expected="all, or none")
        vectors[i] = asking.checked(value, collection.dim, where)
    return collection.upsert(made, vectors, if_exists=if_exists, skip_duplicates_above=skip)


def _told(written: Written) -> WrittenOut:
    return WrittenOut(
        added=written.added, replaced=written.replaced, skipped=written.skipped, deleted=written.deleted, commit=written.commit,
        alike=[LikeOut(id=like.id, like=like.like, score=like.score) for like in written.alike],
    )  # fmt: skip


class _Tally:
    """What a stream has done so far."""

    def __init__(self) -> None:
        self.out = WrittenOut()

    def add(self, written: Written) -> None:
        out = self.out
        out.added, out.replaced = out.added + written.added, out.replaced + written.replaced
        out.skipped, out.commit = out.skipped + written.skipped, written.commit

    def refuse(self, line: int, error: BaseException) -> None:
        self.out.failed += 1
        if len(self.out.errors) < ERRORS:
            self.out.errors.append(LineError(line=line, error=described(error)))


def _if_exists(call: Call) -> IfExists:
    found = call.request.query_params.get("if_exists", "replace")
    if found not in ("replace", "skip", "error"):
        raise InvalidInput("unknown choice", field="if_exists", expected="replace, skip or error", received=found)
    return found  # type: ignore[return-value]


async def _write_lines(call: Call, collection: Collection) -> WrittenOut:
    """Each line a document; a bad line is named and passed over, the others are written."""
    if_exists, tally = _if_exists(call), _Tally()
    async for some in body.lines(call.request, call.service.limits, call.share):
        good: list[tuple[int, DocumentIn]] = []
        for number, line in some:
            try:
                good.append((number, decoded(line, DocumentIn)))
            except NearfieldError as error:
                tally.refuse(number, error)
        for part in _by_vector(good):
            await _write_some(call, collection, part, if_exists, tally)
    return tally.out


def _by_vector(lines: Sequence[tuple[int, DocumentIn]]) -> Iterator[list[tuple[int, DocumentIn]]]:
    """Stretches of lines that all bring vectors or all do not; a document twice starts another, so that the last one wins."""
    part: list[tuple[int, DocumentIn]] = []
    seen: set[str] = set()
    for number, document in lines:
        if part and ((part[0][1].vector is None) != (document.vector is None) or document.id in seen):
            yield part
            part, seen = [], set()
        part.append((number, document))
        seen.add(document.id)
    if part:
        yield part


async def _write_some(
    call: Call, collection: Collection, part: list[tuple[int, DocumentIn]], if_exists: IfExists, tally: _Tally
) -> None:
    """Writes lines at once; where that is refused for what is in them, half by half, until the bad ones are alone."""
    limits = call.service.limits
    try:
        tally.add(await call.service.write(lambda: _upsert(collection, [d for _, d in part], if_exists, limits), begun=True))
    except InvalidInput as error:
        if len(part) == 1:
            tally.refuse(part[0][0], error)
            return
        middle = len(part) // 2
        await _write_some(call, collection, part[:middle], if_exists, tally)
        await _write_some(call, collection, part[middle:], if_exists, tally)


async def _write_batches(call: Call, collection: Collection) -> WrittenOut:
    """Batches with `id`, and `vector`, `text` or both; every other column is metadata."""
    if_exists, tally, service = _if_exists(call), _Tally(), call.service
    async for batch in body.batches(call.request, service.limits, call.share):
        if batch.num_rows:
            work = partial(_load, collection, batch, if_exists, service.limits)
            tally.add(await service.write(work, begun=True))
    return tally.out


def _load(collection: Collection, batch: pa.RecordBatch, if_exists: str, limits: Limits) -> Written:
    names = batch.schema.names
    if "id" not in names:
        raise InvalidInput("no column of ids", field="id", expected="a column id of strings", received=", ".join(names)[:200])
    vectors = None
    if "vector" in names:
        column = batch.column(names.index("vector"))
        good = pa.types.is_fixed_size_list(column.type) and column.type.list_size == collection.dim and not column.null_count
        if not good or not (pa.types.is_floating(column.type.value_type) or pa.types.is_integer(column.type.value_type)):
            expected = f"fixed_size_list<float>[{collection.dim}] without nulls"
            raise InvalidInput("not vectors", field="vector", expected=expected, received=str(column.type))
        flat = column.flatten().cast(pa.float32())
        if flat.null_count:
            raise InvalidInput("a vector has a null in it", field="vector", expected="numbers")
        vectors = flat.to_numpy(zero_copy_only=False).reshape(-1, collection.dim)
    rest = [n for n in names if n not in ("id", "vector", "text")]
    metadata = pa.Table.from_batches([batch]).select(rest) if rest else None
    texts = batch.column(names.index("text")) if "text" in names else None
    if texts is not None and vectors is None:
        longest = pc.max(pc.utf8_length(texts.cast(pa.string()))).as_py()
        limits.check("text", longest or 0, "text")
    return collection.load(
        ids=batch.column(names.index("id")), vectors=vectors, texts=texts, metadata=metadata, if_exists=if_exists
    )


async def delete(call: Call) -> WrittenOut:
    """By ids or by filter."""
    wanted = await call.read(DeleteRequest)
    collection = call.service.collection(call.path("name"))
    if wanted.ids is not None:
        call.service.limits.check("ids", len(wanted.ids), "documents")
    asking.check_filter(wanted.filter, call.service.limits)
    return _told(await call.service.write(lambda: collection.delete(wanted.ids, filter=wanted.filter)))


async def delete_one(call: Call) -> WrittenOut:
    """One by its id; one that is not there is passed over."""
    collection, document = call.service.collection(call.path("name")), call.path("id")
    return _told(await call.service.write(lambda: collection.delete([document])))


async def update(call: Call) -> WrittenOut:
    """Metadata keys of one document."""
    wanted = await call.read(UpdateRequest)
    collection, document = call.service.collection(call.path("name")), call.path("id")
    return _told(await call.service.write(lambda: collection.update(document, metadata=wanted.metadata, remove=wanted.remove)))


async def get(call: Call) -> msgspec.Raw:
    """Several by id."""
    wanted = await call.read(GetRequest)
    fields = asking.picked(wanted.fields)
    call.service.limits.check("ids", len(wanted.ids), "documents")
    call.service.limits.check("fields", len(wanted.fields or ()), "fields")
    collection, room = call.service.collection(call.path("name")), Room(call.service.limits.answer)
    if len(set(wanted.ids)) < len(wanted.ids):
        raise InvalidInput("an id is asked for twice", field="ids", expected="each id once")

    def work() -> msgspec.Raw:
        """Some at a time, so that no more is held than may be answered."""
        out: list[DocumentOut | None] = []
        for start in range(0, len(wanted.ids), CHUNK):
            for found in collection.get(list(wanted.ids[start : start + CHUNK]), vectors=bool(wanted.vectors)):
                if found is not None:
                    room.take(found)
                out.append(None if found is None else asking.shown(found, wanted.vectors, fields))
        return msgspec.Raw(msgspec.json.encode(GetAnswer(documents=out)))

    return await call.service.aside(work)


async def get_one(call: Call) -> DocumentOut:
    """One by its id."""
    collection, document = call.service.collection(call.path("name")), call.path("id")
    form: Any = {"true": True, "base64": "base64"}.get(call.request.query_params.get("vectors", ""), False)

    def work() -> DocumentOut:
        return asking.shown(collection.get(document, vectors=bool(form)), form, None)

    return await call.service.aside(work)


async def count(call: Call) -> CountAnswer:
    """How many match."""
    wanted = await call.read(CountRequest)
    collection = call.service.collection(call.path("name"))
    asking.check_filter(wanted.filter, call.service.limits)
    return CountAnswer(count=await call.service.aside(lambda: collection.count(wanted.filter)))


async def scan(call: Call) -> Response:
    """Every document that matches, one on a line, of one snapshot, as fast as the caller reads."""
    wanted = await call.read(ScanRequest)
    collection = call.service.collection(call.path("name"))
    asking.check_filter(wanted.filter, call.service.limits)
    documents = await call.service.aside(
        lambda: iter(collection.scan(filter=wanted.filter, batch=CHUNK, vectors=bool(wanted.vectors)))
    )
    call.service.limits.check("fields", len(wanted.fields or ()), "fields")
    fields = asking.picked(wanted.fields)
    left = wanted.limit if wanted.limit is not None else 1 << 62

    def chunk(most: int) -> tuple[int, bytes]:
        lines = []
        for document in documents:
            lines.append(msgspec.json.encode(asking.shown(document, wanted.vectors, fields)))
            if len(lines) == most:
                break
        return len(lines), b"".join(line + b"\n" for line in lines)

    async def stream() -> AsyncIterator[bytes]:
        remaining = left
        while remaining:
            many, text = await asyncio.shield(call.service.aside(partial(chunk, min(CHUNK, remaining)), begun=True))
            if not many:
                return
            remaining -= many
            yield text

    return StreamingResponse(stream(), media_type=NDJSON)


NAMED = ("not_found", "invalid_input")
WRITES = ("overloaded", "read_only", "locked", "out_of_space", "closed")
HERE = "/v1/collections/{name}"
ROUTES = (
    Route(
        "POST", f"{HERE}/documents", write, "write", "Upsert documents: JSON all or nothing; NDJSON and Arrow as a stream.",
        UpsertRequest, WrittenOut, fails=(*NAMED, "dimension_mismatch", "already_exists", "model_mismatch", *WRITES),
        query={"if_exists": "of a stream: replace (default), skip or error"},
        accepts={
            NDJSON: "a document on each line; bad lines are named in the answer and passed over",
            ARROW: "an IPC stream with columns id, and vector, text or both; other columns are metadata",
        },
    ),
    Route("GET", f"{HERE}/documents/{{id:path}}", get_one, "read", "One document.", None, DocumentOut, fails=NAMED,
          query={"vectors": "true or base64: also its vector"}),
    Route("DELETE", f"{HERE}/documents/{{id:path}}", delete_one, "write", "Delete one document.", None, WrittenOut,
          fails=(*NAMED, *WRITES)),
    Route("POST", f"{HERE}/documents/{{id:path}}", update, "write", "Set and remove metadata keys; text and vector stay.",
          UpdateRequest, WrittenOut, fails=(*NAMED, *WRITES)),
    Route("POST", f"{HERE}/delete", delete, "write", "Delete by ids or by filter.", DeleteRequest, WrittenOut,
          fails=(*NAMED, "filter_error", *WRITES)),
    Route("POST", f"{HERE}/get", get, "read", "Documents by id.", GetRequest, GetAnswer,
          fails=(*NAMED, "answer_too_large")),
    Route("POST", f"{HERE}/count", count, "read", "How many match.", CountRequest, CountAnswer, fails=(*NAMED, "filter_error")),
    Route("POST", f"{HERE}/scan", scan, "read", "Every document that matches, as NDJSON.", ScanRequest, DocumentOut,
          fails=(*NAMED, "filter_error"), media=NDJSON),
)  # fmt: skip
