"""An open loop: requests become due at random moments of a fixed rate, whatever the answers do; latency counts from then.

A closed loop waits for an answer before it asks again, so that a stall of a second is one slow answer in it; here all that was
due in that second is late, as it is for users ("coordinated omission", Tene 2015). How late requests left is reported apart:
where that is large the generator itself was too slow, and the figures are its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nearfield.core.errors import InvalidInput
from nearfield.load.targets import Answer, Request, Target

QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9}
SLOW_GENERATOR = 0.01
"""Seconds of lateness at P99 from which the generator is said to have been too slow."""
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What happened at one rate. Times in seconds.

    Attributes:
        rate: requests a second that were due; None: as fast as `connections` get answers (a closed loop).
        connections: requests in flight at most.
        seconds: from the first due to the last answer.
        answered: answers without an error.
        errors: failed requests by code.
        latency: from when a request was due to its answer: p50, p90, p99, p99.9, max, mean; of good answers.
        late: from due to sent: p50, p99, max.
        stages: mean seconds that the server said each stage took.
    """

    rate: float | None
    connections: int
    seconds: float
    answered: int
    errors: dict[str, int]
    latency: dict[str, float]
    late: dict[str, float]
    stages: dict[str, float]

    @property
    def qps(self) -> float:
        """Good answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class _Taken:
    latencies: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    stages: dict[str, list[float]] = field(default_factory=dict)

    def add(self, due: float, sent: float, done: float, answer: Answer) -> None:
        self.late.append(max(0.0, sent - due))
        if answer.error:
            self.errors[answer.error] += 1
            return
        self.latencies.append(done - due)
        for stage, milliseconds in answer.took.items():
            self.stages.setdefault(stage, []).append(milliseconds / 1000)

    def load(self, rate: float | None, connections: int, seconds: float) -> Load:
        stages = {stage: float(np.mean(values)) for stage, values in self.stages.items()}
        return Load(
            rate, connections, seconds, len(self.latencies), dict(self.errors), quantiles(self.latencies),
            quantiles(self.late), stages,
        )  # fmt: skip


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """p50 to p99.9, max and mean; empty of nothing."""
    if not values:
        return {}
    out = {name: float(np.percentile(values, q)) for name, q in QUANTILES.items()}
    return out | {"max": float(max(values)), "mean": float(np.mean(values))}


async def at_rate(
    target: Target, requests: Sequence[Request], rate: float, seconds: float, connections: int, seed: int = 1
) -> Load:
    """Requests due as a Poisson process of `rate` a second for `seconds`; at most `connections` in flight, others wait."""
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(1 / rate, max(1, round(rate * seconds))))
    order = rng.integers(0, len(requests), len(due))
    taken, free = _Taken(), asyncio.Semaphore(connections)
    running: set[asyncio.Task[None]] = set()
    start = time.perf_counter()

    async def one(at: float, request: Request) -> None:
        try:
            sent = time.perf_counter()
            answer = await target.ask(request)
            taken.add(at, sent, time.perf_counter(), answer)
        finally:
            free.release()

    for offset, which in zip(due.tolist(), order.tolist(), strict=True):
        wait = start + offset - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        await free.acquire()
        task = asyncio.create_task(one(start + offset, requests[which]))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return taken.load(rate, connections, time.perf_counter() - start)


async def as_fast_as_it_can(target: Target, requests: Sequence[Request], seconds: float, connections: int) -> Load:
    """A closed loop, to find the rate beyond which no more is answered."""
    taken = _Taken()
    start = time.perf_counter()
    turn = iter(range(1 << 62))

    async def client() -> None:
        while (sent := time.perf_counter()) < start + seconds:
            answer = await target.ask(requests[next(turn) % len(requests)])
            taken.add(sent, sent, time.perf_counter(), answer)
            if answer.error:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(client() for _ in range(connections)))
    return taken.load(None, connections, time.perf_counter() - start)


async def recall(target: Target, requests: Sequence[Request], k: int) -> tuple[float, int]:
    """Mean recall@k of requests against the same asked exactly, and of how many; equal scores count as equal."""
    found: list[float] = []
    for request in requests:
        plain = {key: value for key, value in request.items() if key not in ("recall", "effort")}
        answer, truth = await target.ask(request), await target.ask({**plain, "exact": True})
        if not answer.error and not truth.error:
            found.append(overlap(answer, truth, k))
    return (float(np.mean(found)), len(found)) if found else (0.0, 0)


def overlap(answer: Answer, truth: Answer, k: int) -> float:
    """Share of the k best, of which there may be fewer, that an answer holds."""
    if not truth.ids:
        return 1.0
    least = truth.scores[:k][-1]
    good = sum(score >= least - 1e-6 * max(1.0, abs(least)) for score in answer.scores[:k])
    return min(1.0, good / len(truth.ids[:k]))


async def bench(
    target: Target,
    requests: Sequence[Request],
    *,
    rates: Sequence[float] = (),
    seconds: float = 10.0,
    connections: int = 32,
    compared: int = 100,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The whole measurement.

    Args:
        target: what is searched.
        requests: what is asked, over and over.
        rates: requests a second; none: a quarter, half and nine tenths of what a closed loop reaches.
        seconds: for each rate.
        connections: requests in flight at most.
        compared: requests whose answer is compared with the exact one.
        progress: called with a line for people.

    Returns:
        cold (the first answer's seconds), recall, recall_queries, peak (Load of the closed loop, or None), loads.

    Raises:
        InvalidInput: the very first search failed.
    """
    say = progress or (lambda line: None)
    first = await target.ask(requests[0])
    if first.error:
        raise InvalidInput(
            f"the first search failed, so there is nothing to measure: {first.why or first.error}", field="queries"
        )
    k = int(requests[0].get("k", 10))
    say("recall against the exact answer")
    held, many = await recall(target, requests[:compared], k)
    say("warm-up")
    await as_fast_as_it_can(target, requests, min(2.0, seconds), min(8, connections))
    peak = None
    if not rates:
        say(f"as fast as {connections} connections get answers")
        peak = await as_fast_as_it_can(target, requests, seconds, connections)
        rates = [round(share * peak.qps, 1) for share in (0.25, 0.5, 0.9) if peak.qps]
    loads = []
    for rate in rates:
        say(f"{rate:,.0f} requests a second")
        loads.append(await at_rate(target, requests, rate, seconds, connections))
    return {"cold": first.seconds, "recall": held, "recall_queries": many, "peak": peak, "loads": loads}
