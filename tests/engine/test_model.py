"""Random operations against a dict and brute force: whatever happens, the collection is the dict."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import nearfield as nf
from nearfield.core import filters, matching
from nearfield.maintain import tasks

IDS = [f"d{i}" for i in range(24)]
FILTERS = [
    {"n": {"$lt": 5}},
    {"tag": "a"},
    {"$or": [{"n": 3}, {"tag": {"$in": ["b", None]}}]},
    {"n": {"$exists": False}},
    {"list": 2},
    {"tag": {"$ne": "a"}},
]
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "n": st.one_of(st.integers(0, 9), st.floats(0, 9), st.none()),
        "tag": st.sampled_from(["a", "b", None, "c"]),
        "list": st.lists(st.integers(0, 3), max_size=3),
    },
)
DIM = 4


def vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(DIM).astype(np.float32)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.model: dict[str, tuple[str, dict, np.ndarray]] = {}

    @initialize(metric=st.sampled_from(["cosine", "ip", "l2"]))
    def start(self, metric: str) -> None:
        self.metric = metric
        self.db = nf.open(self.directory / "db")
        self.books = self.db.create("books", embedder=None, dim=DIM, metric=metric)

    def teardown(self) -> None:
        self.db.close()
        shutil.rmtree(self.directory)

    @rule(
        ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=6, unique=True),
        metadata=METADATA,
        seed=st.integers(0, 10_000),
        if_exists=st.sampled_from(["replace", "skip"]),
    )
    def upsert(self, ids: list[str], metadata: dict, seed: int, if_exists: str) -> None:
        documents = [nf.Document(i, f"text {i} {seed}", metadata) for i in ids]
        vectors = np.stack([vector(seed + j) for j in range(len(ids))])
        written = self.books.upsert(documents, vectors=vectors, if_exists=if_exists)
        old = sum(i in self.model for i in ids)
        assert written.added == len(ids) - old
        for document, x in zip(documents, vectors, strict=True):
            if if_exists == "replace" or document.id not in self.model:
                self.model[document.id] = (document.text, metadata, x)

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=5, unique=True), seed=st.integers(0, 10_000))
    def load_as_segment(self, ids: list[str], seed: int) -> None:
        from nearfield import intake

        before, intake.BULK = intake.BULK, 1
        try:
            vectors = np.stack([vector(seed + j) for j in range(len(ids))])
            self.books.load(ids=ids, vectors=vectors, texts=[f"load {i}" for i in ids], metadata={"n": list(range(len(ids)))})
        finally:
            intake.BULK = before
        for j, i in enumerate(ids):
            self.model[i] = (f"load {i}", {"n": j}, vectors[j])

    @rule(ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=4))
    def delete(self, ids: list[str]) -> None:
        gone = {i for i in ids if i in self.model}
        assert self.books.delete(ids).deleted == len(gone)
        for i in gone:
            del self.model[i]

    @rule(condition=st.sampled_from(FILTERS))
    def delete_by_filter(self, condition: dict) -> None:
        parsed = filters.parse(condition)
        gone = [i for i, (_, metadata, _) in self.model.items() if matching.matches(parsed, metadata)]
        assert self.books.delete(filter=condition).deleted == len(gone)
        for i in gone:
            del self.model[i]

    @rule(document_id=st.sampled_from(IDS), n=st.integers(0, 9))
    def update(self, document_id: str, n: int) -> None:
        if document_id not in self.model:
            return
        self.books.update(document_id, metadata={"n": n}, remove=["tag"])
        text, metadata, x = self.model[document_id]
        self.model[document_id] = (text, {k: v for k, v in {**metadata, "n": n}.items() if k != "tag"}, x)

    @rule()
    def seal(self) -> None:
        with self.books._maintainer._busy:
            tasks.seal(self.books._engine)

    @rule()
    def merge(self) -> None:
        with self.books._maintainer._busy:
            views = self.books._engine.snapshot.segments
            if not views:
                return
            tasks.merge(self.books._engine, tuple(v.segment.number for v in views))

    @rule()
    def reopen(self) -> None:
        self.db.close()
        self.db = nf.open(self.directory / "db")
        self.books = self.db["books"]

    @rule(seed=st.integers(0, 10_000), k=st.integers(1, 30), condition=st.sampled_from([None, *FILTERS]))
    def search(self, seed: int, k: int, condition: dict | None) -> None:
        query = vector(seed)
        allowed = self.model
        if condition is not None:
            parsed = filters.parse(condition)
            allowed = {i: v for i, v in self.model.items() if matching.matches(parsed, v[1])}
        hits = self.books.search(vector=query, k=k, filter=condition)
        truth = sorted((self._score(query, x) for _, _, x in allowed.values()), reverse=True)[:k]
        assert len(hits) == min(k, len(allowed))
        assert hits.complete
        assert np.allclose(hits.scores, truth, rtol=1e-4, atol=1e-4)
        for hit in hits:
            text, metadata, x = allowed[hit.id]
            assert hit.document.text == text
            assert hit.document.metadata == metadata
            assert np.isclose(hit.score, self._score(query, x), rtol=1e-4, atol=1e-4)

    def _score(self, q: np.ndarray, x: np.ndarray) -> float:
        q, x = q.astype(np.float64), x.astype(np.float64)
        if self.metric == "l2":
            return -float(((q - x) ** 2).sum())
        product = float(q @ x)
        return product if self.metric == "ip" else product / float(np.linalg.norm(q) * np.linalg.norm(x))

    @invariant()
    def same_documents(self) -> None:
        if not hasattr(self, "books"):
            return
        assert len(self.books) == len(self.model)
        found = {d.id: d for d in self.books.scan(vectors=True)}
        assert found.keys() == self.model.keys()
        for i, (text, metadata, x) in self.model.items():
            assert found[i].text == text
            assert found[i].metadata == metadata
            assert np.allclose(found[i].vector, x, rtol=1e-5, atol=1e-6)
            assert self.books.get(i) == found[i]

    @rule()
    def verify(self) -> None:
        assert self.books.verify().problems == []


Machine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestModel = Machine.TestCase
