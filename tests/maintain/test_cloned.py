"""A segment of more vectors than a card has room for is searched there by its index; a FAISS with a card that is not there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.engine import cloned
from nearfield.index import _faiss
from nearfield.index.gpu import owner
from nearfield.maintain import budgets, tasks, tiers
from tests.index.gpu.fake import LOST, Fake

DIM, N = 24, 6000


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    made = Fake()
    monkeypatch.setattr(_faiss, "faiss", made)
    monkeypatch.setattr(cloned, "TEMPORARY", 0)
    monkeypatch.setattr(tiers, "EVERY", 1e6)
    monkeypatch.setattr(tiers.TierKeeper, "look", lambda self: None)
    monkeypatch.setattr(budgets, "_every", lambda: (["cuda:0"], []))
    monkeypatch.setattr(budgets, "_budget", lambda gpu_memory, name: 220_000)
    yield made
    owner.close_all()


@pytest.fixture
def x() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((60, DIM))[rng.integers(0, 60, N)] + 0.3 * rng.standard_normal((N, DIM))).astype(np.float32)


def filled(db: nf.Database, x: np.ndarray) -> nf.Collection:
    c = db.create("c", embedder=None, dim=DIM, metric="l2", index=nf.IvfPq(lists=32, subvectors=8, bits=8), recall=0.9)
    c.load(ids=[str(i) for i in range(N)], vectors=x)
    tasks.seal(c._engine)
    c.optimize()
    return c


def test_the_index_answers_from_the_card(tmp_path: Path, x: np.ndarray, fake: Fake) -> None:
    with nf.open(tmp_path, gpu_memory="1GB") as db:
        c = filled(db, x)
        before = [c.search(vector=q, k=10) for q in x[:20]]
        c.pin("hot")
        (segment,) = c.stats().segments
        assert (segment.tier, segment.device, segment.device_form) == ("hot", "cuda:0", "index")
        assert "clone" in [what for what, _ in fake.calls]
        after = [c.search(vector=q, k=10) for q in x[:20]]
        assert [h.ids for h in after] == [h.ids for h in before]
        assert after[0].plan.segments[0].device == "cuda:0"
        assert after[0].plan.segments[0].kind == "ivfpq"
        assert db.tiers().devices[0].reserved <= db.tiers().devices[0].budget
        c.rebuild(nf.IvfPq(lists=16, subvectors=8, bits=8))
        assert c.search(vector=x[3], k=1).plan.segments[0].device is None, "the clone is of another index"
        db._tiers.settle()  # type: ignore[union-attr]
        assert c.search(vector=x[3], k=1).plan.segments[0].device == "cuda:0"
        c.pin("warm")
        assert db.tiers().devices[0].reserved == 220_000 // 8


def test_a_lost_card_is_told_and_the_processor_answers(tmp_path: Path, x: np.ndarray, fake: Fake) -> None:
    with nf.open(tmp_path, gpu_memory="1GB") as db:
        c = filled(db, x)
        before = c.search(vector=x[5], k=10)
        c.pin("hot")

        def fail(what: str) -> None:
            raise RuntimeError(LOST)

        fake.fail = fail
        assert c.search(vector=x[5], k=10).ids == before.ids
        assert "cuda:0 is lost" in db.tiers().alarms[0]
        assert c.search(vector=x[5], k=10).plan.segments[0].device is None
        assert c.stats().segments[0].tier == "warm"
