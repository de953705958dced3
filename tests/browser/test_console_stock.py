"""The stock pages in a real browser, on a desk and on a phone: look up and adjust, receive by scanning, transfer, count."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import barcodes
from retail.kernel import clock
from tests import factories
from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, follow, submit
from tests.browser.test_console import check
from tests.factories import Place, Variant
from tests.factories.orders import receive
from tests.inventory.books import level, limit

Look = Callable[[Page, str], None]
ClickTwice = Callable[[Locator], None]
DEVICES = {"desktop": DESKTOP, "phone": PHONE}
TEA, CAKE = "4901234567894", "4912345678904"

# What was scanned last stands first. Cake: one sent, one came in. Tea: two sent of three, one came in, no more to come.
TRANSFERRED = [("received", 1, 1, 0), ("received", 2, 1, 1)]


@dataclass(frozen=True, slots=True)
class Scene:
    """Shibuya, Umeda and a warehouse; tea and cake with barcodes; Taro works, Hana manages."""

    here: Place
    there: Place
    tea: Variant
    cake: Variant


@pytest.fixture
def scene(session: Session) -> Scene:
    here = factories.location(session, code="SHIBUYA")
    there = factories.location(session, code="UMEDA", name="Umeda", name_ja="梅田店")
    tea = factories.variant(session, sku="TEA-100", title="Green tea 100 g", title_ja="宇治煎茶 100g")
    cake = factories.variant(session, sku="CAKE-01", title="Sponge cake", title_ja="カステラ（プレーン）")
    for place, made, units in ((here, tea, 12), (there, tea, 40), (here, cake, 3), (there, cake, 8)):
        receive(session, place, made, units)
    limit(session, tea, here, safety=2)
    for made, code in ((tea, TEA), (cake, CAKE)):
        barcodes.add(session, sku=made.sku, barcode=code, actor="system", now=clock.now())
    for role, login, name in (("associate", "taro", "鈴木太郎"), ("manager", "hana", "高橋花")):
        factories.staff(session, role, locations=[here.id], login=login, password=PASSWORD, name=name)
    factories.staff(session, "associate", locations=[there.id], login="jiro", password=PASSWORD, name="田中次郎")
    return Scene(here, there, tea, cake)


@pytest.fixture
def enter(open_page: Callable[..., Page], log_in: Callable[..., None]) -> Callable[..., Page]:
    """A page of somebody who is logged in, in Japanese, on the device."""

    def entered(login: str, device: str) -> Page:
        page = open_page(locale="ja-JP", viewport=DEVICES[device])
        log_in(page, login)
        expect(page.get_by_role("heading", level=1)).to_contain_text("こんにちは")
        return page

    return entered


def scan(page: Page, code: str) -> None:
    """A hand scanner types into the field that has the focus, and presses Enter."""
    expect(page.locator("#scan, #q").first).to_be_focused()
    page.keyboard.type(code)
    submit(page)


@pytest.mark.parametrize("device", DEVICES)
def test_look_up_and_adjust(
    enter: Callable[..., Page], scene: Scene, session: Session, look: Look, click_twice: ClickTwice, device: str
) -> None:
    page = enter("hana", device)
    follow(page.get_by_role("navigation").get_by_role("link", name="在庫", exact=True))
    check(page)
    look(page, f"{device}-stock-1-empty")
    page.fill("#q", "a")
    submit(page)
    expect(page.get_by_role("link", name="カステラ")).to_contain_text("自店 3")
    check(page)
    look(page, f"{device}-stock-2-found")
    page.fill("#q", "")
    page.locator("#q").focus()
    scan(page, TEA)
    expect(page.get_by_role("heading", level=1)).to_have_text("宇治煎茶 100g")
    check(page)
    look(page, f"{device}-stock-3-item")
    page.get_by_text("在庫を調整", exact=True).first.click()
    page.locator("#adjustments-quantity").fill("９９")
    page.locator("#adjustments-reason").select_option("sample")
    follow(page.locator("#adjustments button"))
    expect(page.get_by_role("alert")).to_have_text("減らせる数を超えています。引当済み・販売不可の分は減らせません。")
    expect(page.locator("#adjustments-quantity")).to_have_value("９９")
    check(page)
    look(page, f"{device}-stock-4-refused")
    page.locator("#adjustments-quantity").fill("２")
    click_twice(page.locator("#adjustments button"))
    expect(page.get_by_role("status")).to_have_text("在庫を調整しました。")
    assert level(session, scene.tea, scene.here) == (10, 0, 0, 0)
    item = page.url
    follow(page.get_by_role("link", name="内訳を見る").first)
    expect(page.locator("#adjustments")).to_have_count(0)
    check(page)
    look(page, f"{device}-stock-5-history")
    page.go_back()
    expect(page).to_have_url(item)
    page.get_by_text("安全在庫・上限・棚").click()
    check(page)
    look(page, f"{device}-stock-6-limits")


@pytest.mark.parametrize("device", DEVICES)
def test_receive_by_scanning(
    enter: Callable[..., Page],
    scene: Scene,
    session: Session,
    api: Any,
    look: Look,
    click_twice: ClickTwice,
    device: str,
) -> None:
    due = (clock.now()).isoformat()
    manager = factories.staff(session, "manager", locations=[scene.here.id])
    announced = api(manager).post(
        "/inbound-shipments",
        json={
            "location": scene.here.code,
            "supplier": "宇治製茶",
            "due_at": due,
            "lines": [{"sku": "TEA-100", "expected": 24}],
        },
        key="announce",
    )
    assert announced.status_code == 201, announced.json
    page = enter("taro", device)
    page.goto("/console/stock/receiving")
    check(page)
    look(page, f"{device}-receive-1-expected")
    follow(page.get_by_role("link", name=announced.json["reference"]))
    follow(page.get_by_role("link", name="予定どおりの数を入れる"))
    scan(page, CAKE)
    expect(page.get_by_label("入荷数").first).to_have_value("1")
    expect(page.get_by_label("入荷数").nth(1)).to_have_value("24")
    page.get_by_label("うち破損").nth(1).fill("2")
    check(page)
    look(page, f"{device}-receive-2-delivery")
    click_twice(page.get_by_role("button", name="入荷", exact=True))
    expect(page.get_by_role("status")).to_have_text("入荷しました。")
    assert level(session, scene.tea, scene.here) == (36, 0, 0, 2)
    follow(page.get_by_role("link", name="予定なしの入荷"))
    check(page)
    scan(page, "0000000000000")
    expect(page.get_by_role("alert")).to_have_text("該当する商品がありません。")
    page.locator("#scan").fill("")
    for code in (TEA, TEA, CAKE):
        scan(page, code)
    check(page)
    look(page, f"{device}-receive-3-list")
    follow(page.get_by_role("button", name="入荷", exact=True))
    expect(page.get_by_role("status")).to_have_text("入荷しました。")
    assert level(session, scene.tea, scene.here) == (38, 0, 0, 2)
    assert level(session, scene.cake, scene.here) == (5, 0, 0, 0)


@pytest.mark.parametrize("device", DEVICES)
def test_send_and_take_in(
    enter: Callable[..., Page], scene: Scene, session: Session, look: Look, click_twice: ClickTwice, device: str
) -> None:
    page = enter("taro", device)
    page.goto("/console/stock/transfers")
    follow(page.get_by_role("link", name="新しい移動"))
    for code in (TEA, TEA, TEA, CAKE):
        scan(page, code)
    page.locator("#other").select_option("UMEDA")
    check(page)
    look(page, f"{device}-transfer-1-new")
    follow(page.get_by_role("button", name="登録する"))
    expect(page.get_by_role("status")).to_have_text("移動を登録しました。")
    check(page)
    follow(page.get_by_role("button", name="商品を取り置く"))
    expect(page.get_by_role("status")).to_have_text("商品を取り置きました。出荷できます。")
    check(page)
    look(page, f"{device}-transfer-2-ship")
    page.get_by_label("出荷数").last.fill("2")
    click_twice(page.get_by_role("button", name="出荷"))
    expect(page.get_by_role("status")).to_have_text("出荷しました。")
    where = page.url.split("?")[0]
    other = enter("jiro", device)
    other.goto("/console/stock/transfers")
    check(other)
    look(other, f"{device}-transfer-3-coming")
    other.goto(where)
    for code in (TEA, CAKE):
        scan(other, code)
    other.get_by_label("続きはない").check()
    check(other)
    look(other, f"{device}-transfer-4-receive")
    click_twice(other.get_by_role("button", name="入荷", exact=True))
    expect(other.get_by_role("status")).to_have_text("入荷しました。")
    check(other)
    look(other, f"{device}-transfer-5-received")
    booked = (
        "SELECT state, shipped, received, shrunk FROM transfer JOIN transfer_line ON transfer_id = id ORDER BY position"
    )
    assert [tuple(row) for row in session.execute(text(booked))] == TRANSFERRED, "double clicks send and take in once"


@pytest.mark.parametrize("device", DEVICES)
def test_count_blind_and_approve(
    enter: Callable[..., Page], scene: Scene, session: Session, look: Look, click_twice: ClickTwice, device: str
) -> None:
    manager = enter("hana", device)
    manager.goto("/console/stock/counts")
    check(manager)
    follow(manager.get_by_role("link", name="新しい棚卸"))
    for code in (TEA, CAKE):
        scan(manager, code)
    manager.fill("#approval_above", "1")
    check(manager)
    look(manager, f"{device}-count-1-new")
    follow(manager.get_by_role("button", name="開始する"))
    expect(manager.get_by_role("status")).to_have_text("棚卸を開始しました。")
    where = manager.url.split("?")[0]
    page = enter("taro", device)
    page.goto(where)
    for code in (CAKE, CAKE, CAKE):
        scan(page, code)
    page.locator("[name='counted.TEA-100']").fill("7")
    check(page)
    look(page, f"{device}-count-2-enter")
    click_twice(page.get_by_role("button", name="数えた結果を登録"))
    expect(page.get_by_text("再カウント", exact=True)).to_be_visible()
    look(page, f"{device}-count-3-recount")
    page.locator("[name='counted.TEA-100']").fill("8")
    follow(page.get_by_role("button", name="数えた結果を登録"))
    expect(page.get_by_text("承認できる人が判断します。")).to_be_visible()
    manager.goto(where)
    check(manager)
    look(manager, f"{device}-count-4-approve")
    follow(manager.get_by_role("button", name="承認する"))
    expect(manager.get_by_role("status")).to_have_text("承認しました。")
    look(manager, f"{device}-count-5-done")
    assert level(session, scene.tea, scene.here) == (8, 0, 0, 0)
