"""Fusing two rankings, against the formulas written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield.core.errors import InvalidInput
from nearfield.core.fuse import Fusion, fused

SCORES = st.lists(st.floats(0, 10, width=32), min_size=1, max_size=12)


def ranks(values: list[float]) -> list[int]:
    return [1 + sum(other > value for other in values) for value in values]


@given(SCORES, st.floats(0, 1), st.data())
def test_ranks_are_reciprocal_rank_fusion(dense: list[float], weight: float, data: st.DataObject) -> None:
    keyword = data.draw(st.lists(st.floats(0, 10, width=32), min_size=len(dense), max_size=len(dense)))
    found = fused(np.array(dense, np.float32), np.array(keyword, np.float32), Fusion("ranks", weight))
    for i, value in enumerate(found.tolist()):
        expected = weight / (60 + ranks(dense)[i])
        if keyword[i] > 0:
            expected += (1 - weight) / (60 + ranks(keyword)[i])
        assert value == pytest.approx(expected, rel=1e-5)


@given(SCORES, st.data())
def test_one_side_alone_keeps_its_order(dense: list[float], data: st.DataObject) -> None:
    keyword = data.draw(st.lists(st.floats(0, 10, width=32), min_size=len(dense), max_size=len(dense)))
    for weight, side in ((1.0, dense), (0.0, keyword)):
        found = fused(np.array(dense, np.float32), np.array(keyword, np.float32), Fusion("scores", weight))
        order = np.argsort(-found, kind="stable")
        assert np.all(np.diff(np.array(side, np.float32)[order]) <= 1e-5 * 10)


def test_scores_do_not_depend_on_the_scale_of_a_side() -> None:
    rng = np.random.default_rng(3)
    dense, keyword = rng.random(20, np.float32), 8 * rng.random(20, np.float32)
    plain = fused(dense, keyword, Fusion("scores", 0.4))
    assert np.allclose(fused(dense / 7, keyword * 100, Fusion("scores", 0.4)), plain, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"method": "sum"}, "method"), ({"weight": -0.1}, "weight"), ({"weight": True}, "weight"), ({"depth": 0}, "depth"),
     ({"depth": 1.5}, "depth"), ({"constant": 0}, "constant"), ({"weight": float("nan")}, "weight")],
)  # fmt: skip
def test_what_is_wrong_is_named(options: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        Fusion(**options)  # type: ignore[arg-type]
