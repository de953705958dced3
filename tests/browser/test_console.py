"""The console in a real browser: the counter and the agent desk, on a desk and on a phone, in both languages."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from playwright.sync_api import Locator, Page, expect
from sqlalchemy.orm import Session

from orders import proofs
from tests.browser.conftest import PHONE, Stage, arrived, follow, submit

Look = Callable[[Page, str], None]
ClickTwice = Callable[[Locator], None]
NOT_WIDER_THAN_THE_SCREEN = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
TOO_SMALL = """[...document.querySelectorAll('main button, main .button, main input:not([type=hidden]):not([type=radio]):not([type=checkbox]), main select')]
    .filter(e => e.getBoundingClientRect().height > 0 && e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"""
WITHOUT_LABEL = """[...document.querySelectorAll('main input:not([type=hidden]), main select, main textarea')]
    .filter(e => !e.labels.length).map(e => e.outerHTML)"""


def check(page: Page) -> None:
    """What must hold on every page: it fits the screen, can be touched, and every field has a label."""
    arrived(page)
    assert page.evaluate(NOT_WIDER_THAN_THE_SCREEN)
    assert page.evaluate(TOO_SMALL) == []
    assert page.evaluate(WITHOUT_LABEL) == []


def code_of(order: dict[str, Any], rotation: int = 1) -> str:
    return proofs.secrets_of(UUID(order["fulfillments"][0]["id"]), rotation)[0]


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_log_in_pick_ready_hand_over(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    stage: Stage,
    order: Callable[..., dict[str, Any]],
    session: Session,
    look: Look,
    click_twice: ClickTwice,
    device: str,
) -> None:
    placed, other = order(), order()
    page = open_page(locale="ja-JP", **({"viewport": PHONE} if device == "phone" else {}))
    page.goto("/console/pickups")
    expect(page).to_have_url("/console/log-in?next=%2Fconsole%2Fpickups")
    check(page)
    look(page, f"{device}-1-log-in")
    page.fill("#login", "taro")
    page.fill("#password", "wrong")
    follow(page.locator("main button"))
    expect(page.get_by_role("alert")).to_have_text("ユーザー名またはパスワードが正しくありません。")
    expect(page.locator("#login")).to_have_value("taro")
    page.fill("#password", "correct horse battery")
    submit(page)
    expect(page).to_have_url("/console/pickups")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    check(page)
    look(page, f"{device}-2-pickups")
    card = page.locator(".card", has_text=placed["reference"])
    follow(card.get_by_role("button", name="ピッキング開始"))
    expect(page.get_by_role("status")).to_have_text("ピッキングを開始しました。")
    click_twice(card.get_by_role("button", name="準備完了にする"))
    expect(card.get_by_role("link", name="お渡し", exact=True)).to_be_visible()
    look(page, f"{device}-3-ready")
    follow(card.get_by_role("link", name="お渡し", exact=True))
    expect(page.locator("#code")).to_be_visible()
    check(page)
    page.get_by_label("現金").check()
    page.fill("#code", code_of(other))
    follow(page.locator("main form button", has_text="お渡し"))
    expect(page.get_by_role("alert")).to_have_text("この注文のコードではありません。残り回数：4回")
    expect(page.locator("#code")).to_have_value(code_of(other))
    expect(page.get_by_label("現金")).to_be_checked()
    check(page)
    look(page, f"{device}-4-wrong-code")
    page.fill("#code", code_of(placed).lower())
    submit(page)
    expect(page.get_by_role("status")).to_have_text("お渡ししました。")
    expect(page.locator(".card", has_text=placed["reference"])).to_have_count(0)
    expect(page.locator(".card", has_text=other["reference"])).to_have_count(1)
    look(page, f"{device}-5-handed-over")
    state = session.execute(
        sa.text("SELECT state FROM fulfillment WHERE id = :id"), {"id": placed["fulfillments"][0]["id"]}
    )
    assert state.scalar_one() == "collected"


def test_scan_and_hand_over_in_english(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    api: Callable[..., Any],
    stage: Stage,
    order: Callable[..., dict[str, Any]],
    look: Look,
) -> None:
    placed = order()
    part = placed["fulfillments"][0]["id"]
    clerk = api(stage.clerk)
    assert clerk.post(f"/pickups/{part}/picking", key="p").status_code == 200
    assert clerk.post(f"/pickups/{part}/ready", key="r").status_code == 200
    page = open_page(locale="en-GB")
    log_in(page, "taro")
    expect(page.get_by_role("heading", level=1)).to_have_text("鈴木太郎さん、こんにちは")  # her own language first
    follow(page.get_by_role("link", name="English"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, 鈴木太郎")
    check(page)
    look(page, "home")
    follow(page.get_by_role("navigation").get_by_role("link", name="Pickups"))
    expect(page.locator("#scan")).to_be_focused()
    page.keyboard.type(proofs.secrets_of(UUID(part), 1)[1])  # the scanner types into the field that has the focus
    submit(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(placed["reference"])
    look(page, "scanned")
    page.get_by_label("Card terminal").check()
    follow(page.get_by_role("button", name="Hand over"))
    expect(page.get_by_role("status")).to_have_text("Handed over.")
    follow(page.get_by_role("button", name="Log out"))
    expect(page).to_have_url("/console/log-in")
    page.go_back()
    arrived(page)
    page.reload()
    expect(page).to_have_url(re.compile(r"/console/log-in\?next="))


@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_the_agent_finds_her_notes_a_contact_and_refunds(
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
    done, waiting = order(points_to_spend=300), order()
    part = done["fulfillments"][0]["id"]
    clerk = api(stage.clerk)
    for action, body in (("picking", None), ("ready", None), ("collection", {"code": code_of(done), "tender": "cash"})):
        assert clerk.post(f"/pickups/{part}/{action}", json=body, key=action).status_code == 200
    page = open_page(**({"viewport": PHONE, "locale": "ja"} if device == "phone" else {"locale": "ja"}))
    log_in(page, "aiko")
    page.goto("/console/desk")
    check(page)
    look(page, f"{device}-desk-1-search")
    page.fill("#q", "０９０−１２３４−５６７８")
    submit(page)
    expect(page).to_have_url(f"/console/desk/customers/{stage.shop.customer.reference}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hanako Yamada")
    expect(page.locator(".card", has_text=done["reference"]).first).to_contain_text("完了")
    expect(page.locator(".card", has_text=waiting["reference"]).first).to_contain_text("準備中")
    check(page)
    page.fill("#text", "受け取りが遅れるとのご連絡。\n<b>夕方</b>にお越しになる予定。")
    page.select_option("#channel", "line")
    click_twice(page.get_by_role("button", name="記録する"))
    expect(page.get_by_role("status")).to_have_text("記録しました。")
    expect(page.locator(".feed p.text:not(.soft)")).to_have_text(
        "受け取りが遅れるとのご連絡。\n<b>夕方</b>にお越しになる予定。"
    )
    look(page, f"{device}-desk-2-context")
    follow(page.locator(".card", has_text=done["reference"]).get_by_role("link", name="返金…"))
    check(page)
    expect(page.get_by_role("listitem").filter(has_text="現金: お客様へ返金")).to_contain_text("￥3,660")
    look(page, f"{device}-desk-3-confirm")
    follow(page.get_by_role("button", name="返金する"))
    expect(page.get_by_role("status")).to_have_text("返金しました。")
    expect(page.locator(".card", has_text=done["reference"]).first).to_contain_text("返金済み")
    look(page, f"{device}-desk-4-refunded")
    rows = session.execute(sa.text("SELECT amount_minor, points, state FROM refund")).all()
    assert [tuple(row) for row in rows] == [(3660, 300, "done")]
    assert session.execute(sa.text("SELECT count(*) FROM contact")).scalar_one() == 1


def test_everything_can_be_reached_by_keyboard(
    open_page: Callable[..., Page], log_in: Callable[..., None], stage: Stage, order: Callable[..., dict[str, Any]]
) -> None:
    placed = order()
    page = open_page()
    log_in(page, "taro")
    page.goto("/console/language/en?next=/console/pickups")
    expect(page.locator("#scan")).to_be_focused()
    seen = []
    for _ in range(3):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.innerText"))
    assert seen == ["Find", placed["reference"], "Start picking"]
    outline = page.evaluate("getComputedStyle(document.querySelector('.skip')).left")
    assert outline == "-999px"
    page.locator(".card button").focus()
    submit(page)
    expect(page.get_by_role("status")).to_have_text("Picking has begun.")
