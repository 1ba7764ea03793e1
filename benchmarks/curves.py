"""QPS at equal recall: parameters are chosen on one half of the queries and measured on the other, in interleaved rounds.

Knows contenders as things that answer and can be timed; no library, no data set. The method:

1. Choosing. Each contender answers the first half of the queries at its settings (`sweep`) and is timed. Settings on the front
   of recall and QPS that surround a wanted recall are kept (`choose`).
2. Rounds. Each round times every kept setting of every contender once on the second half, A B C A B C ..., so that a slow
   moment of the machine hits all of them; which one begins changes from round to round.
3. Reading. In each round a contender's QPS at a recall is interpolated, log QPS against recall on the second half, between
   neighbouring settings. A ratio of two contenders is the geometric mean of the rounds' ratios, with a bootstrap interval over
   rounds (`ratio`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HALVES = CHOOSE, MEASURE = (0, 1)
WANTED = (0.90, 0.95, 0.99)
ENOUGH = 0.9975
"""A recall that ends a chain of rising settings."""
GAIN = 0.0005
"""A step up a chain that gains less recall than this ends it."""
NEAR = 0.75
"""Share of the front's QPS below which a setting is not timed again while choosing."""
BEHIND, CLOSE = 0.6, 0.75
"""Share of its group's best below which a contender is not timed again, and not measured."""


@dataclass
class Contender:
    """Something that searches.

    Attributes:
        name: for the table.
        group: "ours", "stock" or "peer".
        chains: settings in chains of rising cost: one for each value of a second parameter.
        answer: (setting, half) to positions, int (m, 10), -1 for none.
        seconds: (setting, half, batch) to the seconds that all the half's queries took, one by one or in batches.
        swept: set by `sweep`: settings and their recall on the first half.
        front: set by `choose`: the settings kept, in order of rising recall.
        chosen_at: set by `choose`: QPS at each wanted recall on the first half.
        holds: what must stay alive meanwhile.
    """

    name: str
    group: str
    chains: Sequence[Sequence[Any]]
    answer: Callable[[Any, int], np.ndarray]
    seconds: Callable[[Any, int, bool], float]
    swept: list[tuple[Any, float]] = field(default_factory=list)
    front: list[Any] = field(default_factory=list)
    chosen_at: np.ndarray = field(default_factory=lambda: np.full(len(WANTED), np.nan))
    holds: Any = None


@dataclass(frozen=True)
class Truth:
    """The exact answers of both halves of the queries: their k-th best scores, for recall by score."""

    x: np.ndarray
    halves: tuple[np.ndarray, np.ndarray]
    by_product: bool
    least: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, x: np.ndarray, halves: tuple[np.ndarray, np.ndarray], by_product: bool, k: int = 10) -> Truth:
        """Scores every query against every row."""
        norms = (x * x).sum(1)
        least = []
        for queries in halves:
            parts = []
            for at in range(0, len(queries), 100):
                scores = queries[at : at + 100] @ x.T
                if not by_product:
                    scores = 2 * scores - norms
                best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
                parts.append(cls._scores(x, queries[at : at + 100], best, by_product).min(1))
            least.append(np.concatenate(parts))
        return cls(x, halves, by_product, (least[0], least[1]))

    @staticmethod
    def _scores(x: np.ndarray, queries: np.ndarray, ids: np.ndarray, by_product: bool) -> np.ndarray:
        rows = x[ids].astype(np.float64)
        if by_product:
            return np.einsum("mkd,md->mk", rows, queries)
        return -((rows - queries[:, None]) ** 2).sum(2)

    def recall(self, ids: np.ndarray, half: int) -> float:
        """Mean share of the answers that are as near as the true k-th: equal scores do not count against anyone."""
        found = self._scores(self.x, self.halves[half], np.maximum(ids, 0), self.by_product)
        least = self.least[half][:, None]
        return float(((found >= least - 1e-6 * np.maximum(1, np.abs(least))) & (ids >= 0)).mean())


def qps_at(recalls: np.ndarray, qps: np.ndarray, wanted: Sequence[float] = WANTED) -> np.ndarray:
    """QPS at each wanted recall, on a chain of rising recall: interpolated in log QPS; the quickest setting's below the chain,
    nan above it. A setting that recalls no more than a quicker one before it is passed over.
    """
    keep = [i for i in range(len(recalls)) if i == 0 or recalls[i] > recalls[:i].max()]
    r, logs = np.asarray(recalls)[keep], np.log(np.asarray(qps)[keep])
    return np.array([np.exp(np.interp(w, r, logs)) if w <= r[-1] else np.nan for w in wanted])


def pareto(recalls: np.ndarray, qps: np.ndarray) -> list[int]:
    """The settings that no other beats in both, in order of rising recall."""
    out: list[int] = []
    for i in sorted(range(len(recalls)), key=lambda i: (-recalls[i], -qps[i])):
        if not out or qps[i] > qps[out[-1]]:
            out.append(i)
    return out[::-1]


def _around(recalls: np.ndarray) -> list[int]:
    """Of a front the two settings on either side of each wanted recall."""
    places = np.searchsorted(recalls, WANTED)
    return sorted({i for p in places for i in range(p - 2, p + 2) if 0 <= i < len(recalls)})


def sweep(contender: Contender, truth: Truth) -> None:
    """Recall on the first half of the queries along each chain, until it is enough or grows no more."""
    for chain in contender.chains:
        before = -1.0
        for setting in chain:
            recall = truth.recall(contender.answer(setting, CHOOSE), CHOOSE)
            contender.swept.append((setting, recall))
            if recall >= ENOUGH or (recall > 0.5 and recall - before < GAIN):
                break
            before = recall


def choose(contenders: Sequence[Contender], batch: bool, queries: int, passes: int) -> None:
    """Times what was swept on the first half of the queries, some passes over all contenders, and keeps each one's front.

    What is far from a contender's front is timed once, and no more: batches are chosen among what is near the front of single
    queries. Contenders far behind their group's best are timed once, too.
    """
    best = {c.name: np.full(len(c.swept), np.inf) for c in contenders}
    near = {c.name: list(range(len(c.swept))) for c in contenders}
    again = list(contenders)
    for _ in range(passes):
        for c in again:
            took = best[c.name]
            for i in near[c.name]:
                took[i] = min(took[i], c.seconds(c.swept[i][0], CHOOSE, batch))
            r = np.array([recall for _, recall in c.swept])
            near[c.name] = [i for i in near[c.name] if 1 / took[i] >= NEAR * _quickest(r, 1 / took, r[i])]
            front = pareto(r, 1 / took)
            c.chosen_at = qps_at(r[front], queries / took[front])
        again = worth_timing(contenders, BEHIND)
    for c in contenders:
        c.swept, took = [c.swept[i] for i in near[c.name]], best[c.name][near[c.name]]
        r = np.array([recall for _, recall in c.swept])
        front = pareto(r, 1 / took)
        c.chosen_at = qps_at(r[front], queries / took[front])
        c.front = [c.swept[front[i]][0] for i in _around(r[front])]


def _quickest(recalls: np.ndarray, qps: np.ndarray, recall: float) -> float:
    return float(qps[recalls >= recall].max())


def worth_timing(contenders: Sequence[Contender], share: float = CLOSE) -> list[Contender]:
    """All of ours, and of each other group what comes within `share` of the group's best at some wanted recall."""
    out = []
    for group in dict.fromkeys(c.group for c in contenders):
        members = [c for c in contenders if c.group == group]
        best = np.nanmax([c.chosen_at for c in members], axis=0)
        out += [c for c in members if group == "ours" or np.any(c.chosen_at >= share * best)]
    return out


def measured(contender: Contender, truth: Truth) -> np.ndarray:
    """Recall of the kept settings on the second half."""
    return np.array([truth.recall(contender.answer(setting, MEASURE), MEASURE) for setting in contender.front])


def rounds(contenders: Sequence[Contender], truth: Truth, batch: bool, queries: int, times: int) -> dict[str, np.ndarray]:
    """Measures on the second half: for each contender QPS (times, len(WANTED)), nan where a recall is not reached."""
    recalls = {c.name: measured(c, truth) for c in contenders}
    out = {c.name: np.full((times, len(WANTED)), np.nan) for c in contenders}
    for number in range(times):
        first = number % len(contenders)
        for c in [*contenders[first:], *contenders[:first]]:
            took = np.array([c.seconds(s, MEASURE, batch) for s in c.front])
            out[c.name][number] = qps_at(recalls[c.name], queries / took)
    return out


def ratio(a: np.ndarray, b: np.ndarray, rng: np.random.Generator, resamples: int = 4000) -> tuple[float, float, float]:
    """Geometric mean over rounds of a / b, and the ends of its 90 % interval by bootstrap over rounds."""
    logs = np.log(np.asarray(a) / np.asarray(b))
    means = np.sort(logs[rng.integers(0, len(logs), (resamples, len(logs)))].mean(1))
    low, high = means[int(0.05 * resamples)], means[int(0.95 * resamples)]
    return float(np.exp(logs.mean())), float(np.exp(low)), float(np.exp(high))
