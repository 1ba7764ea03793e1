"""What tuning found: each candidate with its measurements, the Pareto front, and the best for the goal. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from nearfield.core.config import format_size
from nearfield.index import decode_kind
from nearfield.index.base import Kind


class Goal(msgspec.Struct, frozen=True):
    """What is asked for.

    Attributes:
        recall: recall@k that the lower bound must reach.
        k: how many hits.
        latency: seconds that the P99 of single searches may take, or None.
        memory: bytes that an index may take when all of it has been touched, or None.
    """

    recall: float
    k: int = 10
    latency: float | None = None
    memory: int | None = None


class Measured(msgspec.Struct, frozen=True):
    """One candidate on some rows. Times in seconds; `points` are (recall, bound, seconds of a single search), cheapest first.

    Attributes:
        kind: the kind as its fields.
        rows: how many vectors it was built of; `whole`: whether those are all.
        effort: the cheapest setting that reaches the goal's recall, None where none does.
        recall, bound: of that setting, measured over `queries` queries from `source`.
        p50, p99: of single searches on one thread; `busy_p50`, `busy_p99`: while all cores search.
        qps: single searches a second on one thread; `busy_qps` on all cores.
        nbytes: of its files; `resident`: of memory when all has been touched; `raw`: whether raw vectors are read as well.
        build: seconds, calibration included.
    """

    kind: dict[str, Any]
    rows: int
    whole: bool
    effort: dict[str, int] | None
    recall: float
    bound: float
    queries: int
    source: str
    seconds: float
    nbytes: int
    resident: int
    build: float
    points: list[tuple[float, float, float]]
    p50: float = 0.0
    p99: float = 0.0
    qps: float = 0.0
    busy_p50: float = 0.0
    busy_p99: float = 0.0
    busy_qps: float = 0.0
    threads: int = 0

    def fits(self, goal: Goal) -> str:
        """Empty where it reaches the goal; else what it misses."""
        if self.effort is None:
            return f"no setting's lower bound reaches recall {goal.recall}"
        if goal.memory is not None and self.resident > goal.memory:
            return f"takes {format_size(self.resident)} of memory, {format_size(goal.memory)} allowed"
        took = self.p99 or self.seconds
        if goal.latency is not None and took > goal.latency:
            return f"P99 {took * 1000:.2f} ms, {goal.latency * 1000:.2f} ms allowed"
        return ""


@dataclass(frozen=True, slots=True)
class Best:
    """The choice: `rebuild(front.best)` takes it. `kind` None means that an exact scan is best."""

    kind: Kind | None
    measured: Measured | None
    reason: str


@dataclass(frozen=True, slots=True)
class Front:
    """What tuning found.

    Attributes:
        goal: what was asked for.
        measured: every candidate at the largest number of rows it was measured on, quickest first.
        best: the choice, with its reason.
        about: machine, versions, seed, rows, seconds spent, the source of the queries.
        finished: False where time ran out or it was interrupted: call again, it goes on.
    """

    goal: Goal
    measured: tuple[Measured, ...]
    best: Best
    about: dict[str, Any]
    finished: bool

    def pareto(self, cost: Callable[[Measured], float]) -> list[Measured]:
        """Of those measured on all rows and reaching the recall, those that none beats in both `cost` and seconds."""
        return undominated([m for m in self.measured if m.whole and m.effort is not None], cost)

    def table(self) -> str:
        """One line for each candidate, for people."""
        head = ("index", "rows", "recall", "at least", "P50 ms", "P99 ms", "QPS", "all cores", "bytes", "memory", "build s", "")
        lines = [head]
        for m in self.measured:
            fit = m.fits(self.goal)
            mark = "best" if m is self.best.measured else fit if fit else "" if m.whole else "given up on a sample"
            lines.append(
                (
                    spelled(m.kind),
                    f"{m.rows:,}",
                    f"{m.recall:.3f}" if m.effort else "-",
                    f"{m.bound:.3f}" if m.effort else "-",
                    f"{1000 * (m.p50 or m.seconds):.3f}",
                    f"{1000 * m.p99:.3f}" if m.p99 else "-",
                    f"{m.qps:,.0f}" if m.qps else "-",
                    f"{m.busy_qps:,.0f}" if m.busy_qps else "-",
                    format_size(m.nbytes),
                    format_size(m.resident),
                    f"{m.build:.1f}",
                    mark,
                )
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([*rows, "", self.best.reason])

    def plot(self, path: str | Path) -> None:
        """Draws recall against QPS, and bytes against QPS, into a .png or .svg; needs matplotlib."""
        from nearfield.planning import report

        report.plot(self, Path(path))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        best = self.best
        return {
            "goal": msgspec.to_builtins(self.goal),
            "best": {"kind": None if best.measured is None else best.measured.kind, "reason": best.reason},
            "measured": [{**msgspec.to_builtins(m), "misses": m.fits(self.goal)} for m in self.measured],
            "about": self.about,
            "finished": self.finished,
        }


def spelled(kind: dict[str, Any]) -> str:
    """A kind as one writes it in Python."""
    made: Any = decode_kind(kind)
    inside = ", ".join(f"{key}={value!r}" for key, value in asdict(made).items())
    return f"{type(made).__name__}({inside})"


def undominated(found: Sequence[Measured], cost: Callable[[Measured], float]) -> list[Measured]:
    """Those that no other beats in one of `cost` and seconds without losing in the other; cheapest first."""
    out: list[Measured] = []
    for m in sorted(found, key=lambda m: (cost(m), m.seconds)):
        if not out or m.seconds < out[-1].seconds:
            out.append(m)
    return out


def choose(measured: Sequence[Measured], goal: Goal) -> Best:
    """The quickest of those measured on all rows that reaches the goal."""
    whole = [m for m in measured if m.whole]
    good = [m for m in whole if not m.fits(goal)]
    if not good:
        missing = "; ".join(f"{spelled(m.kind)}: {m.fits(goal)}" for m in whole[:3]) or "nothing was measured on all rows"
        return Best(None, None, f"none of the indexes built reaches the goal, so an exact scan keeps it: {missing}")
    best = max(good, key=lambda m: m.qps)
    others = sorted((m for m in good if m is not best), key=lambda m: -m.qps)
    beside = f"; next is {spelled(others[0].kind)} with {others[0].qps:,.0f}" if others else ""
    reason = (
        f"{spelled(best.kind)} at {best.effort}: recall@{goal.k} {best.recall:.3f} (at least {best.bound:.3f} with 95 % "
        f"confidence, {best.queries} {best.source}), {best.qps:,.0f} searches a second on one thread, "
        f"{format_size(best.resident)} of memory{beside}"
    )
    return Best(decode_kind(best.kind), best, reason)
