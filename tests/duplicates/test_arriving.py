"""Documents that are like others are not written: the same as asking, one by one, before each."""

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores
from tests.duplicates import brute


class Simple:
    """A dict, and a look at all of it before each document."""

    def __init__(self, metric: Metric, above: float) -> None:
        self.metric, self.above = metric, above
        self.held: dict[str, np.ndarray] = {}

    def upsert(self, ids: list[str], x: np.ndarray, if_exists: str) -> dict[str, tuple[set[str], float]]:
        """What was skipped as alike: the nearest ones and their score."""
        out = {}
        ready = prepare(x, self.metric)[0]
        for document_id, vector in zip(ids, ready, strict=True):
            if if_exists == "skip" and document_id in self.held:
                continue
            others = {k: float(scores(vector, v[None], self.metric)[0]) for k, v in self.held.items() if k != document_id}
            best = max(others.values(), default=-np.inf)
            if best >= self.above:
                out[document_id] = ({k for k, v in others.items() if v == best}, best)
            else:
                self.held[document_id] = vector
        return out


@pytest.mark.parametrize("if_exists", ["replace", "skip"])
@pytest.mark.parametrize(("metric", "above"), [("cosine", 0.97), ("ip", 70.0), ("l2", -3.0)])
def test_a_batch_is_what_one_by_one_would_leave(tmp_path: Path, metric: str, above: float, if_exists: str) -> None:
    x = brute.planted(600, 12, 250, 0.5, seed=5)
    random = np.random.default_rng(0)
    simple = Simple(Metric(metric), above)
    skipped = 0
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=12, metric=metric)
        for turn in range(8):
            chosen = random.choice(600, 150, replace=False)
            ids = [f"d{i}" for i in random.choice(300, 150, replace=False)]
            told = made.upsert(
                [nf.Document(i) for i in ids], vectors=x[chosen], if_exists=if_exists, skip_duplicates_above=above
            )
            before = {i for i in ids if i in simple.held} if if_exists == "skip" else set()
            wanted = simple.upsert(ids, x[chosen], if_exists)
            assert {like.id for like in told.alike} == set(wanted)
            for like in told.alike:
                assert like.like in wanted[like.id][0]
                assert like.score == wanted[like.id][1]
            assert told.skipped == len(wanted) + len(before)
            assert {d.id for d in made.scan()} == set(simple.held)
            skipped += len(wanted)
            if turn % 3 == 0:
                made.optimize()
    assert skipped > 100


def test_the_same_id_is_not_its_own_duplicate(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        made.upsert(nf.Document("a"), vectors=[[1, 2]])
        told = made.upsert(nf.Document("a", metadata={"new": 1}), vectors=[[1, 2]], skip_duplicates_above=0.98)
        assert (told.replaced, told.skipped, told.alike) == (1, 0, ())
        told = made.upsert(nf.Document("b"), vectors=[[2, 4]], skip_duplicates_above=0.98)
        assert (told.added, told.skipped) == (0, 1)
        assert (told.alike[0].id, told.alike[0].like) == ("b", "a")


def test_many_that_are_replaced_hide_none_behind_them(tmp_path: Path) -> None:
    """Nearer ones are replaced by the same batch; the one that counts is behind them."""
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        made.upsert([nf.Document(f"r{i}") for i in range(30)] + [nf.Document("far")], vectors=[[1, 0.0]] * 30 + [[1, 0.01]])
        batch = [nf.Document(f"r{i}") for i in range(30)] + [nf.Document("new")]
        away = [[np.cos(a), np.sin(a)] for a in np.linspace(1, 3, 30)]
        told = made.upsert(batch, vectors=[*away, [1, 0]], skip_duplicates_above=0.9999)
        assert [(like.id, like.like) for like in told.alike] == [("new", "far")]


def test_a_batch_of_the_same_holds_few_of_its_pairs_in_memory(tmp_path: Path) -> None:
    """Four and a half million pairs are alike: a hundred megabytes, were they all held."""
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        batch = [nf.Document(f"d{i}") for i in range(3000)]
        tracemalloc.start()
        try:
            told = made.upsert(batch, vectors=np.ones((3000, 2), np.float32), skip_duplicates_above=0.98)
            most = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (told.added, told.skipped) == (1, 2999)
        assert {like.like for like in told.alike} == {"d0"}
        assert most < 30 << 20


def test_a_batch_of_several_blocks_is_what_one_by_one_would_leave(tmp_path: Path) -> None:
    x = brute.planted(900, 12, 400, 0.5, seed=7)
    simple = Simple(Metric("cosine"), 0.97)
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=12)
        ids = [f"d{i}" for i in range(900)]
        told = made.upsert([nf.Document(i) for i in ids], vectors=x, skip_duplicates_above=0.97)
        wanted = simple.upsert(ids, x, "replace")
        assert {like.id: like.score for like in told.alike} == {i: score for i, (_, score) in wanted.items()}
        assert all(like.like in wanted[like.id][0] for like in told.alike)
        assert {d.id for d in made.scan()} == set(simple.held)


def test_two_calls_at_a_time_do_not_both_write_the_same(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        start = threading.Barrier(8)

        def write(i: int) -> None:
            start.wait()
            made.upsert(nf.Document(f"d{i}"), vectors=[[3, 4]], skip_duplicates_above=0.98)

        threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(made) == 1


@pytest.mark.parametrize("above", [1.5, float("nan"), "x"])
def test_bad_thresholds_are_refused_and_nothing_is_written(tmp_path: Path, above: float) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        with pytest.raises(nf.InvalidInput, match="skip_duplicates_above"):
            made.upsert(nf.Document("a"), vectors=[[1, 2]], skip_duplicates_above=above)
        assert len(made) == 0
