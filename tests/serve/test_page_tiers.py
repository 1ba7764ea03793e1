"""The page about tiers, in a real browser: where segments are, budgets as bars, pins, and the alarm of a device that failed.

The server is in this process, so that a device can be made to fail; the processor stands in for it.
"""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import nearfield as nf
from nearfield.device import scan
from nearfield.device.resident import OnDevices
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service
from tests.serve import test_page
from tests.serve.test_page import choose, every, find, look, needs_browser, panel_of, search, shot, until, wide
from tests.serve.test_tiers import LOST, fill

pytestmark = [pytest.mark.slow]
browser = test_page.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnDevices, "seconds", lambda self, m: 0.0)
        with nf.open(tmp_path_factory.mktemp("tiers") / "db", gpu_memory="100MB", memory="1GB", device="cpu") as db:
            fill(db, "archive")
            fill(db, "busy")
            service = Service(db, Limits(), recall_share=0)
            service.warming.run()
            server = uvicorn.Server(uvicorn.Config(make(service, Keys()), port=0, log_config=None, lifespan="off"))
            thread = threading.Thread(target=server.run)
            thread.start()
            until(lambda: server.started)
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            server.should_exit = True
            thread.join(30)
            service.close()


@pytest.fixture
def page(browser: Any, url: str) -> Any:
    wide(browser)
    look(browser, "light")
    browser.get(f"{url}/#operations")
    browser.execute_script("localStorage.setItem('nearfield.language', 'en'); sessionStorage.clear();")
    operations(browser, url)
    browser.get_log("browser")
    return browser


def operations(browser: Any, url: str) -> None:
    browser.get("about:blank")
    browser.get(f"{url}/#operations")
    until(lambda: len(every(browser, "#collections .panel")) == 2)


def pin(browser: Any, name: str, word: str) -> None:
    """Chooses and presses; again where the page was made anew in between, as it is every few seconds."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import Select

    def done() -> bool:
        try:
            panel = panel_of(browser, name)
            Select(panel.find_element("css selector", "select.pin")).select_by_visible_text(word)
            next(b for b in panel.find_elements("css selector", "button") if b.text == "Keep").click()
        except StaleElementReferenceException:
            return False
        return True

    until(done)


def panel_text(browser: Any, name: str) -> str:
    """What the panel of a collection says, read at once: the page is made anew every few seconds."""
    script = "return [...document.querySelectorAll('#collections .panel')].map((p) => p.innerText)"
    return str(next(text for text in browser.execute_script(script) if text.startswith(name)))


def kept(browser: Any, name: str) -> str:
    """What it says of its tiers."""
    return str(re.search(r"Where segments are kept(.*)", panel_text(browser, name))[1])  # type: ignore[index]


@needs_browser
def test_a_collection_is_pinned_by_a_choice_and_searches_tell_where_they_looked(page: Any, url: str) -> None:
    assert not find(page, "#alarms").is_displayed()
    assert re.search(r"cpu 12\.5 MB of 100 MB", find(page, "#tiers").text)
    assert re.search(r"memory .* of 1\.0 GB", find(page, "#tiers").text)
    assert "warm 1" in kept(page, "busy")
    pin(page, "busy", "hot: on a card")
    until(lambda: re.search(r"hot 1 \(\d.*B · cpu\)", kept(page, "busy")))
    assert "hot: cpu, float16" in panel_text(page, "busy")
    pin(page, "archive", "cold: in files")
    until(lambda: "cold 1" in kept(page, "archive"))
    used = page.execute_script(
        "return [...document.querySelectorAll('#tiers .bar span:first-child')].map((e) => e.offsetWidth)"
    )
    assert len(used) == 2
    assert all(width > 0 for width in used[:1]), "what is used is seen"
    shot(page, "tiers")
    page.get(f"{url}/#search")
    until(lambda: len(every(page, "#collection option")) == 2)
    choose(page, "#collection", "busy")
    until(lambda: "vector as JSON" in find(page, "#query-label").text)
    search(page, "17")
    assert find(page, "#touched").text == "hot 1 · scanned by cpu"
    shot(page, "touched")
    operations(page, url)
    pin(page, "archive", "as they are asked")
    until(lambda: "warm 1" in kept(page, "archive"))


@needs_browser
def test_a_lost_device_is_a_red_band_in_both_languages_on_a_phone_too(
    page: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(page, "busy", "hot: on a card")
    until(lambda: "hot 1" in kept(page, "busy"))

    def broken(*arguments: Any) -> Any:
        raise RuntimeError(LOST)

    monkeypatch.setattr(scan.blocks, "maxima", broken)
    page.get(f"{url}/#search")
    until(lambda: len(every(page, "#collection option")) == 2)
    choose(page, "#collection", "busy")
    until(lambda: "vector as JSON" in find(page, "#query-label").text)
    assert len(search(page, "17")) == 10, "whoever searches sees nothing of it"
    assert "scanned by" not in find(page, "#touched").text
    operations(page, url)
    until(lambda: find(page, "#alarms").is_displayed())
    assert "cpu is lost" in find(page, "#alarms").text
    assert LOST in find(page, "#alarms").text
    assert "lost: restart" in find(page, "#tiers").text
    assert "hot" not in kept(page, "busy")
    assert "yes" in find(page, "#figures").text, "it is ready all the same"
    colours = set()
    for language in ("en", "zh"):
        for scheme in ("light", "dark"):
            look(page, scheme)
            wide(page, 375)
            assert page.execute_script("return document.documentElement.scrollWidth") <= 375, "nothing sticks out to the side"
            style = "const s = getComputedStyle(document.getElementById('alarms')); return s.color + s.backgroundColor"
            colours.add(page.execute_script(style))
            shot(page, f"lost-phone-{scheme}-{language}")
        wide(page)
        look(page, "light")
        shot(page, f"lost-{language}")
        find(page, "#language").click()
        if language == "en":
            until(lambda: "警报" in find(page, "#alarms").text)
            assert "已失效" in find(page, "#tiers").text
    assert len(colours) == 2


def test_every_tier_has_its_words(tmp_path: Path) -> None:
    from nearfield.core.types import TIERS

    text = (test_page.STATIC / "words.js").read_text("utf-8")
    script = (test_page.STATIC / "tiers.js").read_text("utf-8")
    assert re.search(r"TIERS = (\[.*\]);", script)[1] == "[" + ", ".join(f'"{tier}"' for tier in TIERS) + "]"
    for tier in TIERS:
        assert len(re.findall(rf"\b{tier}: \"", text)) == len(re.findall(rf"\"pin-{tier}\": \"", text)) == 2
