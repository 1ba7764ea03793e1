"""The generator against a target whose times are known."""

import asyncio
import time

import pytest

from nearfield.load import openloop
from nearfield.load.targets import Answer


class Told:
    """A target that takes `seconds` for each answer, one at a time if `alone`; stalls once where told to."""

    def __init__(self, seconds: float, stall: float = 0.0) -> None:
        self.seconds, self.stall, self.asked = seconds, stall, 0
        self.lock = asyncio.Lock()

    async def ask(self, request: dict) -> Answer:
        self.asked += 1
        async with self.lock:
            await asyncio.sleep(self.seconds + (self.stall if self.asked == 20 else 0))
        return Answer(
            self.seconds, ["a", "b"], [2.0, 1.0], {"search": 1000 * self.seconds}, "overloaded" if request.get("bad") else ""
        )

    async def close(self) -> None: ...


def test_a_stall_is_felt_by_all_that_were_due_in_it() -> None:
    """At 100 a second a stall of 0.5 s delays about fifty requests; a closed loop would report one."""
    load = asyncio.run(openloop.at_rate(Told(0.0005, stall=0.5), [{}], 100, 2.0, 1000))
    assert load.answered == 200
    assert load.latency["p90"] > 0.15
    closed = asyncio.run(openloop.as_fast_as_it_can(Told(0.002, stall=0.5), [{}], 1.5, 1))
    assert closed.latency["p90"] < 0.1 < closed.latency["max"]


def test_what_waits_for_a_connection_is_late_and_counted() -> None:
    load = asyncio.run(openloop.at_rate(Told(0.02), [{}], 100, 0.5, 1))
    assert load.late["p99"] > 0.1
    assert load.latency["max"] >= load.late["max"]


def test_errors_are_counted_apart() -> None:
    load = asyncio.run(openloop.at_rate(Told(0), [{}, {"bad": True}], 200, 0.5, 10))
    assert load.errors["overloaded"] + load.answered == 100
    assert 20 < load.answered < 80


def test_the_same_seed_asks_the_same() -> None:
    asked: list[list[int]] = []
    for _ in range(2):

        class Noting(Told):
            async def ask(self, request: dict) -> Answer:
                self.seen.append(request["n"])
                return Answer(0)

        target = Noting(0)
        target.seen = []
        start = time.perf_counter()
        asyncio.run(openloop.at_rate(target, [{"n": i} for i in range(50)], 500, 0.2, 10))
        assert time.perf_counter() - start > 0.1, "requests leave when they are due, not at once"
        asked.append(target.seen)
    assert asked[0] == asked[1]


@pytest.mark.parametrize(
    ("scores", "truth", "k", "expected"),
    [
        ([3, 2, 1], [3, 2, 1], 3, 1.0),
        ([3, 1, 0.5], [3, 2, 1], 3, 2 / 3),
        ([3, 2, 2], [3, 2, 2], 2, 1.0),
        ([], [1.0], 1, 0.0),
        ([], [], 5, 1.0),
    ],
)
def test_overlap_counts_scores_that_reach_the_kth(scores: list, truth: list, k: int, expected: float) -> None:
    def answer(values: list) -> Answer:
        return Answer(0, [str(i) for i in range(len(values))], values)

    assert openloop.overlap(answer(scores), answer(truth), k) == pytest.approx(expected)
