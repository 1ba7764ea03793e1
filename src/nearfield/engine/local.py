"""The local engine: one collection directory, one committer, snapshots for everyone who reads.

Knows documents and prepared vectors; no model. Background work is asked for through `on_change` and done elsewhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.core.errors import Closed, NotFound, Overloaded, ReadOnly
from nearfield.core.filters import Filter
from nearfield.core.fuse import Fusion
from nearfield.core.metric import Metric, Vectors
from nearfield.core.ranked import Seen
from nearfield.core.types import Document, Hits, Written
from nearfield.engine import hybrid, opening, rows, search, swaps, writes
from nearfield.engine.agreeing import agreed
from nearfield.engine.base import Capabilities
from nearfield.engine.committer import Committer, Transaction
from nearfield.engine.keyword import Keywords
from nearfield.engine.recording import Recorder
from nearfield.engine.segment_search import Request
from nearfield.engine.snapshot import Delta, OpenIndex, SegmentView, Snapshot
from nearfield.engine.thumbnails import Thumbnails
from nearfield.engine.writes import Records
from nearfield.index.build import AFTER, IDLE
from nearfield.store import catalog, files, keyword, layout, queries, sqlite, tiers
from nearfield.store.catalog import Settings
from nearfield.store.segment import Segment

PENDING_ROWS = 50_000
PENDING_BYTES = 256 << 20
"""Pending rows and bytes beyond which writes wait for a seal."""


class LocalEngine:
    """A collection on local disk.

    Attributes:
        snapshot: what searches see now; immutable, replaced at each commit.
        damaged: for each segment whose index could not be opened, why; it is searched exactly until rebuilt.
        loading: how many bulk loads are running; merges and index builds wait for them.
        in_chunks: those of more than one chunk: half of one must not be in this generation, and half in another.
        reserved: rows of segments that are being written, first: beyond; later commits may be seen before they are.
        seen: what could be seen at a commit, for pages.
        rewritten: the last commit that did more than add documents.
        recorder: the sample of queries asked.
        keywords: the keyword side of searches; thumbnails: those of documents written with pictures.
        pin: the tier that all segments should be in, or None; was_hot: segments that were on a device when it was last open.
        devices: whether there are any to be used; None: nobody asked for them; on_pin: called after the pin was changed.
        loaded_at: `time.monotonic()` at the end of the last bulk load.
        build_threads: of index builds, at idle priority; None: all cores, at a lower priority than searches.
        on_change: called after each commit and never waited for; None until someone maintains the collection.
    """

    capabilities = Capabilities()

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self.directory, self.read_only = directory, read_only
        self._path = directory / layout.CATALOG
        self._pid = os.getpid()
        self._connection = sqlite.connect(self._path, read_only=read_only)
        self.settings: Settings = catalog.read_settings(self._connection, self._path)
        self.dim, self.metric = self.settings.dim, Metric(self.settings.metric)
        self.on_change: Callable[[], None] | None = None
        self.write_timeout = 30.0
        self.build_threads: int | None = None
        self.loading = 0
        self.in_chunks: set[int] = set()
        self.loaded_at = -1e9
        self._closed = False
        self.rewritten = 0
        self._refreshing = threading.Lock()
        self._version = -1
        self.reserved: dict[int, int] = {}
        self.seen: tuple[int, Seen] | None = None
        self._room = threading.Condition()
        self.snapshot, self.damaged = self._read({})
        self.keywords = Keywords(self._path)
        self.thumbnails = Thumbnails(self._path)
        self._committer: Committer | None = None
        recorded = queries.read_state(self._connection)
        self.pin = tiers.read_pin(self._connection)
        self.was_hot = frozenset(n for n, tier in tiers.read(self._connection).items() if tier == "hot")
        self.on_pin: Callable[[float | None], None] | None = None
        self.devices: bool | None = None
        if not read_only:
            self._start_writing()
        self.recorder = Recorder(recorded, self.dim, None if read_only else self.submit)

    def _start_writing(self) -> None:
        numbers = catalog.counters(self._connection)
        self._numbers = threading.Lock()
        self._next_segment, self._next_index = numbers.next_segment, numbers.next_index
        self._sweep()
        with sqlite.errors(self._path), self._connection:
            keyword.forget_unfinished(self._connection)
        self._committer = Committer(
            self._connection,
            self._path,
            first_row=numbers.next_row,
            commit=numbers.commit,
            write_counters=_write_counters,
            publish=self._publish,
        )

    def _read(self, known: Mapping[int, SegmentView]) -> tuple[Snapshot, dict[int, str]]:
        """Reads a snapshot, again if a merge took files away meanwhile."""
        earlier = self.snapshot.pending if known else None
        for _ in range(20):
            try:
                return opening.read_snapshot(self._connection, self.directory, self.settings, known, earlier)
            except FileNotFoundError:
                if not self.read_only:
                    raise
                time.sleep(0.01)
        return opening.read_snapshot(self._connection, self.directory, self.settings, known, earlier)

    def _sweep(self) -> None:
        """Removes what no catalog row names: leavings of a killed process."""
        self.forget_tuning()
        place = self.directory / layout.SEGMENTS
        named = {view.segment.directory: view for view in self.snapshot.segments}
        for found in place.iterdir():
            if found not in named:
                files.remove_tree(found)
                continue
            index = named[found].index
            keep = set(named[found].segment.record.files) | (set(index.record.files) if index else set())
            for file in found.iterdir():
                if file.name not in keep and file.is_file() and named[found].segment.number not in self.damaged:
                    files.remove(file)
                elif file.is_dir():
                    files.remove_tree(file)

    def _publish(self, deltas: Sequence[Delta], commit: int) -> None:
        if not all(delta.only_adds for delta in deltas):
            self.rewritten = commit
        self.snapshot = self.snapshot.changed(deltas, commit)
        for segment in [new for delta in deltas for new in delta.segments]:
            self.reserved.pop(segment.record.min_row, None)
        with self._room:
            self._room.notify_all()
        self.changed()

    @property
    def build_nice(self) -> int:
        """What index builds add to their niceness."""
        return AFTER if self.build_threads is None else IDLE

    def changed(self) -> None:
        """Tells whoever maintains the collection to look again."""
        if self.on_change is not None:
            self.on_change()

    # -- writing

    def submit(self, operation: Callable[[Transaction], Any], *, alone: bool = False) -> Any:
        """Hands an operation to the committer; see Committer.submit."""
        self.check_open()
        if self._committer is None:
            raise ReadOnly("this was opened with read_only=True; open it without to write")
        return self._committer.submit(operation, alone=alone)

    def check_open(self) -> None:
        """Raises Closed after close() or in a forked child."""
        if self._closed:
            raise Closed("the database is closed; open it again")
        if os.getpid() != self._pid:
            raise Closed("a database cannot be used after a fork; open it in the new process")

    def put(self, records: Records, if_exists: str) -> Written:
        """Writes a batch as pending rows, all or nothing; durable and searchable when it returns."""
        self._wait_for_room()
        return self._stamped(self.submit(lambda t: writes.put(t, self.snapshot, records, if_exists)))

    def update(self, document_id: str, changes: Mapping[str, Any], remove: Sequence[str]) -> Written:
        """Changes a document's metadata, keeping text and vector."""
        self._wait_for_room()
        return self._stamped(self.submit(lambda t: writes.update(t, self.snapshot, document_id, changes, remove)))

    def delete(self, ids: Sequence[str]) -> Written:
        """Deletes by id; ids that are not there are passed over."""
        return self._stamped(self.submit(lambda t: writes.delete(t, self.snapshot, ids)))

    def delete_where(self, condition: Filter) -> Written:
        """Deletes what matches when its turn comes."""
        return self._stamped(self.submit(lambda t: writes.delete_where(t, self.snapshot, condition), alone=True))

    def adopt(
        self,
        segments: Sequence[Segment],
        if_exists: str,
        earlier: frozenset[int],
        thumbnails: Mapping[int, bytes] | None = None,
    ) -> Written:
        """Makes loaded segments live, atomically, with thumbnails by row."""
        return self._stamped(
            self.submit(lambda t: swaps.adopt(t, self.snapshot, segments, if_exists, earlier, thumbnails), alone=True)
        )

    def swap_sealed(self, segment: Segment) -> None:
        """Puts a segment made of pending rows in their place."""
        self.submit(lambda t: swaps.seal(t, self.snapshot, segment), alone=True)

    def swap_merged(self, segment: Segment | None, sources: Sequence[SegmentView], index: OpenIndex | None = None) -> None:
        """Puts a merged segment, with its index if it has one, in the place of its sources, then removes their files."""
        numbers = [view.segment.number for view in sources]
        self.submit(lambda t: swaps.merge(t, self.snapshot, segment, numbers, index), alone=True)
        for view in sources:
            files.remove_tree(view.segment.directory)

    def swap_index(self, segment: int, index: OpenIndex | None) -> bool:
        """Gives a segment its index, or takes it away; False if the segment is gone."""
        done = bool(self.submit(lambda t: swaps.set_index(t, self.snapshot, segment, index), alone=True))
        self.damaged.pop(segment, None)
        return done

    def write_settings(self, settings: Settings) -> None:
        """Replaces the settings."""
        self.submit(lambda t: catalog.write_settings(t.connection, settings), alone=True)
        self.settings = settings

    def write_tier(self, segment: int, tier: str) -> None:
        """Writes down where a segment is kept, for the next opening."""
        self.submit(lambda t: tiers.write(t.connection, {segment: tier}), alone=True)

    def write_pin(self, tier: str | None, *, move: bool = True, patience: float | None = None) -> None:
        """Pins all segments, present and future, to a tier; None lets the policy decide.

        Args:
            tier: which, or None.
            move: waits for the moves.
            patience: seconds, after which they go on in the background; None: until they are made.
        """
        self.submit(lambda t: tiers.write_pin(t.connection, tier), alone=True)
        self.pin = tier
        if move and self.on_pin is not None:
            self.on_pin(patience)

    def forget_tuning(self) -> None:
        """Removes what a tuning that was killed left: copies of vectors and queries."""
        for left in (self.directory / layout.TUNE).glob(f"{layout.TEMPORARY}*"):
            files.remove_tree(left)

    def retire(self) -> None:
        """Stops all that writes, after an operation let another generation take over; what is read goes on."""
        self.on_change = None
        self.recorder.close()
        if self._committer is not None:
            self._committer.close()
        for view in self.snapshot.segments:
            view.place.leave()

    def vacuum(self) -> None:
        """Rewrites the catalog without the bytes of what was deleted, and empties its write-ahead log."""

        def work(connection: sqlite.Connection) -> None:
            keyword.merge(connection)
            connection.execute("VACUUM")
            list(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"))

        self.check_open()
        if self._committer is not None:
            self._committer.outside(work)

    def _stamped(self, written: Written) -> Written:
        return Written(written.added, written.replaced, written.skipped, written.deleted, self.snapshot.commit)

    def _wait_for_room(self) -> None:
        if not self._crowded():
            return
        until = time.monotonic() + self.write_timeout
        with self._room:
            while self._crowded():
                left = until - time.monotonic()
                if left <= 0 or self._closed:
                    raise Overloaded(
                        "too many documents wait to be sealed into a segment; try again, or load in bulk",
                        expected=f"at most {PENDING_ROWS} pending documents",
                        received=len(self.snapshot.pending),
                        retry_after=1.0,
                    )
                self._room.wait(min(left, 0.5))

    def _crowded(self) -> bool:
        pending = self.snapshot.pending
        return len(pending) >= PENDING_ROWS or pending.nbytes >= PENDING_BYTES

    # -- making files

    def new_segment_number(self) -> int:
        """A segment number that nobody else will get."""
        with self._numbers:
            self._next_segment += 1
            return self._next_segment - 1

    def new_index_number(self) -> int:
        """An index number that nobody else will get."""
        with self._numbers:
            self._next_index += 1
            return self._next_index - 1

    def reserve_rows(self, n: int) -> int:
        """The first of n consecutive row numbers that nobody else will get."""
        self.check_open()
        if self._committer is None:
            raise ReadOnly("this was opened with read_only=True; open it without to write")
        first = self._committer.reserve_rows(n)
        self.reserved[first] = first + n
        return first

    # -- reading

    def refresh(self) -> int:
        """Sees what other processes committed (read-only openers); returns the commit number now seen."""
        self.check_open()
        if self.read_only:
            with self._refreshing:
                version = sqlite.data_version(self._connection)
                if version == self._version:
                    return self.snapshot.commit
                known = {view.segment.number: view for view in self.snapshot.segments}
                self.snapshot, self.damaged = self._read(known)
                self._version = version
        return self.snapshot.commit

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none."""
        self.check_open()
        return rows.get(self.snapshot, ids, vectors=vectors)

    def vector_of(self, document_id: str) -> Vectors:
        """The prepared vector (1, dim) of a document; raises NotFound."""
        found = self.get([document_id], vectors=True)[0]
        if found is None or found.vector is None:
            raise NotFound("no document has this id", field="id", received=document_id)
        return np.asarray(found.vector, dtype=np.float32)[None, :]

    def count(self, condition: Filter | None = None) -> int:
        """How many documents match."""
        self.check_open()
        return rows.count(self.snapshot, condition)

    def scan(self, condition: Filter | None = None, *, batch: int = 1000, vectors: bool = False) -> Iterator[Document]:
        """All that match, of one snapshot, `batch` read at a time: segments, then pending rows, in order of writing."""
        self.check_open()
        return rows.scan(self.snapshot, condition, batch, vectors)

    def search(self, queries: Vectors, request: Request, snapshot: Snapshot | None = None) -> list[Hits]:
        """Answers prepared queries (m, dim) on a snapshot; None: the newest."""
        self.check_open()
        return search.search(self.snapshot if snapshot is None else snapshot, queries, request)

    def search_keywords(self, texts: Sequence[str], request: Request) -> list[Hits]:
        """Answers texts by their words, each on the newest snapshot."""
        self.check_open()
        return [
            agreed(self, lambda snapshot, text=text: hybrid.by_keywords(snapshot, self.keywords, [text], request)[0])  # type: ignore[misc]
            for text in texts
        ]

    def search_hybrid(self, queries: Vectors, texts: Sequence[str], request: Request, by: Fusion) -> list[Hits]:
        """Answers prepared queries (m, dim) and their texts together, on the newest snapshot."""
        self.check_open()
        return agreed(self, lambda snapshot: hybrid.hybrid(snapshot, self.keywords, queries, texts, request, by), len(texts))

    def close(self) -> None:
        """Finishes what was submitted and closes the files."""
        if self._closed:
            return
        if os.getpid() == self._pid:
            self.recorder.close()
        self._closed = True
        if os.getpid() != self._pid:
            return
        self.keywords.close()
        self.thumbnails.close()
        if self._committer is not None:
            self._committer.close()
        else:
            self._connection.close()


def _write_counters(connection: sqlite.Connection, next_row: int, commit: int) -> None:
    catalog.write_commit(connection, next_row, commit)
