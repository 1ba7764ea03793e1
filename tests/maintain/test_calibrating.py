"""Measuring with real queries: against brute force, kept apart from held-out rows, decisive, and done by itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.metric import Metric, prepare, scores
from nearfield.index.calibrate import GIVEN, HELD_OUT
from nearfield.index.curve import Curve, Point
from nearfield.maintain import calibrating, policy, tasks

N, DIM, M = 4000, 16, 200


def world() -> tuple[np.ndarray, np.ndarray]:
    """Rows in clusters, and queries between them: another distribution, which an index answers worse."""
    rng = np.random.default_rng(2)
    centres = rng.standard_normal((40, DIM))
    x = centres[rng.integers(0, 40, N)] + 0.3 * rng.standard_normal((N, DIM))
    return x.astype(np.float32), rng.standard_normal((M, DIM)).astype(np.float32)


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[tuple[nf.Collection, np.ndarray, np.ndarray]]:
    x, queries = world()
    with nf.open(tmp_path / "db") as db:
        c = db.create("c", embedder=None, dim=DIM, metric="cosine", index=nf.Ivf(lists=40))
        c.load(ids=[f"d{i}" for i in range(N)], vectors=x)
        c.optimize()
        yield c, x, queries


def curve(c: nf.Collection) -> Curve:
    return c._engine.snapshot.segments[0].index.curve


def points(c: nf.Collection, source: str) -> list[Point]:
    return [p for p in curve(c).points if p.source == source]


def brute(c: nf.Collection, x: np.ndarray, live: np.ndarray, queries: np.ndarray, point: Point) -> float:
    """The mean recall of an effort, by searching the opened index and comparing with every live row."""
    metric, index = Metric(c.metric), c._engine.snapshot.segments[0].index.index
    prepared, asked = prepare(x, metric)[0], prepare(queries, metric)[0]
    found = []
    for query in asked:
        true = scores(query, prepared[live], metric)
        least = np.sort(true)[-point.k]
        candidates = index.candidates(query[None], 1024, point.effort)[0]
        candidates = candidates[(candidates >= 0) & np.isin(candidates, live)][: point.k]
        found.append(np.count_nonzero(scores(query, prepared[candidates], metric) >= least - 1e-6) / point.k)
    return float(np.mean(found))


@pytest.mark.parametrize("deleted", [0, 600])
def test_given_queries_are_measured_as_brute_force_says_among_what_is_live(filled: tuple, deleted: int) -> None:
    c, x, queries = filled
    before = points(c, HELD_OUT)
    assert points(c, GIVEN) == []
    c.delete([f"d{i}" for i in range(deleted)])
    (said,) = c.calibrate(queries)
    assert (said.segment, said.queries, said.source, said.kind["kind"]) == (1, M, "given queries", "ivf")
    assert list(said.held_out) == points(c, HELD_OUT) == before
    assert list(said.given) == points(c, GIVEN)
    live = np.arange(deleted, N)
    checked = [p for p in said.given if p.share == 1 and p.k in (1, 10)]
    assert len(checked) >= 6
    for point in checked:
        assert brute(c, x, live, queries[:: M // point.queries], point) == pytest.approx(point.recall, abs=1e-4)
        assert point.bound <= point.recall


def test_given_queries_decide_and_show_in_plans_and_stats(filled: tuple) -> None:
    c, _, queries = filled
    easy = c.search(vector=queries[0], recall=0.9).plan.segments[0]
    assert easy.source == HELD_OUT
    began = time.time()
    c.calibrate(queries)
    hard = c.search(vector=queries[0], recall=0.9).plan.segments[0]
    assert hard.source == GIVEN
    assert hard.effort["nprobe"] > easy.effort["nprobe"], "these queries are harder, and now known to be"
    found = np.mean([len(set(c.search(vector=q).ids) & set(c.search(vector=q, exact=True).ids)) / 10 for q in queries])
    assert found >= 0.93
    index = c.stats().segments[0].index
    assert set(index.measured) == {HELD_OUT, GIVEN}
    assert (index.calibrated_by, index.queries) == ("given queries", M)
    assert began <= index.calibrated <= time.time()
    assert index.created < began


def test_measuring_again_replaces_the_given_points_and_lasts(filled: tuple) -> None:
    c, _, queries = filled
    commit = c.commit
    c.calibrate(queries)
    first = points(c, GIVEN)
    assert c.commit == commit + 1
    with nf.open(c._engine.directory.parent.parent, read_only=True) as reader:
        seen = reader["c"]
        c.calibrate(queries[:50])
        second = points(c, GIVEN)
        assert max(p.queries for p in second) <= c.stats().segments[0].index.queries == 50
        assert [p for p in curve(seen).points if p.source == GIVEN] == first
        seen.refresh()
        assert curve(seen) == curve(c), "a reader sees the new curve of an index that is otherwise the same"
    assert not list(c._engine.directory.rglob("tmp-*"))
    assert c.verify().ok


def test_texts_are_embedded(db: nf.Database) -> None:
    c = db.create("t", embedder="hash:32", index=nf.Hnsw(links=8, build_effort=16))
    words = ["sea", "moon", "tide", "salt", "bread", "flour", "water", "wind", "rain", "cloud", "stone", "river"]
    texts = [f"{a} {b} {d}" for a in words for b in words for d in words]
    c.load(ids=[f"t{i}" for i in range(len(texts))], texts=texts)
    c.optimize()
    queries = texts[::20]
    (said,) = c.calibrate(queries)
    assert said.queries == len(queries)


def test_without_an_index_there_is_nothing_to_measure(mine: nf.Collection) -> None:
    assert mine.calibrate(np.ones((30, 4), np.float32)) == ()


@pytest.mark.parametrize(
    ("queries", "said"),
    [
        (np.ones((19, DIM), np.float32), "20 to 10,000"),
        ([], "queries"),
        (np.ones((30, DIM + 1), np.float32), "dimension"),
        (np.full((30, DIM), np.nan, np.float32), "NaN"),
        (np.zeros((30, DIM), np.float32), "direction"),
        (["words"] * 30, "embed"),
        (5, "queries"),
        (None, "record_queries"),
    ],
)
def test_bad_queries_are_named(filled: tuple, queries: object, said: str) -> None:
    c = filled[0]
    before = c.commit
    with pytest.raises(nf.InvalidInput, match=said):
        c.calibrate(queries)
    assert c.commit == before


def test_a_reader_cannot_measure(filled: tuple) -> None:
    c, _, queries = filled
    with nf.open(c._engine.directory.parent.parent, read_only=True) as reader, pytest.raises(nf.ReadOnly):
        reader["c"].calibrate(queries)


def test_recorded_queries_measure_too_and_builds_take_them(filled: tuple) -> None:
    c, _, queries = filled
    c.record_queries(100)
    c.search_many(queries[:60])
    (said,) = c.calibrate()
    assert (said.queries, said.source) == (60, "recorded queries")
    c.rebuild(nf.Hnsw(links=8, build_effort=16))
    assert points(c, GIVEN) == [], "sixty decide nothing by themselves"
    c.search_many(queries)
    c.rebuild(nf.Hnsw(links=4, build_effort=16))
    assert points(c, GIVEN)
    index = c.stats().segments[0].index
    assert index.queries == 100
    assert index.calibrated_by == "recorded queries"
    assert index.calibrated == index.created > 0


def test_recorded_queries_make_the_background_measure_again(filled: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    c, _, queries = filled
    keeper = c._maintainer
    c.record_queries(150)
    c.search_many(queries[:99])
    c._engine.recorder.write()
    assert [s.fresh for s in keeper._stats().segments] == [99]
    assert policy.propose(keeper._stats()) == []
    c.search_many(queries[99:140])
    c._engine.recorder.write()
    wait(lambda: c.stats().segments[0].index.calibrated > 0, c)
    assert points(c, GIVEN)
    assert c.stats().segments[0].index.queries == 140
    c.search_many(np.repeat(queries, 10, axis=0))
    assert [s.fresh for s in keeper._stats().segments] == [0], "not again so soon"
    monkeypatch.setattr(calibrating, "SETTLED", 0.0)
    arrived = c._engine.recorder.state.arrived
    assert [s.fresh for s in keeper._stats().segments] == [arrived - 140]
    c._engine.recorder.write()
    wait(lambda: c.stats().segments[0].index.queries == 150, c)
    assert policy.propose(keeper._stats()) == []


def wait(done, c: nf.Collection) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, c.stats().problem
        time.sleep(0.05)


def test_an_indexed_segment_that_is_three_tenths_dead_is_rewritten_with_its_index(filled: tuple) -> None:
    c, x, _ = filled
    before = c.stats().segments[0]
    c.delete([f"d{i}" for i in range(1100)])
    assert c.stats().tombstones in (0, 1100)
    c.delete([f"d{i}" for i in range(1100, 1300)])
    wait(lambda: c.stats().tombstones == 0 and c.stats().indexed == N - 1300, c)
    after = c.stats().segments[0]
    assert after.number != before.number
    assert (after.rows, after.live) == (N - 1300, N - 1300)
    assert c.search(vector=x[2000], k=1).ids == ["d2000"]
    assert c.search(vector=x[0], k=1).ids != ["d0"]


def test_stats_say_what_is_not_indexed_and_what_an_index_takes(filled: tuple) -> None:
    c, x, _ = filled
    said = c.stats()
    assert (said.unindexed_share, said.index_from) == (0.0, policy.LEAST_INDEXED)
    c.upsert([nf.Document(f"p{i}") for i in range(1000)], vectors=x[:1000])
    said = c.stats()
    assert said.unindexed_share == pytest.approx(1000 / (N + 1000))
    assert said.to_dict()["unindexed_share"] == said.unindexed_share
    tasks.seal(c._engine)
    index = said.segments[0].index
    assert index.recipe == "IVF40,Flat"
    assert index.planned_bytes == nf.Ivf(lists=40).nbytes(N, DIM)
    assert index.planned_bytes == pytest.approx(index.nbytes, rel=0.05)
    assert index.resident_bytes >= index.nbytes
    assert (index.calibrated, index.calibrated_by) == (0.0, "")
    assert abs(time.time() - index.created) < 600
    with nf.open(c._engine.directory.parent.parent, read_only=True) as reader:
        assert reader["c"].stats().index_from is None
