"""From rows to the links of their groups: copies first, then a join by tiles or by cells, its pairs kept as a forest.

Knows no documents. Memory: sketches of the vectors, twice, the buffer of pairs, and what a few steps hold.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nearfield.core.duplicates import Join
from nearfield.core.metric import Metric, Vectors, pair_scores
from nearfield.duplicates import celled, identical, setting, tiled
from nearfield.duplicates.forest import Forest
from nearfield.duplicates.room import room
from nearfield.duplicates.rows import Rows
from nearfield.duplicates.tile import Pairs, Take
from nearfield.index import threads

Progress = Callable[[int, int], None]
"""Called with (documents joined, documents)."""
AHEAD = 16
"""Steps that are begun before the first of them is needed, beyond one for each core."""
CROWD = 1 << 25
"""Pairs from which those inside a group are passed over: they change no group."""
ROUND = 64
"""Steps between two looks at which groups there are by then."""

Step = tuple[int, Callable[[], Pairs], npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Linked:
    """The links of all groups, best first, and how they were found; rows are places in `Rows`."""

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    join: Join


def link(
    rows: Rows, above: float, recall: float, *, seed: int = 0, progress: Progress | None = None, crowd: int = CROWD
) -> Linked:
    """Finds pairs of at least `above` and the best links that hold their groups together.

    Args:
        rows: the rows.
        above: the threshold, checked.
        recall: the share of pairs to find; 1: all.
        seed: of samples and first centroids: the same rows give the same links.
        progress: called now and then, from the calling thread; what it raises ends the join.
        crowd: pairs from which those inside a group are passed over.
    """
    began = time.perf_counter()
    n = len(rows)
    if n < 2:
        none = np.empty(0, np.int64)
        return Linked(none, none, none.astype(np.float32), Join("none", True, n, reason="fewer than two documents"))
    heads = identical.first_of(rows)
    copies = np.flatnonzero(heads != np.arange(n))
    kept, self_scores = _collapsed(rows, heads, copies, above)
    unique = np.flatnonzero(np.isin(np.arange(n), kept, invert=True))
    forest = Forest(n)
    forest.add(heads[kept], kept, self_scores)

    def take(which: npt.NDArray[np.integer] | slice) -> Vectors:
        return rows.take(unique[which])

    m = len(unique)
    random = np.random.default_rng(seed)
    test = setting.test_of(take, m, rows.metric, above, rows.dim)
    chosen = setting.begin(take, m, test, random)
    compared, method = 1.0, "tiles"
    cells = setting.divide(take, m, test, chosen, random)
    with threads.one_for_each(), ThreadPoolExecutor(threads.cores(), "nearfield-join") as pool:
        steps: Iterable[Step]
        if m <= setting.FEW:
            steps = tiled.tasks(take, take, m, test)
        else:
            sketches = _sketched(take, m, chosen, rows.dim, pool)
            chosen = setting.choose(sketches, take, test, chosen, cells, recall, random, pool)
            if chosen.centroids is None:
                steps = tiled.tasks(sketches.__getitem__, take, m, test)
            else:
                layout = celled.lay_out(sketches, take, chosen, pool)
                del sketches
                steps, method, compared = celled.tasks(layout, take, test), "cells", layout.compared()
        counted = _run(pool, steps, forest, unique, progress, crowd)
    first, second, scores = forest.links()
    join = Join(
        method,
        chosen.exact,
        n,
        len(copies),
        forest.pairs - len(kept),
        counted,
        chosen.recall,
        chosen.low,
        chosen.high,
        chosen.sampled,
        chosen.sampled_pairs,
        compared,
        time.perf_counter() - began,
        chosen.reason,
    )
    return Linked(first, second, scores, join)


def _collapsed(
    rows: Rows, heads: npt.NDArray[np.int64], copies: npt.NDArray[np.int64], above: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """The copies that are left out of the join, with the scores of their links to the first of them.

    A cosine of a vector with itself may be rounded to just below 1, and is a pair all the same; an inner product may be
    below the threshold, and then copies are no pairs.
    """
    scores = np.empty(len(copies), np.float32)
    for some in setting.blocks(len(copies), 8192):
        x = rows.take(copies[some])
        scores[some] = pair_scores(x, rows.take(heads[copies[some]]), rows.metric)
    enough = scores >= above if rows.metric is Metric.IP else np.ones(len(copies), np.bool_)
    return copies[enough], scores[enough]


def _run(
    pool: ThreadPoolExecutor,
    steps: Iterable[Step],
    forest: Forest,
    unique: npt.NDArray[np.int64],
    progress: Progress | None,
    crowd: int,
) -> bool:
    """Runs the steps, a few at a time, and takes their pairs in order; returns whether all pairs were counted."""
    total, done, counted = len(unique), 0, True
    labels: npt.NDArray[np.int64] | None = None
    waiting: deque[tuple[int, Future[Pairs]]] = deque()

    def finish() -> int:
        rows, future = waiting.popleft()
        first, second, scores = future.result()
        forest.add(unique[first], unique[second], scores)
        return rows

    try:
        for number, (rows, step, queries, members) in enumerate(steps):
            if number % ROUND == 0 and forest.pairs > crowd:
                while waiting:
                    done += finish()
                labels, counted = forest.labels()[unique], False
            if labels is not None and _one_group(labels, queries, members):
                done += rows
                continue
            waiting.append((rows, pool.submit(step)))
            if len(waiting) > AHEAD:
                done += finish()
                if progress is not None:
                    progress(done, total)
        while waiting:
            done += finish()
    finally:
        for _, future in waiting:
            future.cancel()
    if progress is not None:
        progress(total, total)
    return counted


def _one_group(labels: npt.NDArray[np.int64], queries: npt.NDArray[np.int64], members: npt.NDArray[np.int64]) -> bool:
    one = labels[members[0]]
    return bool((labels[members] == one).all() and (labels[queries] == one).all())


def _sketched(take: Take, n: int, chosen: setting.Setting, dim: int, pool: ThreadPoolExecutor) -> Vectors:
    out = room(n, dim if chosen.axes is None else chosen.dims + 1)

    def fill(some: slice) -> None:
        out[some] = chosen.sketch(take(some))

    list(pool.map(fill, setting.blocks(n, 4096)))
    return out
