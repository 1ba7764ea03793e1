"""What a look finds new, changed and gone, against what was really done."""

import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nearfield.extract import Unreadable, watching
from nearfield.extract.following import Follower

OLD = time.time() - 1000


def put(path: Path, text: str, age: float = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (OLD - age, OLD - age))


def test_the_first_look_finds_all_and_the_second_nothing(tmp_path: Path) -> None:
    put(tmp_path / "a.txt", "a")
    put(tmp_path / "x.exe", "x")
    follower = Follower(tmp_path, "p")
    first = follower.look()
    assert ([f.id for f in first.files], first.gone, dict(first.others)) == (["p/a.txt"], [], {".exe": 1})
    assert (first.known_gone("p/a.txt"), first.known_gone("p/b.txt")) == (False, True)
    second = follower.look()
    assert (second.files, second.gone, dict(second.others)) == ([], [], {})


def test_looks_find_what_was_done(tmp_path: Path) -> None:
    draw = random.Random(7)
    follower, model = Follower(tmp_path), dict[str, int]()
    for step in range(40):
        changed, gone = set(), set()
        for _ in range(draw.randrange(4)):
            name = f"{draw.choice(['', 'a/', 'b/c/'])}{draw.randrange(6)}.txt"
            if name in model and draw.random() < 0.4:
                (tmp_path / name).unlink()
                del model[name]
                gone.add(name)
                changed.discard(name)
            else:
                model[name] = step
                put(tmp_path / name, "x" * draw.randrange(1, 5), age=len(model) + 100 * step + draw.random())
                changed.add(name)
        found = follower.look()
        assert {f.id for f in found.files} == changed
        assert set(found.gone) == {name for name in gone if name not in model}
        assert found.there == model.keys()


def test_what_changed_just_now_is_looked_at_again(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    follower = Follower(tmp_path)
    assert [[f.id for f in follower.look().files] for _ in range(2)] == [["a.txt"], ["a.txt"]]


def test_what_the_system_tells_of_is_changed_whatever_its_time_says(tmp_path: Path) -> None:
    put(tmp_path / "sub" / "a.txt", "x")
    link = tmp_path.with_name(tmp_path.name + "-link")
    link.symlink_to(tmp_path)
    follower = Follower(link)
    follower.look()
    for told in (tmp_path / "sub/a.txt", link / "sub/a.txt"):
        assert [f.id for f in follower.look({str(told)}).files] == ["sub/a.txt"]


def test_a_folder_that_is_gone_says_nothing_of_its_files(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.txt", "x")
    follower = Follower(tmp_path / "in")
    follower.look()
    (tmp_path / "in").rename(tmp_path / "away")
    with pytest.raises(Unreadable):
        follower.look()
    (tmp_path / "away").rename(tmp_path / "in")
    assert follower.look().gone == []


def test_files_below_a_folder_that_cannot_be_entered_are_not_gone(tmp_path: Path, closed: Callable[[Path], None]) -> None:
    put(tmp_path / "no" / "a.txt", "x")
    follower = Follower(tmp_path)
    follower.look()
    closed(tmp_path / "no")
    found = follower.look()
    assert (found.gone, [f.path for f in found.failed]) == ([], ["no/"])
    assert not found.known_gone("no/a.txt")


@pytest.mark.parametrize("polled", [False, True])
def test_a_change_wakes(tmp_path: Path, polled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if polled:
        monkeypatch.setitem(sys.modules, "watchfiles", None)
    waking = watching.wakings([tmp_path], every=0.2)
    next(waking)
    (tmp_path / "a.txt").write_text("x")
    told = [next(waking) for _ in range(3)]
    assert polled or any(path.endswith("a.txt") for paths in told for path in paths)
    waking.close()
