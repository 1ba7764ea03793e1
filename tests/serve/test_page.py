"""The page in a real browser: what a person sees and does, by mouse and by keyboard, wide and narrow, in both languages."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nearfield as nf
from tests.serve.running import running

pytestmark = [pytest.mark.slow]
STATIC = Path(nf.__file__).parent / "serve" / "static"
webdriver = pytest.importorskip("selenium.webdriver")
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SHOTS = os.environ.get("SCREENSHOTS")
"""A directory for pictures of the page, for who wants to look at them."""
TOPICS = ("the sea and the moon", "bread and flour", "trains and rails", "stars at night")
needs_browser = pytest.mark.skipif(not (BROWSER and DRIVER), reason="needs Debian's chromium and chromium-driver: make browser")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("page") / "db"
    with nf.open(directory) as db:
        books = db.create("books", embedder="hash:64")
        books.upsert(
            [
                nf.Document(
                    f"b{i}", f"{TOPICS[i % 4]}, number {i} <b>not bold</b>", {"year": 1980 + i % 40, "topic": TOPICS[i % 4]}
                )
                for i in range(200)
            ]
        )
        x = np.random.default_rng(0).standard_normal((30_000, 16)).astype(np.float32)
        many = db.create("vectors", embedder=None, dim=16, metric="l2", index=nf.Hnsw(links=8, build_effort=32))
        many.load(ids=[f"v{i}" for i in range(30_000)], vectors=x)
        many.optimize()
    with running(directory) as server:
        server.until_ready()
        yield server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = BROWSER
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--lang=en", "--force-prefers-reduced-motion"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield found
    found.quit()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    wide(browser)
    look(browser, "light")
    browser.get(f"{url}/#search")
    browser.execute_script("localStorage.setItem('nearfield.language', 'en'); sessionStorage.clear();")
    browser.get("about:blank")
    browser.get(f"{url}/#search")
    until(lambda: browser.execute_script("return document.querySelectorAll('#collection option').length") == 2)
    browser.get_log("browser")
    yield browser
    problems = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert all(entry["source"] == "network" and "status of 40" in entry["message"] for entry in problems), problems
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(name.startswith(url) for name in fetched), "nothing is fetched from elsewhere"


def wide(browser: Any, width: int = 1200) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    )


def look(browser: Any, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


def until(true: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
    return found


def shot(browser: Any, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(f"{SHOTS}/{name}.png")


def find(browser: Any, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def every(browser: Any, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def choose(browser: Any, selector: str, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(find(browser, selector)).select_by_visible_text(value)


def search(browser: Any, text: str) -> list[str]:
    query = find(browser, "#query")
    query.clear()
    query.send_keys(text + "\n")
    until(lambda: re.search(r"\d", find(browser, "#status").text) and "Searching" not in find(browser, "#status").text)
    return [e.text for e in every(browser, "#results .id")]


@needs_browser
def test_a_text_is_found_and_the_time_is_told(page: Any) -> None:
    ids = search(page, TOPICS[0])
    assert len(ids) == 10
    assert "<b>not bold</b>" in find(page, "#results .text").text, "documents are text, never markup"
    legend = find(page, "#latency .legend").text
    assert all(word in legend for word in ("embedding", "searching", "network"))
    assert "10 of 10" in find(page, "#status").text
    shot(page, "search")


@needs_browser
def test_conditions_are_built_from_the_collections_own_fields(page: Any) -> None:
    find(page, "#add-condition").click()
    assert [o.text for o in every(page, ".condition select:first-child option")] == ["topic", "year"]
    choose(page, ".condition select:first-child", "year")
    choose(page, ".condition select:nth-child(2)", "≥")
    assert find(page, ".condition input").get_attribute("placeholder") == "1980 … 2019"
    find(page, ".condition input").send_keys("2017")
    find(page, "#add-condition").click()
    rows = every(page, ".condition")
    words = rows[1].find_elements("css selector", "datalist option")
    assert {w.get_attribute("value") for w in words} == set(TOPICS)
    rows[1].find_element("css selector", "input").send_keys(TOPICS[1])
    search(page, "bread")
    shown = [e.text for e in every(page, "#results .metadata")]
    assert shown
    assert all(f"topic: {TOPICS[1]}" in s and int(re.search(r"year: (\d+)", s)[1]) >= 2017 for s in shown)
    find(page, ".condition input").clear()
    find(page, ".condition input").send_keys("many")
    find(page, "#query").send_keys("\n")
    until(lambda: "not a number" in find(page, "#notice").text)


@needs_browser
def test_more_like_this_and_why(page: Any) -> None:
    ids = search(page, TOPICS[2])
    buttons = every(page, "#results li:first-child button")
    next(b for b in buttons if b.text == "Why this rank?").click()
    why = until(lambda: every(page, "#results .why"))[0]
    assert ids[0] in why.text
    shot(page, "why")
    next(b for b in buttons if b.text == "More like this").click()
    until(lambda: f"Like {ids[0]}" in find(page, "#status").text)
    assert ids[0] not in [e.text for e in every(page, "#results .id")]


@needs_browser
def test_vectors_are_searched_by_id_or_numbers(page: Any) -> None:
    choose(page, "#collection", "vectors")
    until(lambda: "vector as JSON" in find(page, "#query-label").text)
    assert len(search(page, "v17")) == 10
    assert len(search(page, str([0.5] * 16))) == 10
    search_button = find(page, "#search-form button.main")
    find(page, "#query").clear()
    find(page, "#query").send_keys("no-such-id")
    search_button.click()
    until(lambda: "no-such-id" in find(page, "#notice").text)


@needs_browser
def test_it_works_by_keyboard_alone(page: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    find(page, "body").send_keys("/")
    assert page.switch_to.active_element.get_attribute("id") == "query"
    ActionChains(page).send_keys("the sea", Keys.ENTER).perform()
    until(lambda: every(page, "#results li"))
    seen = []
    for _ in range(30):
        ActionChains(page).send_keys(Keys.TAB).perform()
        element = page.switch_to.active_element
        seen.append(element.text)
        if element.text == "Why this rank?":
            break
    assert "More like this" in seen
    ActionChains(page).send_keys(Keys.ENTER).perform()
    until(lambda: every(page, "#results .why"))
    outline = page.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "one sees where one is"


@needs_browser
@pytest.mark.parametrize("view", ["search", "operations"])
def test_it_fits_a_phone_light_and_dark_in_both_languages(page: Any, url: str, view: str) -> None:
    if view == "search":
        search(page, "stars")
    page.get(f"{url}/#{view}")
    until(lambda: every(page, f"#view-{view}:not([hidden])"))
    if view == "operations":
        until(lambda: every(page, "#collections .panel"))
    before = find(page, "nav").text
    find(page, "#language").click()
    assert find(page, "html").get_attribute("lang") == "zh-CN"
    assert find(page, "nav").text != before
    assert re.search(r"[一-鿿]", find(page, f"#view-{view}").text)
    if view == "search":
        assert "found" not in find(page, "#status").text, "what was shown before is shown in the other language too"
    colours = set()
    for scheme in ("light", "dark"):
        look(page, scheme)
        wide(page, 375)
        colours.add(page.execute_script("return getComputedStyle(document.body).backgroundColor"))
        assert page.execute_script("return document.documentElement.scrollWidth") <= 375, "nothing sticks out to the side"
        shot(page, f"{view}-phone-{scheme}-zh")
    assert len(colours) == 2
    find(page, "#language").click()
    assert find(page, "nav").text == before


@needs_browser
def test_operations_show_what_is_and_start_a_tune(page: Any, url: str) -> None:
    page.get(f"{url}/#operations")
    until(lambda: len(every(page, "#collections .panel")) == 2)
    assert "30,200" in find(page, "#figures").text
    panel = panel_of(page, "vectors")
    assert "HNSW" in panel.text
    panel.find_element("css selector", "details summary").click()
    until(lambda: every(page, "#collections svg.chart circle"))
    assert every(page, "#collections svg.chart .target")
    shot(page, "operations")
    panel = panel_of(page, "vectors")
    minutes = panel.find_element("css selector", "input[type=number]")
    minutes.clear()
    minutes.send_keys("0.4")
    next(b for b in panel.find_elements("css selector", "button") if b.text == "Find the best index").click()
    until(lambda: "tune" in find(page, "#jobs").text)
    until(lambda: "done" in find(page, "#jobs").text, 90)
    until(lambda: every(page, "#jobs svg.chart circle"))
    shot(page, "tuned")


def panel_of(browser: Any, name: str) -> Any:
    return next(p for p in every(browser, "#collections .panel") if p.find_element("css selector", "h3").text == name)


@needs_browser
def test_the_api_is_described(page: Any, url: str) -> None:
    page.get(f"{url}/docs")
    until(lambda: len(every(page, "#routes details")) > 25)
    find(page, "#routes details summary").click()
    assert find(page, "#types section")
    shot(page, "docs")


@needs_browser
def test_a_key_is_asked_for(browser: Any, tmp_path: Path) -> None:
    with running(tmp_path / "db", NEARFIELD_READ_KEY="a-key-to-read-with") as server:
        browser.get(f"{server.url}/#search")
        until(lambda: find(browser, "#key-form").is_displayed())
        find(browser, "#key").send_keys("a-key-to-read-with\n")
        until(lambda: "nearfield create" in find(browser, "#status").text)
        assert not find(browser, "#key-form").is_displayed()


def test_every_word_is_in_both_languages() -> None:
    text = (STATIC / "words.js").read_text("utf-8")
    english, chinese = (set(re.findall(r'(?:^|[\s{,])"?([\w-]+)"?: "', part)) for part in text.split("zh: {", 1))
    assert english == chinese
    used = {t for name in ("index.html",) for t in re.findall(r'data-t="([\w-]+)"', (STATIC / name).read_text("utf-8"))}
    for script in STATIC.glob("*.js"):
        used |= set(re.findall(r'\bt\("([\w-]+)"', script.read_text("utf-8")))
    assert used <= english


def test_the_page_names_nothing_elsewhere() -> None:
    for path in STATIC.iterdir():
        found = re.findall(r"https?://[^\s\"'<)]+", path.read_text("utf-8"))
        assert all(name.startswith("http://www.w3.org/") for name in found), path.name
