"""Threads write, delete, update and search while a collection is embedded anew, and back: nothing is lost, nothing is mixed."""

import random
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import nearfield as nf
from nearfield.embed.hashing import HashEmbedder
from tests.reembedding.worlds import NEW, OLD, check_vectors, documents, state, text_of

MODELS = {dim: HashEmbedder(dim) for dim in (16, 32, 48)}
Model = dict[str, tuple[str | None, dict[str, object]]]


class Writers:
    """Threads that each write documents of their own and know what must be there."""

    def __init__(self, collection: nf.Collection, count: int) -> None:
        self.collection, self.models = collection, [Model() for _ in range(count)]
        self.errors: list[BaseException] = []
        self.done = [0] * count
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._guarded, args=(self._write, n)) for n in range(count)]
        self._threads += [threading.Thread(target=self._guarded, args=(self._search, n)) for n in range(2)]

    def __enter__(self) -> "Writers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _guarded(self, work: Callable[[int, random.Random], None], n: int) -> None:
        random_ = random.Random(n)
        try:
            while not self._stop.is_set():
                work(n, random_)
        except BaseException as error:
            self.errors.append(error)
            raise

    def _write(self, n: int, random_: random.Random) -> None:
        model, collection = self.models[n], self.collection
        number = self.done[n]
        ids = [f"t{n}-{random_.randrange(60)}" for _ in range(random_.randint(1, 5))]
        kind = random_.choice(["upsert", "upsert", "load", "update", "delete", "where"])
        new = {i: (f"{text_of(number % 50)} of {i} at {number}", {"owner": n, "group": number % 4}) for i in ids}
        if kind == "upsert":
            collection.upsert(nf.Document(i, text, metadata) for i, (text, metadata) in new.items())  # an iterator: read once
            model.update(new)
        elif kind == "load":
            rows = list(new.values())
            collection.load(ids=list(new), texts=[text for text, _ in rows], metadata=[metadata for _, metadata in rows])
            model.update(new)
        elif kind == "update" and ids[0] in model:
            collection.update(ids[0], metadata={"touched": number})
            text, metadata = model[ids[0]]
            model[ids[0]] = (text, {**metadata, "touched": number})
        elif kind == "delete":
            assert collection.delete(ids).deleted == len({i for i in ids if model.pop(i, None) is not None})
        elif kind == "where":
            gone = [i for i, (_, metadata) in model.items() if metadata["group"] == number % 4]
            assert collection.delete(filter={"owner": n, "group": number % 4}).deleted == len(gone)
            for i in gone:
                del model[i]
        self.done[n] += 1
        time.sleep(0.001)

    def _search(self, n: int, random_: random.Random) -> None:
        """What is never written is always found, and every score is that of one model on both sides."""
        wanted = random_.randrange(100)
        query = text_of(wanted)
        hits = self.collection.search(query, k=5, vectors=True)
        assert hits.ids[0] == f"d{wanted}"
        dims = {len(hit.document.vector) for hit in hits}
        assert len(dims) == 1, "one search, two generations"
        embedder = MODELS[dims.pop()]
        asked = embedder.encode([query])[0]
        for hit in hits:
            made = embedder.encode([hit.text])[0]
            assert np.allclose(hit.document.vector, made, atol=1e-5)
            assert hit.score == pytest.approx(float(asked @ made), abs=1e-4)
        time.sleep(0.005)


@pytest.mark.parametrize("round_", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.timeout(120)
def test_nothing_is_lost_under_load(db: nf.Database, monkeypatch: pytest.MonkeyPatch, round_: int) -> None:
    from nearfield.maintain import policy
    from nearfield.reembedding import copying

    monkeypatch.setattr(copying, "BATCH", 40)
    monkeypatch.setattr(policy, "SEAL_ROWS", 60)
    made = db.create("shelf", embedder=OLD)
    made.upsert(documents(100))
    held = []
    with Writers(made, 3) as writers:
        time.sleep(0.2 * round_)
        for step, (move, dim) in enumerate(
            [
                (lambda: db.reembed("shelf", NEW, queries=["moon"]), 48),
                (lambda: db.undo_reembed("shelf"), 32),
                (lambda: db.undo_reembed("shelf"), 48),
                (lambda: db.reembed("shelf", "hash:16", queries=["moon"]), 16),
            ]
        ):
            before = sum(writers.done)
            report = move()
            assert not writers.errors, step
            assert report.switched
            assert made.dim == dim
            held.append(report.held)
            end = time.monotonic() + 20
            while sum(writers.done) < before + 30 and not writers.errors and time.monotonic() < end:
                time.sleep(0.01)
    assert not writers.errors
    wanted = {d.id: (d.text, dict(d.metadata)) for d in documents(100)}
    for model in writers.models:
        wanted |= model
    assert state(made) == wanted
    check_vectors(made, MODELS[16])
    assert made.verify().problems == []
    assert min(writers.done) > 20
    db.close()
    with nf.open(db.path) as again:
        assert state(again["shelf"]) == wanted


def test_a_load_that_runs_is_waited_for(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from nearfield import intake

    monkeypatch.setattr(intake, "BULK", 20)
    monkeypatch.setattr(intake, "EMBED_ROWS", 25)
    made = db.create("shelf", embedder=OLD)
    made.upsert(documents(10))
    begun, said = threading.Event(), []

    def slow(done: int, total: int | None) -> None:
        begun.set()
        time.sleep(0.1)

    def load() -> None:
        many = documents(200, 1000)
        made.load(ids=[d.id for d in many], texts=[d.text for d in many], metadata=[d.metadata for d in many], progress=slow)

    thread = threading.Thread(target=load)
    thread.start()
    assert begun.wait(20)
    report = db.reembed("shelf", NEW, progress=said.append)
    thread.join(20)
    assert "waiting for a load to end" in said
    assert report.documents == len(made) == 210
    check_vectors(made, MODELS[48])


def test_a_write_that_began_before_the_switch_is_made_after_it(db: nf.Database, monkeypatch: pytest.MonkeyPatch) -> None:
    made = db.create("shelf", embedder=OLD)
    made.upsert(documents(10))
    begun, go = threading.Event(), threading.Event()
    encode = HashEmbedder.encode

    def waiting(self: HashEmbedder, items, kind="document", progress=None):
        if self.dim == 32 and "slow one" in items:
            begun.set()
            assert go.wait(20)
        return encode(self, items, kind, progress)

    monkeypatch.setattr(HashEmbedder, "encode", waiting)
    thread = threading.Thread(target=made.upsert, args=(nf.Document("slow", "slow one"),))
    thread.start()
    assert begun.wait(20)
    db.reembed("shelf", NEW, undo_window=0)
    time.sleep(1.2)  # the old generation is gone by now
    go.set()
    thread.join(20)
    assert made.get("slow").text == "slow one"
    check_vectors(made, MODELS[48])


def test_a_search_that_began_before_the_switch_ends_with_the_old_model(
    db: nf.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = db.create("shelf", embedder=OLD)
    made.upsert(documents(10))
    begun, go, found = threading.Event(), threading.Event(), []
    encode = HashEmbedder.encode

    def waiting(self: HashEmbedder, items, kind="document", progress=None):
        if self.dim == 32 and threading.current_thread() is thread:
            begun.set()
            assert go.wait(20)
        return encode(self, items, kind, progress)

    monkeypatch.setattr(HashEmbedder, "encode", waiting)
    thread = threading.Thread(target=lambda: found.append(made.search(text_of(3), k=3, vectors=True)))
    thread.start()
    assert begun.wait(20)
    db.reembed("shelf", NEW, undo_window=0)
    time.sleep(1.2)
    go.set()
    thread.join(20)
    (hits,) = found
    assert hits.ids[0] == "d3"
    assert {len(hit.document.vector) for hit in hits} == {32}
    assert made.search(text_of(3), k=1).ids == ["d3"]


def test_several_calls_agree_by_a_fixed_collection(db: nf.Database) -> None:
    made = db.create("shelf", embedder=OLD)
    made.upsert(documents(10))
    fixed = made.fixed()
    assert made.fixed() is fixed
    queries = fixed.prepared([text_of(3)])
    db.reembed("shelf", NEW)
    assert fixed.answer(queries, fixed.request(k=1))[0].ids == ["d3"]
    assert fixed.embed(["moon"]).shape == (1, 32)
    assert made.fixed() is not fixed
    assert made.fixed().embed(["moon"]).shape == (1, 48)
