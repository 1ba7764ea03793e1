"""Citations: every form of them, what names no passage, and what is no citation."""

import pytest

from nearfield.answering.citations import find

IDS = {1: "a", 2: "b", 3: "c"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The moon [1].", [(1, "a")]),
        ("tides[1][2]", [(1, "a"), (2, "b")]),
        ("[1, 3] and [2;3]", [(1, "a"), (3, "c"), (2, "b"), (3, "c")]),
        ("[1-3] or [2–3]", [(1, "a"), (2, "b"), (3, "c"), (2, "b"), (3, "c")]),
        ("月亮【2】、【1，3】", [(2, "b"), (1, "a"), (3, "c")]),
        ("a footnote [^2]", [(2, "b")]),
        ("nowhere [7], [0] and [3-5]", [(7, None), (0, None), (3, "c"), (4, None), (5, None)]),
        ("[1-600] [3-1]", [(1, "a"), (600, None), (3, "c"), (1, "a")]),
        ("a [link], [1](http://x), (1), [in 1999], [1999], [x1] and [] are none", []),
    ],
)
def test_citations_name_passages_or_nothing(text: str, expected: list[tuple[int, str | None]]) -> None:
    found = find(text, IDS)
    assert [(one.number, one.id) for one in found] == expected
    for one in found:
        assert text[one.start] in "[【"
        assert str(one.number) in text[one.start : one.end] or "-" in text[one.start : one.end]


def test_a_very_long_answer_is_read_in_time() -> None:
    assert len(find("[1] " * 50_000 + "[" * 50_000 + "[1," * 50_000, IDS)) == 50_000
