"""The formulas of recommend, and how examples are told apart."""

import numpy as np
import pytest

import nearfield as nf
from nearfield.core.errors import DimensionMismatch, InvalidInput
from nearfield.core.metric import Metric, prepare, scores
from nearfield.core.ranked import Text
from nearfield.ranking.recommend import average, best, examples, squashed


def test_a_str_is_an_id_a_text_a_text_numbers_a_vector() -> None:
    found = examples(["a", Text("hello there"), [1.0, 2.0], np.array([3, 4], np.float32), "b", "a"], 2, "like")
    assert found.ids == ("a", "b")
    assert found.texts == ("hello there",)
    assert np.array_equal(np.stack(found.vectors), [[1, 2], [3, 4]])


def test_one_example_needs_no_list() -> None:
    assert examples("a", 2, "like").ids == ("a",)
    assert examples(Text("hi"), 2, "like").texts == ("hi",)
    assert len(examples(np.zeros(2), 2, "like").vectors) == 1
    assert len(examples(np.zeros((5, 2)), 2, "like").vectors) == 5


@pytest.mark.parametrize(
    "given", [[1.0, 2.0], 7, None, [None], [Text("")], [""], [["x", "y"]], {"a": 1}, [[1.0, float("nan")]]]
)
def test_what_is_no_example_is_refused(given: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        examples(given, 2, "unlike")
    assert "unlike" in (refused.value.field or "")


def test_a_vector_of_another_length_is_named() -> None:
    with pytest.raises(DimensionMismatch):
        examples([[1.0, 2.0, 3.0]], 2, "like")


@pytest.mark.parametrize("metric", list(Metric))
def test_average_is_twice_the_likes_less_the_dislikes(metric: Metric, rng: np.random.Generator) -> None:
    likes = prepare(rng.normal(size=(3, 5)).astype(np.float32), metric)[0]
    dislikes = prepare(rng.normal(size=(2, 5)).astype(np.float32), metric)[0]
    plain = 2 * likes.mean(0) - dislikes.mean(0)
    if metric is Metric.COSINE:
        plain = plain / np.linalg.norm(plain)
    assert np.allclose(average(likes, dislikes, metric)[0], plain, atol=1e-6)


def test_one_like_alone_is_itself(rng: np.random.Generator) -> None:
    like = prepare(rng.normal(size=(1, 5)).astype(np.float32), Metric.COSINE)[0]
    assert np.allclose(average(like, like[:0], Metric.COSINE), like, atol=1e-6)


def test_likes_that_cancel_out_are_refused() -> None:
    one = np.array([[1, 0]], np.float32)
    with pytest.raises(InvalidInput, match="cancel"):
        average(np.concatenate([one, -one]), one[:0], Metric.COSINE)
    with pytest.raises(InvalidInput, match="like"):
        average(one[:0], one, Metric.COSINE)


@pytest.mark.parametrize("metric", list(Metric))
def test_best_is_the_formula_for_each_candidate(metric: Metric, rng: np.random.Generator) -> None:
    x, likes, dislikes = (prepare(rng.normal(size=(n, 4)).astype(np.float32), metric)[0] for n in (50, 3, 2))
    found = best(x, likes, dislikes, metric)
    for i in range(50):
        near = max(float(scores(one, x[i : i + 1], metric)[0]) for one in likes)
        averse = max(float(scores(one, x[i : i + 1], metric)[0]) for one in dislikes)
        chosen = near if near > averse else averse
        squash = (chosen / (1 + abs(chosen)) + 1) / 2
        assert found[i] == pytest.approx(squash if near > averse else -squash, rel=1e-6)


@pytest.mark.parametrize("metric", list(Metric))
def test_near_a_dislike_comes_after_all_that_is_near_a_like(metric: Metric, rng: np.random.Generator) -> None:
    x, likes, dislikes = (prepare(rng.normal(size=(n, 4)).astype(np.float32), metric)[0] for n in (200, 1, 1))
    found = best(x, likes, dislikes, metric)
    near, averse = scores(likes[0], x, metric), scores(dislikes[0], x, metric)
    assert found[near > averse].min() > found[near <= averse].max()
    ranked = np.argsort(-found)
    disliked = [averse[i] for i in ranked if near[i] <= averse[i]]
    assert disliked == sorted(disliked), "the nearer to a dislike, the later"


def test_squashing_keeps_the_order_of_far_distances() -> None:
    values = -np.array([0, 1e-6, 1, 1e3, 1e6, 2e6, np.inf], np.float32)
    assert (np.diff(squashed(values)) < 0).all()


def test_text_is_a_public_name() -> None:
    assert nf.Text("a").text == "a"
