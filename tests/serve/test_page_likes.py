"""More and less like a hit on the page, and what its score is worth, in a real browser."""

import re
from typing import Any

import pytest

from tests.serve.test_page import TOPICS, browser, every, find, needs_browser, page, search, until, url

pytestmark = [pytest.mark.slow, needs_browser]
__all__ = ["browser", "page", "url"]


def click(page: Any, at: int, words: str) -> None:
    """Clicks a button of a hit, and waits for another list."""
    before = find(page, "#status").text
    page.execute_script(
        "[...document.querySelectorAll('#results > li')][arguments[0]].querySelectorAll('button')"
        ".forEach((b) => { if (b.textContent === arguments[1]) b.click(); })",
        at,
        words,
    )
    until(lambda: find(page, "#status").text not in (before, "Searching…"))


def topics(page: Any) -> list[str]:
    return [next(topic for topic in TOPICS if topic in hit.text) for hit in every(page, "#results > li")]


def test_likes_and_dislikes_add_up(page: Any) -> None:
    first = search(page, f"{TOPICS[0]} and {TOPICS[1]}")
    assert set(topics(page)) <= {TOPICS[0], TOPICS[1]}
    disliked = topics(page)[0]
    click(page, 0, "Less like this")
    assert f"not like {first[0]}" in find(page, "#status").text
    assert topics(page)[0] != disliked, "what was disliked gives way"
    second = [e.text for e in every(page, "#results .id")]
    assert first[0] not in second
    click(page, 0, "More like this")
    assert second[0] in find(page, "#status").text
    assert first[0] in find(page, "#status").text
    third = [e.text for e in every(page, "#results .id")]
    assert not {first[0], second[0]} & set(third)
    assert not [b for b in every(page, "#results button") if b.text == "Why this rank?"], "there is no query to explain it by"


def test_a_score_is_put_among_unrelated_pairs(page: Any) -> None:
    search(page, TOPICS[2])
    next(b for b in every(page, "#results button") if b.text == "Why this rank?").click()
    line = until(lambda: every(page, "#results .why .worth"))[0].text
    assert "unrelated pairs" in line
    assert "%" in line


def test_a_score_of_words_and_meaning_is_told_by_its_sides(page: Any) -> None:
    page.execute_script("document.getElementById('mode').value = 'hybrid'")
    search(page, TOPICS[2])
    next(b for b in every(page, "#results button") if b.text == "Why this rank?").click()
    said = until(lambda: every(page, "#results .why"))[0].text
    assert re.fullmatch(r"meaning -?\d\.\d{4} · words \d+\.\d{4}", said)
