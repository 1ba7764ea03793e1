"""What a collection has of a file already, by the stamps in its documents' metadata. Knows no file and no format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nearfield.core import inputs
from nearfield.core.types import Document
from nearfield.extract.files import Stamp
from nearfield.extract.walking import Found

ROOM = 9
"""Bytes that "#" and a number may add to an id."""


class Known(Protocol):
    """Where documents may be already: a collection, here or on a server."""

    def get(self, ids: list[str]) -> Sequence[Document | None]:
        """Documents by id, None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Stored:
    """What a collection has of a file.

    Attributes:
        plain: a document whose id is that of the file.
        last: the highest number of its numbered documents.
        folder: the mark of the folder that they came from; None where they came from none.
        stamp: of the file as it was read; None where something of it failed.
        whole: the first and the last of its documents carry that stamp: all between were written too, since they are in order.
    """

    plain: bool = False
    last: int = 0
    folder: str | None = None
    stamp: Stamp | None = None
    whole: bool = False

    @property
    def documents(self) -> int:
        """How many there are, where it is whole."""
        return max(1, self.last)

    def ids(self, file: str) -> list[str]:
        """The ids that they may have."""
        return [file] * self.plain + [f"{file}#{n}" for n in range(1, self.last + 1)]

    def unchanged(self, folder: str | None) -> Stamp | None:
        """The stamp that the file must have now for nothing to be done; None where there is work in any case."""
        return self.stamp if self.whole and self.folder == folder else None


NOTHING = Stored()


def stored_of(files: Sequence[Found], known: Known | None) -> dict[str, Stored]:
    """What a collection has of some files, by their ids; two calls of it, however many files."""
    usable = [one.id for one in files if len(one.id.encode()) <= inputs.MAX_ID_BYTES - ROOM]
    if known is None or not usable:
        return {}
    found = known.get([name for id in usable for name in (id, f"{id}#1")])
    out = {
        id: _stored(plain, first)
        for id, plain, first in zip(usable, found[::2], found[1::2], strict=True)
        if plain is not None or first is not None
    }
    ends = {f"{id}#{stored.last}": id for id, stored in out.items() if stored.last > 1}
    last = known.get(list(ends)) if ends else []
    for id, document in zip(ends.values(), last, strict=True):
        source = _source(document)
        same = out[id].stamp is not None and Stamp.decode(source.get("stamp")) == out[id].stamp
        out[id] = replace(out[id], whole=out[id].whole and same, last=max(out[id].last, _number(source.get("last"))))
    return out


def _stored(plain: Document | None, first: Document | None) -> Stored:
    """From the document with the file's own id and its first numbered one: both are there only where a write was cut off."""
    source = _source(plain if first is None else first)
    last = max(_number(source.get("last")), _number(_source(plain).get("last")), int(first is not None))
    stamp, folder = Stamp.decode(source.get("stamp")), source.get("folder")
    whole = stamp is not None and (plain is None) != (first is None)
    return Stored(plain is not None, last, folder if isinstance(folder, str) else None, stamp, whole)


def _source(document: Document | None) -> dict[str, Any]:
    found = None if document is None else document.metadata.get("source")
    return found if isinstance(found, dict) else {}


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value <= 10_000_000 else 0
