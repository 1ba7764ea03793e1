"""A collection in numbers, for people and for the policy's reports. Reads a snapshot; changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from nearfield.engine.local import PENDING_BYTES, PENDING_ROWS, LocalEngine


class Background(Protocol):
    """What is shown of background work."""

    problem: str | None
    doing: str | None


@dataclass(frozen=True, slots=True)
class IndexStats:
    """One index: its kind and parameters, bytes on disk, the measured curve, and why it was chosen."""

    kind: dict[str, Any]
    nbytes: int
    build_seconds: float
    curve: dict[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """One segment: rows, how many are alive, bytes on disk without the index, its index or None (exact)."""

    number: int
    rows: int
    live: int
    nbytes: int
    index: IndexStats | None


@dataclass(frozen=True, slots=True)
class Stats:
    """A collection in numbers; sizes in bytes.

    Attributes:
        pending: documents not yet in a segment, searched exactly; writes wait beyond `pending_limit` of them or
            `pending_bytes_limit` bytes.
        tombstones: deleted or replaced documents whose bytes are still in a segment.
        damaged: segments whose index could not be opened, with the reason; they are searched exactly.
        background: what runs in the background, or None; `problem` why it last failed, or None.
    """

    name: str
    documents: int
    dim: int
    metric: str
    embedder: str | None
    recall: float
    commit: int
    pending: int
    pending_bytes: int
    pending_limit: int
    pending_bytes_limit: int
    tombstones: int
    segments: tuple[SegmentStats, ...]
    damaged: dict[int, str]
    background: str | None
    problem: str | None

    @property
    def nbytes(self) -> int:
        """Bytes of all segments and indexes."""
        return sum(s.nbytes + (s.index.nbytes if s.index else 0) for s in self.segments)

    @property
    def indexed(self) -> int:
        """Live documents in segments that have an index."""
        return sum(s.live for s in self.segments if s.index is not None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "nbytes": self.nbytes, "indexed": self.indexed}


def collect(name: str, engine: LocalEngine, background: Background | None) -> Stats:
    """The numbers of now."""
    engine.check_open()
    snapshot = engine.snapshot
    segments = []
    for view in snapshot.segments:
        index = None
        if view.index is not None:
            record = view.index.record
            nbytes = sum(f.size for f in record.files.values())
            index = IndexStats(record.kind, nbytes, record.seconds, record.curve, record.reason)
        size = sum(f.size for f in view.segment.record.files.values())
        segments.append(SegmentStats(view.segment.number, len(view.segment), len(view), size, index))
    return Stats(
        name,
        len(snapshot),
        engine.dim,
        str(engine.metric),
        engine.settings.embedder,
        engine.settings.recall,
        snapshot.commit,
        len(snapshot.pending),
        snapshot.pending.nbytes,
        PENDING_ROWS,
        PENDING_BYTES,
        sum(view.dead for view in snapshot.segments),
        tuple(segments),
        dict(engine.damaged),
        background.doing if background else None,
        background.problem if background else None,
    )
