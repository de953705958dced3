"""Returns and shipments in a real browser, on a desk and on a phone."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.browser.conftest import DESKTOP, PHONE, Stage, follow, submit
from tests.browser.test_console import check
from tests.factories.orders import level, ready_pickup
from tests.orders.test_shipping import sent

Look = Callable[[Page, str], None]
ClickTwice = Callable[[Locator], None]
DEVICES = {"desktop": DESKTOP, "phone": PHONE}


@pytest.mark.parametrize("device", DEVICES)
def test_what_comes_back_is_inspected_and_paid(
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
    placed = order()
    part = ready_pickup(api, stage.shop, placed)
    body = {"identity": "driving license", "tender": "cash"}
    assert api(stage.clerk).post(f"/pickups/{part}/collection", key="hand", json=body).status_code == 200
    page = open_page(locale="ja-JP", viewport=DEVICES[device])
    log_in(page, "taro")
    follow(page.get_by_role("navigation").get_by_role("link", name="返品", exact=True))
    expect(page.locator("#typed")).to_be_focused()
    check(page)
    look(page, f"{device}-returns-1-desk")
    page.keyboard.type(placed["reference"].lower())
    submit(page)
    expect(page.get_by_role("heading", level=1)).to_have_text(placed["reference"])
    check(page)
    page.get_by_label("返品する数").fill("9")
    page.get_by_label("返品の理由").fill("色が違う")
    look(page, f"{device}-returns-2-order")
    follow(page.get_by_role("button", name="返品を受け付ける"))
    expect(page.get_by_role("alert")).to_have_text("返品できないものがあります。商品ごとの理由をご確認ください。")
    expect(page.get_by_label("返品の理由")).to_have_value("色が違う")
    page.get_by_label("返品する数").fill("２")
    click_twice(page.get_by_role("button", name="返品を受け付ける"))
    expect(page.get_by_role("status")).to_have_text("返品を受け付けました。")
    check(page)
    look(page, f"{device}-returns-3-expected")
    follow(page.get_by_role("button", name="受け取る", exact=True))
    expect(page.get_by_role("status")).to_have_text("受け取りました。検品してください。")
    page.get_by_label("新品同様").fill("1")
    page.get_by_label("破損").fill("1")
    check(page)
    look(page, f"{device}-returns-4-inspect")
    click_twice(page.get_by_role("button", name="返金", exact=True))
    expect(page.get_by_role("status")).to_have_text("返品処理が完了しました。")
    expect(page.get_by_text("（お客様へお渡しください）")).to_be_visible()
    check(page)
    look(page, f"{device}-returns-5-paid")
    assert session.execute(text("SELECT count(*), sum(amount_minor) FROM refund")).one() == (1, 3960)
    assert level(session, stage.shop.store, stage.shop.tea)[0] == 10


@pytest.mark.parametrize("device", DEVICES)
def test_parcels_are_packed_and_leave(
    open_page: Callable[..., Page],
    log_in: Callable[..., None],
    api: Callable[..., Any],
    stage: Stage,
    session: Session,
    look: Look,
    click_twice: ClickTwice,
    device: str,
) -> None:
    placed, shipment = sent(session, api, stage.shop, paid=True)
    session.commit()
    page = open_page(locale="ja-JP", viewport=DEVICES[device])
    log_in(page, "taro")
    follow(page.get_by_role("navigation").get_by_role("link", name="出荷", exact=True))
    check(page)
    look(page, f"{device}-shipments-1-list")
    follow(page.get_by_role("link", name=placed["reference"]))
    expect(page).to_have_url(f"/console/shipments/{shipment}")
    click_twice(page.get_by_role("button", name="ピッキング開始"))
    expect(page.get_by_role("status")).to_have_text("ピッキングを開始しました。")
    page.get_by_label("荷物の数").fill("2")
    follow(page.get_by_role("button", name="表示"))
    check(page)
    tea, cake = (line["id"] for line in placed["lines"])
    for at, line, units in ((1, tea, "2"), (1, cake, "0"), (2, tea, "1"), (2, cake, "1")):
        page.locator(f"[name='units:{at}:{line}']").fill(units)
    look(page, f"{device}-shipments-2-pack")
    click_twice(page.get_by_role("button", name="梱包完了"))
    expect(page.get_by_role("status")).to_have_text("梱包しました。発送できます。")
    check(page)
    for number, field in enumerate(page.get_by_label("お問い合わせ番号").all()):
        field.fill(f"4321-000{number}")
    look(page, f"{device}-shipments-3-hand-over")
    click_twice(page.get_by_role("button", name="配送業者に引き渡す"))
    expect(page.get_by_text("すべての荷物がお客様に届きましたか。")).to_be_visible()
    check(page)
    look(page, f"{device}-shipments-4-on-its-way")
    follow(page.get_by_role("button", name="配達完了にする"))
    expect(page.get_by_role("status")).to_have_text("配達完了にしました。")
    states = session.execute(text("SELECT tracking, state FROM parcel ORDER BY position")).all()
    assert [tuple(row) for row in states] == [("4321-0000", "delivered"), ("4321-0001", "delivered")]
    assert level(session, stage.shop.store, stage.shop.tea)[0] == 7
