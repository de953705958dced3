"""A real server with the test's database, and Debian's chromium driven by Playwright.

A click returns before the page that it asks for is there. So whoever leaves a page waits for the next one before looking
at it: `follow` for a link, `submit` for a button or a key, `click_twice` for an impatient hand, or an `expect` of something
that the page before did not have. `check` and `look` wait for the document themselves.
"""

import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from tests import factories
from tests.factories import Actor
from tests.factories.orders import Shop, pickup_body, shop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PASSWORD = "correct horse battery"
PATIENCE_SECONDS = 10.0
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.committed)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no chromium on this machine"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of this folder."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS, headless=True)
        yield browser
        browser.close()


class Gate:
    """Stands before the application. While it is shut, the work of a form is done but its answer waits."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._answers = threading.Event()
        self._answers.set()
        self._forms = threading.Semaphore(0)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        held = environ["REQUEST_METHOD"] == "POST" and not self._answers.is_set()
        if held:
            self._forms.release()
        answer = self.app(environ, start_response)
        if held:
            self._answers.wait(PATIENCE_SECONDS)
        return answer

    @contextmanager
    def shut(self) -> Iterator[None]:
        """The answers to forms wait until the block is over."""
        self._answers.clear()
        try:
            yield
        finally:
            self._answers.set()

    def form(self) -> None:
        """Wait until one more form has come."""
        assert self._forms.acquire(timeout=PATIENCE_SECONDS), "the form was not sent"


@pytest.fixture
def gate(app: Flask) -> Gate:
    """What the server asks; shut it to hold answers back."""
    return Gate(app)


@pytest.fixture
def server(gate: Gate) -> Iterator[str]:
    """The application on a port of its own, answering in threads; its address."""
    serving = make_server("127.0.0.1", 0, gate, threaded=True)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    thread.join()
    serving.server_close()


@dataclass(frozen=True, slots=True)
class Stage:
    """The shop of these tests and the people who log in."""

    shop: Shop
    clerk: Actor
    agent: Actor


@pytest.fixture
def stage(session: Session) -> Stage:
    """A store with stock, a customer with points, a clerk and an agent with passwords."""
    made = shop(session, points=500)
    return Stage(
        made,
        factories.staff(
            session, "associate", locations=[made.store.id], login="taro", password=PASSWORD, name="鈴木太郎"
        ),
        factories.staff(session, "agent", login="aiko", password=PASSWORD, name="佐藤愛子"),
    )


@pytest.fixture
def order(api: Callable[..., Any], stage: Stage) -> Callable[..., dict[str, Any]]:
    """Places an order of two teas for pickup, to be paid there."""
    placed: list[dict[str, Any]] = []

    def place(**body: Any) -> dict[str, Any]:
        sent = pickup_body(stage.shop, quantity=2, **body)
        answer = api(stage.shop.customer).post("/orders", json=sent, key=f"order-{len(placed)}")
        assert answer.status_code == 201, answer.json
        placed.append(answer.json)
        return placed[-1]

    return place


@pytest.fixture
def open_page(chromium: Browser, server: str) -> Iterator[Callable[..., Page]]:
    """A page of a fresh browser window; everything it asks for must be ours, and its console must stay silent."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    strangers: list[str] = []

    def opened(*, locale: str = "en", viewport: dict[str, int] = DESKTOP) -> Page:
        context = chromium.new_context(
            base_url=server,
            locale=locale,
            viewport=viewport,  # type: ignore[arg-type]
            has_touch=viewport is PHONE,
            is_mobile=viewport is PHONE,
        )
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda request: None if request.url.startswith((server, "data:")) else strangers.append(request.url),
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert strangers == []
    assert [text for text in complaints if "the server responded with a status of 4" not in text] == []


def follow(link: Locator) -> None:
    """Click on something that leads to another page, and wait until that is there."""
    with link.page.expect_navigation():
        link.click()


def submit(page: Page, key: str = "Enter") -> None:
    """Press a key that sends a form, and wait until the page that answers is there."""
    with page.expect_navigation():
        page.keyboard.press(key)


def arrived(page: Page) -> None:
    """The document is there to its end: a page that is asked for its measures has some."""
    page.wait_for_load_state("load")
    expect(page.locator("main")).to_be_visible()


@pytest.fixture
def click_twice(gate: Gate) -> Callable[[Locator], None]:
    """Clicks on a button and, since no answer comes, once more: both clicks meet the same page, both forms are sent.
    Whoever calls it then expects what the answer alone shows."""

    def clicked(button: Locator) -> None:
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        assert box is not None
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        with gate.shut():
            for _ in range(2):
                button.page.mouse.click(*middle)  # Locator.click would wait for the answer
                gate.form()

    return clicked


@pytest.fixture
def log_in() -> Callable[..., None]:
    """Logs a person in through the form."""

    def logged_in(page: Page, login: str) -> None:
        page.goto("/console/log-in")
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.click("main button")
        expect(page.locator("form[action='/console/log-out']")).to_be_visible()
        arrived(page)

    return logged_in


@pytest.fixture
def look() -> Callable[[Page, str], None]:
    """Keeps a picture of the page when SCREENSHOTS names a folder (to look at what was made)."""

    def keep(page: Page, name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            arrived(page)
            page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    return keep
