"""Groups over a ranked list, against a plain loop."""

import random

import pytest

from nearfield.core.errors import InvalidInput
from nearfield.core.matching import matches
from nearfield.ranking import groups
from nearfield.ranking.groups import Groups


def test_the_best_of_each_value_in_the_order_of_the_best() -> None:
    found = Groups(2, 2)
    for number, value in enumerate(["b", "a", "b", "b", "c", "a"]):
        found.add(number, groups.keys({"x": value}, ("x",)))
    assert [(g.value, g.members) for g in found.all] == [("b", [0, 2]), ("a", [1, 5])]


def test_true_is_not_one_and_an_integer_is_its_float() -> None:
    found = Groups(9, 9)
    for number, value in enumerate([True, 1, 1.0, "1", False, 0]):
        found.add(number, groups.keys({"x": value}, ("x",)))
    assert [g.members for g in found.all] == [[0], [1, 2], [3], [4], [5]]


@pytest.mark.parametrize("metadata", [{}, {"x": None}, {"x": []}, {"x": {"y": 1}}, {"x": [None, ["a"]]}, {"y": "a"}])
def test_without_a_value_each_is_alone(metadata: dict[str, object]) -> None:
    found = Groups(9, 9)
    for number in range(2):
        found.add(number, groups.keys(metadata, ("x",)))
    assert [(g.value, g.members) for g in found.all] == [(None, [0]), (None, [1])]


@pytest.mark.parametrize("name", ["", ".", "a..b", None, 3, "a."])
def test_what_is_no_field_is_refused(name: object) -> None:
    with pytest.raises(InvalidInput, match="group_by"):
        groups.path(name)


def test_filters_say_which_group_a_document_belongs_to() -> None:
    """What `inside` and `beyond` let through is what a walk over the ranking put there."""
    rng = random.Random(3)
    for _ in range(60):
        documents = []
        for _ in range(30):
            value = rng.choice([None, "a", "b", "c", 1, True, ["a", "b"], ["c", "a"], ["d", "b"], [], ["e", 1]])
            documents.append({} if value is None else {"x": value})
        found = Groups(4, 100)
        held = [found.add(i, groups.keys(m, ("x",))) for i, m in enumerate(documents)]
        beyond = found.beyond(("x",))
        for i, metadata in enumerate(documents):
            alone = not groups.keys(metadata, ("x",))
            if not alone:
                assert held[i] == (beyond is not None and not matches(beyond, metadata))
            for at, group in enumerate(found.all):
                if group.value is not None and not alone:
                    assert (i in group.members) == matches(found.inside(at, ("x",)), metadata)
