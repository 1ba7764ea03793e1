"""Files in: what is sent is read within bounds and becomes documents. A name is an id and says the kind; no path is opened."""

from __future__ import annotations

from functools import partial

from nearfield.core.errors import InvalidInput
from nearfield.extract import documents, taking
from nearfield.serve import body
from nearfield.serve.failures import Refused
from nearfield.serve.route import Call, Route
from nearfield.serve.routes.documents import ERRORS, HERE, NAMED, WRITES
from nearfield.serve.wire import FileError, FileOut

BYTES = "application/octet-stream"


async def upload(call: Call) -> FileOut:
    """One file, as it is."""
    service, limits = call.service, call.service.limits
    collection = service.collection(call.path("name"))
    name = call.request.query_params.get("file", "")
    if call.media_type != BYTES:
        raise Refused("unsupported_media_type", "a file is sent as it is", field="content-type", expected=BYTES)
    if "text" not in collection.takes:
        raise InvalidInput("this collection embeds no texts", field="name", expected="one with a model of texts")
    documents.check_name(name)
    data = await body.whole(call.request, limits, call.share, limits.file)
    longest = min(limits.text, documents.LONGEST)
    read = await service.extracting.run(partial(documents.upload, name, data, known=collection, longest=longest))
    done = await service.write(lambda: taking.take(collection, read, collection.commit))
    call.notes.update(collection=collection.name, documents=len(read.documents))
    return FileOut(
        added=done.added,
        replaced=done.replaced,
        unchanged=done.skipped,
        deleted=done.deleted,
        commit=done.commit,
        failed=len(read.failed),
        errors=[FileError(file=f.path, number=f.number, reason=f.reason) for f in read.failed[:ERRORS]],
    )


ROUTES = (
    Route(
        "POST", f"{HERE}/files", upload, "write", "Send a file: it is read, and its documents are written.", None, FileOut,
        fails=(*NAMED, "model_mismatch", "missing_dependency", *WRITES),
        query={"file": "its name, which is the id of its document; its ending says the kind"},
        accepts={BYTES: "the file as it is: .txt .md .html .pdf .docx .eml .mbox .csv .tsv .jsonl .parquet"},
    ),
)  # fmt: skip
