"""What every engine promises: records in, ranked rows out. The local engine and others are held to one contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nearfield.core.filters import Filter
from nearfield.core.metric import Metric, Vectors
from nearfield.core.types import Document, Hits, Written
from nearfield.engine.segment_search import Request
from nearfield.engine.writes import Records


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How engines differ, as data.

    Attributes:
        durable: an acknowledged write survives a power cut.
        exact: an exact search is offered.
        bulk: columnar loads write segments directly.
    """

    durable: bool = True
    exact: bool = True
    bulk: bool = True


class Engine(Protocol):
    """Keeps documents and is handed vectors; knows no model."""

    capabilities: Capabilities
    dim: int
    metric: Metric

    def put(self, records: Records, if_exists: str) -> Written:
        """Writes a batch, all or nothing; durable and searchable when it returns."""
        ...

    def update(self, document_id: str, changes: Mapping[str, Any], remove: Sequence[str]) -> Written:
        """Changes a document's metadata, keeping text and vector."""
        ...

    def delete(self, ids: Sequence[str]) -> Written:
        """Deletes by id."""
        ...

    def delete_where(self, condition: Filter) -> Written:
        """Deletes what matches."""
        ...

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none."""
        ...

    def count(self, condition: Filter | None = None) -> int:
        """How many documents match."""
        ...

    def scan(self, condition: Filter | None = None, *, vectors: bool = False) -> Iterator[Document]:
        """All that match, of one snapshot, in the order of writing."""
        ...

    def search(self, queries: Vectors, request: Request) -> list[Hits]:
        """Answers prepared queries."""
        ...
