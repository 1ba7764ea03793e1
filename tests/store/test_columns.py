"""Columns give the reference evaluator's answer for any metadata and filter."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearfield.core import filters, matching
from nearfield.core.errors import Corrupt
from nearfield.store import column, metadata
from nearfield.store.columns import Columns

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**70, -(2**80), 10**400]),
    st.sampled_from([0.5, -1.5, 2.0, float(2**53), 1e300, -0.0, 9.223372036854775807e18]),
    st.sampled_from(
        ["", "a", "ab", "b", "中文", "2026-01-31T09:30:00Z", "2026-01-31T10:30:00+01:00", "not a day", "9999-12-31T23:59:60z"]
    ),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.lists(st.lists(SCALARS, max_size=2), max_size=2))
NAMES = st.sampled_from(["a", "b", "day"])
ROWS = st.lists(
    st.dictionaries(NAMES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=2)), max_size=3), min_size=1, max_size=12
)
ORDERED = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**53 + 1, 2**63, -(2**70), 10**400, 0.5, -2.5, 9.3e18, float("inf"), "a", "ab"])
)
PATHS = st.sampled_from(["a", "b", "a.b", "b.a", "c"])
LEAVES = st.one_of(
    st.builds(lambda p, op, v: {p: {op: v}}, PATHS, st.sampled_from(["$eq", "$ne", "$contains"]), SCALARS),
    st.builds(lambda p, op, v: {p: {op: v}}, PATHS, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ORDERED),
    st.builds(lambda p, op, v: {p: {op: v}}, PATHS, st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=4)),
    st.builds(lambda p, v: {p: {"$exists": v}}, PATHS, st.booleans()),
    st.builds(
        lambda op, v: {"day": {op: v}},
        st.sampled_from(["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]),
        st.sampled_from(["2026-01-31T09:30:00Z", "2026-02-01T00:00:00.5-05:00", "9999-12-31T00:00:00Z"]),
    ),
    st.builds(lambda v: {"day": {"$in": v}}, st.lists(st.sampled_from(["2026-01-31T09:30:00Z", None]), max_size=2)),
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=5,
)


def reference(rows: list, condition: filters.Filter) -> list[bool]:
    return [matching.matches(condition, row) for row in rows]


@pytest.fixture(params=[2, column.SPARSE], autouse=True, scope="module")
def sparse(request: pytest.FixtureRequest) -> Iterator[None]:
    """Few rows, with and without columns that keep only the entries that are there."""
    before, column.SPARSE = column.SPARSE, request.param
    yield
    column.SPARSE = before


@settings(max_examples=400, deadline=None)
@given(ROWS, FILTERS)
def test_mask_is_the_reference(rows: list, value: dict) -> None:
    condition = filters.parse(value, {"day": "timestamp"})
    assert Columns.build(rows).mask(condition).tolist() == reference(rows, condition)


@settings(max_examples=150, deadline=None)
@given(ROWS, ROWS, FILTERS, st.randoms(use_true_random=False))
def test_gathered_and_stored_columns_give_the_same(rows: list, more: list, value: dict, random) -> None:
    condition = filters.parse(value, {"day": "timestamp"})
    some, others = ([i for i in range(len(r)) if random.random() < 0.6] for r in (rows, more))
    gathered = Columns.gather(
        [(Columns.build(rows), np.array(some, np.int64)), (Columns.build(more), np.array(others, np.int64))]
    )
    expected = reference([rows[i] for i in some] + [more[i] for i in others], condition)
    assert gathered.mask(condition).tolist() == expected
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "columns"
        path.write_bytes(gathered.to_bytes())
        opened = Columns.open(path)
        assert len(opened) == len(expected)
        assert opened.mask(condition).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.booleans()),
            st.one_of(st.none(), st.text(max_size=8)),
            st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3)),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_tables_encode_as_their_rows_do(rows: list) -> None:
    names = ("i", "f", "b", 's"x', "l")
    kinds = (pa.int64(), pa.float64(), pa.bool_(), pa.string(), pa.list_(pa.string()))
    table = pa.table({n: pa.array([r[j] for r in rows], kinds[j]) for j, n in enumerate(names)})
    expected = [{n: v for n, v in zip(names, row, strict=True) if v is not None} for row in rows]
    assert [metadata.decode(b) for b in metadata.encode_table(table).to_pylist()] == expected
    found = [{k: type(v) for k, v in metadata.decode(b).items()} for b in metadata.encode_table(table).to_pylist()]
    assert found == [{k: type(v) for k, v in row.items()} for row in expected]
    columns = Columns.from_table(table)
    for condition in (
        {"i": {"$gt": 5}},
        {"f": {"$lte": 0}},
        {"b": True},
        {'s"x': "a"},
        {"i": {"$exists": False}},
        {"l": None},
        {"l": {"$gte": "a"}},
    ):
        parsed = filters.parse(condition)
        assert columns.mask(parsed).tolist() == reference(expected, parsed)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    good = Columns.build([{"a": 1, "b": ["x", None], "c": 2**70}, {"a": "y"}]).to_bytes()
    for number, bad in enumerate([b"", good[:10], b"X" + good[1:], good[:64], good[:-64], good[:20] + b"}" + good[21:]]):
        path = tmp_path / str(number)
        path.write_bytes(bad)
        with pytest.raises(Corrupt, match="nearfield repair"):
            Columns.open(path)


def test_a_path_in_every_document_alone_costs_only_what_it_holds() -> None:
    n = 3000
    columns = Columns.build([{"scores": {f"user{i}": i}} for i in range(n)])
    assert len(columns.to_bytes()) < 1000 * n
    twice = Columns.gather([(columns, np.arange(n)), (columns, np.arange(n)[::-1])])
    for found, at in ((columns, [5]), (twice, [5, 2 * n - 6])):
        assert np.flatnonzero(found.mask(filters.parse({"scores.user5": {"$lte": 5}}))).tolist() == at
        assert found.mask(filters.parse({"scores.user5": {"$exists": False}})).sum() == len(found) - len(at)


def test_nothing_at_all() -> None:
    for columns in (
        Columns.build([]),
        Columns.gather([]),
        Columns.gather([(Columns.build([{"a": 1}]), np.array([], np.int64))]),
    ):
        assert len(columns) == 0
        assert columns.mask(filters.parse({"$or": [{"a": 1}, {"a": {"$ne": 1}}]})).tolist() == []
        assert columns.paths == []


def test_many_values_to_choose_from() -> None:
    columns = Columns.build([{"a": v} for v in (7, 7.0, "7", True, 10**30, -0.0, [7, "x"])])
    values = [*range(1, 40_000), *(f"{i}" for i in range(40_000)), 10**30, 10**400, 0]
    assert columns.mask(filters.parse({"a": {"$in": values}})).tolist() == [True, True, True, False, True, True, True]
