"""The arithmetic of a plan: bytes, seconds, and what fits. Knows kinds and a machine's rates; builds nothing, reads no clock.

Bytes come from the kinds' own formulas, which tests hold to what is really built. Seconds come from counting what a search or a
build touches, over rates measured on the machine: expect them within a factor of `FACTOR` of the true ones, no better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nearfield.core.config import format_size
from nearfield.core.metric import Metric
from nearfield.index import calibrate, coarse
from nearfield.index.base import Effort, Kind
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq
from nearfield.index.rabitq import Rabitq
from nearfield.planning.candidates import compared, lists_of
from nearfield.planning.machine import Machine

SEGMENT_ROWS = 10_000_000
"""Vectors of a segment at most, each segment with an index of its own (maintain.policy.MAX_ROWS; a test holds them equal)."""
MEMORY_SHARE = 0.5
"""Share of memory that an index may take: the rest is for the program, for building, and for pages of the raw vectors."""
FACTOR = 3.0
"""How far predicted seconds may be off, either way: other data, other load, other caches. Queries of a hundred thousand SIFT
and sentence vectors, by every family of kinds, lay within it when this was written."""
K = 10
"""Hits of the query whose time is predicted."""
CALL = 40e-6
"""Seconds of a call that no index explains."""
LIST = 0.3e-6
"""Seconds to begin a list."""
DISK_READ = 100e-6
"""Seconds to read one raw vector that memory does not hold: a rule of thumb for a solid-state disk."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes that there are; None: not limited.

    Attributes:
        memory: of the machine; an index may take `MEMORY_SHARE` of it, and building all of it.
        disk: for the index files and the raw vectors.
    """

    memory: int | None = None
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of an index of all segments.

    Attributes:
        disk: of its files.
        raw: of the raw vectors, which are always kept.
        resident: least and most memory when all of it has been touched.
        building: peak memory of building the largest segment, beyond the mapped vectors.
    """

    disk: int
    raw: int
    resident: tuple[int, int]
    building: int


def sizes(kind: Kind | None, n: int, dim: int, metric: Metric) -> Sizes:
    """Bytes for n vectors of `dim`, in as few segments as there can be; an exact scan (None) reads all raw vectors."""
    raw = 4 * n * dim
    if kind is None:
        return Sizes(0, raw, (raw, raw), 0)
    each = [(count, rows, kind.resident(rows, dim, metric)) for count, rows in segments(n)]
    return Sizes(
        sum(count * kind.nbytes(rows, dim) for count, rows, _ in each),
        raw,
        (sum(count * r[0] for count, _, r in each), sum(count * r[1] for count, _, r in each)),
        max((kind.build_bytes(rows, dim) for _, rows, _ in each), default=0),
    )


def segments(n: int) -> list[tuple[int, int]]:
    """(how many, of how many vectors): full segments, and what remains."""
    full, rest = divmod(n, SEGMENT_ROWS)
    return [(count, rows) for count, rows in ((full, SEGMENT_ROWS), (min(1, rest), rest)) if count]


def shortfalls(found: Sizes, budget: Budget) -> tuple[str, ...]:
    """What does not fit, and by how much; empty if all does."""
    out = []
    if budget.memory is not None:
        limit = int(MEMORY_SHARE * budget.memory)
        if found.resident[1] > limit:
            out.append(
                f"needs {format_size(found.resident[1])} of memory, {format_size(found.resident[1] - limit)} more than "
                f"{MEMORY_SHARE:.0%} of {format_size(budget.memory)}"
            )
        if found.building > budget.memory:
            over = format_size(found.building - budget.memory)
            out.append(f"building takes {format_size(found.building)} of memory, {over} more than there is")
    if budget.disk is not None and found.disk + found.raw > budget.disk:
        over = format_size(found.disk + found.raw - budget.disk)
        out.append(f"needs {format_size(found.disk + found.raw)} of disk with the raw vectors, {over} more than there is")
    return tuple(out)


def fits(kind: Kind | None, n: int, dim: int, metric: Metric, budget: Budget) -> bool:
    """Whether n vectors fit."""
    return not shortfalls(sizes(kind, n, dim, metric), budget)


def largest(kind: Kind | None, dim: int, metric: Metric, budget: Budget) -> int:
    """The largest number of vectors that fits: bytes only ever grow with it. The budget must limit something."""
    return last(lambda n: fits(kind, n, dim, metric, budget))


def last(good: Callable[[int], bool]) -> int:
    """The largest n of which `good` holds, where it holds up to some n and not beyond; 0 if it never does."""
    low, high = 0, 1
    while good(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def cold_share(found: Sizes, budget: Budget) -> float:
    """The share of the raw vectors that memory cannot hold beside the index."""
    if budget.memory is None or not found.raw:
        return 0.0
    return min(1.0, max(0.0, 1 - (budget.memory - found.resident[1]) / found.raw))


def code_bytes(kind: Kind, dim: int) -> int:
    """Bytes of one vector as a search of the index reads it, ids and links not counted."""
    if isinstance(kind, (Hnsw, Ivf)):
        return {"float32": 4, "float16": 2, "int8": 1}[kind.storage] * dim
    if isinstance(kind, IvfPq):
        return -(-kind.parts(dim) * kind.bits // 8)
    if isinstance(kind, Rabitq):
        return -(-dim // 8) + 8 + (12 + -(-dim * (kind.bits - 1) // 8) if kind.bits > 1 else 0)
    return 4 * dim


def search_seconds(kind: Kind | None, n: int, dim: int, effort: Effort, machine: Machine, cold: float = 0.0) -> float:
    """Predicted seconds of one query for `K` hits, alone on the machine.

    Args:
        kind: None for an exact scan.
        n: vectors, all segments together; each segment is searched.
        dim: numbers in each.
        effort: the setting.
        machine: rates.
        cold: the share of candidates whose raw vectors are read from disk.
    """
    reach = machine.row + 4 * dim / machine.scattered
    if kind is None or not (isinstance(kind, Hnsw) or lists_of(kind, n)):
        return CALL + 4 * n * dim / machine.ordered
    total = CALL
    for count, rows in segments(n):
        if isinstance(kind, Hnsw):
            walked = compared(effort, kind.links, rows)
            total += count * walked * (machine.step + machine.row + code_bytes(kind, dim) / machine.scattered)
        else:
            lists = lists_of(kind, rows)
            probed = min(effort.nprobe, lists)
            read = rows * probed / lists * code_bytes(kind, dim)
            total += count * (_coarse_seconds(lists, dim, machine) + probed * LIST + read / _rate(kind, machine))
        total += count * K * effort.oversampling * (reach + cold * DISK_READ)
    return total


def _coarse_seconds(lists: int, dim: int, machine: Machine) -> float:
    """Seconds to find the nearest lists."""
    if lists < coarse.GRAPH_FROM:
        return 4 * lists * dim / machine.ordered
    walked = compared(Effort(efSearch=256), coarse.GRAPH_LINKS, lists)
    return walked * (machine.step + machine.row + 4 * dim / machine.scattered)


def _rate(kind: Kind, machine: Machine) -> float:
    """Bytes of codes that a scan of lists reads in a second."""
    if isinstance(kind, Ivf):
        return {"float32": machine.ordered, "float16": machine.halved, "int8": machine.coded}[kind.storage]
    if isinstance(kind, IvfPq):
        return machine.packed if kind.bits == 4 else machine.looked_up
    return machine.bits if isinstance(kind, Rabitq) and kind.bits == 1 else machine.more_bits


PQ_ROUNDS, PQ_ROWS = 25, 256
"""FAISS's rounds of k-means for codebooks, and its training vectors for each codeword at most."""
SMALL = 0.1
"""Share of the k-means rate that codebooks reach: their parts are short."""
RABITQ_SECONDS = 4e-8
"""Seconds for each number of a vector and each bit, to find the best scale of RaBitQ codes of several bits."""


def build_seconds(kind: Kind | None, n: int, dim: int, effort: Effort, machine: Machine) -> float:
    """Predicted seconds of training, adding and measuring, segments one after the other, nothing else running."""
    if kind is None:
        return 0.0
    total = 0.0
    for count, rows in segments(n):
        lists = lists_of(kind, rows)
        if isinstance(kind, Hnsw):
            walked = compared(Effort(efSearch=kind.build_effort), kind.links, rows)
            each = walked * (machine.step + machine.row + code_bytes(kind, dim) / machine.scattered)
            made = rows * each * machine.linking / machine.cores
        else:
            flops = 2.0 * dim * lists * coarse.ROUNDS * min(rows, coarse.training_rows(lists))
            if lists < coarse.GRAPH_FROM:
                flops += 2.0 * dim * lists * rows
                made = 0.0
            else:
                made = rows * _coarse_seconds(lists, dim, machine) / machine.cores
            made += flops / machine.flops + _coding_seconds(kind, rows, dim, machine)
        held = calibrate.held_out(rows)
        truth = 2.0 * 1.4 * held * rows * dim / machine.flops
        one = search_seconds(kind, rows, dim, effort, machine)
        sweep = len(kind.efforts(rows)) * min(2 * calibrate.SLOW, held * one)
        total += count * (made + truth + sweep)
    return total


def _coding_seconds(kind: Kind, rows: int, dim: int, machine: Machine) -> float:
    """Seconds to train codebooks and to code vectors."""
    if isinstance(kind, IvfPq):
        words = 1 << kind.bits
        trained = PQ_ROUNDS * min(rows, PQ_ROWS * words) + rows
        return 2.0 * trained * words * dim / (SMALL * machine.flops)
    if isinstance(kind, Rabitq):
        scales = rows * dim * kind.bits * RABITQ_SECONDS / machine.cores if kind.bits > 1 else 0.0
        return 2.0 * rows * dim * dim / machine.flops + scales
    return 4.0 * rows * dim / machine.ordered
