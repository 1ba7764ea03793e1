"""Arrow columns of every type become JSON, the same whether flat or row by row, encoded or as filter columns."""

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nearfield.core import filters, matching
from nearfield.core.errors import InvalidInput
from nearfield.store import metadata
from nearfield.store.columns import Columns

UTC = datetime.UTC
MOMENT = datetime.datetime(2026, 1, 31, 9, 30)


def decoded(table: pa.Table) -> list[Any]:
    return [metadata.decode(row) for row in metadata.encode_table(table).to_pylist()]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None, -128], pa.int8()), [1, None, -128]),
        (pa.array([1, None, 2**32 - 1], pa.uint32()), [1, None, 2**32 - 1]),
        (pa.array([1, None, 2**63 - 1], pa.uint64()), [1, None, 2**63 - 1]),
        (pa.array([1, None, 2**64 - 1], pa.uint64()), [1, None, 2**64 - 1]),
        (pa.array([1.5, None, -0.0], pa.float32()), [1.5, None, -0.0]),
        (pa.array(np.array([1.5, 2.0, 65504.0], np.float16)), [1.5, 2.0, 65504.0]),
        (pa.array([True, None, False]), [True, None, False]),
        (pa.array(["a", None, "中"], pa.string()), ["a", None, "中"]),
        (pa.array(["a", None, "中"], pa.large_string()), ["a", None, "中"]),
        (pa.array(["a", None, "中"], pa.string_view()), ["a", None, "中"]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([None, None, None], pa.null()), [None, None, None]),
        (pa.array([MOMENT, None, MOMENT], pa.timestamp("s")), ["2026-01-31T09:30:00Z", None, "2026-01-31T09:30:00Z"]),
        (pa.array([MOMENT, None, MOMENT], pa.timestamp("ns")), ["2026-01-31T09:30:00Z", None, "2026-01-31T09:30:00Z"]),
        (
            pa.array([MOMENT.replace(microsecond=5000), MOMENT, None], pa.timestamp("us", "Asia/Shanghai")),
            ["2026-01-31T09:30:00.005Z", "2026-01-31T09:30:00.000Z", None],
        ),
        (
            pa.array([1, None, 2], pa.timestamp("ns")),
            ["1970-01-01T00:00:00.000000001Z", None, "1970-01-01T00:00:00.000000002Z"],
        ),
        (pa.array([datetime.date(2026, 1, 31), None, None], pa.date32()), ["2026-01-31", None, None]),
        (pa.array([datetime.date(2026, 1, 31), None, None], pa.date64()), ["2026-01-31", None, None]),
        (pa.array([datetime.time(9, 30), None, None], pa.time64("us")), ["09:30:00", None, None]),
        (pa.array([["a", None], None, []]), [["a", None], None, []]),
        (pa.array([[1.0, 2.5], None, [None]], pa.large_list(pa.float32())), [[1.0, 2.5], None, [None]]),
        (pa.array([[1, 2], None, [None, 3]], pa.list_(pa.int16(), 2)), [[1, 2], None, [None, 3]]),
        (pa.array([[None], None, []], pa.list_(pa.null())), [[None], None, []]),
        (pa.array([['q"', "b"], None, ["\\"]]), [['q"', "b"], None, ["\\"]]),
        (pa.array([[["a"], None], None, []]), [[["a"], None], None, []]),
        (pa.array([[{"y": None}], None, []], pa.list_(pa.struct({"y": pa.int8()}))), [[{}], None, []]),
        (pa.array([{"y": 1, "z": None}, None, {"y": None, "z": "q"}]), [{"y": 1}, None, {"z": "q"}]),
        (
            pa.array([[MOMENT], None, []], pa.list_(pa.timestamp("us", "Asia/Shanghai"))),
            [["2026-01-31T09:30:00Z"], None, []],
        ),
    ],
    ids=lambda v: str(v.type) if isinstance(v, pa.Array) else "",
)
def test_every_type(array: pa.Array, expected: list[Any]) -> None:
    rows = [{} if v is None else {"x": v} for v in expected]
    chunked = pa.chunked_array([array.slice(0, 1), array.slice(1)])
    for table in (pa.table({"x": array}), pa.table({"x": chunked}), pa.table({"x": array, "list": [[1]] * 3}).select(["x"])):
        assert decoded(table) == rows
        columns = Columns.from_table(table)
        built = Columns.build(rows)
        assert len(columns) == 3
        first = expected[0][0] if isinstance(expected[0], list) else expected[0]
        first = first if isinstance(first, (str, int, float)) else "a"
        for value in ({"x": first}, {"x": {"$gte": first}} if first is not True else {}, {"x": None}, {"x": {"$exists": True}}):
            condition = filters.parse(value)
            assert columns.mask(condition).tolist() == [matching.matches(condition, r) for r in rows]
            assert built.mask(condition).tolist() == columns.mask(condition).tolist()
    wide = pa.table({"x": array, "tags": [["a"], None, []]})
    assert [{k: v for k, v in row.items() if k == "x"} for row in decoded(wide)] == rows


@pytest.mark.parametrize(
    "array",
    [
        pa.array([b"x"]),
        pa.array([datetime.timedelta(seconds=1)]),
        pa.array([-(10**11)], pa.timestamp("s")),
        pa.array([10**12], pa.timestamp("s")),
        pa.array([[float("nan")]]),
        pa.array([{"y": float("nan")}]),
    ],
    ids=lambda a: str(a.type),
)
def test_what_json_cannot_say_is_refused(array: pa.Array) -> None:
    with pytest.raises(InvalidInput, match="metadata"):
        metadata.encode_table(pa.table({"x": array}))


def test_a_declared_field_loaded_as_arrow_timestamps_compares_as_instants() -> None:
    table = pa.table({"day": pa.array([MOMENT, None, MOMENT + datetime.timedelta(seconds=0.5)], pa.timestamp("us"))})
    condition = filters.parse({"day": {"$gt": "2026-01-31T10:30:00+01:00"}}, {"day": "timestamp"})
    assert Columns.from_table(table).mask(condition).tolist() == [False, False, True]
