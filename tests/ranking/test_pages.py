"""Pages under random writes, against a dict of what was there all along."""

import random
from collections.abc import Callable

import numpy as np
import pytest

import nearfield as nf
from nearfield import intake
from nearfield.engine import making
from tests.ranking.worlds import DIM, Truth, filled


def pages(ask: Callable[..., nf.Hits], between: Callable[[], object] = lambda: None, most: int = 1000) -> list[list[str]]:
    """The ids of every page, `between` being called after each."""
    out, token = [], None
    for _ in range(most):
        found = ask(after=token)
        out.append(found.ids)
        between()
        token = found.next
        if token is None:
            return out
    raise AssertionError("it never ends")


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
@pytest.mark.parametrize("k", [1, 7, 100, 1000])
def test_pages_are_the_whole_ranking(db: nf.Database, rng: np.random.Generator, metric: str, k: int) -> None:
    world = filled(db, rng, 120, metric=metric)
    query = rng.normal(size=DIM).astype(np.float32)
    whole = world.search(vector=query, k=len(world)).ids
    found = pages(lambda after: world.search(vector=query, k=k, after=after))
    assert [one for page in found for one in page] == whole
    assert all(len(page) == k for page in found[:-1])


class Writer:
    """Writes at random, and knows which documents were left alone."""

    def __init__(self, world: nf.Collection, seed: int) -> None:
        self.world, self.random, self.rng = world, random.Random(seed), np.random.default_rng(seed)
        self.untouched = {d.id for d in world.scan()}
        self.new = 0

    def __call__(self) -> None:
        for _ in range(self.random.randrange(4)):
            self.random.choice([self.replace, self.delete, self.add, self.update, self.copies, self.load, self.merge])()

    def some(self, n: int) -> list[str]:
        there = [d.id for d in self.world.scan()]
        return self.random.sample(there, min(n, len(there)))

    def vectors(self, n: int) -> np.ndarray:
        return self.rng.normal(size=(n, DIM)).astype(np.float32)

    def replace(self) -> None:
        ids = self.some(6)
        self.untouched -= set(ids)
        self.world.upsert([nf.Document(i, metadata={"kind": "a"}) for i in ids], vectors=self.vectors(len(ids)))

    def delete(self) -> None:
        ids = self.some(4)
        self.untouched -= set(ids)
        self.world.delete(ids)

    def add(self) -> None:
        ids = [f"new{self.new + i}" for i in range(5)]
        self.new += 5
        self.world.upsert([nf.Document(i, metadata={"kind": "a"}) for i in ids], vectors=self.vectors(5))

    def update(self) -> None:
        for one in self.some(3):
            self.untouched.discard(one)
            self.world.update(one, metadata={"changed": True})

    def copies(self) -> None:
        """Documents written anew with the vector of another: scores that are equal to the bit."""
        ids = self.some(4)
        if len(ids) == 4:
            vector = self.world.get(ids[0], vectors=True).vector
            self.untouched -= set(ids[1:])
            self.world.upsert([nf.Document(i) for i in ids[1:]], vectors=np.stack([vector] * 3))

    def load(self) -> None:
        ids = [*self.some(3), *(f"loaded{self.new + i}" for i in range(3))]
        self.new += 3
        self.untouched -= set(ids)
        self.world.load(ids=ids, vectors=self.vectors(len(ids)), metadata={"kind": ["a"] * len(ids)})

    def merge(self) -> None:
        self.world.optimize()


@pytest.mark.parametrize("seed", range(12))
def test_none_comes_twice_and_none_that_stayed_is_left_out(db: nf.Database, seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = ["cosine", "ip", "l2"][seed % 3]
    world = filled(db, rng, 120, metric=metric)
    query = rng.normal(size=DIM).astype(np.float32)
    options: dict = [{}, {"filter": {"n": {"$gte": 20}}}, {"min_score": -1e9}, {"exclude": ["d1", "d5"]}][seed % 4]
    writer = Writer(world, seed)
    found = pages(lambda after: world.search(vector=query, k=1 + seed, exact=True, after=after, **options), writer)
    ids = [one for page in found for one in page]
    assert len(set(ids)) == len(ids), "a document came twice"
    truth = Truth(world)
    stayed = {i for i in writer.untouched if i not in ("d1", "d5") or "exclude" not in options}
    if "filter" in options:
        stayed = {i for i in stayed if truth.metadata[i]["n"] >= 20}
    assert stayed <= set(ids), "a document that was there all along was left out"
    assert writer.untouched, "the writer must leave something alone"


def test_what_is_written_after_the_first_page_does_not_come(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng, 60)
    query = rng.normal(size=DIM).astype(np.float32)
    first = world.search(vector=query, k=5)
    world.upsert([nf.Document("late")], vectors=-query[None, :])
    rest = pages(lambda after: world.search(vector=query, k=5, after=after or first.next))
    assert "late" not in [one for page in rest for one in page]
    assert "late" in world.search(vector=query, k=1000).ids


def test_the_token_of_hits_whose_last_is_gone(db: nf.Database) -> None:
    """Ties on both sides of a page whose last hit, and others of that score, are deleted before the token is asked for."""
    world = db.create("ties", embedder=None, dim=2)
    world.upsert([nf.Document(f"t{i:02}") for i in range(30)], vectors=np.tile([[1.0, 0.5]], (30, 1)))
    first = world.search(vector=[1.0, 0.5], k=10)
    world.delete(first.ids[7:])
    second = world.search(vector=[1.0, 0.5], k=10, after=first.next)
    assert second.ids == [f"t{i:02}" for i in range(10, 20)]
    world.delete(second.ids)
    third = world.search(vector=[1.0, 0.5], k=10, after=second.next)
    assert third.ids == [f"t{i:02}" for i in range(20, 30)]


def test_a_load_that_was_running_does_not_bring_documents_twice(db: nf.Database, rng: np.random.Generator) -> None:
    """Its rows have lower numbers than those of writes that were seen before it."""
    world = db.create("loading", embedder=None, dim=2)
    angles = np.linspace(0, 1.5, 40)
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    world.upsert([nf.Document(f"d{i:02}") for i in range(39)], vectors=vectors[:39])
    real, seen = making._build, {}
    bulk = intake.BULK

    def built(engine, fill):  # type: ignore[no-untyped-def]
        made = real(engine, fill)
        patch.setattr(making, "_build", real)
        patch.setattr(intake, "BULK", bulk)
        world.upsert([nf.Document("d39")], vectors=vectors[39:])
        seen["first"] = world.search(vector=vectors[0], k=10)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "_build", built)
        patch.setattr(intake, "BULK", 1)
        world.load(ids=[f"d{i:02}" for i in range(6)], vectors=vectors[30:36])
    assert seen["first"].ids == [f"d{i:02}" for i in range(10)]
    rest = pages(lambda after: world.search(vector=vectors[0], k=10, after=after or seen["first"].next))
    ids = [one for page in rest for one in page]
    assert not set(ids) & set(seen["first"].ids)
    assert ids == [f"d{i:02}" for i in range(10, 40)]


@pytest.mark.parametrize("strategy", ["average", "best"])
def test_recommendations_have_pages_too(db: nf.Database, rng: np.random.Generator, strategy: str) -> None:
    world = filled(db, rng, 100)
    options = {"like": ["d1", "d2"], "unlike": ["d3"], "strategy": strategy}
    whole = world.recommend(**options, k=1000).ids
    found = pages(lambda after: world.recommend(**options, k=9, after=after))
    assert [one for page in found for one in page] == whole


def test_more_like_a_document_has_pages(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng, 100)
    found = pages(lambda after: world.search(id="d1", k=9, after=after))
    assert [one for page in found for one in page] == world.search(id="d1", k=1000).ids


def test_an_offset_begins_later(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng, 100)
    query = rng.normal(size=DIM).astype(np.float32)
    first = world.search(vector=query, k=10, offset=20)
    assert world.search(vector=query, k=10, after=first.next).ids == world.search(vector=query, k=10, offset=30).ids


def test_tokens_hold_in_another_process_that_opens_the_directory(db: nf.Database, rng: np.random.Generator) -> None:
    world = filled(db, rng, 60)
    query = rng.normal(size=DIM).astype(np.float32)
    token = world.search(vector=query, k=10).next
    with nf.open(db.path, read_only=True) as other:
        found = other["world"].search(vector=query, k=10, after=token)
    assert found.ids == world.search(vector=query, k=10, offset=10).ids


def test_tokens_of_other_searches_are_refused(db: nf.Database, rng: np.random.Generator) -> None:
    world, other = filled(db, rng, 60), filled(db, rng, 60, name="other")
    query = np.ones(DIM, np.float32)
    token = world.search(vector=query, k=5, filter={"n": {"$gt": 3}}).next
    world.search(vector=query, k=9, filter={"n": {"$gt": 3}}, after=token)
    for asked in (
        {"vector": query},
        {"vector": -query, "filter": {"n": {"$gt": 3}}},
        {"vector": query, "filter": {"n": {"$gt": 4}}},
        {"vector": query, "filter": {"n": {"$gt": 3}}, "min_score": 0.1},
        {"vector": query, "filter": {"n": {"$gt": 3}}, "exclude": ["d3"]},
        {"id": "d4", "filter": {"n": {"$gt": 3}}},
    ):
        with pytest.raises(nf.InvalidInput, match="another search"):
            world.search(k=5, after=token, **asked)
    with pytest.raises(nf.InvalidInput, match="another collection"):
        other.search(vector=query, k=5, filter={"n": {"$gt": 3}}, after=token)


@pytest.mark.parametrize("options", [{"diversity": 0.5}, {"group_by": "kind"}, {"rerank": "overlap"}])
def test_lists_that_are_worked_on_whole_say_that_they_have_no_pages(books: nf.Collection, options: dict) -> None:
    found = books.search("the moon", k=1, **options)
    with pytest.raises(nf.InvalidInput, match="larger k") as refused:
        _ = found.next
    assert refused.value.field == "after"


@pytest.mark.parametrize("mode", ["keyword", "hybrid"])
@pytest.mark.parametrize("options", [{}, {"exclude": ["bread"]}])
def test_scores_that_change_with_every_write_have_no_pages(books: nf.Collection, mode: str, options: dict) -> None:
    found = books.search("the moon", k=1, mode=mode, **options)
    with pytest.raises(nf.InvalidInput, match="mode='dense'"):
        _ = found.next
    with pytest.raises(nf.InvalidInput, match="mode='dense'"):
        books.search("the moon", k=1, mode=mode, after="x")
