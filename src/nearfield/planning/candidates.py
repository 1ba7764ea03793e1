"""Which recipes are considered, in which order they are preferred, and what recall they are known for. Plain data and rules.

The order was measured, with ten hits, one query at a time on one thread of a processor with AVX-512 (`make bench`, frontier):
on SIFT (128-d) a graph of one-byte vectors answered 17,300 queries a second at recall 0.94 and 8,600 at 0.99, one of float32
12,100 and 5,400; on sentence embeddings (384-d) 12,200 at 0.969 and 6,600 at 0.991 against 10,000 at 0.961 and 3,400 at 0.991.
There 4-bit product codes gave 8,600 at 0.942, lists of one-byte vectors 5,200 at 0.944. Elsewhere ratios will differ; what
is built is measured.

Ranges of recall are rules of thumb: where an index usually lies between a cheap and a costly setting. They are never measured
on the vectors that are planned for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric
from nearfield.index import coarse
from nearfield.index.base import Effort, Kind
from nearfield.index.calibrate import ENOUGH
from nearfield.index.flat import Flat
from nearfield.index.hnsw import Hnsw
from nearfield.index.ivf import Ivf
from nearfield.index.ivfpq import IvfPq
from nearfield.index.rabitq import Rabitq

_RULE = "rule of thumb, not measured on your vectors"
_GRAPH = f"{_RULE}; ann-benchmarks.com shows graphs between these on its data sets"
_LISTS = f"{_RULE}; by nprobe up to all lists, which is exact"
_PQ = f"{_RULE}; candidates are scored again from the raw vectors, else 4-bit codes alone stay far below"
_RABITQ = (
    f"{_RULE}; published: 4, 5 and 7 bits reach about 0.90, 0.95 and 0.99 without the raw vectors "
    "(README of VectorDB-NTU/RaBitQ-Library), which here score candidates again"
)


@dataclass(frozen=True, slots=True)
class Expected:
    """A range of recall@10 between cheap and costly settings, and where it comes from."""

    low: float
    high: float
    source: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One recipe: a kind (None: no index, an exact scan of the raw vectors), its recall, and a line about it."""

    kind: Kind | None
    expected: Expected
    about: str


EXACT = Expected(1.0, 1.0, "by definition: every vector is compared")


def candidates(dim: int) -> list[Candidate]:
    """All recipes for vectors of `dim`, each once."""
    found: dict[Kind | None, Candidate] = {}
    for candidate in _all(dim):
        found.setdefault(candidate.kind, candidate)
    return list(found.values())


def _all(dim: int) -> Iterator[Candidate]:
    yield Candidate(None, EXACT, "no index: the raw vectors are scanned")
    yield Candidate(Flat(), EXACT, "a second copy of the raw vectors, scanned by FAISS")
    for links in (32, 16):
        for storage in ("int8", "float16", "float32"):
            yield Candidate(Hnsw(links=links, storage=storage), Expected(0.90, 0.998, _GRAPH), "a graph: quick, all in memory")
    for storage in ("int8", "float16", "float32"):
        yield Candidate(Ivf(storage=storage), Expected(0.80, 0.998, _LISTS), "lists, of which a query reads a few")
    for target, high in ((2, 0.995), (4, 0.99)):
        yield Candidate(_product(dim, target, 4), Expected(0.80, high, _PQ), "lists of 4-bit codes: quick and small")
    yield Candidate(_product(dim, 4, 8), Expected(0.80, 0.995, _PQ), "lists of 8-bit codes: finer, slower to scan")
    for bits, high in ((7, 0.998), (4, 0.995), (2, 0.99), (1, 0.98)):
        yield Candidate(Rabitq(bits=bits), Expected(0.80, high, _RABITQ), "lists of very short codes")


def _product(dim: int, divisor: int, bits: int) -> IvfPq:
    """IvfPq with about dim / divisor subvectors; as the default says it where that is the same."""
    target = max(1, dim // divisor)
    parts = next(m for m in range(target, 0, -1) if dim % m == 0)
    usual = IvfPq(bits=bits)
    return usual if usual.parts(dim) == parts else IvfPq(subvectors=parts, bits=bits)


def unsuited(kind: Kind | None, dim: int, metric: Metric) -> str:
    """Why a kind does not suit these vectors, whatever their number; empty if it does."""
    if kind is None:
        return ""
    try:
        kind.check(dim, metric)
    except InvalidInput as error:
        return error.message
    if metric is Metric.IP and isinstance(kind, Hnsw):
        return "inner products of unequal lengths suit lists better than a graph"
    if isinstance(kind, IvfPq) and kind.parts(dim) * 8 < dim:
        return f"{dim} has no divisor near dim / 4: codes of {kind.parts(dim)} parts would rank too roughly"
    return ""


def preference(dim: int, metric: Metric) -> list[Kind]:
    """Kinds in the order in which they are proposed: the first that fits is taken; what is not here is only shown."""
    first: list[Kind] = [Hnsw(), Hnsw(links=16)]
    if metric is Metric.IP:
        first = [Ivf(), Ivf(storage="float16")]
    codes: list[Kind] = [IvfPq(), Rabitq(bits=2), Rabitq(bits=1), _product(dim, 4, 4)]
    return list(dict.fromkeys([*first, *codes, Rabitq(bits=4), Rabitq(bits=7), Ivf(storage="int8")]))


def effort_for(kind: Kind, recall: float, n: int) -> Effort:
    """The setting that such a recall usually takes among n vectors: a rule of thumb, in steps that the kind has.

    EfSearch 16 and 2 % of a thousand lists for recall 0.9, both growing with the 0.7th power of 1 / (1 - recall), slowly with
    n: about what the two data sets above took. Harder data take several times as much.
    """
    harder = (0.1 / (1 - min(recall, ENOUGH))) ** 0.7
    efforts = list(kind.efforts(n))
    if isinstance(kind, Hnsw):
        wanted = 16 * max(1.0, harder) * max(1.0, n / 1e5) ** 0.15
        effort = next((e for e in efforts if e.efSearch >= wanted), efforts[-1])
    else:
        lists = efforts[-1].nprobe
        wanted = 0.02 * harder * 1024 * (lists / 1024) ** 0.4
        effort = next((e for e in efforts if e.nprobe >= wanted), efforts[-1])
    steps = list(kind.oversamplings)
    return replace(effort, oversampling=steps[min(len(steps) - 1, 1 if recall <= 0.95 or len(steps) <= 3 else 3)])


def spelled(kind: Kind | None) -> str:
    """A kind as one writes it in Python, defaults left out; always with what tells it from its neighbours in a table."""
    if kind is None:
        return "exact scan"
    told = {"hnsw": ("links", "storage"), "ivf": ("storage",), "ivfpq": ("bits",), "rabitq": ("bits",), "cagra": ("storage",)}
    usual = type(kind)()
    shown = [
        f"{f.name}={getattr(kind, f.name)!r}".replace("'", '"')
        for f in fields(kind)  # type: ignore[arg-type]
        if f.name in told.get(kind.name, ()) or getattr(kind, f.name) != getattr(usual, f.name)
    ]
    return f"{type(kind).__name__}({', '.join(shown)})"


def factory(kind: Kind | None, n: int, dim: int) -> str:
    """The field's name of a kind for n vectors, as FAISS's index_factory writes it."""
    if kind is None:
        return "none"
    if isinstance(kind, IvfPq):
        kind = replace(kind, subvectors=kind.parts(dim))
    if isinstance(kind, (Ivf, IvfPq, Rabitq)):
        kind = replace(kind, lists=coarse.count(kind.lists, n))
    return kind.recipe.replace("{d}", str(dim)).replace("{d/2}", str(max(1, dim // 2)))


def lists_of(kind: Kind, n: int) -> int:
    """The number of lists of a kind for n vectors; 0 if it has none."""
    return coarse.count(kind.lists, n) if isinstance(kind, (Ivf, IvfPq, Rabitq)) else 0


def compared(effort: Effort, links: int, n: int) -> float:
    """Vectors that a search of a graph compares: 15 x sqrt(links) x efSearch^0.72, counted at 100,000, more with log n."""
    found = float(15 * math.sqrt(links) * effort.efSearch**0.72)
    return min(float(n), found * max(0.5, 1 + 0.1 * math.log2(max(2, n) / 1e5)))
