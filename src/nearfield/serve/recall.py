"""Whether the promised recall holds for what is really asked: samples searches, compares them with the exact answer, steers.

A sampled search is run again beside the exact one on one and the same snapshot, in idle time, by a thread that spends at most a
set share of one core. Recall is kept apart for searches with and without a filter, each with a Wilson interval.

The controller moves along STEPS, what is added to the target before a setting is chosen by it. Each sample is answered at the
step in force, the one below and the one above; the least step whose lower bound reaches the target is taken, one at a time.

Where an exact answer costs too much, R rows of n are drawn at random: each that beats the k-th returned score, beyond those
returned, is a miss that was seen. Their number is hypergeometric, so (misses seen) x n / R is an unbiased estimate of all
misses among n rows, and 1 - misses / k, not below 0, bounds the recall from below on average: a missed row that is not among
the true k best counts too. It is reported as "bounded".
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from nearfield.core.errors import NearfieldError
from nearfield.core.metric import scores
from nearfield.engine import search as searching
from nearfield.serve.wire import RecallOfTraffic, RecallOut

if TYPE_CHECKING:
    from nearfield import Collection
    from nearfield.core.metric import Vectors
    from nearfield.engine.segment_search import Request
    from nearfield.engine.snapshot import Snapshot

log = logging.getLogger("nearfield.serve")
STEPS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2)
"""What may be added to a target; at 1 and above a search is exact."""
WINDOW, LEAST = 500, 50
"""Samples of each kind of traffic that count, and how many are needed before anything is decided."""
WAITING = 64
"""Sampled searches that wait to be measured; beyond, older ones go."""
Z = 1.96
FULL = 2_000_000_000
"""Numbers (rows x dim) up to which truth is found by a whole scan; beyond, ROWS rows are drawn."""
ROWS = 200_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One search to measure."""

    collection: Collection
    query: Vectors
    request: Request
    filtered: bool


@dataclass(slots=True)
class Window:
    """Recalls of the latest samples, for each step at which they were answered."""

    found: dict[int, deque[float]] = field(default_factory=dict)
    bounded: bool = False

    def add(self, step: int, recall: float) -> None:
        """Notes one."""
        self.found.setdefault(step, deque(maxlen=WINDOW)).append(recall)

    def interval(self, step: int) -> tuple[float, float, float, int]:
        """Mean, lower and upper end of the 95 % interval, and samples, at a step."""
        values = self.found.get(step, ())
        n = len(values)
        return (*wilson(sum(values) / n, n), n) if n else (0.0, 0.0, 1.0, 0)


def wilson(mean: float, n: int) -> tuple[float, float, float]:
    """A mean of n values in [0, 1] and Wilson's interval: their variance is at most that of n trials (Wilson 1927)."""
    centre = (mean + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(mean * (1 - mean) / n + Z * Z / (4 * n * n))
    return mean, max(0.0, centre - half), min(1.0, centre + half)


@dataclass(slots=True)
class State:
    """What is known of one collection."""

    step: int = 0
    windows: dict[bool, Window] = field(default_factory=lambda: {False: Window(), True: Window()})
    changed: float = field(default_factory=time.monotonic)
    asked: float = -math.inf
    """When a rebuild was last asked for."""


class Monitor:
    """Measures a sample of searches and steers effort.

    Args:
        share: of one core that measuring may take, 0 to 1; 0 turns it off.
        busy: whether searches wait right now: then measuring does.
        rebuild: called with a collection whose index cannot reach its target.
    """

    def __init__(self, share: float, busy: Callable[[], bool], rebuild: Callable[[Collection], None]) -> None:
        self._share, self._busy, self._rebuild = share, busy, rebuild
        self._states: WeakKeyDictionary[Collection, State] = WeakKeyDictionary()  # fixed ones: another model, another state
        self._waiting: deque[Sample] = deque(maxlen=WAITING)
        self._wake = threading.Condition()
        self._closed = False
        self._idle = True
        self._random = random.Random(0)
        self._chance = 1.0
        self._thread: threading.Thread | None = None

    def target(self, collection: Collection) -> float:
        """The recall by which searches that ask for none are set: the collection's, and what the controller adds."""
        state = self._states.get(collection.fixed())
        return collection.recall if state is None else raised(collection.recall, state.step)

    def offer(self, collection: Collection, query: Vectors, request: Request) -> None:
        """Takes a search into the sample, perhaps."""
        if not self._share or request.exact or request.effort is not None or self._random.random() >= self._chance:
            return
        self._waiting.append(Sample(collection.fixed(), query, request, request.condition is not None))
        if self._idle:  # who rests or measures looks by itself: waking it would cost the search that is being answered
            with self._wake:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="nearfield-recall", daemon=True)
                    self._thread.start()
                self._wake.notify()

    def report(self, collection: Collection) -> RecallOut:
        """Recall as sampled."""
        state = self._states.get(collection.fixed(), State())
        traffic = {}
        for filtered, window in state.windows.items():
            mean, lower, upper, n = window.interval(state.step)
            if n:
                traffic["filtered" if filtered else "unfiltered"] = RecallOfTraffic(
                    recall=mean, lower=lower, upper=upper, samples=n, bounded=window.bounded
                )
        return RecallOut(target=collection.recall, margin=STEPS[state.step], traffic=traffic)

    def follow(self, collection: Collection, margin: float) -> None:
        """Takes over what another process's controller decided."""
        self._states.setdefault(collection.fixed(), State()).step = min(range(len(STEPS)), key=lambda i: abs(STEPS[i] - margin))

    # -- in the thread

    def _run(self) -> None:
        while True:
            with self._wake:
                self._idle = True
                while not self._waiting and not self._closed:
                    self._wake.wait()
                self._idle = False
                if self._closed:
                    return
                sample = self._waiting.popleft()
            start = time.thread_time()
            began = time.monotonic()
            while self._busy() and not self._closed and time.monotonic() - began < 1:
                time.sleep(0.005)
            try:
                self._measure(sample)
            except NearfieldError as error:  # dropped just now, or as many jobs wait as may: the next sample tries again
                log.debug("recall of %s was not measured: %s", sample.collection.name, error)
            except Exception:
                log.exception("recall of %s was not measured", sample.collection.name)
            spent = time.thread_time() - start
            self._rest(spent)

    def _rest(self, spent: float) -> None:
        """Sleeps until the share is kept."""
        pause = min(60.0, spent / self._share - spent) if self._share < 1 else 0.0
        with self._wake:
            self._wake.wait_for(lambda: self._closed, pause)

    def _measure(self, sample: Sample) -> None:
        collection = sample.collection.fixed()
        snapshot = collection.snapshot()
        state = self._states.setdefault(collection, State())
        window = state.windows[sample.filtered]
        steps = [s for s in (state.step - 1, state.step, state.step + 1) if 0 <= s < len(STEPS)]
        plain = replace(sample.request, documents=False, vectors=False, deadline=None)
        whole = len(snapshot) * collection.dim <= FULL
        if not whole and (sample.filtered or plain.offset):  # rows drawn from all say nothing of those allowed, or of a page
            return
        window.bounded = not whole
        if whole:
            truth = searching.search(snapshot, sample.query, replace(plain, exact=True))[0]
            least = float(truth.scores[-1]) if len(truth) else math.inf
        for step in steps:
            asked = replace(plain, recall=raised(collection.recall, step))
            found = searching.search(snapshot, sample.query, asked)[0]
            if whole:
                good = int(np.count_nonzero(found.scores >= least - 1e-6 * max(1.0, abs(least))))
                window.add(step, min(1.0, good / len(truth)) if len(truth) else 1.0)
            else:
                window.add(step, bounded(snapshot, sample.query, found.scores, plain.k + plain.offset, self._random))
        self._steer(collection, state)

    def _steer(self, collection: Collection, state: State) -> None:
        """One step up where the lower bound is below the target, one down where the step below would hold it."""
        windows = [w for w in state.windows.values() if w.interval(state.step)[3] >= LEAST]
        if not windows:
            return
        if any(w.interval(state.step)[1] < collection.recall and _below(w, state.step, collection.recall) for w in windows):
            if state.step + 1 < len(STEPS) and raised(collection.recall, state.step) < 1:
                state.step += 1
            elif time.monotonic() - state.asked > 3600:
                state.asked = time.monotonic()
                self._rebuild(collection)
        elif state.step and all(_holds(w, state.step - 1, collection.recall) for w in windows):
            state.step -= 1

    def close(self) -> None:
        """Ends the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=10)


def _below(window: Window, step: int, target: float) -> bool:
    """Whether the shortfall is real: with few samples only a mean below the target says so, not the interval's width."""
    mean, _, upper, n = window.interval(step)
    return mean < target and (n >= WINDOW // 2 or upper < target + 0.02)


def _holds(window: Window, step: int, target: float) -> bool:
    """Whether a step holds the target: its lower bound does."""
    _, lower, _, n = window.interval(step)
    return n >= LEAST and lower >= target


def raised(target: float, step: int) -> float:
    """The target of a step."""
    return min(1.0, target + STEPS[step])


def bounded(snapshot: Snapshot, query: Vectors, found: Iterable[float], k: int, random_: random.Random) -> float:
    """A lower bound of recall, on average, from ROWS rows drawn at random: see the module."""
    values = np.asarray(list(found), np.float32)
    if not len(values):
        return 1.0
    cut, drawn, beaten, n = float(values[-1]), 0, 0, len(snapshot)
    rng = np.random.default_rng(random_.randrange(1 << 62))
    held = [(view.segment.vectors, view.live_mask()) for view in snapshot.segments]
    for part in snapshot.pending.parts:
        held.append((part.block.vectors[: part.count], np.ones(part.count, np.bool_) if part.live is None else part.live))
    for vectors, live in held:
        many = min(len(vectors), max(1, round(ROWS * len(vectors) / max(1, n))))
        rows = np.sort(rng.choice(len(vectors), many, replace=False))
        rows = rows[live[rows]]
        got = scores(query[0], vectors[rows], snapshot.metric)
        drawn, beaten = drawn + len(rows), beaten + int(np.count_nonzero(got > cut))
    if not drawn:
        return 1.0
    returned_better = int(np.count_nonzero(values > cut))
    expected = returned_better * drawn / n
    misses = max(0.0, beaten - expected) * n / drawn
    return max(0.0, 1 - misses / k)
