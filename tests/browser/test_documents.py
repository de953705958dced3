"""Receipts and invoices in a real browser: issued at the counter, printed on A4 and on a roll of 80 mm, on a phone too."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from tests.browser.conftest import DESKTOP, PHONE, Stage, follow
from tests.factories.documents import issuer
from tests.factories.orders import pickup_body, spends

ROLL_PX = 80 / 25.4 * 96  # 80 mm at CSS's 96 px per inch


@pytest.fixture
def sold(session: Session, api: Callable[..., Any], stage: Stage) -> dict[str, Any]:
    """Two teas and three cakes over the counter, a part of them paid with points."""
    issuer(session)
    made = stage.shop
    lines = [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 3}]
    body = pickup_body(made, method="cash", customer_id=str(made.customer.id), points_to_spend=500, lines=lines)
    answer = api(stage.clerk).post(
        "/orders", key="sale", json=body | {"method": "carry_out"} | spends(made.customer, stage.clerk)
    )
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def width_of(page: Page) -> float:
    """How wide the paper is that the page asks the printer for, in millimeters."""
    found = re.search(rb"/MediaBox ?\[0 0 ([0-9.]+) ", page.pdf(prefer_css_page_size=True))
    assert found is not None
    return float(found[1]) / 72 * 25.4


def issued(page: Page, sold: dict[str, Any], button: str, recipient: str = "") -> None:
    page.goto(f"/console/documents?order={sold['reference']}")
    if recipient:
        page.fill("#recipient", recipient)
    follow(page.get_by_role("button", name=button, exact=True))


@pytest.mark.parametrize(("locale", "device"), [("ja-JP", DESKTOP), ("en", DESKTOP), ("ja-JP", PHONE)])
def test_a_receipt_fits_the_roll_and_the_paper(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    look: Callable[[Page, str], None],
    sold: dict[str, Any],
    locale: str,
    device: dict[str, int],
) -> None:
    name = f"documents-{locale[:2]}-{device['width']}"
    page = open_page(locale=locale, viewport=device)
    log_in(page, "taro")
    page.goto("/console/language/" + locale[:2])
    page.goto(f"/console/documents?order={sold['reference']}")
    look(page, f"{name}-order")
    issued(page, sold, {"ja": "領収書を発行", "en": "Issue the receipt"}[locale[:2]])
    paper = page.locator(".paper")
    expect(paper).to_contain_text("RCT-00000001")
    expect(page.locator(".copy")).to_have_count(0)
    box = paper.bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(min(ROLL_PX, device["width"]), abs=1)
    assert paper.evaluate("element => element.scrollWidth <= element.clientWidth")  # nothing hangs over the edge
    look(page, f"{name}-roll")
    page.emulate_media(media="print")
    expect(page.locator(".desk")).to_be_hidden()
    page.set_viewport_size({"width": 272, "height": 900})  # 72 mm, what such a printer prints on
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    look(page, f"{name}-roll-printed")
    assert width_of(page) == pytest.approx(80, abs=0.5)
    page.emulate_media(media="screen")
    page.set_viewport_size(device)  # type: ignore[arg-type]
    issued(page, sold, {"ja": "請求書を発行", "en": "Issue the invoice"}[locale[:2]], "株式会社青山文具 総務部")
    expect(page.locator(".to")).to_contain_text("株式会社青山文具 総務部" + (" 御中" if locale == "ja-JP" else ""))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert width_of(page) == pytest.approx(210, abs=0.5)
    look(page, f"{name}-a4")
