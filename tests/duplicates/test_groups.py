from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from nearfield.core import keeping as options
from nearfield.core.errors import InvalidInput
from nearfield.core.keeping import KeepBy

NEAR = np.array([[1, 0], [1, 0.01], [1, 0.02]], np.float32)


def kept(path: Path, documents: list[dict[str, Any]], keep: Any) -> str:
    with nf.open(path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        made.upsert([nf.Document(f"d{i}", metadata=m) for i, m in enumerate(documents)], vectors=NEAR[: len(documents)])
        (group,) = made.duplicates(0.99, keep=keep)
        assert group.ids == tuple(f"d{i}" for i in range(len(documents)))
        assert set(group.others) | {group.keep} == set(group.ids)
        return group.keep


@pytest.mark.parametrize(
    ("values", "keep", "stays"),
    [
        ([1, 2, 3], "first", "d0"),
        ([1, 2, 3], "newest", "d2"),
        ([1, 3, 2], KeepBy("v"), "d1"),
        ([2, 3, 1], {"field": "v", "order": "min"}, "d2"),
        ([2, 2.0, 2], {"field": "v"}, "d0"),
        ([None, "x", 1], {"field": "v"}, "d2"),
        (["2020-01-01", "2021-01-01", None], {"field": "v"}, "d1"),
        ([True, None, 0], {"field": "v"}, "d2"),
        ([None, None, None], {"field": "v"}, "d0"),
        ([2**63, 2**63 + 1, 1.5], {"field": "v"}, "d1"),
    ],
)
def test_who_stays(tmp_path: Path, values: list[Any], keep: Any, stays: str) -> None:
    assert kept(tmp_path, [{"v": v} if v is not None else {} for v in values], keep) == stays


def test_a_field_within_an_object_is_named_by_its_path(tmp_path: Path) -> None:
    assert kept(tmp_path, [{"a": {"b": 1}}, {"a": {"b": 2}}], {"field": "a.b"}) == "d1"


def test_an_updated_document_counts_as_newest(tmp_path: Path) -> None:
    with nf.open(tmp_path / "db") as db:
        made = db.create("c", embedder=None, dim=2)
        made.upsert([nf.Document("a"), nf.Document("b")], vectors=NEAR[:2])
        made.update("a", metadata={"x": 1})
        (group,) = made.duplicates(0.99, keep="newest")
        assert (group.ids, group.keep) == (("b", "a"), "a")


@pytest.mark.parametrize("keep", ["last", 3, None, {"order": "max"}, {"field": ""}, {"field": "x", "order": "best"}, {"f": 1}])
def test_other_ways_to_keep_are_refused(keep: Any) -> None:
    with pytest.raises(InvalidInput, match="keep"):
        options.keep(keep)


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("first", "first"),
        ("newest", "newest"),
        ("field:year", KeepBy("year", "max")),
        ("field:year:min", KeepBy("year", "min")),
        ("field:a:b", KeepBy("a:b", "max")),
    ],
)
def test_ways_to_keep_as_text(text: str, keep: Any) -> None:
    assert options.keep_from_text(text) == keep


@pytest.mark.parametrize(
    ("metric", "above"),
    [
        ("cosine", 1.01), ("cosine", -1.01), ("cosine", float("nan")), ("ip", float("inf")), ("l2", 0.1), ("l2", float("-inf")),
        ("cosine", "0.9"), ("cosine", None), ("cosine", True), ("ip", [1]),
    ],
)  # fmt: skip
def test_thresholds_that_cannot_be_are_refused(metric: str, above: Any) -> None:
    with pytest.raises(InvalidInput, match="above"):
        options.above(above, nf.Metric(metric))


@pytest.mark.parametrize(("metric", "above"), [("cosine", 1), ("cosine", -1.0), ("ip", -3), ("l2", 0), ("l2", np.float32(-2))])
def test_thresholds_of_each_metric_are_taken(metric: str, above: Any) -> None:
    assert options.above(above, nf.Metric(metric)) == float(above)
