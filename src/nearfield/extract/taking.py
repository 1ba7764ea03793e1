"""Writes what came of one file into a collection, here or on a server. Knows a collection by three of its methods."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from nearfield.core.errors import InvalidInput, ModelMismatch
from nearfield.core.types import Document, Written
from nearfield.extract.documents import FileRead, check_root, read_files
from nearfield.extract.kinds import NUMBERED, SUFFIXES, kind_of
from nearfield.extract.results import Failed, Limits
from nearfield.extract.stored import Known
from nearfield.extract.walking import mark_of, walk
from nearfield.extract.worker import Extractor

log = logging.getLogger("nearfield.extract")
BATCH = 1000
"""Documents written together."""
MOST_FAILED = 1_000
"""Rows or messages that may be refused; beyond, it is not they that are wrong."""


class Taking(Known, Protocol):
    """Where documents go."""

    def upsert(self, documents: list[Document], /) -> Written:
        """Writes documents."""
        ...

    def delete(self, ids: list[str], /) -> Written:
        """Deletes documents."""
        ...


def take(collection: Taking, read: FileRead, commit: int = 0) -> Written:
    """Deletes what the file no longer has, and writes its documents, batch by batch; `skipped` are those that are there.

    A row or message that the collection refuses, such as one with too much metadata, is added to `read.failed`; the others
    go in.

    Args:
        collection: where to.
        read: what came of the file.
        commit: what is told where there is nothing to write.

    Raises:
        InvalidInput: the file is one document, and refused; or too many rows are.
    """
    added = replaced = deleted = 0
    if read.stale:
        done = collection.delete(read.stale)
        deleted, commit = done.deleted, done.commit
    for start in range(0, len(read.documents), BATCH):
        for done in _written(collection, read.documents[start : start + BATCH], read):
            added, replaced, commit = added + done.added, replaced + done.replaced, done.commit
    return Written(added, replaced, read.unchanged, deleted, commit)


def _written(collection: Taking, some: list[Document], read: FileRead) -> Iterator[Written]:
    """Writes documents at once; where that is refused for what is in them, half by half, until what is wrong is alone."""
    try:
        yield collection.upsert(some)
    except ModelMismatch:
        raise
    except InvalidInput as error:
        if kind_of(read.id) not in NUMBERED or len(read.documents) == 1 or len(read.failed) >= MOST_FAILED:
            raise
        if len(some) > 1:
            middle = len(some) // 2
            yield from _written(collection, some[:middle], read)
            yield from _written(collection, some[middle:], read)
            return
        read.failed.append(Failed(read.id, str(error), int(some[0].id.rpartition("#")[2])))


def add_file(
    collection: Any, path: str | Path, failed: Callable[[Failed], None] | None = None, limits: Limits | None = None
) -> Written:
    """Reads one file and writes its documents; see Collection.add_file."""
    root = Path(path)
    check_root(root)
    found = walk(root).files if not root.is_dir() else []
    if not found:
        raise InvalidInput("not a file that is read", field="path", expected=", ".join(SUFFIXES), received=str(path))
    with Extractor(limits) as extractor:
        (read,) = read_files(found, extractor, mark_of(root), collection)
    tell_failed(read.failed, bool(read.documents), failed, str(path))
    known = len(read.failed)
    done = take(collection, read, collection.commit)
    tell_failed(read.failed[known:], True, failed, str(path))
    return done


def tell_failed(found: Sequence[Failed], others: bool, failed: Callable[[Failed], None] | None, path: str) -> None:
    """Tells of rows and messages that were not read, as warnings where nobody asks; raises InvalidInput where nothing was."""
    if found and not others:
        raise InvalidInput(found[0].reason, field=path)
    for one in found:
        if failed is not None:
            failed(one)
        else:
            log.warning("not read: %s", one)
