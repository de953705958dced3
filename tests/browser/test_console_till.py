"""The till in a real browser: her phone's code is scanned like an article, and with it she pays by points."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from loyalty import cards
from retail.kernel import clock
from tests.browser.conftest import PHONE, Stage, submit
from tests.browser.test_console import check
from tests.orders.test_drawers import till


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_she_pays_by_points_with_the_code_on_her_phone(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    look: Callable[[Page, str], None],
    session: Session,
    stage: Stage,
    device: str,
) -> None:
    till(session, stage.shop)
    page = open_page(locale="ja-JP", **({"viewport": PHONE} if device == "phone" else {}))
    log_in(page, "taro")
    page.goto("/console/till/T1")
    check(page)
    page.fill("#opening_minor", "10,000")
    submit(page)
    page.fill("#scan", stage.shop.tea.sku)
    submit(page)
    page.fill("#customer", "090-1234-5678")
    submit(page)
    expect(page.get_by_text("ポイントを使うには、カードで会員を確認してください。")).to_be_visible()
    expect(page.locator("#points")).to_have_count(0)
    look(page, f"till-by-phone-{device}")
    page.fill("#customer", cards.token(stage.shop.customer.id, now=clock.now()).value)
    submit(page)  # a scanner ends with Enter
    check(page)
    expect(page.get_by_text("500ポイント使えます。")).to_be_visible()
    look(page, f"till-by-code-{device}")
    page.fill("#points", "500")
    page.fill("#received", "2000")
    submit(page)
    check(page)
    look(page, f"till-sold-{device}")
    expect(page.locator("main")).to_contain_text("￥520")  # 2,000 - (1,980 - 500)
