"""Files chosen and dropped on the page, in a real browser."""

from pathlib import Path
from typing import Any

import pytest

from tests.extract import making
from tests.serve.test_page import browser, needs_browser, page, until, url

pytestmark = [pytest.mark.slow, needs_browser]
__all__ = ["browser", "page", "url"]

DROP = """
const data = new DataTransfer();
data.items.add(new File([arguments[0]], arguments[1]));
const event = new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true});
document.querySelector('#files label').dispatchEvent(event);
"""


def said(page: Any) -> list[str]:
    found: list[str] = page.execute_script("return [...document.querySelectorAll('#files li')].map((e) => e.textContent)")
    return found


def test_files_are_chosen_and_dropped_and_found(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "walrus ü.pdf"
    path.write_bytes(making.pdf([["a walrus on an ice floe"]]))
    page.execute_script("document.getElementById('files').open = true")
    page.find_element("css selector", "#files input").send_keys(str(path))
    until(lambda: said(page) == ["walrus ü.pdf: 1 written to books"])
    page.execute_script(DROP, "text\nplatypus one\nplatypus two\n", "rows.csv")
    until(lambda: said(page)[0] == "rows.csv: 2 written to books")
    page.execute_script(DROP, "<b>not\0text</b>", "bad.txt")
    until(lambda: said(page)[0].startswith("bad.txt: this is no text"))
    page.find_element("id", "query").send_keys("walrus\n")
    until(lambda: "ice floe" in page.find_element("id", "results").text)


def test_a_collection_without_texts_takes_none(page: Any) -> None:
    from selenium.webdriver.support.ui import Select

    assert page.find_element("id", "files").is_displayed()
    Select(page.find_element("id", "collection")).select_by_visible_text("vectors")
    until(lambda: not page.find_element("id", "files").is_displayed())
