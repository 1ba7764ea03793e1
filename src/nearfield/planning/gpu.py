"""What a graphics card of so much memory holds, recipe by recipe: bytes, the most vectors, what stands in the way. Arithmetic.

Bytes come from the code's own layouts: `device.layout` for the exact scans, `index.gpu.sizes` for FAISS's indexes. No seconds:
they need the card's bandwidth, which nobody knows here; `GpuRecipe.reads` over it is the least that one query can take.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from nearfield.core.config import format_size
from nearfield.core.metric import Metric
from nearfield.device import layout
from nearfield.index import encode_kind
from nearfield.index.base import Kind
from nearfield.index.cagra import Cagra
from nearfield.index.flat import Flat
from nearfield.index.gpu import limits, sizes
from nearfield.index.gpu.limits import Options
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq
from nearfield.planning import predict
from nearfield.planning.candidates import EXACT, Expected, candidates, factory, spelled

HOST, CARD = "on the host, memory-mapped", "on the card, in the index"
_GRAPH = Expected(
    0.90, 0.998, "rule of thumb, not measured on your vectors; the paper (arXiv 2308.15136) shows graphs between these"
)


@dataclass(frozen=True, slots=True)
class GpuRecipe:
    """One way to keep vectors on a card.

    Attributes:
        kind: FAISS's index there; None: an exact scan by nearfield itself, which FAISS need not be installed for.
        name: the kind as one writes it, or the scan and what it stores.
        factory: the field's name for it.
        feasible: whether it does all that was asked.
        problems: if not, why not, and what does not fit by how much.
        n: the vectors that were asked about, or the most that fit.
        nbytes: least and most bytes on the card of n vectors, apart only where the lists' sizes decide.
        work: bytes that searches need there beside them, once for each card.
        reads: bytes of vectors that one query reads there; None where that depends on the setting.
        raw: where the float32 vectors are that candidates are scored again from: they take no room on the card.
        cuvs: whether FAISS must have been built with cuVS (`pip install faiss-gpu-cuvs`).
        recall: the range of recall@10 it is known for, and the source.
    """

    kind: Kind | None
    name: str
    factory: str
    feasible: bool
    problems: tuple[str, ...]
    n: int
    nbytes: tuple[int, int]
    work: int
    reads: int | None
    raw: str
    cuvs: bool
    recall: Expected

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "kind": None if self.kind is None else encode_kind(self.kind)}


@dataclass(frozen=True, slots=True)
class GpuPlan:
    """What a card holds.

    Attributes:
        memory: bytes of the card.
        recipes: all of them, in the order in which they are preferred.
        best: the proposal; None if nothing does what was asked.
        reason: why that one.
    """

    memory: int
    recipes: tuple[GpuRecipe, ...]
    best: GpuRecipe | None
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "memory": self.memory,
            "recipes": [recipe.to_dict() for recipe in self.recipes],
            "best": None if self.best is None else self.best.to_dict(),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class _Way:
    """A recipe before it is sized: a kind, or the type of an exact scan's codes."""

    kind: Kind | None
    dtype: layout.Dtype
    recall: Expected
    proposed: bool = True


def on_a_card(n: int | None, dim: int, metric: Metric, memory: int, recall: float) -> GpuPlan:
    """Which recipes fit n vectors of `dim` into `memory` bytes of a card, or (n=None) how many vectors each of them holds."""
    ways = list(_ways(dim))
    recipes = tuple(_sized(way, n, dim, metric, memory, recall) for way in ways)
    usable = [recipe for recipe, way in zip(recipes, ways, strict=True) if recipe.feasible and way.proposed]
    if not usable:
        there = [r for r, way in zip(recipes, ways, strict=True) if way.proposed and r.nbytes[1] and r.recall.high >= recall]
        first = min(there, key=lambda r: r.nbytes[1], default=recipes[0])
        return GpuPlan(memory, recipes, None, f"nothing does what was asked: {first.name} {'; '.join(first.problems)}")
    best = usable[0]
    if n is None:
        best = max(usable, key=lambda r: r.n)
        reason = f"{best.name} holds the most, {best.n:,} vectors"
        if usable[0] is not best:
            reason += f"; {usable[0].name}, which is preferred where it fits, holds {usable[0].n:,}"
        return GpuPlan(memory, recipes, best, reason)
    why = "exact, and the first in the order of preference that fits" if best.kind is None else "the first that fits"
    return GpuPlan(memory, recipes, best, f"{best.name} takes {_of(best, memory)}: {why}")


def _ways(dim: int) -> Iterator[_Way]:
    """All recipes, in the order of preference: exact scans, then lists by falling bytes; a graph is shown, not proposed."""
    known = {candidate.kind: candidate.expected for candidate in candidates(dim)}
    for dtype in layout.DTYPES:
        yield _Way(None, dtype, EXACT)
    yield _Way(Flat(), "float16", EXACT)
    for storage in ("float32", "float16", "int8"):
        yield _Way(Ivf(storage=storage), "float16", known[Ivf(storage=storage)])
    usual = IvfPq(bits=8)
    native = max((m for m in limits.NATIVE_PARTS if dim % m == 0), default=1)
    product = known.get(usual, Expected(0.80, 0.995, "rule of thumb, not measured on your vectors"))
    for kind in dict.fromkeys((usual, usual if usual.parts(dim) == native else IvfPq(subvectors=native, bits=8))):
        yield _Way(kind, "float16", product, 8 * kind.parts(dim) >= dim)
    for storage in ("float32", "float16"):
        yield _Way(Cagra(storage=storage), "float16", _GRAPH, proposed=False)


def _sized(way: _Way, n: int | None, dim: int, metric: Metric, memory: int, recall: float) -> GpuRecipe:
    """One recipe with its bytes."""
    options = _options(way.kind, n, dim, metric)
    problems = [options] if isinstance(options, str) else []
    work = layout.workspace(memory) if way.kind is None else sizes.TEMPORARY

    def taken(rows: int) -> tuple[int, int]:
        return (0, 0) if isinstance(options, str) else nbytes(way.kind, way.dtype, rows, dim, metric)

    rows = n or 0
    if n is None and not problems:
        rows = predict.last(lambda count: taken(count)[1] + work <= memory)
    least, most = taken(rows)
    needed = taken(max(1, rows))[1]
    if not problems and needed + work > memory:
        problems.append(
            f"needs {format_size(needed)} on the card and {format_size(work)} to work in, "
            f"{format_size(needed + work - memory)} more than there is"
        )
    if recall > way.recall.high:
        problems.append(f"is not known for recall {recall:g}, but for {way.recall.low:.2f} to {way.recall.high:g}")
    name = f"exact scan, {way.dtype}" if way.kind is None else spelled(way.kind)
    each = max(1, min(rows, predict.SEGMENT_ROWS))
    return GpuRecipe(
        way.kind,
        name,
        "none" if way.kind is None else factory(way.kind, each, dim),
        not problems,
        tuple(problems),
        rows,
        (least, most),
        work,
        _read(way, rows, dim),
        CARD if isinstance(way.kind, (Flat, Ivf, Cagra)) and not way.kind.refines else HOST,
        isinstance(options, Options) and options.use_cuvs,
        way.recall,
    )


def _read(way: _Way, n: int, dim: int) -> int | None:
    """Bytes of vectors that one query reads of an exact recipe."""
    if way.kind is None:
        padded = [(count, layout.padded(rows, dim)) for count, rows in predict.segments(n)]
        return sum(count * rows * dims * layout.code_bytes(way.dtype) for count, (rows, dims) in padded)
    return 4 * n * dim if isinstance(way.kind, Flat) else None


def nbytes(kind: Kind | None, dtype: layout.Dtype, n: int, dim: int, metric: Metric) -> tuple[int, int]:
    """Least and most bytes on a card for n vectors, each segment by itself; of an exact scan (None) of codes of `dtype`."""
    least = most = 0
    for count, rows in predict.segments(n):
        if kind is None:
            one = (layout.nbytes(rows, dim, dtype, metric),) * 2
        else:
            options = _options(kind, rows, dim, metric)
            if isinstance(options, str):  # a last segment of a graph with fewer rows than links is scanned
                one = (layout.nbytes(rows, dim, dtype, metric),) * 2
            else:
                one = sizes.on_card(kind, rows, dim, metric, options)
        least, most = least + count * one[0], most + count * one[1]
    return least, most


def _options(kind: Kind | None, n: int | None, dim: int, metric: Metric) -> Options | str:
    """How a kind is kept on a card that has FAISS with cuVS, or why it cannot be; an exact scan always can."""
    if kind is None:
        return Options()
    rows = predict.SEGMENT_ROWS if n is None else min(n, predict.SEGMENT_ROWS)
    return limits.choose(kind, rows, dim, metric, cuvs=True)


def _of(recipe: GpuRecipe, memory: int) -> str:
    least, most = map(format_size, recipe.nbytes)
    shown = most if least == most else f"{least} to {most}"
    return f"{shown} of {format_size(memory)}, and {format_size(recipe.work)} to work in"
