"""Pictures on the page, in a real browser: one is chosen to search with, and what is found is shown with its picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nearfield as nf
from tests.pictures.test_collection import png
from tests.serve.running import running
from tests.serve.test_page import browser, choose, every, find, needs_browser, search, shot, until, wide

__all__ = ["browser"]
pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("page") / "db"
    with nf.open(directory) as db:
        pics = db.create("pics", embedder="pixels:4")
        pics.upsert([nf.Document(f"a/p{i} & é.png", image=png(i), metadata={"i": i}) for i in range(12)])
        db.create("words", embedder="hash:32").upsert(nf.Document("a", "the sea"))
    with running(directory) as server:
        server.until_ready()
        yield server.url


@needs_browser
def test_a_picture_is_chosen_and_found(browser: Any, url: str, tmp_path: Path) -> None:
    wide(browser)
    browser.get(f"{url}/#search")
    browser.execute_script("localStorage.setItem('nearfield.language', 'en'); sessionStorage.clear();")
    browser.get("about:blank")
    browser.get(f"{url}/#search")
    until(lambda: len(every(browser, "#collection option")) == 2)
    choose(browser, "#collection", "words")
    until(lambda: not find(browser, "#picture-row").is_displayed())
    choose(browser, "#collection", "pics")
    until(lambda: find(browser, "#picture-row").is_displayed())
    assert "choose a picture" in find(browser, "#query-label").text
    path = tmp_path / "seven.png"
    path.write_bytes(png(7, (90, 70)))
    find(browser, "#picture").send_keys(str(path))
    until(lambda: every(browser, "#results li"))
    assert find(browser, "#results .id").text == "a/p7 & é.png"
    until(lambda: len(every(browser, "#results img.thumbnail")) == 10)
    until(lambda: browser.execute_script(
        "return [...document.querySelectorAll('#results img')].every((i) => i.complete && i.naturalWidth === 40)"
    ))  # fmt: skip
    assert find(browser, "#picture-shown").is_displayed()
    shot(browser, "pictures")
    next(b for b in every(browser, "#results li:first-child button") if b.text == "Why this rank?").click()
    until(lambda: every(browser, "#results .why"))
    next(b for b in every(browser, "#results li:first-child button") if b.text == "More like this").click()
    until(lambda: "Like a/p7" in find(browser, "#status").text)
    find(browser, "#picture-clear").click()
    until(lambda: not find(browser, "#picture-shown").is_displayed())
    assert "a/p3 & é.png" not in search(browser, "a/p3 & é.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(png(1)[:80])
    find(browser, "#picture").send_keys(str(broken))
    until(lambda: "broken" in find(browser, "#notice").text)
    wide(browser, 375)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 375, "nothing sticks out to the side"
    problems = [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert all(e["source"] == "network" and "status of 40" in e["message"] for e in problems), problems
