"""Passages on the page, in a real browser: shown with the document's title, the whole text behind a button."""

from collections.abc import Iterator
from typing import Any

import pytest

import nearfield as nf
from tests.serve.running import running
from tests.serve.test_page import browser, every, find, needs_browser, search, shot, until, wide

__all__ = ["browser"]
pytestmark = [pytest.mark.slow]
TEXT = "One two three four five six. Seven eight nine ten eleven. Twelve thirteen fourteen fifteen."


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("page") / "db"
    with nf.open(directory) as db:
        books = db.create("books", embedder="hash:32", passages=nf.Passages(8, 2))
        books.upsert([nf.Document("a", TEXT, {"title": "Numbers", "n": 1}), nf.Document("b", "moon tide")])
    with running(directory) as server:
        server.until_ready()
        yield server.url


@needs_browser
def test_the_passage_is_shown_with_the_title(browser: Any, url: str) -> None:
    wide(browser)
    browser.get(f"{url}/#search")
    browser.execute_script("localStorage.setItem('nearfield.language', 'en'); sessionStorage.clear();")
    browser.get("about:blank")
    browser.get(f"{url}/#search")
    until(lambda: len(every(browser, "#collection option")) == 1)
    search(browser, "thirteen")
    until(lambda: every(browser, "#results .passage"))
    first = "#results li:first-child"
    assert "thirteen" in find(browser, f"{first} .passage").text
    assert "One two" not in find(browser, first).text
    assert find(browser, f"{first} .title").text == "Numbers"
    shot(browser, "passages")
    next(b for b in every(browser, f"{first} button") if b.text == "Whole text").click()
    until(lambda: TEXT in find(browser, first).text)
    next(b for b in every(browser, f"{first} button") if b.text == "Why this rank?").click()
    until(lambda: every(browser, "#results .why"))
    assert "ranks 1 of 2" in find(browser, "#results .why").text
    next(b for b in every(browser, f"{first} button") if b.text == "More like this").click()
    until(lambda: "Like a" in find(browser, "#status").text)
    assert [e.text for e in every(browser, "#results .id")] == ["b"]
