"""One thread makes every call on a card; errors go to who asked; a dead card is said once."""

import gc
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nearfield.core.errors import Closed
from nearfield.device.scan import DeviceLost
from nearfield.index import _faiss
from nearfield.index.gpu.owner import Owner, close_all, owner_of
from tests.index.gpu.fake import LOST, Fake


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(_faiss, "faiss", made)
    return made


def test_calls_of_many_threads_are_made_by_one(fake: Fake) -> None:
    owner = Owner(0)
    threads: set[int] = set()

    def work(i: int) -> int:
        def ask(held) -> int:
            held.resources.check()
            threads.add(threading.get_ident())
            return i * i

        return owner.call(ask)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(500))) == [i * i for i in range(500)]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    owner.close()


def test_an_error_is_the_caller_s_and_the_thread_goes_on(fake: Fake) -> None:
    owner = Owner(0)
    with pytest.raises(ZeroDivisionError):
        owner.call(lambda held: 1 // 0)
    with pytest.raises(RuntimeError, match="out of memory"):
        owner.call(lambda held: (_ for _ in ()).throw(RuntimeError("out of memory")))
    assert owner.call(lambda held: held.device) == 0
    assert owner.lost is None
    owner.close()


def test_what_is_made_is_kept_until_it_is_dropped_and_goes_on_the_thread(fake: Fake) -> None:
    owner, gone = Owner(0), []

    class Thing:
        def __del__(self) -> None:
            gone.append(threading.get_ident())

    one, two = owner.make(lambda held: Thing()), owner.make(lambda held: Thing())
    assert one != two
    owner.drop(one)
    owner.drop(one)
    assert owner.call(lambda held: list(held.kept)) == [two]
    owner.close()
    gc.collect()
    assert len(gone) == 2
    assert set(gone) == {owner._thread.ident}


def test_an_error_takes_nothing_of_the_card_s_to_who_asked(fake: Fake) -> None:
    owner, gone = Owner(0), []

    class Thing:
        def __del__(self) -> None:
            gone.append(threading.get_ident())

    def fail(held) -> None:
        thing = Thing()
        try:
            raise KeyError(str(thing))
        except KeyError as error:
            raise ValueError("no") from error

    with pytest.raises(ValueError, match="no") as caught:
        owner.call(fail)
    owner.call(lambda held: None)
    assert gone == [owner._thread.ident]
    assert caught.value.__traceback__ is not None
    owner.close()


def test_after_close_calls_are_refused_and_what_waited_is_done(fake: Fake) -> None:
    owner, done = Owner(0), []
    hold = threading.Event()
    waiting = [threading.Thread(target=lambda: done.append(owner.call(lambda held: hold.wait(10)))) for _ in range(3)]
    for thread in waiting:
        thread.start()
    while owner._work.qsize() < 2:
        pass
    closing = threading.Thread(target=owner.close)
    closing.start()
    hold.set()
    closing.join(10)
    for thread in waiting:
        thread.join(10)
    assert done == [True] * 3
    with pytest.raises(Closed):
        owner.call(lambda held: 1)
    owner.drop(1)
    owner.close()


def test_a_dead_card_is_said_once(fake: Fake, caplog: pytest.LogCaptureFixture) -> None:
    owner, tried = Owner(0), []

    def die(held) -> None:
        tried.append(1)
        raise RuntimeError(LOST)

    with caplog.at_level(logging.ERROR, "nearfield.index"):
        for _ in range(5):
            with pytest.raises(DeviceLost, match="illegal memory access"):
                owner.call(die)
    assert tried == [1]
    assert len(caplog.records) == 1
    assert owner.lost is not None
    owner.close()


def test_a_card_that_does_not_open_is_told_to_who_opens_it(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken():
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(fake, "StandardGpuResources", broken)
    with pytest.raises(RuntimeError, match="kernel image"):
        Owner(0)


def test_temporary_memory_can_be_lowered(fake: Fake) -> None:
    Owner(0, temporary=1 << 28).close()
    assert fake.calls == [("temporary", 1 << 28)]


def test_a_card_has_one_owner_in_a_process(fake: Fake) -> None:
    first = owner_of(0)
    assert owner_of(0) is first
    first.close()
    again = owner_of(0)
    assert again is not first
    close_all()
    with pytest.raises(Closed):
        again.call(lambda held: 1)
