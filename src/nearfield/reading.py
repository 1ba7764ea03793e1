"""Reading a collection: get, scan, count. Part of Collection, which holds it.

Knows an engine by its protocol; ranks nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from nearfield.core import filters, inputs
from nearfield.core.errors import NotFound
from nearfield.core.metric import Metric
from nearfield.core.types import Document
from nearfield.generation import Held

Filter = Mapping[str, Any]


class Reading(Held):
    """What is in a collection."""

    @property
    def dim(self) -> int:
        """Numbers in each vector."""
        return self._engine.dim

    @property
    def metric(self) -> Metric:
        """How vectors are compared."""
        return self._engine.metric

    @property
    def recall(self) -> float:
        """The recall that searches hold unless they ask for another."""
        return self._engine.settings.recall

    @property
    def embedder(self) -> str | None:
        """The embedder's name; None where vectors are brought."""
        return self._embedder.name

    def dim_of(self, name: str | None) -> int:
        """Numbers in each vector of a name, or of the collection; raises InvalidInput for a name that is not there."""
        if name is None or self._parted is None:
            return self.dim
        return self._parted.dim(self._parted.checked(name))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the vectors of each document; () where there are none by name."""
        return () if self._parted is None else tuple(self._parted.spec.fields)

    @property
    def parts(self) -> dict[str, Any] | None:
        """The passages and named vectors that it was created with, as JSON values; None where a document is one vector."""
        return None if self._parted is None else self._parted.spec.to_dict()

    @overload
    def get(self, ids: str, *, vectors: bool = False, fields: Sequence[str] | None = None) -> Document: ...
    @overload
    def get(self, ids: list[str], *, vectors: bool = False, fields: Sequence[str] | None = None) -> list[Document | None]: ...
    def get(
        self, ids: str | list[str], *, vectors: bool = False, fields: Sequence[str] | None = None
    ) -> Document | list[Document | None]:
        """One document by id, or a list with None where there is none.

        Args:
            ids: an id, or several.
            vectors: fill `Document.vector` with what the caller gave, within 1e-6 of its length.
            fields: keep only these metadata keys.

        Raises:
            NotFound: a single id that is not there.
        """
        if isinstance(ids, str):
            found = self._engine.get([inputs.document_id(ids)], vectors=vectors)[0]
            if found is None:
                raise NotFound(f"no document of {self.name!r} has this id", field="id", received=ids)
            return narrowed(found, fields)
        several = self._engine.get([inputs.document_id(i) for i in ids], vectors=vectors)
        return [None if d is None else narrowed(d, fields) for d in several]

    @property
    def takes(self) -> tuple[str, ...]:
        """What its model makes vectors of: "text", "image" or both; nothing where vectors are brought."""
        return self._embedder.takes

    def thumbnail(self, id: str) -> bytes | None:
        """The thumbnail of a document that was written with a picture, at most 256 pixels and 20 kB; None: it has none.

        Returns:
            WebP, or JPEG where Pillow was built without WebP.

        Raises:
            NotFound: no document has this id.
        """
        found = self._engine.thumbnails.of(self._engine.snapshot, inputs.document_id(id))
        if found is None and id not in self:
            raise NotFound(f"no document of {self.name!r} has this id", field="id", received=id)
        return found

    def __len__(self) -> int:
        return self._engine.count()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._engine.get([inputs.document_id(id)])[0] is not None

    def count(self, filter: Filter | None = None) -> int:
        """How many documents match `filter`."""
        return self._engine.count(None if filter is None else self.parsed(filter))

    def scan(self, *, filter: Filter | None = None, batch: int = 1000, vectors: bool = False) -> Iterator[Document]:
        """Every document that matches, of one snapshot, whatever is written meanwhile.

        Args:
            filter: which; None for all.
            batch: how many are read at a time, at least 1; memory grows with it, results do not change.
            vectors: fill `Document.vector`.
        """
        condition = None if filter is None else self.parsed(filter)
        return self._engine.scan(condition, batch=inputs.whole(batch, "batch", 1), vectors=vectors)

    def parsed(self, filter: Filter) -> filters.Filter:
        """A filter by the collection's field types, checked; raises FilterError."""
        return filters.parse(filter, self._engine.settings.fields)


def narrowed(document: Document, fields: Sequence[str] | None) -> Document:
    """The document with these metadata keys only; None: all."""
    if fields is None:
        return document
    kept = {key: value for key, value in document.metadata.items() if key in fields}
    return Document(document.id, document.text, kept, document.vector, document.parts)
