"""Making segment files: from a chunk of a load, from pending rows, or from older segments. Commits nothing.

Knows files and arrays. What is made here is durable when it is returned, and unknown to everyone until a swap names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from nearfield.core.metric import Vectors
from nearfield.engine.local import LocalEngine
from nearfield.engine.opening import open_segment
from nearfield.engine.pending import PendingView
from nearfield.engine.snapshot import SegmentView
from nearfield.store import files, layout, metadata
from nearfield.store.columns import Columns
from nearfield.store.documents import BATCH, Batch, batch, combine
from nearfield.store.segment import Segment, SegmentBuilder

CROWDED = 64
Norms = npt.NDArray[np.float32] | None
Progress = Callable[[int, int], None]


def _build(engine: LocalEngine, fill: Callable[[SegmentBuilder], Columns]) -> Segment:
    """Runs `fill` on a new builder, finishes it and opens the segment; removes the files if anything fails."""
    number = engine.new_segment_number()
    settings = engine.settings
    directory = layout.segment(engine.directory, number)
    builder = SegmentBuilder(directory, number, settings.dim, engine.metric, settings.seed)
    try:
        record = builder.finish(fill(builder))
        return open_segment(engine.directory, record, settings)
    except BaseException:
        builder.abort()
        raise


def discard(engine: LocalEngine, segments: Sequence[Segment]) -> None:
    """Removes the files of segments that never became live."""
    live = {view.segment.number for view in engine.snapshot.segments}
    for segment in segments:
        if segment.number not in live:
            engine.reserved.pop(segment.record.min_row, None)
            files.remove_tree(segment.directory)


def from_chunk(engine: LocalEngine, documents: Batch, columns: Columns, vectors: Vectors, norms: Norms) -> Segment:
    """A segment of n new documents with fresh row numbers: documents as documents.SCHEMA, prepared float32 (n, dim)."""
    first = engine.reserve_rows(len(documents))

    def fill(builder: SegmentBuilder) -> Columns:
        builder.add(np.arange(first, first + len(documents)), vectors, norms, documents)
        return columns

    return _build(engine, fill)


def from_pending(engine: LocalEngine, pending: PendingView) -> Segment | None:
    """A segment of the live pending rows, keeping their row numbers; None if there are none."""
    found = list(pending.live_rows())
    if not found:
        return None

    def fill(builder: SegmentBuilder) -> Columns:
        for start in range(0, len(found), BATCH):
            part = found[start : start + BATCH]
            builder.add(
                np.array([block.rows[at] for block, at in part], dtype=np.int64),
                np.stack([block.vectors[at] for block, at in part]),
                None if part[0][0].norms is None else np.array([b.norms[at] for b, at in part], np.float32),  # type: ignore[index]
                batch(
                    [block.ids[at] for block, at in part],
                    [block.texts[at] for block, at in part],
                    [block.metadata[at] for block, at in part],
                ),
            )
        return Columns.build([metadata.decode(block.metadata[at]) for block, at in found])

    return _build(engine, fill)


def merged(engine: LocalEngine, sources: Sequence[SegmentView], progress: Progress | None = None) -> Segment | None:
    """A segment of the live rows of `sources`, in row order; None if nothing in them is alive."""
    alive = [np.flatnonzero(view.live_mask()) for view in sources]
    rows = np.concatenate([view.segment.rows[where] for view, where in zip(sources, alive, strict=True)])
    if not len(rows):
        return None
    owners = np.repeat(np.arange(len(sources)), [len(where) for where in alive])
    positions = np.concatenate(alive)
    order = np.argsort(rows, kind="stable")
    rows, owners, positions = rows[order], owners[order], positions[order]

    def fill(builder: SegmentBuilder) -> Columns:
        for start in range(0, len(rows), BATCH):
            _give_way(engine)
            part = slice(start, min(start + BATCH, len(rows)))
            _add_part(builder, sources, rows[part], owners[part], positions[part])
            if progress is not None:
                progress(part.stop, len(rows))
        whole = Columns.gather([(v.segment.columns, where) for v, where in zip(sources, alive, strict=True)])
        if np.array_equal(order, np.arange(len(order))):
            return whole
        return Columns.gather([(whole, order)])

    return _build(engine, fill)


def _give_way(engine: LocalEngine) -> None:
    """Waits while a bulk load runs, unless segments pile up: the load is what someone waits for."""
    while engine.loading and len(engine.snapshot.segments) < CROWDED:
        time.sleep(0.05)


def _add_part(
    builder: SegmentBuilder,
    sources: Sequence[SegmentView],
    rows: npt.NDArray[np.int64],
    owners: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
) -> None:
    dim = sources[0].segment.vectors.shape[1]
    vectors = np.empty((len(rows), dim), np.float32)
    norms = None if sources[0].segment.norms is None else np.empty(len(rows), np.float32)
    pieces, places = [], []
    for owner in np.unique(owners).tolist():
        mine = np.flatnonzero(owners == owner)
        segment = sources[owner].segment
        vectors[mine] = segment.vectors[positions[mine]]
        if norms is not None and segment.norms is not None:
            norms[mine] = segment.norms[positions[mine]]
        pieces.append(segment.take_documents(positions[mine]))
        places.append(mine)
    builder.add(rows, vectors, norms, combine(pieces, places))
