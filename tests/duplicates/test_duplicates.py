"""Duplicates of a collection, whatever it consists of."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric
from tests.duplicates import brute

N = 400


@pytest.fixture
def x() -> np.ndarray:
    found = brute.planted(N, 12, 120, 0.5, seed=3)
    found[10] = found[5]
    return found


@pytest.fixture
def db(tmp_path: Path) -> Iterator[nf.Database]:
    with nf.open(tmp_path / "db") as opened:
        yield opened


def documents(n: int) -> list[nf.Document]:
    return [nf.Document(f"d{i}", metadata={"i": i, "even": i % 2 == 0}) for i in range(n)]


def wanted(x: np.ndarray, above: float, metric: Metric = Metric.COSINE) -> list[tuple[str, ...]]:
    found = brute.groups(len(x), list(brute.pairs(brute.rows(x, metric), above)))
    return [tuple(f"d{i}" for i in group) for group in found]


@pytest.mark.parametrize(("metric", "above"), [("cosine", 0.97), ("ip", 70.0), ("l2", -3.0)])
def test_groups_are_those_of_every_pair(db: nf.Database, x: np.ndarray, metric: str, above: float) -> None:
    made = db.create("c", embedder=None, dim=12, metric=metric)
    made.upsert(documents(N), vectors=x)
    found = list(made.duplicates(above))
    assert [g.ids for g in found] == wanted(x, above, Metric(metric))
    assert len(found) > 1
    for group in found:
        assert group.keep == group.ids[0]
        assert len(group.links) == len(group) - 1
        assert all(a.score >= b.score for a, b in pairwise(group.links))
        assert group.loosest == group.links[-1].score >= above


def test_segments_and_pending_rows_are_one_sequence(db: nf.Database, x: np.ndarray) -> None:
    one, several = (db.create(name, embedder=None, dim=12) for name in ("one", "several"))
    one.upsert(documents(N), vectors=x)
    for start in range(0, N - 50, 50):
        several.upsert(documents(N)[start : start + 50], vectors=x[start : start + 50])
        several.optimize()
    several.upsert(documents(N)[N - 50 :], vectors=x[N - 50 :])
    assert len(several.snapshot().segments) + len(several.snapshot().pending.parts) > 1
    assert [g.to_dict() for g in several.duplicates(0.97)] == [g.to_dict() for g in one.duplicates(0.97)]


def test_deleted_and_replaced_rows_do_not_count(db: nf.Database, x: np.ndarray) -> None:
    made = db.create("c", embedder=None, dim=12)
    made.upsert(documents(N), vectors=x)
    made.optimize()
    made.delete([f"d{i}" for i in range(0, N, 3)])
    made.upsert([nf.Document("d1")], vectors=x[2:3])
    left = [i for i in range(N) if i % 3 and i != 1] + [2]
    names = [f"d{i}" for i in left[:-1]] + ["d1"]
    found = brute.groups(len(left), list(brute.pairs(brute.rows(x[left], Metric.COSINE), 0.97)))
    assert [g.ids for g in made.duplicates(0.97)] == [tuple(names[i] for i in group) for group in found]


def test_a_filter_says_which_are_compared(db: nf.Database, x: np.ndarray) -> None:
    made = db.create("c", embedder=None, dim=12)
    made.upsert(documents(N), vectors=x)
    found = brute.groups(N // 2, list(brute.pairs(brute.rows(x[::2], Metric.COSINE), 0.97)))
    assert [g.ids for g in made.duplicates(0.97, filter={"even": True})] == [tuple(f"d{2 * i}" for i in g) for g in found]


def test_nothing_is_read_before_the_first_group_and_nothing_later_is_seen(db: nf.Database, x: np.ndarray) -> None:
    told: list[tuple[int, int]] = []
    made = db.create("c", embedder=None, dim=12)
    made.upsert(documents(N), vectors=x)
    found = made.duplicates(0.97, progress=lambda a, b: told.append((a, b)))
    made.delete([f"d{i}" for i in range(N)])
    assert not told
    assert [g.ids for g in found] == wanted(x, 0.97)
    assert told
    count = len(told)
    assert found.join.exact
    assert [g.ids for g in found] == wanted(x, 0.97)
    assert len(told) == count


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_have_no_duplicates(db: nf.Database, x: np.ndarray, n: int) -> None:
    made = db.create("c", embedder=None, dim=12)
    made.upsert(documents(n), vectors=x[:n])
    found = made.duplicates(0.5)
    assert list(found) == []
    assert (found.join.method, found.join.exact, found.join.documents) == ("none", True, n)


def test_a_collection_opened_read_only_has_duplicates_too(tmp_path: Path, x: np.ndarray) -> None:
    with nf.open(tmp_path / "db") as db:
        db.create("c", embedder=None, dim=12).upsert(documents(N), vectors=x)
    with nf.open(tmp_path / "db", read_only=True) as db:
        assert [g.ids for g in db["c"].duplicates(0.97)] == wanted(x, 0.97)
        with pytest.raises(nf.ReadOnly):
            db["c"].dedup(0.97, dry_run=False)


def test_bad_input_is_refused_before_anything_is_read(db: nf.Database) -> None:
    made = db.create("c", embedder=None, dim=12)
    for options in (
        {"above": 2},
        {"above": 0.9, "recall": 0},
        {"above": 0.9, "keep": "x"},
        {"above": 0.9, "filter": {"$x": 1}},
    ):
        with pytest.raises(nf.InvalidInput):
            made.duplicates(**options)  # type: ignore[arg-type]
    with pytest.raises(nf.InvalidInput):
        made.dedup(0.9, dry_run="no")  # type: ignore[arg-type]
    with pytest.raises(nf.InvalidInput):
        made.suggest_threshold(sample=5)


def test_a_closed_database_says_so(tmp_path: Path) -> None:
    db = nf.open(tmp_path / "db")
    made = db.create("c", embedder=None, dim=2)
    db.close()
    with pytest.raises(nf.Closed):
        made.duplicates(0.9)
