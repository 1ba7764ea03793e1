"""Decides what to do next from numbers alone; does nothing itself. Knows no engine, no file, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SEAL_ROWS = 20_000
SEAL_BYTES = 64 << 20
"""Pending rows, or bytes of their vectors, from which they are sealed into a segment."""
FAN = 4
"""Segments of about one size that are merged into one."""
SMALLEST_TIER = 20_000
"""Segments up to this many live rows are of one size to the policy, and get no index: an exact scan is quick."""
MAX_ROWS = 10_000_000
LEAST_INDEXED = 1000
"""Live rows from which a kind that the user chose is built: below, its recall could not be measured."""
DEAD_SHARE = 0.3
"""Share of dead rows from which a segment is rewritten, and its index with it."""
FRESH_QUERIES = 100
"""Recorded queries that make an index be measured again when so many have arrived since it last was."""
SETTLED = 600.0
"""Seconds between two such measurements of one index: queries arrive at any rate."""


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """One segment in numbers.

    Attributes:
        number: its own.
        rows: all of its rows.
        live: those that are alive.
        wanting: it should have an index and has none.
        fresh: recorded queries that arrived since its index was last measured with any; 0 without an index, or where that
            was less than `SETTLED` seconds ago.
    """

    number: int
    rows: int
    live: int
    wanting: bool
    fresh: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """What the policy looks at. `loading`: a bulk load runs, so merges and builds would be overtaken."""

    pending_rows: int
    pending_bytes: int
    segments: tuple[SegmentStats, ...]
    loading: bool = False


@dataclass(frozen=True, slots=True)
class Seal:
    """Put pending rows into a segment."""


@dataclass(frozen=True, slots=True)
class Merge:
    """Put the live rows of these segments into one; of one segment: rewrite it without its dead rows."""

    segments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Build:
    """Build an index for this segment."""

    segment: int


@dataclass(frozen=True, slots=True)
class Calibrate:
    """Measure this segment's index again, with recorded queries."""

    segment: int


Action = Seal | Merge | Build | Calibrate


def propose(stats: Stats) -> list[Action]:
    """What to do in the background, most urgent first; nothing most of the time."""
    actions: list[Action] = []
    if stats.pending_rows >= SEAL_ROWS or stats.pending_bytes >= SEAL_BYTES:
        actions.append(Seal())
    crowded = len(stats.segments) >= 64
    if stats.loading and not crowded:
        return actions
    merging = _tiers(stats.segments)
    actions += merging
    taken = {number for merge in merging for number in merge.segments}
    if not stats.loading:
        staying = [s for s in stats.segments if s.number not in taken]
        actions += _builds(staying)
        actions += [Calibrate(s.number) for s in staying if s.live and s.fresh >= FRESH_QUERIES]
    return actions


def finish(stats: Stats, *, purge: bool = False) -> list[Action]:
    """What remains until all is sealed, merged and indexed, and with `purge` until no dead row remains."""
    if stats.pending_rows:
        return [Seal()]
    wasteful = [s for s in stats.segments if (s.rows > s.live if purge else s.live < s.rows * (1 - DEAD_SHARE))]
    group: list[SegmentStats] = []
    for segment in sorted(stats.segments, key=lambda s: s.live):
        if sum(s.live for s in group) + segment.live <= MAX_ROWS:
            group.append(segment)
    if len(group) > 1:
        return [Merge(tuple(sorted(s.number for s in group)))]
    if wasteful:
        return [Merge((wasteful[0].number,))]
    return [*_builds(stats.segments)]


def _tier(segment: SegmentStats) -> int:
    tier, size = 0, SMALLEST_TIER
    while segment.live > size:
        tier, size = tier + 1, size * FAN
    return tier


def _tiers(segments: Sequence[SegmentStats]) -> list[Merge]:
    """Merges of four or more segments of one tier, smallest tier first; else rewrites of what is DEAD_SHARE dead."""
    by_tier: dict[int, list[SegmentStats]] = {}
    for segment in segments:
        by_tier.setdefault(_tier(segment), []).append(segment)
    for tier in sorted(by_tier):
        group: list[SegmentStats] = []
        for segment in sorted(by_tier[tier], key=lambda s: s.live):
            if sum(s.live for s in group) + segment.live <= MAX_ROWS:
                group.append(segment)
        if len(group) >= FAN:
            return [Merge(tuple(sorted(s.number for s in group)))]
    wasteful = [s for s in segments if s.rows - s.live > max(1000, DEAD_SHARE * s.rows) or (s.rows and not s.live)]
    return [Merge((s.number,)) for s in wasteful]


def _builds(segments: Sequence[SegmentStats]) -> list[Build]:
    return [Build(s.number) for s in segments if s.wanting]
