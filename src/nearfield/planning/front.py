"""What tuning found: each candidate with its measurements, the Pareto front, and the best for the goal. Plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nearfield.core.config import format_size
from nearfield.index import decode_kind
from nearfield.index.base import Kind
from nearfield.planning import candidates


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
        seconds: of a single search: median of a few on a sample, of rounds of several hundred on all rows.
        nbytes: of its files; `resident`: of memory when all has been touched.
        build: seconds, with as much measuring as tuning needs; `rebuild` measures more.
        problem: why it could not be built, else empty.
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
    problem: str = ""

    def fits(self, goal: Goal) -> str:
        """Empty where it reaches the goal; else what it misses."""
        if self.problem:
            return f"could not be built: {self.problem}"
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
    """The choice: `rebuild(front.best)` takes it.

    Attributes:
        kind: what to build; None: nothing that was built will do, and an exact scan is what keeps the recall.
        measured: its measurements.
        reason: why.
        few: kind is None because so few rows are best scanned.
    """

    kind: Kind | None
    measured: Measured | None
    reason: str
    few: bool = False


RIGHT = ("rows", "recall", "at least", "P50 ms", "P99 ms", "QPS", "all cores", "files", "memory", "build s")
COLUMNS = ("", "index", "setting", *RIGHT, "")


@dataclass(frozen=True, slots=True)
class Front:
    """What tuning found.

    Attributes:
        goal: what was asked for.
        measured: every candidate at the largest number of rows it was measured on, quickest first.
        best: the choice, with its reason.
        about: machine, versions, seed, rows, seconds spent, the source of the queries.
        stopped: why it is not finished: "time is up" or "interrupted"; empty when it is. Called again it goes on.
        excluded: kinds that were not built because they take more memory than allowed, as text.
        apply: the command that applies the choice.
    """

    goal: Goal
    measured: tuple[Measured, ...]
    best: Best
    about: dict[str, Any]
    stopped: str = ""
    excluded: tuple[str, ...] = ()
    apply: str = ""

    @property
    def finished(self) -> bool:
        """Whether everything that was to be measured was."""
        return not self.stopped

    def pareto(self) -> list[Measured]:
        """Of those measured on all rows and reaching the recall, those that none beats in both memory and QPS."""
        return undominated([m for m in self.measured if m.whole and m.effort is not None], lambda m: m.resident)

    def cells(self) -> list[tuple[str, ...]]:
        """The rows of the table: "*" the best, "+" on the front."""
        front = self.pareto()
        return [_cells(m, self.goal, "*" if m is self.best.measured else "+" if m in front else "") for m in self.measured]

    def table(self) -> str:
        """One line for each candidate, for people, and the choice."""
        from nearfield.planning.table import aligned

        lines = aligned(COLUMNS, self.cells(), RIGHT) if self.measured else []
        notes = ["* the best; + none is both quicker and smaller. Times are of the index alone."] if self.measured else []
        return "\n".join([*lines, "", *notes, *self.notes(), self.best.reason])

    def notes(self) -> list[str]:
        """Sentences about what is not in the table."""
        notes = [f"Not built: {text}." for text in self.excluded]
        return notes + ([f"Not finished ({self.stopped}): run it again, it goes on."] if self.stopped else [])

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
            "stopped": self.stopped,
            "excluded": list(self.excluded),
            "apply": self.apply,
        }


def spelled(kind: dict[str, Any]) -> str:
    """A kind as one writes it in Python."""
    return candidates.spelled(decode_kind(kind))


def setting(m: Measured) -> str:
    """The setting that reaches the recall, and of how many lists."""
    if m.effort is None:
        return "-"
    kind = decode_kind(m.kind)
    lists = candidates.lists_of(kind, m.rows)
    return ", ".join(f"{key}={value}" + (f" of {lists:,}" if key == "nprobe" else "") for key, value in m.effort.items())


def _cells(m: Measured, goal: Goal, mark: str) -> tuple[str, ...]:
    good = m.effort is not None
    return (
        mark,
        spelled(m.kind),
        setting(m),
        f"{m.rows:,}",
        f"{m.recall:.3f}" if good else "-",
        f"{m.bound:.3f}" if good else "-",
        f"{1000 * m.p50:.3f}" if m.p50 else "-",
        f"{1000 * m.p99:.3f}" if m.p99 else "-",
        f"{m.qps:,.0f}" if m.qps else "-",
        f"{m.busy_qps:,.0f}" if m.busy_qps else "-",
        format_size(m.nbytes) if m.nbytes else "-",
        format_size(m.resident) if m.resident else "-",
        f"{m.build:.1f}" if m.build else "-",
        m.fits(goal) or ("" if m.whole else "given up on a sample"),
    )


def undominated(found: Sequence[Measured], cost: Callable[[Measured], float]) -> list[Measured]:
    """Those that no other beats in one of `cost` and seconds without losing in the other; cheapest first."""
    out: list[Measured] = []
    for m in sorted(found, key=lambda m: (cost(m), m.seconds)):
        if not out or m.seconds < out[-1].seconds:
            out.append(m)
    return out


def choose(measured: Sequence[Measured], goal: Goal, stopped: str = "", excluded: Sequence[str] = ()) -> Best:
    """The quickest of those measured on all rows that reaches the goal."""
    whole = [m for m in measured if m.whole]
    good = [m for m in whole if not m.fits(goal)]
    if not good:
        missing = "; ".join(f"{spelled(m.kind)}: {m.fits(goal)}" for m in (whole or list(measured))[:3] if m.fits(goal))
        if stopped:
            return Best(None, None, f"nothing to choose from yet: {stopped} before an index of all rows had been measured")
        if not measured:
            return Best(
                None, None, f"every kind takes more than {format_size(goal.memory or 0)} of memory, so searches stay exact"
            )
        return Best(None, None, f"no index reaches the goal, so an exact scan is what keeps the recall: {missing}")
    best = max(good, key=lambda m: m.qps)
    others = sorted((m for m in good if m is not best), key=lambda m: -m.qps)
    beside = f"; next is {spelled(others[0].kind)} with {others[0].qps:,.0f}" if others else ""
    reason = (
        f"{spelled(best.kind)} at {setting(best)}: recall@{goal.k} {best.recall:.3f} (at least {best.bound:.3f} with 95 % "
        f"confidence, {best.queries:,} {best.source}), {best.qps:,.0f} searches a second on one thread, "
        f"{format_size(best.resident)} of memory{beside}"
    )
    return Best(decode_kind(best.kind), best, reason)


__all__ = ["Best", "Front", "Goal", "Measured", "choose", "setting", "spelled", "undominated"]
