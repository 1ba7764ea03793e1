"""What differs between two snapshots, against a dict of what each document was."""

import random
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.maintain import tasks
from nearfield.reembedding import changes
from tests.durability import operations


def held(collection: nf.Collection) -> dict[str, tuple[str | None, str]]:
    return {d.id: (d.text, repr(sorted(d.metadata.items()))) for d in collection.scan()}


@pytest.mark.parametrize("seed", range(2))
def test_changes_are_those_of_a_dict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    operations.make_small(monkeypatch.setattr)
    random_ = random.Random(seed)
    with nf.open(tmp_path / "db") as db:
        made = db.create("books", embedder=None, dim=operations.DIM, metric="l2")
        seen = [(made.snapshot(), held(made))]
        for number in range(40):
            operations.run(made, operations.choose(random_, number))
            if number % 20 == 19:
                with made._maintainer._busy:
                    views = made._engine.snapshot.segments
                    tasks.merge(made._engine, tuple(v.segment.number for v in views))
            if random_.random() < 0.4:
                seen.append((made.snapshot(), held(made)))
        for _ in range(40):
            (before, old), (now, new) = (seen[i] for i in sorted(random_.sample(range(len(seen)), 2)))
            found = changes.between(before, now)
            assert set(found.gone) == old.keys() - new.keys()
            ids = [i for some in changes.ids(now, found.rows, 7) for i in some]
            assert len(ids) == len(set(ids))
            assert set(ids) >= {i for i in new if new[i] != old.get(i)}  # a document written again as it was is one too
            assert set(ids) <= new.keys()
        everything = [i for some in changes.ids(now, None, 7) for i in some]
        assert sorted(everything) == sorted(new)
        assert np.array_equal(changes.since(now, 0), np.sort(changes.since(now, 0)))


def test_a_snapshot_has_no_changes_from_itself(books: nf.Collection) -> None:
    assert len(changes.between(books.snapshot(), books.snapshot())) == 0


def test_stale_ids_are_those_that_only_the_copy_has(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    operations.make_small(monkeypatch.setattr)
    made = db.create("one", embedder=None, dim=4)
    made.load(ids=[f"s{i}" for i in range(60)], vectors=np.ones((60, 4), np.float32))
    made.upsert([nf.Document(f"p{i}") for i in range(9)], vectors=np.ones((9, 4), np.float32))
    copy = db.copy("one", "two")
    made.delete(["s1", "s59", "p3"])
    made.upsert([nf.Document("s2"), nf.Document("new")], vectors=np.ones((2, 4), np.float32))
    copy.delete("s59")
    assert set(changes.stale(copy.snapshot(), made.snapshot())) == {"s1", "p3"}
    assert list(changes.stale(made.snapshot(), copy.snapshot())) == ["new"]
