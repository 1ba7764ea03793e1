"""From files to documents: ids, metadata, stamps; what is unchanged is passed over. Knows no format and writes nothing.

The id of a document is its file's path, relative to the folder, with "/"; "#n" follows for the n-th row or message of a file
that holds many, and for the n-th part of a text that is longer than a document's may be.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from nearfield.core import inputs
from nearfield.core.errors import InvalidInput, MissingDependency, NotFound
from nearfield.core.types import Document
from nearfield.extract import dates
from nearfield.extract.files import Stamp, look, read_file, stamp_of
from nearfield.extract.kinds import NUMBERED, SUFFIXES, Kind, kind_of
from nearfield.extract.results import Contents, Extracted, Failed, Limits, Unreadable
from nearfield.extract.splitting import split
from nearfield.extract.stored import NOTHING, ROOM, Known, Stored, stored_of
from nearfield.extract.walking import Found, mark_of, walk
from nearfield.extract.worker import Extractor

log = logging.getLogger("nearfield.extract")
LONGEST = inputs.MAX_TEXT_BYTES
"""Bytes of UTF-8 of a document's text; longer ones are cut into numbered parts."""
AT_ONCE = 256
"""Files whose documents are looked up together."""
OURS = ("path", "source")
"""Metadata that is the file's whatever a row says; a row's own is kept as "row_path", "row_source"."""


@dataclass(frozen=True, slots=True)
class FileRead:
    """What came of one file.

    Attributes:
        id: of the file.
        documents: to be written.
        failed: the file, or rows or messages of it.
        stale: ids that an earlier content of the file had and this one has not: to be deleted before the documents are written.
        unchanged: documents that are there already, as the file still says; the file was not read again.
        empty: there is nothing in the file.
        replaces: a document with its id came from another folder.
        bytes: of the file, as far as it was read.
    """

    id: str
    documents: list[Document] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unchanged: int = 0
    empty: bool = False
    replaces: bool = False
    bytes: int = 0


def read_documents(
    path: str | Path,
    *,
    known: Known | None = None,
    failed: Callable[[Failed], None] | None = None,
    prefix: str = "",
    limits: Limits | None = None,
) -> Iterator[Document]:
    """The documents of a file, or of all files of a folder and the folders in it, as they are read.

    Read are text, Markdown, HTML, PDF, DOCX, CSV, TSV, JSON lines, Parquet, mail and mailboxes; others are passed over. They
    are read by a process of its own with a deadline and a limit of memory. docs/DOCUMENTS.md has what is read from which kind.

    Args:
        path: a file or a folder.
        known: a collection: files whose documents are there, unchanged, are passed over.
        failed: called with each file, row or message that cannot be read, and why; the rest go on. None: logged as warnings.
        prefix: ids begin with it and a "/", so that files of several folders with the same names stay apart.
        limits: what one file may ask for.

    Raises:
        NotFound: nothing is there.
        InvalidInput: a single file of a kind that is not read.
    """
    root = Path(path)
    tell = failed or (lambda one: log.warning("not read: %s", one))
    check_root(root)
    found = walk(root, prefix)
    for one in found.failed:
        tell(one)
    if not root.is_dir() and not found.files and not found.failed:
        raise InvalidInput("unknown kind of file", field="path", expected=", ".join(SUFFIXES), received=str(path))
    with Extractor(limits) as extractor:
        for read in read_files(found.files, extractor, mark_of(root, prefix), known):
            for one in read.failed:
                tell(one)
            yield from read.documents


def check_root(root: Path) -> None:
    """Raises NotFound where there is neither a file nor a folder."""
    if not root.exists() and not root.is_symlink():
        raise NotFound("there is no such file or folder", field="path", received=str(root))


def read_files(files: Iterable[Found], extractor: Extractor, mark: str, known: Known | None = None) -> Iterator[FileRead]:
    """What comes of each file, in order; a file that fails is told of and the rest go on.

    Args:
        files: which.
        extractor: what reads them.
        mark: of the folder, see `walking.mark_of`.
        known: where their documents may be already.
    """
    waiting = iter(files)
    while chunk := list(islice(waiting, AT_ONCE)):
        stored = stored_of(chunk, known)
        for one in chunk:
            yield read_one(one, extractor, mark, stored.get(one.id, NOTHING))


def read_one(one: Found, extractor: Extractor, mark: str, stored: Stored) -> FileRead:
    """What comes of one file."""
    try:
        inputs.document_id(one.id + "#" * ROOM)
        now = look(one.path)
        before = stored.unchanged(mark)
        if before is not None and before.same_look(now):
            return FileRead(one.id, unchanged=stored.documents)
        data, stamp = read_file(one.path, extractor.limits)
        if before is not None and before.same_bytes(stamp):
            return FileRead(one.id, unchanged=stored.documents, bytes=stamp.size)
        return of_bytes(one.id, one.kind, data, stamp, extractor, mark, stored)
    except (Unreadable, MissingDependency) as error:
        if not os.path.lexists(one.path):  # it was deleted since it was found
            return FileRead(one.id)
        return FileRead(one.id, failed=[Failed(one.id, error.message)])
    except InvalidInput as error:
        return FileRead(one.id, failed=[Failed(one.id, f"its path is too long for an id: {error.message}")])


def of_bytes(
    id: str,
    kind: Kind,
    data: bytes,
    stamp: Stamp,
    extractor: Extractor,
    mark: str,
    stored: Stored,
    longest: int = LONGEST,
) -> FileRead:
    """What comes of a file's bytes.

    Raises:
        Unreadable, MissingDependency: nothing of it can be read.
    """
    contents = extractor.read(kind, data)
    documents, failed = _documents(id, kind, contents, stamp, mark, longest)
    fresh = {document.id for document in documents}
    stale = [] if failed and not fresh else [old for old in stored.ids(id) if old not in fresh]
    replaces = bool(mark and stored.folder) and stored.folder != mark
    return FileRead(id, documents, failed, stale, 0, not fresh and not failed, replaces, stamp.size)


def _documents(
    id: str, kind: Kind, contents: Contents, stamp: Stamp, mark: str, longest: int
) -> tuple[list[Document], list[Failed]]:
    """The documents, and what is too long to be one.

    Only the first and the last carry the stamp, and rows no time of the file: so a row more leaves the others as they are.
    """
    failed = [Failed(id, reason, number) for number, reason in contents.failed]
    pieces: list[tuple[Extracted, int]] = []
    for one in contents.texts:
        if one.number is None:
            parts = split(one.text, longest) if len(one.text) > longest // 4 else [one.text]
            many = {"parts": len(parts)} if len(parts) > 1 else {}
            for n, part in enumerate(parts, 1):
                number = n if many else 0
                pieces.append((Extracted(part, {**one.metadata, **({"part": n} if many else {}), **many}), number))
            continue
        size = len(one.text.encode())
        if size > longest:
            failed.append(Failed(id, f"its text has {size:,} bytes, more than {longest:,}; split it", one.number))
        else:
            pieces.append((one, one.number))
    source: dict[str, Any] = {"folder": mark} if mark else {}
    ends = {"last": max((n for _, n in pieces), default=0), **({} if failed else {"stamp": stamp.encoded()})}
    own = {"name": id.rsplit("/", 1)[-1], "kind": kind, **({} if kind in NUMBERED else _modified(stamp))}
    documents = []
    for i, (one, n) in enumerate(pieces):
        told = {**source, **ends} if i in (0, len(pieces) - 1) else source
        documents.append(
            Document(f"{id}#{n}" if n else id, one.text, {**_merged(id, own, one), **({"source": told} if told else {})})
        )
    return documents, failed


def _modified(stamp: Stamp) -> dict[str, str]:
    moment = dates.of_nanoseconds(stamp.mtime_ns) if stamp.mtime_ns else None
    return {} if moment is None else {"modified": moment}


def _merged(id: str, own: dict[str, Any], one: Extracted) -> dict[str, Any]:
    """The path, what is known of the file, and over it what the file says itself."""
    told = {f"row_{key}" if key in OURS else key: value for key, value in one.metadata.items()}
    return {"path": id, **own, **told}


def check_name(name: str) -> Kind:
    """The kind of a file that is sent under a name; raises InvalidInput for one that is no id or of another kind."""
    inputs.document_id(name, "file")
    inputs.document_id(name + "#" * ROOM, "file")
    kind = kind_of(name)
    if kind is None:
        expected = "a name that ends in " + ", ".join(SUFFIXES)
        raise InvalidInput("unknown kind of file", field="file", expected=expected, received=name)
    return kind


def upload(name: str, data: bytes, extractor: Extractor, known: Known, longest: int = LONGEST) -> FileRead:
    """What comes of a file that was sent: its name is the id and says the kind. No file is opened.

    Args:
        name: of the file, a path with "/" if wanted.
        data: its bytes.
        extractor: what reads it.
        known: the collection that its documents go to.
        longest: bytes of UTF-8 of one document's text; longer ones are cut into numbered parts.

    Raises:
        InvalidInput: no name, a kind that is not read, or nothing of it can be read.
        MissingDependency: what reads this kind is not installed.
    """
    kind = check_name(name)
    stored = stored_of([Found(name, Path(name), kind)], known).get(name, NOTHING)
    stamp = stamp_of(data)
    before = stored.unchanged(None)
    if before is not None and before.same_bytes(stamp):
        return FileRead(name, unchanged=stored.documents, bytes=len(data))
    try:
        read = of_bytes(name, kind, data, stamp, extractor, "", stored, longest)
    except Unreadable as error:
        raise InvalidInput(error.message, field="file", received=name) from None
    if not read.documents and read.failed:
        raise InvalidInput(read.failed[0].reason, field="file", received=name)
    return read
