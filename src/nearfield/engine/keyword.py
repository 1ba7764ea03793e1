"""Keyword search over one snapshot: BM25 of what the catalog's keyword table knows, filters and tombstones included.

Knows snapshots and postings; no model. Postings of a segment's rows never change, so they are kept in memory by segment once
a term was asked for; those of pending rows are read on from where they were left. Rows that the snapshot does not see are
passed over. The score is BM25 with k1 = 1.2 and b = 0.75 and an inverse document frequency that stays positive,
ln(1 + (N - n + 0.5) / (n + 0.5)), as in Lucene (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.core.filters import Filter
from nearfield.engine.pending import Part, PendingView
from nearfield.engine.segment_search import Request, check_deadline
from nearfield.engine.snapshot import SegmentView, Snapshot
from nearfield.store import catalog, keyword, sqlite
from nearfield.store.keyword import Postings, Reader, Term

K1, B = 1.2, 0.75
KEPT_BYTES = 256 << 20
"""Bytes of postings kept in memory for one collection."""
_ENTRY = 300
"""About the bytes of an entry that has no postings."""
BLOCK = 64
"""Rows of which the best is looked at first."""
COMMON = 16
"""A term in more than one row of so many is kept as a number for every row: that is quicker to add."""
SPARSE = 20
"""A holder with more rows than this many times the postings of a query is scored by its postings alone."""
Floats = npt.NDArray[np.float32]
Whole = npt.NDArray[np.int64]
Counts = npt.NDArray[np.int32]
Holder = SegmentView | Part


@dataclass(slots=True)
class Kept:
    """A term's postings in one holder: positions, ascending, and how often; and what BM25 makes of them at an average length.

    `made` is an average and the parts at it: tf (k1 + 1) / (tf + k1 (1 - b + b length / average)) of each posting, or of every
    row where the term is common.
    """

    positions: Whole
    counts: Counts
    rows: int
    made: tuple[float, Floats] | None = None

    @property
    def common(self) -> bool:
        """Whether parts have a number for every row."""
        return COMMON * len(self.positions) > self.rows > BLOCK

    def weighed(self, tokens: Counts, average: float) -> Floats:
        """The parts at an average length, kept until that changes."""
        known = self.made
        if known is not None and known[0] == average:
            return known[1]
        short = K1 * (1 - B) + (K1 * B / average) * tokens[self.positions].astype(np.float32)
        parts = found = (np.float32(K1 + 1) * self.counts / (self.counts + short)).astype(np.float32)
        if self.common:
            parts = np.zeros(self.rows, np.float32)
            parts[self.positions] = found
        self.made = average, parts
        return parts

    @property
    def nbytes(self) -> int:
        """Bytes it takes, those of parts counted before they are there."""
        return self.positions.nbytes + self.counts.nbytes + 4 * (self.rows if self.common else len(self.positions)) + _ENTRY


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many tokens the texts of a holder have, by position; 0 where there is no text."""

    tokens: Counts

    def sums(self, live: npt.NDArray[np.bool_] | None) -> tuple[int, int]:
        """How many live texts, and how many tokens in all of them."""
        found = self.tokens if live is None else self.tokens[live]
        return int(np.count_nonzero(found)), int(found.sum(dtype=np.int64))


@dataclass(frozen=True, slots=True)
class Scored:
    """BM25 scores of one query in one holder, before any filter: of `positions`, ascending, all above 0; None: of every row."""

    holder: Holder
    positions: Whole | None
    scores: Floats
    mask: npt.NDArray[np.bool_] | None

    def at(self, positions: Whole) -> Floats:
        """Scores of any positions; 0 where no term is."""
        if self.positions is None:
            return self.scores[positions]
        out = np.zeros(len(positions), np.float32)
        if len(self.positions):
            where = np.minimum(np.searchsorted(self.positions, positions), len(self.positions) - 1)
            same = self.positions[where] == positions
            out[same] = self.scores[where[same]]
        return out

    def best(self, k: int) -> tuple[Floats, Whole]:
        """(scores, positions) of the k best that are alive and allowed, best first, ties by position."""
        scores = self.scores
        if self.mask is not None:
            scores = np.where(self.mask if self.positions is None else self.mask[self.positions], scores, np.float32(0))
        near = np.flatnonzero(scores >= max(_about(scores, k), np.float32(1e-30)))
        order = near[np.lexsort((near, -scores[near]))[:k]]
        return scores[order], order if self.positions is None else self.positions[order]

    @property
    def matched(self) -> int:
        """How many rows that are alive and allowed have a term."""
        there = self.scores > 0
        if self.mask is not None:
            there &= self.mask if self.positions is None else self.mask[self.positions]
        return int(np.count_nonzero(there))


def _about(scores: Floats, k: int) -> np.float32:
    """A score that at least k reach, where there are so many, and not many more: the k-th best maximum of blocks."""
    blocks = len(scores) // BLOCK
    if k >= blocks:
        return np.float32(0)
    best = scores[: blocks * BLOCK].reshape(blocks, BLOCK).max(axis=1)
    return np.float32(np.partition(best, blocks - k)[blocks - k])


class Keywords:
    """The keyword side of one collection: a connection of its own, and the postings that were asked for.

    Args:
        path: the catalog.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite.Connection | None = None
        self._reader: Reader | None = None
        self._kept: OrderedDict[tuple[int, Term], Kept] = OrderedDict()
        self._bytes = 0
        self._lengths: dict[int, Lengths] = {}
        self._waiting = _Waiting()
        self._as_of = 0
        self._call = threading.local()

    def begin(self) -> None:
        """Forgets what this thread asked for before; see `newest`."""
        self._call.newest = 0

    @property
    def newest(self) -> int:
        """The last commit as of which something was read that this thread was answered with since `begin`."""
        return getattr(self._call, "newest", 0)

    def close(self) -> None:
        """Closes the connection, once nobody reads."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = self._reader = None

    def score(self, snapshot: Snapshot, query: str, request: Request) -> tuple[list[Term], list[Scored]]:
        """What a query asks for, and the scores of every holder of a snapshot; what of a request counts: filter, deadline.

        Rows that were removed after the snapshot may be missing: then `newest` is above its commit.

        Raises:
            InvalidInput: there is no keyword index, or one of another version.
            DeadlineExceeded: it took too long.
        """
        holders: list[Holder] = [*snapshot.segments, *snapshot.pending.parts]
        with self._turn(request) as reader:
            wanted = keyword.terms(reader, query)
            lengths = self._all_lengths(reader, snapshot)
            postings = []
            for term in wanted:
                check_deadline(request)
                postings.append(self._all_postings(reader, snapshot, term))
        lives = [_live(holder) for holder in holders]
        sums = [known.sums(live) for known, live in zip(lengths, lives, strict=True)]
        texts, tokens = sum(n for n, _ in sums), sum(t for _, t in sums)
        weights = [_idf(texts, found, lives) for found in postings]
        average = tokens / texts if texts else 1.0
        scored = []
        for i, holder in enumerate(holders):
            positions, scores = _sum([p[i] for p in postings], weights, lengths[i].tokens, average)
            scored.append(Scored(holder, positions, scores, _mask(holder, request.condition)))
        return wanted, scored

    @contextlib.contextmanager
    def _turn(self, request: Request) -> Iterator[Reader]:
        """The reader, for one thread at a time, as of one commit."""
        left = -1 if request.deadline is None else max(0.0, request.deadline - time.monotonic())
        while not self._lock.acquire(timeout=left):
            check_deadline(request)
        try:
            with sqlite.errors(self._path):
                if self._connection is None:
                    self._connection = sqlite.connect(self._path, read_only=True)
                with sqlite.reading(self._connection):
                    reader = self._ready(self._connection)
                    reader.asked = False
                    try:
                        yield reader
                    finally:
                        if reader.asked:
                            self._as_of = max(self._as_of, catalog.counters(self._connection).commit)
                        self._call.newest = max(self.newest, self._as_of)
        finally:
            self._lock.release()

    def _ready(self, connection: sqlite.Connection) -> Reader:
        now = keyword.state(connection)
        if now is None or now.table is None or now.version != keyword.VERSION:
            none = now is None or now.table is None
            why = "this collection has no keyword index" if none else "the keyword index is of another version"
            raise InvalidInput(
                f"{why}; make it with rebuild(keyword=True), or `nearfield rebuild DIR/COLLECTION --keyword`",
                field="mode",
                expected="'dense'",
                received="a search by keywords",
            )
        if self._reader is None or self._reader.table != keyword.name(now.table):
            self._reader = Reader(connection, now.table, now.options)
            self._kept.clear()
            self._lengths.clear()
            self._bytes, self._waiting = 0, _Waiting()
        return self._reader

    def _all_lengths(self, reader: Reader, snapshot: Snapshot) -> list[Lengths]:
        there = {view.segment.number for view in snapshot.segments}
        for number in [n for n in self._lengths if n not in there]:
            del self._lengths[number]
        for view in snapshot.segments:
            segment = view.segment
            if segment.number not in self._lengths:
                rows, counts = reader.lengths(segment.record.min_row, segment.record.max_row)
                self._lengths[segment.number] = Lengths(_placed(segment.rows, rows, counts))
        found = [self._lengths[view.segment.number] for view in snapshot.segments]
        rows, counts = self._waiting.lengths_of(reader, snapshot.pending)
        return found + [Lengths(_placed(p.block.rows[: p.count], rows, counts)) for p in snapshot.pending.parts]

    def _all_postings(self, reader: Reader, snapshot: Snapshot, term: Term) -> list[Kept]:
        """Postings of a term in each holder."""
        missing = [view for view in snapshot.segments if (view.segment.number, term) not in self._kept]
        if missing:
            everything = reader.postings(term)
            for view in missing:
                self._keep(view.segment.number, term, _kept(view.segment.rows, everything))
        out = []
        for view in snapshot.segments:
            key = (view.segment.number, term)
            if key in self._kept:
                self._kept.move_to_end(key)
                out.append(self._kept[key])
            else:
                out.append(_kept(view.segment.rows, reader.postings(term)))
        waiting = self._waiting.postings_of(reader, snapshot.pending, term)
        return out + [_kept(p.block.rows[: p.count], waiting) for p in snapshot.pending.parts]

    def _keep(self, number: int, term: Term, found: Kept) -> None:
        self._kept[number, term] = found
        self._bytes += found.nbytes
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].nbytes


class _Waiting:
    """Lengths and postings of pending rows, read up to a row: pending rows are committed in the order of their numbers."""

    def __init__(self) -> None:
        self._lengths = Postings(np.empty(0, np.int64), np.empty(0, np.int32))
        self._upto = 0
        self._terms: OrderedDict[Term, tuple[Postings, int]] = OrderedDict()

    def lengths_of(self, reader: Reader, pending: PendingView) -> tuple[Whole, Counts]:
        """(rows, tokens) of pending rows that have a text."""
        if not pending.parts:
            return self._lengths.rows[:0], self._lengths.counts[:0]
        first, last = _range(pending)
        if last > self._upto:
            rows, counts = reader.lengths(max(self._upto + 1, first), 2**62)
            self._lengths = _joined(self._lengths, Postings(rows, counts), first)
            self._upto = max(last, int(rows[-1]) if len(rows) else 0)
        return self._lengths.rows, self._lengths.counts

    def postings_of(self, reader: Reader, pending: PendingView, term: Term) -> Postings:
        """Pending rows that have a term."""
        if not pending.parts:
            return Postings(self._lengths.rows[:0], self._lengths.counts[:0])
        first, last = _range(pending)
        known, upto = self._terms.pop(term, (Postings(np.empty(0, np.int64), np.empty(0, np.int32)), 0))
        if last > upto:
            more = reader.postings_above(term, max(upto, first - 1))
            known = _joined(known, more, first)
            upto = max(last, int(more.rows[-1]) if len(more.rows) else 0)
        self._terms[term] = known, upto
        if len(self._terms) > 4096:
            self._terms.popitem(last=False)
        return known


def _range(pending: PendingView) -> tuple[int, int]:
    last = pending.parts[-1]
    return pending.first_rows[0], int(last.block.rows[last.count - 1])


def _joined(known: Postings, more: Postings, first: int) -> Postings:
    keep = np.searchsorted(known.rows, first)
    return Postings(np.concatenate([known.rows[keep:], more.rows]), np.concatenate([known.counts[keep:], more.counts]))


def _found(rows: Whole, postings: Postings) -> tuple[Whole, Counts]:
    """(positions, counts) of those postings whose rows are among `rows`, both ascending."""
    if not len(rows) or not len(postings.rows):
        return np.empty(0, np.int64), np.empty(0, np.int32)
    low, high = np.searchsorted(postings.rows, [rows[0], rows[-1] + 1])
    wanted, counts = postings.rows[low:high], postings.counts[low:high]
    at = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
    same = rows[at] == wanted
    return at[same], counts[same]


def _placed(rows: Whole, known: Whole, counts: Counts) -> Counts:
    """`counts` of `known` rows by position in `rows`."""
    out = np.zeros(len(rows), np.int32)
    at, found = _found(rows, Postings(known, counts))
    out[at] = found
    return out


def _kept(rows: Whole, postings: Postings) -> Kept:
    return Kept(*_found(rows, postings), len(rows))


def _live(holder: Holder) -> npt.NDArray[np.bool_] | None:
    return holder.allowed(None).mask if isinstance(holder, SegmentView) else holder.live


def _mask(holder: Holder, condition: Filter | None) -> npt.NDArray[np.bool_] | None:
    if isinstance(holder, SegmentView):
        return holder.allowed(condition).mask
    if condition is None:
        return holder.live
    mask = holder.block.mask(condition, holder.count)
    return mask if holder.live is None else mask & holder.live


def _idf(texts: int, found: Sequence[Kept], lives: Sequence[npt.NDArray[np.bool_] | None]) -> float:
    n = sum(
        len(kept.positions) if live is None else int(np.count_nonzero(live[kept.positions]))
        for kept, live in zip(found, lives, strict=True)
    )
    return float(np.log1p(max(0.0, texts - n + 0.5) / (n + 0.5)))


def _sum(found: Sequence[Kept], weights: Sequence[float], tokens: Counts, average: float) -> tuple[Whole | None, Floats]:
    """(positions, BM25) of the rows that have any of the terms, positions ascending; or (None, BM25 of every row)."""
    total = sum(len(kept.positions) for kept in found)
    if SPARSE * total < len(tokens):
        if not total:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        pieces = [np.float32(w) * kept.weighed(tokens, average) for kept, w in zip(found, weights, strict=True)]
        positions, where = np.unique(np.concatenate([kept.positions for kept in found]), return_inverse=True)
        return positions, np.bincount(where, np.concatenate(pieces)).astype(np.float32)
    out = np.zeros(len(tokens), np.float32)
    for kept, weight in zip(found, weights, strict=True):
        parts = np.float32(weight) * kept.weighed(tokens, average)
        if kept.common:
            out += parts
        else:
            out[kept.positions] += parts
    return None, out
