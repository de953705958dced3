"""Hanako's page on her phone, and the counter that hears of her: she names somebody, arrives, and that person collects."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.orm import Session

from orders import pickup_links, proofs
from tests.browser.conftest import DESKTOP, PHONE, Stage, follow, submit
from tests.browser.test_console import check

Look = Callable[[Page, str], None]
ClickTwice = Callable[[Locator], None]


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_she_names_somebody_and_arrives_and_that_person_collects(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    api: Callable[..., Any],
    stage: Stage,
    order: Callable[..., dict[str, Any]],
    session: Session,
    look: Look,
    click_twice: ClickTwice,
    device: str,
) -> None:
    viewport = PHONE if device == "phone" else DESKTOP
    placed, other = order(), order()
    for number, one in enumerate((placed, other)):
        for step in ("picking", "ready"):
            answer = api(stage.clerk).post(f"/pickups/{one['fulfillments'][0]['id']}/{step}", key=f"{step}{number}")
            assert answer.status_code == 200, answer.json
    part = UUID(placed["fulfillments"][0]["id"])
    hers = open_page(locale="ja-JP", viewport=viewport)
    hers.goto(f"/pickups/{pickup_links.token_of(part, 1)}")
    expect(hers.get_by_role("heading", level=1)).to_have_text("ご注文の準備ができました。お越しをお待ちしています。")
    expect(hers.locator(".proof .code")).to_have_text(proofs.secrets_of(part, 1)[0])
    expect(hers.locator(".proof svg")).to_be_visible()
    check(hers)
    look(hers, f"page-{device}-1-ready")
    hers.fill("#name", "鈴木次郎")
    click_twice(hers.get_by_role("button", name="この方を登録する"))
    expect(hers.locator(".person")).to_have_count(1)
    check(hers)
    hers.fill("#place", "P3")
    hers.fill("#vehicle", "白いヤリス 12-34")
    follow(hers.get_by_role("button", name="到着しました"))
    expect(hers.get_by_role("status")).to_have_text("ご到着を承りました。商品をお持ちします。")
    check(hers)
    look(hers, f"page-{device}-2-arrived")
    token = hers.locator(".person .code").inner_text()

    desk = open_page(locale="ja-JP", viewport=viewport)
    log_in(desk, "taro")
    desk.goto("/console/pickups")
    first = desk.locator(".card").first
    for words in (placed["reference"], "P3", "白いヤリス 12-34", "お待ち"):
        expect(first).to_contain_text(words)
    check(desk)
    look(desk, f"page-{device}-3-counter")
    desk.fill("#scan", token)
    desk.locator("#scan").focus()
    submit(desk)
    expect(desk.get_by_role("heading", level=1)).to_have_text(placed["reference"])
    expect(desk.locator("main")).to_contain_text("鈴木次郎")
    check(desk)
    look(desk, f"page-{device}-4-scanned")
    desk.get_by_label("現金").check()
    follow(desk.locator("form[action$=collection] button"))
    expect(desk.get_by_role("status")).to_have_text("お渡ししました。")
    hers.reload()
    expect(hers.get_by_role("heading", level=1)).to_have_text("ご注文の商品をお渡ししました。ありがとうございました。")
    expect(hers.locator("main")).to_contain_text("鈴木次郎")
    expect(hers.locator("svg")).to_have_count(0)
    check(hers)
    look(hers, f"page-{device}-5-over")
    used = session.execute(sa.text("SELECT end_cause FROM pickup_proxy")).scalars().all()
    assert used == ["used"]


def test_what_is_missing_is_noted_and_decided(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    api: Callable[..., Any],
    stage: Stage,
    order: Callable[..., dict[str, Any]],
    look: Look,
) -> None:
    placed = order()
    part = placed["fulfillments"][0]["id"]
    assert api(stage.clerk).post(f"/pickups/{part}/picking", key="p").status_code == 200
    desk = open_page(locale="ja-JP", viewport=PHONE)
    log_in(desk, "taro")
    desk.goto(f"/console/pickups/{part}")
    desk.locator("summary", has_text="不足を記録").click()
    desk.locator("input[name^=short-]").fill("1")
    check(desk)
    follow(desk.get_by_role("button", name="不足として記録する"))
    expect(desk.get_by_role("status")).to_have_text("不足として記録しました。続いて対応を選んでください。")
    check(desk)
    look(desk, "short-1-noted")
    desk.get_by_label("返金する").check()
    follow(desk.get_by_role("button", name="決定する"))
    expect(desk.get_by_role("status")).to_have_text("対応を決定しました。お客様にお知らせします。")
    check(desk)
    look(desk, "short-2-decided")
