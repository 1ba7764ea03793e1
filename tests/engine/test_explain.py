"""Why a document is found or not: ranks and scores against brute force, lists and candidates against FAISS read anew."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores
from nearfield.engine.explain import Explanation

N, DIM = 3000, 16
KINDS = {
    "flat": nf.Flat(),
    "hnsw": nf.Hnsw(links=4, build_effort=8),
    "hnsw-float32": nf.Hnsw(links=4, build_effort=8, storage="float32"),
    "ivf": nf.Ivf(lists=30),
    "ivf-int8": nf.Ivf(lists=30, storage="int8"),
    "ivfpq": nf.IvfPq(lists=30, transform="opq"),
    "rabitq": nf.Rabitq(lists=30, bits=1),
}
HARD = {
    "flat": nf.Effort(),
    "hnsw": nf.Effort(efSearch=10),
    "hnsw-float32": nf.Effort(efSearch=10),
    "ivf": nf.Effort(nprobe=1),
    "ivf-int8": nf.Effort(nprobe=1),
    "ivfpq": nf.Effort(nprobe=3, oversampling=2),
    "rabitq": nf.Effort(nprobe=3, oversampling=2),
}
"""Efforts too small to find everything, so that there is something to explain."""


def world(rng: np.random.Generator) -> np.ndarray:
    centres = rng.standard_normal((25, DIM))
    return (centres[rng.integers(0, 25, N)] + 0.6 * rng.standard_normal((N, DIM))).astype(np.float32)


class Filled:
    """A collection with an indexed segment, dead rows, equal rows and pending rows, and all that it should hold."""

    def __init__(self, c: nf.Collection, name: str, rng: np.random.Generator) -> None:
        self.c, self.name, x = c, name, world(rng)
        x[7] = x[5]
        c.load(ids=[f"d{i}" for i in range(N)], vectors=x, metadata={"n": list(range(N))})
        c.optimize()
        more = x[:20] + 0.01
        c.upsert([nf.Document(f"p{i}", metadata={"n": i}) for i in range(20)], vectors=more)
        c.delete([f"d{i}" for i in range(100, 160)])
        self.ids = [f"d{i}" for i in range(N) if not 100 <= i < 160] + [f"p{i}" for i in range(20)]
        kept = [i for i in range(N) if not 100 <= i < 160]
        self.x = prepare(np.concatenate([x[kept], more]), c.metric)[0]
        self.n = np.array(kept + list(range(20)))
        self.raw = x

    def truth(self, query: np.ndarray, most: int | None) -> list[tuple[str, float]]:
        """(id, score) of what matches, best first, by brute force; equal scores in the order of writing."""
        q = prepare(query[None], self.c.metric)[0][0]
        found = scores(q, self.x, self.c.metric)
        allowed = [i for i in range(len(self.ids)) if most is None or self.n[i] < most]
        return [(self.ids[i], float(found[i])) for i in sorted(allowed, key=lambda i: (-found[i], i))]


@pytest.fixture(scope="module", params=[(k, m) for k in KINDS for m in ("cosine", "l2", "ip")], ids=lambda p: "-".join(p))
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    name, metric = request.param
    with nf.open(tmp_path_factory.mktemp("explain") / "db") as db:
        c = db.create("c", embedder=None, dim=DIM, metric=metric, index=KINDS[name])
        yield Filled(c, name, np.random.default_rng(3))


@pytest.mark.parametrize("most", [None, 1500])
def test_everything_said_is_true(filled: Filled, most: int | None) -> None:
    """Of each of the best 15 documents: rank, score, and whether the same search returns it; and why."""
    condition = None if most is None else {"n": {"$lt": most}}
    missed = 0
    for query in filled.raw[::600] + 0.1:
        truth = filled.truth(query, most)
        ask = {"vector": query, "k": 10, "filter": condition, "effort": HARD[filled.name]}
        hits = filled.c.search(**ask)
        for rank, (document_id, score) in enumerate(truth[:15], 1):
            said = filled.c.explain(id=document_id, **ask)
            assert (said.rank, said.of, said.score) == (rank, len(truth), score)
            assert said.returned == (document_id in hits.ids)
            assert said.place == (hits.ids.index(document_id) + 1 if said.returned else None)
            assert (said.segment == 0) == document_id.startswith("p")
            assert said.text().startswith(f"{document_id!r} ranks {rank:,} of {len(truth):,}")
            missed += rank <= 10 and not said.returned
            check_trace(filled, said, query)
    assert missed or most or filled.name == "flat", "nothing was missed, so nothing was proved"


def check_trace(filled: Filled, said: Explanation, query: np.ndarray) -> None:
    if said.segment == 0 or not said.plan.method.startswith("index"):
        assert said.index is None
        return
    trace = said.index
    assert trace is not None
    if said.plan.method == "index":
        assert trace.candidate >= said.returned
        if said.rank is not None and said.rank <= said.k:
            assert trace.candidate == said.returned, "the best of the candidates are returned"
    assert (trace.candidate_rank is not None) == trace.candidate
    if trace.list is not None:
        assert trace.list_read == (trace.list_rank <= trace.nprobe)
        assert trace.candidate <= trace.list_read
        assert ("not read" in said.text()) == (not trace.list_read)
    else:
        assert filled.name.startswith(("flat", "hnsw"))
    if not trace.quantised:
        assert trace.rough == pytest.approx(said.score, rel=1e-4, abs=1e-4)


def test_lists_are_those_of_the_file(filled: Filled) -> None:
    """The list, its rank and the rough score against FAISS read anew: all centroids compared, all lists searched."""
    if filled.name in ("flat", "hnsw", "hnsw-float32"):
        said = filled.c.explain(vector=filled.raw[1] + 0.1, id="d7").index
        assert said is None or said.list is said.lists is said.list_rank is said.list_read is None
        return
    from nearfield.index._faiss import faiss

    view = filled.c._engine.snapshot.segments[0]
    index = view.index.index
    whole = index._index
    query = prepare(filled.raw[1:2] + 0.1, filled.c.metric)[0]
    coded = query if index._codec is None else index._codec.encode(query)
    inner = faiss.downcast_index(whole.index) if isinstance(whole, faiss.IndexPreTransform) else whole
    if inner is not whole:
        coded = faiss.downcast_VectorTransform(whole.chain.at(0)).apply(coded)
    centroids = inner.quantizer.reconstruct_n(0, inner.nlist)
    near = -((centroids - coded) ** 2).sum(1) if inner.metric_type == faiss.METRIC_L2 else centroids @ coded[0]
    rough, found = index._ranked(query, N, nf.Effort(nprobe=30))
    scored = dict(zip(found[0].tolist(), rough[0].tolist(), strict=True))
    reached = set(index._ranked(query, N, nf.Effort(nprobe=3))[1][0].tolist())
    for position in range(0, 100, 7):
        said = filled.c.explain(vector=filled.raw[1] + 0.1, id=f"d{position}", effort=nf.Effort(nprobe=3)).index
        holds = [n for n in range(inner.nlist) if position in index._order[_ids(inner, n)]]
        assert holds == [said.list]
        assert (said.nprobe, said.lists) == (3, 30)
        assert said.list_read == (position in reached)
        assert abs(said.list_rank - (1 + np.count_nonzero(near > near[said.list]))) <= 1
        expected = scored[position]
        if index._codec is not None:
            expected /= float(index._codec.scale) ** 2
            expected = 1 + expected / 2 if filled.c.metric is Metric.COSINE else expected
        near_enough = 0.5 if filled.name == "rabitq" else 1e-3  # its tables are rounded for what is asked for together
        assert said.rough == pytest.approx(expected, rel=1e-3, abs=near_enough)
        if filled.name == "ivf-int8":
            assert said.rough == pytest.approx(
                filled.c.explain(vector=filled.raw[1] + 0.1, id=f"d{position}").score, rel=0.02, abs=0.2
            )


def _ids(inner, number: int) -> np.ndarray:
    from nearfield.index._faiss import faiss

    size = inner.invlists.list_size(number)
    return np.array(faiss.rev_swig_ptr(inner.invlists.get_ids(number), size)) if size else np.empty(0, np.int64)


def test_equal_scores_rank_in_the_order_of_writing(filled: Filled) -> None:
    first, second = (filled.c.explain(vector=filled.raw[5], id=i) for i in ("d5", "d7"))
    assert first.score == second.score
    assert second.rank == first.rank + 1


def test_what_the_filter_removes_has_no_rank(filled: Filled) -> None:
    said = filled.c.explain(vector=filled.raw[50], id="d50", filter={"n": {"$gte": 60}})
    assert (said.matches, said.rank, said.returned, said.index) == (False, None, False, None)
    assert said.of == filled.c.count({"n": {"$gte": 60}})
    assert "removed by the filter" in said.text()


def test_deleted_and_unknown_documents_are_told_apart(filled: Filled) -> None:
    with pytest.raises(nf.NotFound, match="was deleted"):
        filled.c.explain(vector=filled.raw[0], id="d120")
    with pytest.raises(nf.NotFound, match="no document has this id"):
        filled.c.explain(vector=filled.raw[0], id="nobody")
    filled.c.upsert(nf.Document("q"), vectors=filled.raw[:1])
    filled.c.delete("q")
    with pytest.raises(nf.NotFound, match="was deleted"):
        filled.c.explain(vector=filled.raw[0], id="q")


def test_text_queries_and_bad_input(books: nf.Collection) -> None:
    said = books.explain("moon tides", id="bread", k=1)
    assert (said.rank, said.returned, said.segment) == (3, False, 0)
    assert said.text().splitlines()[-1] == "It would take k=3 to reach it."
    assert books.explain("moon tides", id="moon", k=1).text().splitlines()[1] == "The search for k=1 returns it as hit 1."
    with pytest.raises(nf.InvalidInput, match="exactly one"):
        books.explain(id="sea")
    with pytest.raises(nf.InvalidInput, match="exactly one"):
        books.explain("moon", vector=[0.0] * 64, id="sea")
    with pytest.raises(nf.DimensionMismatch):
        books.explain(vector=[1.0], id="sea")
    with pytest.raises(nf.InvalidInput, match="id"):
        books.explain("moon", id="")
    with pytest.raises(nf.InvalidInput, match="k"):
        books.explain("moon", id="sea", k=0)


def test_a_reader_explains_too(books: nf.Collection, db: nf.Database) -> None:
    with nf.open(db.path, read_only=True) as reader:
        assert reader["books"].explain("moon", id="bread").rank == 3


def test_after_a_merge_of_the_dead_rows_the_index_is_explained_anew(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=DIM, index=nf.Ivf(lists=20), metric="l2")
        x = world(np.random.default_rng(0))
        c.load(ids=[f"d{i}" for i in range(N)], vectors=x)
        c.optimize()
        before = c.explain(vector=x[9], id="d9")
        c.delete([f"d{i}" for i in range(1000, 2500)])
        c.optimize()
        after = c.explain(vector=x[9], id="d9")
        assert (before.rank, after.rank) == (1, 1)
        assert after.segment != before.segment
        assert after.of == N - 1500
        with pytest.raises(nf.NotFound, match="no document has this id"):
            c.explain(vector=x[9], id="d1200")
