"""Metadata comes back as it went in, or is refused with its place; tables as their rows would be."""

import enum
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.errors import InvalidInput
from nearfield.store import metadata

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """The value with every type in it, so that 1, 1.0 and True differ."""
    if isinstance(value, dict):
        return {k: typed(v) for k, v in value.items()}
    return [typed(v) for v in value] if isinstance(value, list) else (type(value), repr(value))


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_what_goes_in_comes_back(value: dict[str, Any]) -> None:
    encoded = metadata.encode(value)
    assert typed(metadata.decode(encoded)) == typed(value)
    assert metadata.encode(metadata.decode(encoded)) == encoded


def test_numpy_scalars_tuples_and_enumerations_are_plain_values() -> None:
    class Colour(enum.IntEnum):
        RED = 3

    value = {"i": np.int64(1), "f": np.float32(0.5), "b": np.bool_(True), "s": np.str_("x"), "t": (1, 2), "e": Colour.RED}
    assert metadata.decode(metadata.encode(value)) == {"i": 1, "f": 0.5, "b": True, "s": "x", "t": [1, 2], "e": 3}


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], ["a dict", "list"]),
        ({1: 2}, ["key is not a string"]),
        ({"a": {"b": {3: 1}}}, ["metadata.a.b", "key is not a string"]),
        ({"a": [1, float("nan")]}, ["metadata.a[1]", "NaN"]),
        ({"a": np.float64("inf")}, ["metadata.a", "infinity"]),
        ({"a": {"b": b"x"}}, ["metadata.a.b", "bytes"]),
        ({"a": {1, 2}}, ["metadata.a", "set"]),
        ({"a": np.zeros(3)}, ["metadata.a", "ndarray"]),
        ({"a": "\ud800"}, ["not JSON"]),
        ({"\ud800": 1}, ["not JSON"]),
        ({"a": deep(40)}, ["32"]),
        ({"a": "x" * (1 << 20)}, ["1,048,576"]),
        ({"a": 10**5000}, ["digits"]),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(value: Any, words: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        metadata.encode(value)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    str(caught.value).encode("utf-8", "strict")


def test_a_mapping_that_holds_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["a"] = value
    with pytest.raises(InvalidInput, match="32"):
        metadata.encode(value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_table_with_what_json_cannot_say_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match=r"metadata\.x"):
        metadata.encode_table(pa.table({"x": [0.5, None, bad]}))


def test_a_table_with_a_row_too_large_is_refused() -> None:
    with pytest.raises(InvalidInput, match="1,048,576"):
        metadata.encode_table(pa.table({"x": ["a", "b" * (1 << 20)]}))


def test_a_table_whose_strings_need_escapes() -> None:
    strings = ['"', "\\", "\x00\x1f\n\t", "\x7f\u2028中文🙂", "{,", "", None]
    encoded = metadata.encode_table(pa.table({'{,"': strings, "b": pa.nulls(7)}))
    assert [metadata.decode(row) for row in encoded.to_pylist()] == [{} if s is None else {'{,"': s} for s in strings]


def test_what_load_takes() -> None:
    table, rows = metadata.as_table_or_dicts({"a": [1, 2], "b": np.array([0.5, 1.5])}, 2)
    assert rows is None
    assert table is not None
    assert table.to_pylist() == [{"a": 1, "b": 0.5}, {"a": 2, "b": 1.5}]
    assert metadata.as_table_or_dicts([{"a": 1}], 1) == (None, [{"a": 1}])
    assert metadata.as_table_or_dicts(None, 7) == (None, None)
    for wrong in ({"a": [1, 2], "b": [1]}, {"a": [1]}, {3: [1, 2]}, [{}], 5, "ab", {"a": 5}, {"a": [1, "x"]}):
        with pytest.raises(InvalidInput, match="metadata"):
            metadata.as_table_or_dicts(wrong, 2)
    twice = pa.Table.from_arrays([pa.array([1, 2])] * 2, names=["a", "a"])
    with pytest.raises(InvalidInput, match="twice"):
        metadata.as_table_or_dicts(twice, 2)
