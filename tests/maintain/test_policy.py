"""What is proposed, from numbers alone: rewrites of what is dead, builds of what is wanting, measurements of what is stale."""

import pytest

from nearfield.maintain import policy
from nearfield.maintain.policy import Build, Calibrate, Merge, Seal, SegmentStats, Stats, finish, propose


def stats(*segments: SegmentStats, pending: int = 0, loading: bool = False) -> Stats:
    return Stats(pending, 0, segments, loading)


def test_nothing_most_of_the_time() -> None:
    assert propose(stats(SegmentStats(1, 50_000, 50_000, False), pending=10)) == []


@pytest.mark.parametrize("rows", [2000, 10_000, 50_000, 1_000_000])
def test_an_indexed_segment_is_rewritten_when_three_tenths_are_dead(rows: int) -> None:
    """The same whether it has an index or not: `wanting` says that, and a rewritten segment is indexed anew after."""
    threshold = max(1000, int(policy.DEAD_SHARE * rows))
    assert propose(stats(SegmentStats(1, rows, rows - threshold, False))) == []
    assert propose(stats(SegmentStats(1, rows, rows - threshold - 1, False))) == [Merge((1,))]
    assert propose(stats(SegmentStats(1, rows, rows - threshold - 1, True))) == [Merge((1,))]
    assert propose(stats(SegmentStats(1, rows, 0, False))) == [Merge((1,))]


def test_every_segment_that_should_have_an_index_gets_a_build() -> None:
    made = [SegmentStats(n, 100_000 * 5**n, 100_000 * 5**n, wanting) for n, wanting in ((1, True), (2, False), (3, True))]
    assert propose(stats(*made)) == [Build(1), Build(3)]
    assert finish(stats(made[2])) == [Build(3)]


def test_what_is_merged_is_not_built_first() -> None:
    small = [SegmentStats(n, 10_000, 10_000, True) for n in range(1, 5)]
    assert propose(stats(*small, SegmentStats(9, 90_000, 90_000, True))) == [Merge((1, 2, 3, 4)), Build(9)]


def test_an_index_is_measured_again_when_a_hundred_recorded_queries_are_new() -> None:
    segments = [SegmentStats(n, 50_000, 50_000, False, fresh) for n, fresh in ((1, 0), (2, 99), (3, 100), (4, 5000))]
    for segment in segments:
        assert (Calibrate(segment.number) in propose(stats(segment))) == (segment.fresh >= policy.FRESH_QUERIES)
    assert policy.FRESH_QUERIES == 100


def test_sealing_rewriting_and_building_come_first_and_loads_pass() -> None:
    stale = SegmentStats(1, 50_000, 50_000, False, 500)
    dying = SegmentStats(2, 900_000, 500_000, False, 500)
    wanting = SegmentStats(3, 5_000_000, 5_000_000, True)
    proposed = propose(stats(stale, dying, wanting, pending=policy.SEAL_ROWS))
    assert proposed == [Seal(), Merge((2,)), Build(3), Calibrate(1)]
    assert propose(stats(stale, wanting, loading=True)) == []


def test_a_segment_of_which_nothing_lives_is_not_measured() -> None:
    assert propose(stats(SegmentStats(1, 0, 0, False, 500))) == []
