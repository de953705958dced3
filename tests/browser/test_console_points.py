"""Points at the agent desk in a real browser: what runs out next, why entries exist, goodwill and its second pair of eyes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.orm import Session

from loyalty import ledger
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests import factories
from tests.browser.conftest import PASSWORD, PHONE, Stage, follow
from tests.browser.test_console import check

Look = Callable[[Page, str], None]
DAY = timedelta(days=1)


def fill_history(session: Session, api: Callable[..., Any], stage: Stage, order_id: str) -> None:
    """Points from an order that wait, points that run out soon, and a present from a friend."""
    who, now = stage.shop.customer.id, clock.now()
    common = {"order_id": order_id, "actor": "system", "now": now}
    ledger.earn(
        session,
        customer_id=who,
        points=44,
        key="e",
        reason="pickup",
        grants=[ledger.Grant(44, now + 14 * DAY, now + 379 * DAY)],
        reasons=[ledger.Reason(new_id(), "base", 0, 34, 3480), ledger.Reason(new_id(), "tier:gold", 0, 10, 3480)],
        **common,
    )
    soon = [ledger.Grant(120, now - 355 * DAY, now + 10 * DAY)]
    ledger.earn(
        session,
        customer_id=who,
        order_id=None,
        points=120,
        key="s",
        reason="welcome",
        actor="system",
        now=now,
        grants=soon,
    )
    friend = factories.customer(session, name="田中次郎")
    ledger.earn(session, customer_id=friend.id, order_id=None, points=90, key="f", reason="x", actor="system", now=now)
    sent = {"to": stage.shop.customer.reference, "points": 60, "message": "お誕生日おめでとう"}
    assert api(friend).post("/me/points/transfers", json=sent, key="t").status_code == 201


@pytest.mark.parametrize(
    ("device", "language"), [("desktop", "ja"), ("phone", "ja"), ("desktop", "en"), ("phone", "en")]
)
def test_an_agent_gives_and_a_supervisor_decides(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    api: Callable[..., Any],
    stage: Stage,
    order: Callable[..., dict[str, Any]],
    session: Session,
    look: Look,
    click_twice: Callable[[Locator], None],
    device: str,
    language: str,
) -> None:
    placed = order(points_to_spend=100)
    fill_history(session, api, stage, placed["id"])
    factories.staff(session, "supervisor", login="sora", password=PASSWORD, name="森そら", locale=language)
    session.execute(sa.text("UPDATE staff SET locale = :locale WHERE login = 'aiko'"), {"locale": language})
    japanese, name = language == "ja", f"points-{device}-{language}"
    viewport = {"viewport": PHONE} if device == "phone" else {}
    page = open_page(locale="ja-JP" if japanese else "en-GB", **viewport)
    log_in(page, "aiko")
    page.goto(f"/console/desk/customers/{stage.shop.customer.reference}")
    check(page)
    soon = page.locator("li.lot", has_text="次に失効" if japanese else "runs out next")
    expect(soon).to_have_count(1)
    expect(soon).to_contain_text("120")
    page.get_by_text("お詫びポイントを進呈" if japanese else "Give goodwill", exact=True).click()
    check(page)
    look(page, f"{name}-1-desk")
    page.fill("#goodwill_points", "x")
    page.select_option("#goodwill_reason", "other")
    follow(page.get_by_role("button", name="ポイントを進呈する" if japanese else "Give the points"))
    expect(page.locator("#goodwill_points")).to_have_value("x")
    expect(page.locator("#goodwill_points")).to_be_visible()
    check(page)
    look(page, f"{name}-2-refused")
    page.fill("#goodwill_points", "1500")
    page.select_option("#goodwill_reason", "late")
    page.fill("#goodwill_note", "二度目の遅れ" if japanese else "Late for the second time")
    page.select_option("#goodwill_order", placed["reference"])
    click_twice(page.get_by_role("button", name="ポイントを進呈する" if japanese else "Give the points"))
    expect(page.get_by_role("status")).to_contain_text("承認をお待ちください" if japanese else "waits")
    check(page)
    look(page, f"{name}-3-waits")
    boss = open_page(locale="ja-JP" if japanese else "en-GB", **viewport)
    log_in(boss, "sora")
    follow(
        boss.get_by_role("navigation").get_by_role(
            "link", name="お詫びポイントの承認" if japanese else "Goodwill to decide"
        )
    )
    check(boss)
    expect(boss.locator("main .card")).to_have_count(1)
    look(boss, f"{name}-4-to-decide")
    click_twice(boss.get_by_role("button", name="ポイントを進呈する" if japanese else "Give the points"))
    expect(boss.get_by_role("status")).to_have_text("ポイントを進呈しました。" if japanese else "The points are given.")
    check(boss)
    look(boss, f"{name}-5-decided")
    page.reload()
    check(page)
    look(page, f"{name}-6-given")
    gift = session.execute(sa.text("SELECT state, points FROM goodwill_gift")).one()
    assert tuple(gift) == ("given", 1500)
    statement = sa.text("SELECT available FROM points_account WHERE customer_id = :id")
    available = session.execute(statement, {"id": stage.shop.customer.id}).scalar_one()
    assert available == 500 - 100 + 44 + 120 + 60 + 1500
