"""Lanes: nothing waits for a batch to fill, batches take what queued, one bad item fails alone, full queues refuse at once."""

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from nearfield.core.errors import DeadlineExceeded, InvalidInput, Overloaded
from nearfield.serve.batching import Lane


def doubled(items: Sequence[int]) -> list[int]:
    return [2 * i for i in items]


def test_each_caller_gets_its_own_answer() -> None:
    lane: Lane[int, int] = Lane("t", doubled)

    async def main() -> list[int]:
        return await asyncio.gather(*(lane.ask(i) for i in range(200)))

    assert asyncio.run(main()) == [2 * i for i in range(200)]
    lane.close()


def test_what_comes_while_a_batch_runs_is_the_next_batch() -> None:
    sizes: list[int] = []
    running, go = threading.Event(), threading.Event()

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        running.set()
        assert go.wait(10)
        return list(items)

    lane: Lane[int, int] = Lane("t", work, most=64)

    async def main() -> None:
        first = asyncio.ensure_future(lane.ask(0))
        await asyncio.to_thread(running.wait, 10)
        rest = [asyncio.ensure_future(lane.ask(i)) for i in range(1, 100)]
        while lane.waiting < 99:
            await asyncio.sleep(0.001)
        go.set()
        assert await asyncio.gather(first, *rest) == list(range(100))

    asyncio.run(main())
    assert sizes == [1, 64, 35]
    lane.close()


def test_a_bad_item_fails_alone() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if 7 in items:
            raise InvalidInput("seven")
        return list(items)

    lane: Lane[int, int] = Lane("t", work)

    async def main() -> list[Any]:
        return await asyncio.gather(*(lane.ask(i) for i in range(10)), return_exceptions=True)

    found = asyncio.run(main())
    assert [i for i, f in enumerate(found) if isinstance(f, InvalidInput)] == [7]
    assert [f for f in found if isinstance(f, int)] == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    lane.close()


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    go = threading.Event()
    lane: Lane[int, int] = Lane("t", lambda items: [go.wait(10) for _ in items], most=1, capacity=5)

    async def main() -> list[Any]:
        asked = [asyncio.ensure_future(lane.ask(i)) for i in range(20)]
        await asyncio.sleep(0.05)
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    refused = [f for f in asyncio.run(main()) if isinstance(f, Overloaded)]
    assert 14 <= len(refused) <= 15
    assert all(f.retry_after and f.retry_after > 0 for f in refused)
    lane.close()


def test_late_and_abandoned_work_is_not_done() -> None:
    done: list[int] = []
    started, go = threading.Event(), threading.Event()

    def work(items: Sequence[int]) -> list[int]:
        started.set()
        assert go.wait(10)
        done.extend(items)
        return list(items)

    lane: Lane[int, int] = Lane("t", work)

    async def main() -> None:
        first = asyncio.ensure_future(lane.ask(0))
        await asyncio.to_thread(started.wait, 10)
        late = asyncio.ensure_future(lane.ask(1, deadline=time.monotonic() + 0.01))
        gone = asyncio.ensure_future(lane.ask(2))
        good = asyncio.ensure_future(lane.ask(3))
        await asyncio.sleep(0.05)
        gone.cancel()
        go.set()
        assert await good == 3
        with pytest.raises(DeadlineExceeded):
            await late
        assert await first == 0

    asyncio.run(main())
    assert done == [0, 3]
    lane.close()


def test_heavy_items_make_small_batches() -> None:
    sizes: list[int] = []
    running, go = threading.Event(), threading.Event()

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(sum(items))
        running.set()
        assert go.wait(10)
        return list(items)

    lane: Lane[int, int] = Lane("t", work, weigh=lambda i: i, heaviest=10)

    async def main() -> None:
        first = asyncio.ensure_future(lane.ask(1))
        await asyncio.to_thread(running.wait, 10)
        rest = [asyncio.ensure_future(lane.ask(i)) for i in (4, 4, 4, 20, 2, 2)]
        while lane.waiting < 6:
            await asyncio.sleep(0.001)
        go.set()
        await asyncio.gather(first, *rest)

    asyncio.run(main())
    assert sizes == [1, 8, 4, 20, 4]
    lane.close()


def test_quick_work_moves_to_the_event_loop_and_slow_work_stays_out_of_it() -> None:
    threads: dict[str, set[str]] = {"quick": set(), "slow": set()}

    def work(items: Sequence[str]) -> list[str]:
        for item in items:
            threads[item].add(threading.current_thread().name)
            if item == "slow":
                time.sleep(0.003)
        return list(items)

    lane: Lane[str, str] = Lane("t", work, inline=True)

    async def main() -> None:
        for _ in range(12):
            await lane.ask("quick", kind="quick")
            await lane.ask("slow", kind="slow")

    asyncio.run(main())
    assert threads["slow"] == {"nearfield-t"}
    assert threading.main_thread().name in threads["quick"]
    lane.close()
