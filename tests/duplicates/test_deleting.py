from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.duplicates import deleting

NEAR = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [0.02, 1], [-1, -1]], np.float32)
IDS = ["a", "b", "c", "d", "e", "f"]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[nf.Collection]:
    with nf.open(tmp_path / "db") as db:
        found = db.create("c", embedder=None, dim=2)
        found.upsert([nf.Document(i, metadata={"n": n}) for n, i in enumerate(IDS)], vectors=NEAR)
        yield found


def ids(of: nf.Collection) -> list[str]:
    return sorted(d.id for d in of.scan())


def test_by_default_nothing_is_deleted(made: nf.Collection) -> None:
    told = made.dedup(0.99)
    assert (told.dry_run, told.documents, told.deleted, len(told.groups)) == (True, 3, 0, 2)
    assert ids(made) == IDS
    assert "would be" in repr(told)


@pytest.mark.parametrize("sealed", [False, True])
def test_all_but_one_of_each_group_are_deleted(made: nf.Collection, sealed: bool) -> None:
    if sealed:
        made.optimize()
    told = made.dedup(0.99, keep={"field": "n"}, dry_run=False)
    assert (told.documents, told.deleted, told.spared) == (3, 3, 0)
    assert ids(made) == ["b", "e", "f"]
    assert told.commit == made.commit
    assert not made.dedup(0.99).groups


@pytest.mark.parametrize("sealed", [False, True])
def test_what_changed_meanwhile_is_spared(made: nf.Collection, sealed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """b is written again, and c, which was to stay, is gone, between the comparison and the deletion."""
    carry_out = deleting.carry_out

    def late(engine: object, orders: list[deleting.Order]) -> tuple[int, int]:
        made.upsert(nf.Document("b"), vectors=[[5, 5]])
        made.delete("c")
        return carry_out(engine, orders)  # type: ignore[arg-type]

    if sealed:
        made.optimize()
    monkeypatch.setattr(deleting, "carry_out", late)
    told = made.dedup(0.99, dry_run=False)
    assert (told.documents, told.deleted, told.spared) == (3, 0, 3)
    assert ids(made) == ["a", "b", "d", "e", "f"]


def test_sealing_and_merging_meanwhile_changes_no_document(made: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    carry_out = deleting.carry_out

    def late(engine: object, orders: list[deleting.Order]) -> tuple[int, int]:
        made.optimize()
        return carry_out(engine, orders)  # type: ignore[arg-type]

    monkeypatch.setattr(deleting, "carry_out", late)
    assert made.dedup(0.99, dry_run=False).deleted == 3
    assert ids(made) == ["a", "c", "f"]


def test_a_large_group_goes_in_several_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "AT_ONCE", 10)
    turns = []
    carry_out = deleting.carry_out
    monkeypatch.setattr(deleting, "carry_out", lambda e, o: turns.append(o) or carry_out(e, o))
    with nf.open(tmp_path / "db2") as db:
        made = db.create("c", embedder=None, dim=2)
        made.upsert([nf.Document(str(i)) for i in range(55)], vectors=np.tile([[1.0, 2.0]], (55, 1)))
        assert made.dedup(1.0, dry_run=False).deleted == 54
        assert [d.id for d in made.scan()] == ["0"]
    assert max(len(order.others) for turn in turns for order in turn) == 10


def test_stopped_in_between_the_next_call_goes_on(made: nf.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "AT_ONCE", 1)
    carry_out, turns = deleting.carry_out, []

    def stopped(engine: object, orders: list[deleting.Order]) -> tuple[int, int]:
        if turns:
            raise KeyboardInterrupt
        turns.append(orders)
        return carry_out(engine, orders)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(deleting, "carry_out", stopped)
        with pytest.raises(KeyboardInterrupt):
            made.dedup(0.99, dry_run=False)
    assert ids(made) == ["a", "c", "d", "e", "f"]
    assert made.dedup(0.99, dry_run=False).deleted == 2
    assert ids(made) == ["a", "c", "f"]
