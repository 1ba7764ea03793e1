"""What an evaluation found: means with intervals, differences with paired intervals, as a table and as JSON values.

Knows names and numbers; not how they were come by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nearfield.core.errors import InvalidInput
from nearfield.evaluate.bootstrap import DRAWS, LEVEL, Estimate, intervals


@dataclass(frozen=True)
class Scored:
    """One way of searching, measured.

    Attributes:
        name: such as "hybrid" or "hybrid + rerank".
        values: float64 (queries, metrics).
        milliseconds: of a query, the mean; embedding and reranking included.
    """

    name: str
    values: npt.NDArray[np.float64]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Difference:
    """One way of searching minus another, by one metric over the same queries.

    Attributes:
        metric: such as "nDCG@10".
        better, than: the names; `mean`, `low` and `high` are of better - than.
        mean, low, high: of the difference, with its paired interval.
    """

    metric: str
    better: str
    than: str
    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.metric}: {self.better} - {self.than}: {self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@dataclass(frozen=True)
class Evaluation:
    """Ways of searching, asked the same queries.

    Attributes:
        metrics: names, in order, such as ("nDCG@10", "MRR@10", "MAP@10", "Recall@10", "Recall@100").
        queries: ids of those that count, in order.
        results: one for each way of searching.
        left_out: queries that have no relevant document by the judgements, and are not counted.
        unasked: judged queries of which there was no text.
        about: what was searched, as JSON values.
        level: of confidence.
        draws, seed: of the bootstrap.
    """

    metrics: tuple[str, ...]
    queries: tuple[str, ...]
    results: tuple[Scored, ...]
    left_out: int = 0
    unasked: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    level: float = LEVEL
    draws: int = DRAWS
    seed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The ways of searching."""
        return tuple(one.name for one in self.results)

    @cached_property
    def _estimates(self) -> dict[str, tuple[Estimate, ...]]:
        return {one.name: self._intervals(one.values) for one in self.results}

    def _intervals(self, values: npt.NDArray[np.float64]) -> tuple[Estimate, ...]:
        return intervals(values, level=self.level, draws=self.draws, seed=self.seed)

    def estimate(self, name: str, metric: str) -> Estimate:
        """The mean and interval of one way of searching by one metric; raises InvalidInput for a name that is not there."""
        self._result(name)
        return self._estimates[name][self._column(metric)]

    def difference(self, better: str, than: str, metric: str | None = None) -> Difference:
        """`better` minus `than` by a metric, the first by default, with its paired interval."""
        metric = self.metrics[0] if metric is None else metric
        column = self._column(metric)
        apart = self._result(better).values[:, column] - self._result(than).values[:, column]
        (found,) = self._intervals(apart[:, None])
        return Difference(metric, better, than, found.mean, found.low, found.high)

    def differences(self, metric: str | None = None) -> list[Difference]:
        """Every pair by a metric, the first by default: the one with the higher mean minus the other; the largest first."""
        metric = self.metrics[0] if metric is None else metric
        means = {name: self.estimate(name, metric).mean for name in self.names}
        order = sorted(self.names, key=lambda name: -means[name])
        found = [self.difference(a, b, metric) for i, a in enumerate(order) for b in order[i + 1 :]]
        return sorted(found, key=lambda one: -one.mean)

    def _result(self, name: str) -> Scored:
        for one in self.results:
            if one.name == name:
                return one
        raise InvalidInput("not evaluated", field="name", expected=f"one of {', '.join(self.names)}", received=name)

    def _column(self, metric: str) -> int:
        if metric not in self.metrics:
            raise InvalidInput("not measured", field="metric", expected=f"one of {', '.join(self.metrics)}", received=metric)
        return self.metrics.index(metric)

    def table(self) -> str:
        """Lines for people: a row for each way of searching, then the differences by the first metric."""
        rows = [["", *self.metrics, "ms/query"]]
        for one in self.results:
            cells = [f"{e.mean:.4f} [{e.low:.3f}, {e.high:.3f}]" for e in self._estimates[one.name]]
            rows.append([one.name, *cells, f"{one.milliseconds:.1f}"])
        out = [*_aligned(rows), ""]
        out.append(f"{len(self.queries):,} queries; {100 * self.level:g} % intervals by {self.draws:,} draws of the queries")
        if self.left_out:
            out.append(f"{self.left_out:,} queries without a relevant document are left out")
        if self.unasked:
            out.append(f"{self.unasked:,} judged queries were not asked")
        for apart in self.differences():
            out.append(f"{apart}{'' if apart.clear else '  (not clear: the interval holds 0)'}")
        return "\n".join(out)

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: for each way of searching and metric {"mean", "low", "high"}, and the differences by every metric."""
        systems = {}
        for one in self.results:
            measured = zip(self.metrics, self._estimates[one.name], strict=True)
            systems[one.name] = {
                "metrics": {metric: _rounded(mean=e.mean, low=e.low, high=e.high) for metric, e in measured},
                "milliseconds": round(one.milliseconds, 3),
            }
        return {
            "systems": systems,
            "differences": [
                {"metric": d.metric, "better": d.better, "than": d.than, **_rounded(mean=d.mean, low=d.low, high=d.high)}
                for metric in self.metrics
                for d in self.differences(metric)
            ],
            "queries": len(self.queries),
            "left_out": self.left_out,
            "unasked": self.unasked,
            "level": self.level,
            "draws": self.draws,
            "seed": self.seed,
            **({"about": self.about} if self.about else {}),
        }

    def per_query(self, name: str, metric: str | None = None) -> dict[str, float]:
        """The value of each query, by its id: for who looks where one way of searching fails."""
        column = self._column(self.metrics[0] if metric is None else metric)
        return dict(zip(self.queries, self._result(name).values[:, column].tolist(), strict=True))


def _rounded(**values: float) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
