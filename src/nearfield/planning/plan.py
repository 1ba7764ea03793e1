"""Plans an index before anything is built: which recipes fit, what they take, which one is proposed. Arithmetic only.

Knows sizes, rules and this machine's rates; no collection, no vector. The first plan on a machine times it for two seconds.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nearfield.core.config import format_size, parse_size, parse_time
from nearfield.core.errors import InvalidInput
from nearfield.core.metric import Metric
from nearfield.index import encode_kind
from nearfield.index.base import Effort, Kind
from nearfield.index.calibrate import ENOUGH
from nearfield.planning import choose, predict
from nearfield.planning.candidates import Candidate, Expected, candidates, effort_for, factory, preference, spelled
from nearfield.planning.gpu import GpuPlan, on_a_card
from nearfield.planning.machine import Machine, this_machine
from nearfield.planning.predict import FACTOR, Budget

MOST_ROWS, MOST_DIM = 1 << 40, 1 << 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to index, with what it is predicted to take. Nothing here is measured on the vectors it is for.

    Attributes:
        kind: for `create(index=...)`; None: no index, an exact scan of the raw vectors.
        name: the kind as one writes it.
        factory: the field's name for it, as FAISS's index_factory writes it.
        feasible: whether it does all that was asked.
        problems: if not, why not, and what does not fit by how much.
        n: the vectors that were asked about, or the most that fit.
        segments: how many indexes that makes, each of at most `planning.predict.SEGMENT_ROWS` vectors.
        disk: bytes of index files.
        raw: bytes of the raw vectors, kept beside every index and memory-mapped.
        resident: least and most bytes of memory; apart where only the lists' sizes decide (fast-scan).
        building: bytes of memory at the peak of building, beyond the mapped vectors.
        build_seconds: least and most seconds to build; a prediction and its factor of uncertainty.
        latency: least and most seconds of one query for ten hits at `effort`; a prediction and its factor of uncertainty.
        effort: the setting that the recall asked for usually takes: a rule of thumb.
        recall: the range of recall@10 it is known for, and the source.
        reason: what speaks for it, in a line.
    """

    kind: Kind | None
    name: str
    factory: str
    feasible: bool
    problems: tuple[str, ...]
    n: int
    segments: int
    disk: int
    raw: int
    resident: tuple[int, int]
    building: int
    build_seconds: tuple[float, float]
    latency: tuple[float, float]
    effort: Effort
    recall: Expected
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        kind = None if self.kind is None else encode_kind(self.kind)
        return {**asdict(self), "kind": kind, "effort": self.effort.to_dict()}


@dataclass(frozen=True, slots=True)
class Plan:
    """What `nf.plan` answers: `table()` for people, `best` and `recipes` for programs.

    Attributes:
        n: vectors asked about; None: how many fit was asked.
        dim: numbers in each.
        metric: which comparison.
        memory: bytes of the machine, or None.
        disk: bytes for index files and raw vectors, or None.
        recall: to hold at ten hits.
        latency: seconds that one query may take, or None.
        recipes: all of them for the processor; those that do what was asked first, quickest first. None where only a card's
            memory was given to fill.
        best: the proposal; None if nothing does what was asked.
        reason: why that one.
        gpu: what a graphics card of so much memory holds; None if that was not asked.
        machine: the rates behind the seconds.
    """

    n: int | None
    dim: int
    metric: Metric
    memory: int | None
    disk: int | None
    recall: float
    latency: float | None
    recipes: tuple[Recipe, ...]
    best: Recipe | None
    reason: str
    gpu: GpuPlan | None
    machine: Machine

    def table(self) -> str:
        """The plan as plain text, aligned, with what the numbers mean."""
        from nearfield.planning.table import text

        return text(self)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "n": self.n,
            "dim": self.dim,
            "metric": str(self.metric),
            "memory": self.memory,
            "disk": self.disk,
            "recall": self.recall,
            "latency": self.latency,
            "recipes": [recipe.to_dict() for recipe in self.recipes],
            "best": None if self.best is None else self.best.to_dict(),
            "reason": self.reason,
            "gpu": None if self.gpu is None else self.gpu.to_dict(),
            "machine": self.machine.to_dict(),
        }


def plan(
    n: int | None = None,
    dim: int = 0,
    *,
    memory: int | str | None = None,
    disk: int | str | None = None,
    gpu_memory: int | str | None = None,
    recall: float = 0.95,
    latency: float | str | None = None,
    metric: str | Metric = Metric.COSINE,
    refresh: bool = False,
) -> Plan:
    """Which index for n vectors, or how many vectors fit: by arithmetic, nothing is built.

    Args:
        n: how many vectors; None: the most that fit into `memory` and `disk`, and on a card of `gpu_memory`, for each recipe.
        dim: numbers in each.
        memory: of the machine, such as "64GB"; an index may take half of it, building all of it. None: not limited.
        disk: for index files and raw vectors. None: not limited.
        gpu_memory: of a graphics card, such as "24GB": adds what each recipe for cards takes there, and whether it fits. Give
            what is free: the driver keeps some hundred MB for itself.
        recall: to hold at ten hits, in (0, 1].
        latency: that one query may take, such as "10ms": rules out recipes whose predicted time is above.
        metric: "cosine", "ip" or "l2".
        refresh: time this machine again instead of using the cached rates.

    Raises:
        InvalidInput: an argument that cannot be; it names which.
    """
    _check(n, dim, recall)
    asked = Metric.parse(metric)
    budget = Budget(_size(memory, "memory"), _size(disk, "disk"))
    limit = None if latency is None else parse_time(latency, "latency")
    if limit is not None and limit <= 0:
        raise InvalidInput("not a latency", field="latency", expected="more than 0", received=latency)
    gpu = None if gpu_memory is None else on_a_card(n, dim, asked, parse_size(gpu_memory, "gpu_memory"), recall)
    unlimited = n is None and budget == Budget()
    if unlimited and gpu is None:
        raise InvalidInput(
            "nothing to fill", field="n", expected="how many vectors, or memory=, disk= or gpu_memory=", received=n
        )
    machine = this_machine(refresh)
    recipes: list[Recipe] = []
    best, reason = None, "only a card's memory was given to fill, so no recipe for the processor is sized"
    if not unlimited:
        found = [_recipe(c, n, dim, asked, recall, limit, budget, machine) for c in candidates(dim)]
        recipes = sorted(found, key=lambda r: (not r.feasible, r.latency))
        best, reason = _best(recipes, n, dim, asked, recall, budget)
    return Plan(
        n,
        dim,
        asked,
        budget.memory,
        budget.disk,
        recall,
        limit,
        tuple(recipes),
        best,
        reason,
        gpu,
        machine,
    )


def _check(n: int | None, dim: int, recall: float) -> None:
    """Raises InvalidInput for numbers that cannot be."""
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MOST_ROWS):
        raise InvalidInput(
            "not a number of vectors", field="n", expected=f"1 to {MOST_ROWS:,}, or None: how many fit", received=n
        )
    if isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= MOST_DIM:
        raise InvalidInput("not a dimension", field="dim", expected=f"1 to {MOST_DIM:,}", received=dim)
    if isinstance(recall, bool) or not isinstance(recall, (int, float)) or not 0 < recall <= 1:
        raise InvalidInput("not a recall", field="recall", expected="above 0, at most 1", received=recall)


def _size(value: int | str | None, field: str) -> int | None:
    return None if value is None else parse_size(value, field)


def _recipe(
    candidate: Candidate,
    n: int | None,
    dim: int,
    metric: Metric,
    recall: float,
    limit: float | None,
    budget: Budget,
    machine: Machine,
) -> Recipe:
    """One candidate with its predictions."""
    kind = candidate.kind
    problems = choose.problems_of(candidate, n or 0, dim, metric, recall, budget, fit=n is not None)
    rows = predict.largest(kind, dim, metric, budget) if n is None else n
    if not rows:
        problems += predict.shortfalls(predict.sizes(kind, 1, dim, metric), budget)
    sized = predict.sizes(kind, rows, dim, metric)
    each = max(1, min(rows, predict.SEGMENT_ROWS))
    effort = Effort() if kind is None else effort_for(kind, recall, each)
    cold = predict.cold_share(sized, budget)
    query = predict.search_seconds(kind, rows, dim, effort, machine, cold)
    if limit is not None and query > limit:
        problems.append(
            f"one query takes about {query * 1e3:.3g} ms, {query / limit:.1f} times the {limit * 1e3:.3g} ms asked for"
        )
    made = predict.build_seconds(kind, rows, dim, effort, machine)
    return Recipe(
        kind,
        spelled(kind),
        factory(kind, each, dim),
        not problems,
        tuple(problems),
        rows,
        sum(count for count, _ in predict.segments(rows)),
        sized.disk,
        sized.raw,
        sized.resident,
        sized.building,
        (made / FACTOR, made * FACTOR),
        (query / FACTOR, query * FACTOR),
        effort,
        candidate.expected,
        candidate.about,
    )


def _best(
    recipes: list[Recipe], n: int | None, dim: int, metric: Metric, recall: float, budget: Budget
) -> tuple[Recipe | None, str]:
    """The proposal and its reason: for n vectors the order of preference, for "how many fit" what holds the most."""
    by_kind = {recipe.kind: recipe for recipe in recipes}
    if n is None:
        return _most(by_kind, dim, metric, recall, budget)
    slow = {r.kind: r.problems[-1] for r in recipes if r.kind is not None and not r.feasible}
    choice = choose.propose(n, dim, metric, recall, budget, slow)
    best = by_kind[choice.kind]
    if not choice.found:
        return None, choice.reason
    if not best.feasible:
        return None, f"{choice.reason}; but {best.name} {'; '.join(best.problems)}"
    return best, choice.reason + _raw(best, budget)


def _most(
    by_kind: dict[Kind | None, Recipe], dim: int, metric: Metric, recall: float, budget: Budget
) -> tuple[Recipe | None, str]:
    """Of the kinds that are proposed at all, the one that holds the most; and what the quickest holds."""
    kinds: list[Kind | None] = [None] if recall > ENOUGH else [*preference(dim, metric)]
    usable = [by_kind[kind] for kind in kinds if by_kind[kind].feasible]
    if not usable:
        first = by_kind[kinds[0]]
        return None, f"nothing does what was asked: {first.name} {'; '.join(first.problems)}"
    best = max(usable, key=lambda r: r.n)
    reason = f"{best.name} holds the most, {best.n:,} vectors"
    if usable[0] is not best:
        reason += f"; {usable[0].name}, which is preferred where it fits, holds {usable[0].n:,}"
    return best, reason + _raw(best, budget)


def _raw(best: Recipe, budget: Budget) -> str:
    """Where candidates are read from, for kinds that score them again."""
    if best.kind is None or not best.kind.refines:
        return ""
    text = f". Its candidates are scored again from the raw vectors, {format_size(best.raw)} memory-mapped"
    if budget.memory is None:
        return f"{text}: from disk where memory does not hold them"
    cold = predict.cold_share(predict.Sizes(best.disk, best.raw, best.resident, best.building), budget)
    if not cold:
        return f"{text}: memory holds them beside the index"
    reads = predict.K * best.effort.oversampling * best.segments
    return f"{text}: memory does not hold about {cold:.0%} of them, and that share of some {reads} candidates is read from disk"
