"""The earning rules' form in a real browser: all of it fits a phone, and what was typed survives a refusal."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from retail.kernel import clock
from tests import factories
from tests.browser.conftest import PASSWORD, PHONE, Stage, follow
from tests.browser.test_console import check
from tests.loyalty.test_preview import bought

Look = Callable[[Page, str], None]


@pytest.mark.parametrize(
    ("device", "language"), [("desktop", "ja"), ("phone", "ja"), ("desktop", "en"), ("phone", "en")]
)
def test_a_rule_is_made_and_changed(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    stage: Stage,
    session: Session,
    look: Look,
    device: str,
    language: str,
) -> None:
    factories.staff(session, "admin", login="rin", password=PASSWORD, name="林りん", locale=language)
    japanese, name = language == "ja", f"rules-{device}-{language}"
    page = open_page(locale="ja-JP" if japanese else "en-GB", **({"viewport": PHONE} if device == "phone" else {}))
    log_in(page, "rin")
    page.goto("/console/earning-rules")
    check(page)
    look(page, f"{name}-1-built-in")
    follow(page.get_by_role("link", name="新しいルール" if japanese else "New rule"))
    check(page)
    page.fill("#code", "tea-days")
    page.fill("#name", "Tea days")
    page.fill("#name_ja", "お茶の日")
    page.fill("#points", "3")
    page.fill("#per_minor", "1,000")
    page.fill("#skus", f"{stage.shop.tea.sku}, NONE-1")
    page.get_by_label("土" if japanese else "Sat", exact=True).check()
    page.fill("#from_on", "2026-07-01")
    page.fill("#cap_per_order", "500")
    make = page.get_by_role("button", name="ルールを作成する" if japanese else "Make the rule")
    follow(make)
    expect(page.locator("#skus-wrong")).to_contain_text("NONE-1")
    expect(page.locator("#name_ja")).to_have_value("お茶の日")
    expect(page.get_by_label("土" if japanese else "Sat", exact=True)).to_be_checked()
    check(page)
    look(page, f"{name}-2-refused")
    page.fill("#skus", stage.shop.tea.sku)
    page.fill("#from_on", "")
    page.get_by_label("土" if japanese else "Sat", exact=True).uncheck()
    bought(session, stage.shop.customer.id, 3480, clock.now())
    bought(session, stage.shop.customer.id, 12_000, clock.now())
    page.fill("#skus", "")
    follow(page.get_by_role("button", name="過去の注文で試す" if japanese else "Preview on past orders"))
    expect(page.locator("#preview")).to_contain_text("120 → 156")
    expect(page.locator("#name_ja")).to_have_value("お茶の日")
    check(page)
    look(page, f"{name}-2b-preview")
    page.fill("#skus", stage.shop.tea.sku)
    page.get_by_label("土" if japanese else "Sat", exact=True).check()
    follow(make)
    expect(page.get_by_role("status")).to_be_visible()
    check(page)
    page.fill("#points", "5")
    follow(page.get_by_role("button", name="今後の注文から変更する" if japanese else "Change the rule from now on"))
    expect(page.get_by_text("第2版" if japanese else "Version 2")).to_be_visible()
    check(page)
    look(page, f"{name}-3-changed")
    page.goto("/console/earning-rules")
    check(page)
    look(page, f"{name}-4-list")
    stored = session.execute(sa.text("SELECT version, points, weekdays FROM earning_rule ORDER BY version")).all()
    assert [tuple(row) for row in stored] == [(1, 3, [6]), (2, 5, [6])]
