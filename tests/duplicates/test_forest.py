import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.duplicates.forest import Forest, components, spanning
from tests.duplicates import brute

edges = st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)).filter(lambda e: e[0] != e[1]), max_size=120)


def columns(found: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    ordered = np.array([sorted(e) for e in found], np.int64).reshape(-1, 2)
    return ordered[:, 0], ordered[:, 1]


def as_groups(labels: np.ndarray) -> list[tuple[int, ...]]:
    found = [tuple(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)]
    return [g for g in found if len(g) > 1]


def kruskal(found: list[tuple[float, int, int]], n: int) -> list[tuple[float, int, int]]:
    """The textbook's way, one edge after another."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    out = []
    for score, a, b in sorted(found, key=lambda e: (-e[0], e[1], e[2])):
        if root(a) != root(b):
            parent[root(a)] = root(b)
            out.append((score, a, b))
    return out


@given(edges)
@settings(max_examples=200, deadline=None)
def test_components_are_those_of_a_walk(found: list[tuple[int, int]]) -> None:
    assert as_groups(components(*columns(found), 30)) == brute.groups(30, found)


def test_a_long_chain_is_one_component() -> None:
    n = 20_000
    order = np.random.default_rng(0).permutation(n)
    first, second = np.minimum(order[:-1], order[1:]), np.maximum(order[:-1], order[1:])
    assert (components(first, second, n) == 0).all()
    assert len(spanning(first, second, n)) == n - 1


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.75, 1.0]), st.integers(0, 14), st.integers(0, 14)), max_size=80), st.data())
@settings(max_examples=200, deadline=None)
def test_the_forest_is_kruskals_in_whatever_order_and_portions_pairs_come(
    found: list[tuple[float, int, int]], data: st.DataObject
) -> None:
    distinct = {(min(a, b), max(a, b)): score for score, a, b in found if a != b}
    pairs = data.draw(st.permutations(sorted(distinct)))
    forest = Forest(15, buffer=1)
    at = 0
    while at < len(pairs):
        some = pairs[at : at + data.draw(st.integers(1, 9))]
        at += len(some)
        first, second = columns(some)
        forest.add(first, second, np.array([distinct[p] for p in some], np.float32))
    first, second, scores = forest.links()
    wanted = kruskal([(score, *pair) for pair, score in distinct.items()], 15)
    assert list(zip(scores.tolist(), first.tolist(), second.tolist(), strict=True)) == wanted
    assert forest.pairs == len(distinct)


@pytest.mark.parametrize("buffer", [1, 1 << 20])
def test_memory_is_bounded_by_the_buffer(buffer: int) -> None:
    n, forest = 50, Forest(50, buffer=buffer)
    i, j = np.triu_indices(n, 1)
    for start in range(0, len(i), 100):
        forest.add(i[start : start + 100], j[start : start + 100], np.ones(len(i[start : start + 100]), np.float32))
        assert sum(len(p[0]) for p in forest._kept) <= max(buffer, 2 * n) + 100
    assert len(forest.links()[0]) == n - 1
