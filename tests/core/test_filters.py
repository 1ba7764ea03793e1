"""Filters parse into what they mean, and what is wrong with one is named."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.errors import FilterError
from nearfield.core.filters import MAX_DEPTH, MAX_VALUES, And, Compare, Contains, Exists, In, Not, Or, instant, parse
from nearfield.core.matching import matches
from nearfield.store.columns import Columns


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, And(())),
        ({"a": 1}, Compare(("a",), "eq", 1)),
        ({"a.b": {"$ne": None}}, Not(Compare(("a", "b"), "eq", None))),
        ({"a": {"$gt": 1, "$lte": 2}}, And((Compare(("a",), "gt", 1), Compare(("a",), "lte", 2)))),
        ({"a": {"$in": ["x", True]}}, In(("a",), ("x", True))),
        ({"a": {"$nin": []}}, Not(In(("a",), ()))),
        ({"a": {"$contains": "x"}}, Contains(("a",), "x")),
        ({"a": {"$exists": False}}, Not(Exists(("a",)))),
        ({"a": {"$not": {"$gte": 1}}}, Not(Compare(("a",), "gte", 1))),
        ({"$not": {"a": 1}}, Not(Compare(("a",), "eq", 1))),
        ({"$or": [{"a": 1}, {"b": 2}]}, Or((Compare(("a",), "eq", 1), Compare(("b",), "eq", 2)))),
        ({"$and": [{}], "a": 1}, And((And((And(()),)), Compare(("a",), "eq", 1)))),
    ],
)
def test_parses(value: Any, expected: Any) -> None:
    assert parse(value) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("a", ["a dict"]),
        ({1: 2}, ["not a string"]),
        ({"a": {"$gtr": 1}}, ["a:", "did you mean $gt", "$gtr"]),
        ({"a": {"gte": 1}}, ["did you mean $gte"]),
        ({"a": {"b": 1}}, ["unknown operator", "received b"]),
        ({"a": {1: 1}}, ["unknown operator"]),
        ({"$nor": []}, ["did you mean $or"]),
        ({"$gt": 1}, ["filter", "$and, $or, $not"]),
        ({"a": {}}, ["a: no operator"]),
        ({"a..b": 1}, ["a..b", "empty part"]),
        ({"": 1}, ["empty part"]),
        ({"a": [1]}, ["a: $eq", "[1]"]),
        ({"a": {"$gt": None}}, ["a: $gt", "a number or a string"]),
        ({"a": {"$gt": True}}, ["a: $gt"]),
        ({"a": {"$gt": float("nan")}}, ["NaN"]),
        ({"a": {"$in": "xyz"}}, ["a: $in", "a list"]),
        ({"a": {"$in": [1, {}]}}, ["a: $in"]),
        ({"a": {"$in": list(range(MAX_VALUES + 1))}}, ["100,000"]),
        ({"a": {"$exists": 1}}, ["true or false"]),
        ({"a": {"$not": 1}}, ["a: $not", "a dict of operators"]),
        ({"$and": []}, ["$and", "at least one"]),
        ({"$or": {"a": 1}}, ["$or", "a list"]),
        ({"$or": [1]}, ["a dict"]),
        ({"a": "\ud800"}, ["not text"]),
        ({"\ud800": 1}, ["not text"]),
        ({"day": "2026-01-31"}, ["day", "RFC 3339"]),
        ({"day": {"$lt": 5}}, ["day", "RFC 3339"]),
        ({"day": {"$in": ["soon"]}}, ["day", "soon"]),
    ],
)
def test_what_is_wrong_is_named(value: Any, words: list[str]) -> None:
    with pytest.raises(FilterError) as caught:
        parse(value, {"day": "timestamp"})
    assert all(word in str(caught.value) for word in words), str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize("shape", ["$and", "$not", "field"])
def test_depth_is_limited(shape: str) -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {"$gt": 1} if shape == "field" else {"a": 1}
        for _ in range(levels):
            value = {"$and": [value]} if shape == "$and" else {"$not": value}
        return {"a": value} if shape == "field" else value

    assert matches(parse(nested(MAX_DEPTH - 2)), {"a": 1}) is (shape != "field")
    with pytest.raises(FilterError):
        parse(nested(MAX_DEPTH + 2))


def test_numpy_values_are_taken() -> None:
    assert parse({"a": np.int64(3), "b": {"$in": np.array([1, 2])}}) == parse({"a": 3, "b": {"$in": [1, 2]}})


def test_true_is_not_one_in_a_list_of_values() -> None:
    assert not matches(parse({"a": {"$in": [1]}}), {"a": True})
    assert not matches(parse({"a": {"$in": [True]}}), {"a": 1.0})
    assert matches(parse({"a": {"$in": [True, 1]}}), {"a": 1.0})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00.000000001z", 1),
        ("1970-01-01 01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.5-00:00", -500_000_000),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1972-06-30T23:59:60Z", 78_796_800_000_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000_000),
        ("2023-02-29T00:00:00Z", None),
        ("1970-01-01T00:00:00", None),
        ("1970-01-01T24:00:00Z", None),
        ("1970-01-01T00:00:61Z", None),
        ("1970-01-01T00:00:00+24:00", None),
        ("1970-01-01T00:00:00+00:60", None),
        ("1970-01-01T00:00:00.Z", None),
        ("1970-01-01T00:00:001Z", None),
        ("1970-01-01T00:00:00Z\n", None),
        ("١٩٧٠-01-01T00:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_instants(text: str, expected: int | None) -> None:
    assert instant(text) == expected


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
def test_an_instant_is_the_datetimes(moment: Any) -> None:
    seconds = moment.utcoffset().total_seconds()
    if seconds % 60 == 0:
        found = instant(moment.isoformat())
        assert found is not None
        back = np.datetime64(found // 1000, "us")
        assert back == np.datetime64(moment.replace(tzinfo=None), "us") - np.timedelta64(int(seconds), "s")


def test_filters_of_other_values_or_types_have_another_repr():
    lists = [
        [True] * 2000,
        [1] * 2000,
        [1.0] * 2000,
        ["1"] * 2000,
        [1] * 1999,
        [1 << 70],
        [1 << 71],
        [None],
        [""],
        [0],
        [0.0],
        [-0.0],
    ]
    lists += [["a", "bc"], ["ab", "c"], np.arange(500).tolist(), np.arange(500.0).tolist()]
    found = [repr(parse({"n": {"$in": values}})) for values in lists]
    assert len(set(found)) == len(lists)
    assert [repr(parse({"n": {"$in": values}})) for values in lists] == found
    moment = {"n": {"$in": ["2026-01-31T09:30:00Z"] * 200}}
    assert repr(parse(moment)) != repr(parse(moment, {"n": "timestamp"}))


def test_a_long_filter_with_a_bad_value_is_refused_every_time():
    for values in (["a"] * 2000 + ["\ud800"], [*range(2000), float("nan")], [*range(2000), {}]):
        for _ in range(2):
            with pytest.raises(FilterError):
                parse({"n": {"$in": values}})


@given(
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.floats(allow_nan=False)), max_size=6)
)
def test_values_of_any_types_stay_what_they_are(values):
    found = parse({"n": {"$in": values}}).values
    assert [(type(v), v) for v in found] == [(type(v), v) for v in values]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([1.0, 0.5, 2**70, -0.0, "1", "", "é", "2026-01-01T00:00:00Z"])
)


@given(st.lists(VALUES, min_size=1, max_size=5), st.one_of(VALUES, st.lists(VALUES, max_size=3)))
def test_alternatives_of_one_path_are_evaluated_at_once_and_mean_the_same(values: list[Any], value: Any) -> None:
    folded = parse({"$or": [*({"a": v} for v in values), {"b": 1}]})
    assert isinstance(folded, Or)
    assert len(folded.parts) <= 2
    assert matches(folded, {"a": value}) == any(matches(parse({"a": v}), {"a": value}) for v in values)
    column = Columns.build([{"a": value}, {}, {"b": 1}])
    assert column.mask(folded).tolist() == [matches(folded, row) for row in ({"a": value}, {}, {"b": 1})]


def test_instants_and_strings_of_one_path_stay_apart() -> None:
    day = "2026-01-01T00:00:00Z"
    folded = parse({"$or": [{"day": day}, {"day": "2026-01-02T00:00:00Z"}, {"day": None}, {"name": "x"}]}, {"day": "timestamp"})
    assert isinstance(folded, Or)
    assert [type(part) for part in folded.parts] == [Compare, Compare, In]
    for metadata, wanted in (
        ({"day": "2026-01-01T01:00:00+01:00"}, True),
        ({"day": None}, True),
        ({"day": "x"}, False),
        ({}, False),
    ):
        assert matches(folded, metadata) is wanted
