"""The power is cut after any step: what was acknowledged is there; and no fsync can be left out unnoticed."""

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import nearfield as nf
from nearfield.core.errors import NearfieldError
from nearfield.maintain import tasks
from tests.durability import disk, operations
from tests.durability.disk import SYNCS, Event

OPERATIONS = 30
SQLITES_OWN = {
    "file catalog.sqlite-journal",
    "file nearfield.sqlite",
    "file tmp-nearfield.sqlite-journal",
    "file tmp-nearfield.sqlite-wal",
}
"""Syncs that SQLite makes for itself: while a file is made that nothing names yet, and of a checkpoint at closing."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Event]]]:
    """A random run with seals, merges and loads, as a list of steps with the operations' begins and ends among them."""
    patched = pytest.MonkeyPatch()
    operations.make_small(patched.setattr)
    root = tmp_path_factory.mktemp("power")
    random_ = random.Random(7)
    with disk.recording() as recorder:
        with nf.open(root / "db") as db:
            books = db.create("books", embedder=None, dim=operations.DIM, metric="cosine", index=nf.Flat())
            recorder.note("made", root)
            for number in range(1, OPERATIONS + 1):
                op = operations.choose(random_, number)
                recorder.note("begin", root, op)
                operations.run(books, op)
                recorder.note("end", root, op)
                if number % 7 == 0:
                    _index_one(books)
        events = recorder.events
    yield root, events
    patched.undo()


def _index_one(books: nf.Collection) -> None:
    engine = books._engine
    with books._maintainer._busy:
        for view in engine.snapshot.segments:
            if view.index is None and len(view) > 30:
                from nearfield.index import build

                assert build is not None
                tasks.build(engine, tasks.Build(view.segment.number), books._maintainer._cancelled)
                return


def check(
    root: Path, events: Sequence[Event], target: Path, keep: Callable[[int, Event], bool], torn: random.Random | None
) -> int:
    """Cuts the power after each step that `keep` picks and checks what is left; returns how often."""
    world = disk.Disk(root)
    state: operations.State = {}
    current, made, cuts = None, False, 0
    for i, event in enumerate(events):
        if event.step == "made":
            made = True
        elif event.step == "begin":
            current = event.detail
        elif event.step == "end":
            state, current = operations.applied(state, event.detail), None
        else:
            world.apply(event)
        if not keep(i, event):
            continue
        cuts += 1
        shutil.rmtree(target, ignore_errors=True)
        world.after_power_cut(target, torn)
        with nf.open(target / "db") as db:
            if "books" not in db.list():
                assert not made, f"the collection is gone after step {i}"
                continue
            books = db["books"]
            found = operations.read(books)
            assert found in operations.possible(state, current), f"after step {i}, {event.step} {event.path.name}"
            assert books._engine.damaged == {}
            assert books.verify().problems == []
    return cuts


def category(event: Event) -> str:
    """What a sync is for: a file's name, or a directory's place."""
    name = event.path.name
    if event.step == "sync_directory":
        kind = "segment" if event.path.parent.name == "segments" else "collection" if event.path.parent.name == "c" else name
        return f"directory {kind}"
    return f"file {'index' + event.path.suffix if name.startswith('index-') else name}"


@pytest.mark.slow
def test_nothing_acknowledged_is_lost(recorded: tuple[Path, list[Event]], tmp_path: Path) -> None:
    root, events = recorded
    steps = {e.path.parent.parent.name for e in events if e.step == "remove"}
    assert "segments" in steps or any(e.step == "remove" for e in events), "the run merged nothing"
    cuts = check(root, events, tmp_path / "left", lambda i, e: e.step in (*SYNCS, "end", "made", "rename"), None)
    assert cuts > 100


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_writes_are_torn(recorded: tuple[Path, list[Event]], tmp_path: Path) -> None:
    root, events = recorded
    random_ = random.Random(1)
    cuts = check(root, events, tmp_path / "left", lambda i, e: random_.random() < 250 / len(events), random.Random(2))
    assert cuts > 100


@pytest.mark.slow
def test_no_fsync_can_be_left_out(recorded: tuple[Path, list[Event]], tmp_path: Path) -> None:
    """Leaving out all syncs of any one purpose loses something that was acknowledged."""
    root, events = recorded
    unnoticed = []
    for left_out in sorted({category(e) for e in events if e.step in SYNCS}):
        fewer = [e for e in events if e.step not in SYNCS or category(e) != left_out]
        try:
            check(root, fewer, tmp_path / "left", lambda i, e: e.step in ("end", "made"), None)
        except (AssertionError, NearfieldError, OSError, KeyError):
            continue
        unnoticed.append(left_out)
    assert set(unnoticed) <= SQLITES_OWN
