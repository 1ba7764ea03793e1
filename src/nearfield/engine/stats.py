"""A collection in numbers, for people and for the policy's reports. Reads a snapshot; changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from nearfield.engine.local import PENDING_BYTES, PENDING_ROWS, LocalEngine
from nearfield.engine.parted import PartedEngine
from nearfield.engine.snapshot import OpenIndex
from nearfield.index import decode_kind


class Background(Protocol):
    """What is shown of background work."""

    problem: str | None
    doing: str | None

    @property
    def index_from(self) -> int:
        """Live rows above which a segment gets an index."""
        ...


@dataclass(frozen=True, slots=True)
class IndexStats:
    """One index; sizes in bytes, moments in seconds since 1970.

    Attributes:
        kind: its kind and parameters.
        nbytes: of its files.
        build_seconds: that building and measuring took.
        curve: all that was measured of it.
        reason: why this kind was chosen.
        recipe: the usual name of the kind in the field.
        planned_bytes: of its files, as predicted before building.
        resident_bytes: of memory when all of it has been touched, mapped pages included.
        created: when it was built; 0 if that was not kept.
        measured: for each source of queries in the curve how many a point was measured with at the most; slow settings are
            measured with fewer.
        calibrated: when it was last measured with recorded or given queries; 0: never.
        calibrated_by: "recorded queries" or "given queries"; "" if never.
        queries: how many those were.
    """

    kind: dict[str, Any]
    nbytes: int
    build_seconds: float
    curve: dict[str, Any] = field(repr=False)
    reason: str
    recipe: str
    planned_bytes: int
    resident_bytes: int
    created: float
    measured: dict[str, int]
    calibrated: float
    calibrated_by: str
    queries: int


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """One segment: rows, how many are alive, bytes on disk without the index, its index or None (exact).

    Attributes:
        tier: where it is kept: "hot", "warm" or "cold"; where this was opened read-only without devices, as who writes kept it.
        device: what holds it where it is hot here, such as "cuda:0"; several are separated by commas.
        device_bytes: bytes there, and `device_form`: "float16" or "int8" vectors, or its "index".
        searches: queries that looked at it since it was opened.
    """

    number: int
    rows: int
    live: int
    nbytes: int
    index: IndexStats | None
    tier: str = "warm"
    device: str | None = None
    device_bytes: int = 0
    device_form: str | None = None
    searches: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """A collection in numbers; sizes in bytes.

    Attributes:
        pending: documents not yet in a segment, searched exactly; writes wait beyond `pending_limit` of them or
            `pending_bytes_limit` bytes.
        tombstones: deleted or replaced documents whose bytes are still in a segment.
        damaged: segments whose index could not be opened, with the reason; they are searched exactly.
        index_from: live documents above which a segment gets an index; None where nobody maintains (read-only).
        recording: the most queries that are kept of those asked; 0: none are.
        pin: the tier that the collection is pinned to, or None.
        recorded: how many are kept now; as of opening where it was opened read-only.
        background: what runs in the background, or None; `problem` why it last failed, or None.
        generations: beside the live one, what `reembed` builds or keeps: state ("building" or "old"), model, since, until,
            path, nbytes.
        rows: vectors that are searched: as many as documents, or more where documents have passages or named vectors. Pending,
            tombstones and what segments say are of rows.
        parts: the passages and named vectors that the collection was created with, or None.
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
    index_from: int | None
    recording: int
    recorded: int
    pin: str | None = None
    generations: tuple[dict[str, Any], ...] = ()
    rows: int = 0
    parts: dict[str, Any] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all segments and indexes."""
        return sum(s.nbytes + (s.index.nbytes if s.index else 0) for s in self.segments)

    @property
    def indexed(self) -> int:
        """Live documents in segments that have an index."""
        return sum(s.live for s in self.segments if s.index is not None)

    @property
    def unindexed_share(self) -> float:
        """The share of documents that every search compares with one by one: without an index, or pending."""
        return 1 - self.indexed / self.rows if self.rows else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "nbytes": self.nbytes, "indexed": self.indexed, "unindexed_share": self.unindexed_share}


def collect(
    name: str, engine: LocalEngine, background: Background | None, generations: tuple[dict[str, Any], ...] = ()
) -> Stats:
    """The numbers of now."""
    engine.check_open()
    snapshot = engine.snapshot
    segments = []
    written = engine.read_only and not engine.devices
    for view in snapshot.segments:
        index = None if view.index is None else _index(view.index, len(view.segment), engine.dim)
        size = sum(f.size for f in view.segment.record.files.values())
        place, there = view.place, view.place.resident
        segments.append(
            SegmentStats(
                view.segment.number,
                len(view.segment),
                len(view),
                size,
                index,
                "hot" if written and view.segment.number in engine.was_hot else place.tier,
                None if there is None else there.device,
                0 if there is None else there.nbytes,
                None if there is None else there.form,
                place.searches,
            )
        )
    return Stats(
        name,
        engine.count(),
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
        background.index_from if background else None,
        engine.recorder.state.capacity,
        engine.recorder.kept,
        engine.pin,
        generations,
        len(snapshot),
        engine.spec.to_dict() if isinstance(engine, PartedEngine) else None,
    )


def _index(index: OpenIndex, rows: int, dim: int) -> IndexStats:
    record, kind = index.record, decode_kind(index.record.kind)
    measured: dict[str, int] = {}
    for point in index.curve.points:
        measured[point.source] = max(measured.get(point.source, 0), point.queries)
    return IndexStats(
        record.kind,
        sum(f.size for f in record.files.values()),
        record.seconds,
        record.curve,
        record.reason,
        kind.recipe.replace("{d}", str(dim)),
        kind.nbytes(rows, dim),
        index.file.resident_bytes,
        record.created,
        measured,
        record.calibrated,
        record.calibrated_by,
        record.queries,
    )
