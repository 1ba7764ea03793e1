"""The page with a chat model: an answer with its sources, in a real browser; without one there is no button."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

import nearfield as nf
from nearfield.serve.allowed import Allowed, ChatModel
from nearfield.serve.app import make
from nearfield.serve.keys import Keys
from nearfield.serve.limits import Limits
from nearfield.serve.service import Service
from tests.answering.chatting import Told, chatting
from tests.serve import test_page
from tests.serve.test_page import every, find, look, needs_browser, shot, until, wide

pytestmark = [pytest.mark.slow]
browser = test_page.browser


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Service]]:
    with nf.open(tmp_path / "db") as db:
        books = db.create("books", embedder="hash:64")
        books.upsert([nf.Document("moon", "the moon <b>moves</b> the sea"), nf.Document("bread", "flour and salt")])
        service = Service(db, Limits(), recall_share=0)
        service.warming.run()
        server = uvicorn.Server(uvicorn.Config(make(service, Keys()), port=0, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", service
        server.should_exit = True
        thread.join(30)
        service.close()


def opened(browser: Any, url: str) -> None:
    wide(browser)
    look(browser, "light")
    browser.get(f"{url}/#search")
    browser.execute_script("localStorage.setItem('nearfield.language', 'en'); sessionStorage.clear();")
    browser.get("about:blank")
    browser.get(f"{url}/#search")
    until(lambda: len(every(browser, "#collection option")) == 1)


@needs_browser
def test_an_answer_is_shown_with_its_sources_and_what_it_made_up(browser: Any, served: tuple[str, Service]) -> None:
    url, service = served
    with chatting(Told(text="🌙 moves it <i>daily</i> [1], bakers say [7].")) as told:
        service.allowed = Allowed((), ChatModel(told.url, "some-model"))
        opened(browser, url)
        until(lambda: find(browser, "#ask").is_displayed())
        find(browser, "#query").send_keys("what moves the sea?")
        find(browser, "#ask").click()
        until(lambda: every(browser, "#answer .sources li"))
    assert find(browser, "#answer p.text").text == told.text
    assert [m.text for m in every(browser, "#answer mark")] == ["[7]"]
    assert "No passage has the number 7" in find(browser, "#answer .warning").text
    assert "the moon <b>moves</b> the sea" in find(browser, "#answer .sources li").text
    find(browser, "#answer button.cite").click()
    assert browser.switch_to.active_element.get_attribute("tabindex") == "-1"
    shot(browser, "answer")
    find(browser, "#language").click()
    assert "没有编号为 7 的段落" in find(browser, "#answer .warning").text


@needs_browser
def test_a_model_that_fails_says_so_and_leaves_no_answer(browser: Any, served: tuple[str, Service]) -> None:
    url, service = served
    with chatting(Told(statuses=[400])) as told:
        service.allowed = Allowed((), ChatModel(told.url, "some-model"))
        opened(browser, url)
        until(lambda: find(browser, "#ask").is_displayed())
        find(browser, "#query").send_keys("what moves the sea?")
        find(browser, "#ask").click()
        until(lambda: "model's server failed" in find(browser, "#notice").text)
    assert not find(browser, "#answer").is_displayed()
    browser.get_log("browser")


@needs_browser
def test_without_a_chat_model_there_is_no_button(browser: Any, served: tuple[str, Service]) -> None:
    opened(browser, served[0])
    find(browser, "#query").send_keys("moon\n")
    until(lambda: len(every(browser, "#results li .id")) == 2)
    assert not find(browser, "#ask").is_displayed()
