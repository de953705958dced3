"""The stock pages as store staff use them: look up, receive, adjust; what is refused changes nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from inventory import reservations
from retail import barcodes
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor, Place, Variant
from tests.factories.orders import receive
from tests.inventory.books import level
from tests.journeys.console_client import Console, Shown

GTIN = "4901234567894"
Unchanged = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Two stores; tea (10 here, 4 there) and cake (3 here); who works here, who manages, who works there."""

    here: Place
    there: Place
    tea: Variant
    cake: Variant
    clerk: Actor
    manager: Actor
    stranger: Actor


@pytest.fixture
def made(session: Session) -> Scene:
    here = factories.location(session, code="SHIBUYA")
    there = factories.location(session, code="UMEDA", name="Umeda", name_ja="梅田店")
    tea = factories.variant(session, sku="TEA-01", title="Green tea", title_ja="煎茶 100g")
    cake = factories.variant(session, sku="CAKE-01", title="Cake", title_ja="ケーキ")
    receive(session, here, tea, 10)
    receive(session, there, tea, 4)
    receive(session, here, cake, 3)
    barcodes.add(session, sku="TEA-01", barcode=GTIN, actor="system", now=clock.now())
    return Scene(
        here,
        there,
        tea,
        cake,
        factories.staff(session, "associate", locations=[here.id]),
        factories.staff(session, "manager", locations=[here.id]),
        factories.staff(session, "associate", locations=[there.id]),
    )


def console(app: Flask, who: Actor, locale: str = "en") -> Console:
    return Console(app, who.token, locale=locale)


def on_hand(session: Session, made: Variant, place: Place) -> int:
    found = level(session, made, place)
    return found[0] if found else 0


def scan(page: Console, shown: Shown, form: str, code: str) -> Shown:
    """What a hand scanner does: it types the code and presses Enter, which is the form's first button."""
    return page.post(f"{form}/scan", **shown.filled(form, scan=code))


# --- look up


@pytest.mark.parametrize("typed", [GTIN, "TEA-01", "tea-01", "ＴＥＡ－０１", "４９０１２３４５６７８９４"])
def test_a_barcode_or_sku_goes_to_the_goods_at_once(app: Flask, made: Scene, typed: str) -> None:
    shown = console(app, made.clerk).open("/console/stock?q=" + typed)
    assert shown.via == "/console/stock/item?store=SHIBUYA&sku=TEA-01"
    assert "Green tea" in shown.text
    assert "available in all: 14" in shown.text
    assert shown.html.index("Shibuya") < shown.html.index("Umeda")


@pytest.mark.parametrize("typed", ["煎茶", "gREEN", "100 tea", "１００ｇ 煎茶"])
def test_a_part_of_the_name_finds_it_in_either_language(app: Flask, session: Session, made: Scene, typed: str) -> None:
    factories.variant(session, sku="TEA-02", title="Green tea, large", title_ja="煎茶１００g 大")
    shown = console(app, made.clerk, "ja").open("/console/stock?q=" + typed)
    assert "TEA-01" in shown.text
    assert "TEA-02" in shown.text
    assert "CAKE-01" not in shown.text


def test_signs_of_patterns_are_letters(app: Flask, made: Scene) -> None:
    for typed in ("%", "_", "\\", "'; DROP TABLE variant; --"):
        shown = console(app, made.clerk).open("/console/stock?q=" + typed)
        assert shown.status == 200
        assert "Nothing has this barcode, SKU or name." in shown.text


# --- receive


def test_goods_come_in_by_scanning(app: Flask, session: Session, made: Scene) -> None:
    page = console(app, made.clerk)
    shown = page.open("/console/stock/receipt")
    send = "/console/stock/receipt"
    for _ in range(2):
        shown = scan(page, shown, send, GTIN)
    assert shown.form(send)["fields"]["quantity.TEA-01"] == "2"
    shown = scan(page, shown, send, "cake-01")
    assert shown.form(send)["fields"] | {"_key": "", "_csrf": ""} == {
        "_csrf": "",
        "_key": "",
        "store": "SHIBUYA",
        "scan": "",
        "bucket": "available",
        "quantity.CAKE-01": "1",
        "quantity.TEA-01": "2",
    }
    for _ in range(2):
        done = page.send(shown, send, **{"quantity.TEA-01": "１２"})
        assert done.notice == "Received."
    assert (on_hand(session, made.tea, made.here), on_hand(session, made.cake, made.here)) == (22, 4)


# --- count


def begin_count(page: Console, *codes: str, **fields: str) -> Shown:
    shown = page.open("/console/stock/counts/new")
    form = "/console/stock/counts/new"
    for code in codes:
        shown = scan(page, shown, form, code)
    return page.send(shown, form, **fields)


def test_a_shelf_is_counted_recounted_and_approved(app: Flask, session: Session, made: Scene) -> None:
    manager, clerk = console(app, made.manager), console(app, made.clerk)
    begun = begin_count(manager, GTIN, "CAKE-01", approval_above="2", note="Monday")
    assert begun.notice == "The count has begun."
    where = begun.via.split("?")[0]
    shown = clerk.open(where)
    assert "The books say" not in shown.text
    assert "10" not in shown.html[shown.html.index("count-lines") : shown.html.index("</ul>")]
    form = f"{where}/entries"
    for _ in range(3):
        shown = scan(clerk, shown, form, "CAKE-01")
    assert shown.form(form)["fields"]["counted.CAKE-01"] == "3"
    shown = clerk.send(shown, form, **{"counted.TEA-01": "5"})
    assert shown.notice == "Entered."
    assert on_hand(session, made.tea, made.here) == 10
    assert "count again" in shown.text
    for _ in range(2):
        again = clerk.send(shown, form, **{"counted.TEA-01": "6"})
        assert again.notice == "Entered."
    assert "books 10, found 6 −4" in again.text
    assert on_hand(session, made.tea, made.here) == 10
    decision = f"{where}/approval"
    assert clerk.post(decision, **again.filled(decision), decision="approve").status == 403
    waiting = manager.open(where)
    done = manager.post(decision, **waiting.filled(decision), decision="approve")
    assert done.notice == "Approved."
    assert (on_hand(session, made.tea, made.here), on_hand(session, made.cake, made.here)) == (6, 3)
    assert "Done" in done.text


# --- everything that is refused


def csrf(page: Console) -> str:
    shown = page.open("/console/stock")
    return str(shown.form("/console/log-out")["fields"]["_csrf"])


HERE = {"store": "SHIBUYA", "sku": "TEA-01", "quantity": "1"}
WORK: list[tuple[str, dict[str, str]]] = [
    ("/console/stock/receipt", {"store": "SHIBUYA", "quantity.TEA-01": "1"}),
    ("/console/stock/set-asides", HERE | {"reason": "damaged"}),
    ("/console/stock/restorations", HERE),
    ("/console/stock/transfers/new", {"store": "SHIBUYA", "other": "UMEDA", "quantity.TEA-01": "1"}),
]
MANAGE: list[tuple[str, dict[str, str]]] = [
    ("/console/stock/adjustments", HERE | {"reason": "lost", "direction": "less"}),
    ("/console/stock/write-offs", HERE),
    ("/console/stock/limits", {"store": "SHIBUYA", "sku": "TEA-01", "safety": "1", "version": "2"}),
    ("/console/stock/levels", {"store": "SHIBUYA", "sku": "TEA-01"}),
    ("/console/stock/counts/new", {"store": "SHIBUYA", "scope": "everything"}),
]


@pytest.mark.parametrize(
    ("path", "fields"), [*WORK, *MANAGE], ids=lambda value: value if isinstance(value, str) else ""
)
def test_forms_are_for_those_who_may_and_for_their_own_store(
    app: Flask, session: Session, made: Scene, unchanged: Unchanged, path: str, fields: dict[str, str]
) -> None:
    wrong_role = made.clerk if (path, fields) in MANAGE else factories.staff(session, "agent")
    wrong_store = factories.staff(session, "manager", locations=[made.there.id])
    for who, status in ((wrong_role, 403), (wrong_store, 404)):
        page = console(app, who)
        token = csrf(page)
        with unchanged():
            assert page.post(path, _csrf=token, _key="k", **fields).status == status
        with unchanged():
            assert page.post(path, _key="k", **fields).status == 403  # without the token against forgery
    assert console(app, wrong_store).open("/console/stock?store=SHIBUYA").status == 404


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"quantity": "x"}, "Type a whole number."),
        ({"quantity": ""}, "Type a whole number."),
        ({"quantity": "0"}, "A change of 0 changes nothing"),
        ({"quantity": "99999999999999999999"}, "Type a whole number."),
        ({"quantity": "99999999"}, "Must be greater than or equal to -1000000"),
        ({"quantity": "11", "reason": "sample"}, "10 on hand, of which 10 may be taken."),
        ({"direction": "more", "reason": "lost"}, "The reason does not fit"),
        ({"sku": "NOPE"}, ""),
    ],
)
def test_a_refused_adjustment_comes_back_with_what_was_typed(
    app: Flask, session: Session, made: Scene, unchanged: Unchanged, fields: dict[str, str], told: str
) -> None:
    page = console(app, made.manager)
    shown = page.open("/console/stock/item?sku=TEA-01")
    form = "/console/stock/adjustments"
    typed = {"quantity": "1", "reason": "lost"} | fields
    with unchanged():
        again = page.send(shown, form, **typed)
    assert again.status in (409, 422)
    assert again.message
    assert told in again.text
    if "sku" not in fields:
        assert again.form(form)["fields"] | typed == again.form(form)["fields"]


def test_a_double_click_adjusts_once_and_tells_why_it_is_nine(app: Flask, session: Session, made: Scene) -> None:
    page = console(app, made.manager)
    shown = page.open("/console/stock/item?sku=TEA-01")
    for _ in range(2):
        done = page.send(shown, "/console/stock/adjustments", quantity="1", reason="lost")
        assert done.notice == "Adjusted."
    assert on_hand(session, made.tea, made.here) == 9
    past = page.open("/console/stock/history?sku=TEA-01&at=SHIBUYA")
    assert "Why is it 9?" in past.text
    assert "Adjustment Lost −1" in past.text
    assert "Taro Suzuki" in past.text
    assert "This is the beginning." in past.text
    before = page.open("/console/stock/history?sku=TEA-01&at=SHIBUYA&as_of=2026-07-01T11:59")
    assert "Nothing had happened until then." in before.text
    for wrong in ("tomorrow", "2027-01-01T00:00"):
        told = page.open(f"/console/stock/history?sku=TEA-01&at=SHIBUYA&as_of={wrong}")
        assert (told.status, bool(told.message)) == (200, True)
    assert page.open("/console/stock/history?sku=TEA-01&at=NOWHERE").status == 404
    assert page.open("/console/stock/history?sku=NOPE&at=SHIBUYA").status == 404


def test_what_is_damaged_is_set_aside_and_comes_back_or_is_thrown_away(
    app: Flask, session: Session, made: Scene, unchanged: Unchanged
) -> None:
    page, item = console(app, made.manager), "/console/stock/item?sku=TEA-01"
    done = page.send(page.open(item), "/console/stock/set-asides", quantity="4", reason="inspection")
    assert done.notice == "Set aside."
    assert level(session, made.tea, made.here) == (10, 0, 0, 4)
    with unchanged():
        refused = page.send(done, "/console/stock/write-offs", quantity="5")
    assert refused.message == "Only 4 are set aside."
    assert refused.form("/console/stock/write-offs")["fields"]["quantity"] == "5"
    shown = page.open(item)
    for _ in range(2):
        assert page.send(shown, "/console/stock/restorations", quantity="1").notice == "Back to sale."
        assert page.send(shown, "/console/stock/write-offs", quantity="2").notice == "Written off."
    assert level(session, made.tea, made.here) == (8, 0, 0, 1)


def test_limits_are_set_and_noted_in_words(app: Flask, session: Session, made: Scene, unchanged: Unchanged) -> None:
    page, item, form = console(app, made.manager, "ja"), "/console/stock/item?sku=TEA-01", "/console/stock/limits"
    shown = page.open(item)
    assert "空欄：該当するルールがないため0個" in shown.text
    done = page.send(shown, form, safety="２", low_stock_threshold="8", shelf="A-12", backorder_limit="5")
    assert done.notice == "保存しました。"
    row = "SELECT safety, low_stock_threshold, shelf, backorder_limit FROM stock_level WHERE location_id = :l AND variant_id = :v"
    found = session.execute(sa.text(row), {"l": made.here.id, "v": made.tea.id}).one()
    assert tuple(found) == (2, 8, "A-12", 5)
    with unchanged():  # from a page that was open before
        assert page.send(shown, form, safety="3", _key="other").status == 412
    with unchanged():
        refused = page.send(page.open(item), form, safety="-1")
    assert refused.status == 422
    assert refused.form(form)["fields"]["safety"] == "-1"
    past = page.open("/console/stock/history?sku=TEA-01&at=SHIBUYA")
    assert "安全在庫: 0 (ルール) → 2 (手動)" in past.text
    attention = page.open("/console/stock/attention")
    assert "残り 8 基準 8" in attention.text
    new = factories.variant(session, sku="NEW-01")
    assert on_hand(session, new, made.here) == 0
    opened = page.send(page.open("/console/stock/item?sku=NEW-01"), "/console/stock/levels")
    assert opened.form(form)["fields"]["backorder_limit"] == "0"


def test_a_scan_that_means_nothing_keeps_the_list(app: Flask, made: Scene) -> None:
    page, form = console(app, made.clerk), "/console/stock/receipt"
    shown = scan(page, page.open(form), form, GTIN)
    lost = scan(page, shown, form, "4901234567895")
    assert (lost.status, lost.message) == (404, "Nothing has this barcode, SKU or name.")
    assert lost.form(form)["fields"]["quantity.TEA-01"] == "1"
    assert lost.form(form)["fields"]["scan"] == "4901234567895"
    several = scan(page, lost, form, "e")
    assert "Which one?" in several.text
    chosen = page.post(f"{form}/scan", **several.filled(form), pick="CAKE-01")
    assert chosen.form(form)["fields"]["quantity.CAKE-01"] == "1"
    assert chosen.form(form)["fields"]["quantity.TEA-01"] == "1"


def test_a_receipt_is_refused_whole(app: Flask, session: Session, made: Scene, unchanged: Unchanged) -> None:
    page, form = console(app, made.clerk), "/console/stock/receipt"
    shown = scan(page, page.open(form), form, GTIN)
    fields = shown.filled(form)
    for wrong in ({"quantity.TEA-01": "many"}, {"quantity.TEA-01": "0"}, {"quantity.NOPE": "1"}, {"bucket": "pocket"}):
        with unchanged():
            again = page.post(form, **fields | wrong)
        assert again.status == 422, wrong
        kept = again.form(form)["fields"]
        assert {name: kept[name] for name in wrong if name != "bucket"} == {
            name: value for name, value in wrong.items() if name != "bucket"
        }
    assert "Not in the catalog" in page.post(form, **fields | {"quantity.NOPE": "1"}).text


# --- deliveries and transfers


def announce(api: Any, made: Scene, **lines: int) -> str:
    body = {
        "location": made.here.code,
        "supplier": "Uji",
        "due_at": "2026-06-30T01:00:00Z",
        "lines": [{"sku": sku.replace("_", "-"), "expected": units} for sku, units in lines.items()],
    }
    answer = api(made.manager).post("/inbound-shipments", json=body, key=str(new_id()))
    assert answer.status_code == 201, answer.json
    return str(answer.json["reference"])


def test_a_delivery_is_received_in_parts_with_what_differs(
    app: Flask, api: Any, session: Session, made: Scene, unchanged: Unchanged
) -> None:
    reference = announce(api, made, TEA_01=12, CAKE_01=2)
    page = console(app, made.clerk)
    listed = page.open("/console/stock/receiving")
    assert f"{reference} Expected Uji Late" in listed.text
    where = f"/console/stock/deliveries/{reference}"
    form = f"{where}/receipts"
    filled = page.open(f"{where}?store=SHIBUYA&fill=1").form(form)["fields"]
    assert (filled["quantity.TEA-01"], filled["quantity.CAKE-01"], filled["damaged.TEA-01"]) == ("12", "2", "")
    shown = page.open(where)
    with unchanged():
        empty = page.send(shown, form)
        broken = page.send(shown, form, **{"quantity.TEA-01": "1", "damaged.TEA-01": "2"})
    assert (empty.status, empty.message) == (422, "Nothing has been entered yet.")
    assert "More is damaged than came in" in broken.text
    shown = scan(page, shown, form, GTIN)
    for _ in range(2):
        assert page.send(shown, form, **{"quantity.TEA-01": "8", "damaged.TEA-01": "1"}).notice == "Received."
    assert level(session, made.tea, made.here) == (18, 0, 0, 1)
    done = page.send(page.open(where), form, **{"quantity.TEA-01": "3"}, final="yes")
    assert done.notice == "Received."
    assert reference not in done.text
    closed = page.open(where)
    assert "11 of 12 −1 damaged: 1" in closed.text
    assert "0 of 2 −2" in closed.text
    stranger = console(app, made.stranger)
    assert stranger.open(where).status == 404
    with unchanged():
        assert stranger.post(form, _csrf=csrf(stranger), _key="k", **{"quantity.TEA-01": "1"}).status == 404


def test_a_transfer_goes_from_store_to_store(app: Flask, session: Session, made: Scene, unchanged: Unchanged) -> None:
    page, there = console(app, made.clerk), console(app, made.stranger)
    form = "/console/stock/transfers/new"
    shown = page.open(form)
    for code in (GTIN, GTIN, GTIN, "CAKE-01"):
        shown = scan(page, shown, form, code)
    with unchanged():
        assert page.send(shown, form, other="SHIBUYA").message == "Choose another store."
    for _ in range(2):
        drafted = page.send(shown, form, note="urgent")
        assert drafted.notice == "The transfer is written down."
    assert session.execute(sa.text("SELECT count(*) FROM transfer")).scalar_one() == 1
    assert drafted.via is not None
    where = drafted.via.split("?")[0]
    with unchanged():  # the other end cannot do what is the origin's
        assert there.post(f"{where}/ready", _csrf=csrf(there), _key="k").status == 404
    ready = page.send(drafted, f"{where}/ready")
    assert ready.notice == "Ready: the goods are put aside."
    assert level(session, made.tea, made.here) == (10, 3, 0, 0)
    with unchanged():
        more = page.send(ready, f"{where}/shipment", **{"shipped.TEA-01": "4"})
    assert "3 were requested." in more.text
    assert more.form(f"{where}/shipment")["fields"]["shipped.TEA-01"] == "4"
    for _ in range(2):
        shipped = page.send(ready, f"{where}/shipment", **{"shipped.TEA-01": "2", "due_at": "2026-07-02T10:00"})
        assert shipped.notice == "Shipped."
    assert level(session, made.tea, made.here) == (8, 0, 0, 0)
    item = there.open("/console/stock/item?sku=TEA-01")
    assert "+2 Transfer" in item.text
    receipt = f"{where}/receipts"
    coming = there.open(where)
    with unchanged():
        too_much = there.send(coming, receipt, **{"quantity.TEA-01": "3"})
    assert "2 are on their way." in too_much.text
    done = there.send(coming, receipt, **{"quantity.TEA-01": "1", "damaged.TEA-01": "1"})
    assert done.notice == "Received."
    with unchanged():
        undecided = there.send(done, f"{where}/cancellation")
    assert undecided.message == "Say what becomes of the goods on their way."
    given_up = there.post(f"{where}/cancellation", **done.filled(f"{where}/cancellation"), choice="return")
    assert given_up.notice == "The transfer is cancelled."
    assert (level(session, made.tea, made.here), level(session, made.tea, made.there)) == ((9, 0, 0, 0), (5, 0, 0, 1))
    assert level(session, made.cake, made.here) == (3, 0, 0, 0)
    assert "came back: 1" in page.open(where).text


def test_what_is_not_there_cannot_be_put_aside(app: Flask, session: Session, made: Scene, unchanged: Unchanged) -> None:
    page, form = console(app, made.clerk), "/console/stock/transfers/new"
    shown = scan(page, page.open(form), form, GTIN)
    drafted = page.send(shown, form, **{"quantity.TEA-01": "11"})
    assert drafted.via is not None
    with unchanged():
        refused = page.send(drafted, drafted.via.split("?")[0] + "/ready")
    assert (refused.status, refused.message) == (409, "There is not enough in stock.")
    assert "11 wanted, 10 available." in refused.text
    assert page.open(drafted.via.split("?")[0] + "/ready").status == 200  # the switch of languages opens it


# --- counts that are refused


def test_a_count_refuses_what_is_not_on_it(app: Flask, session: Session, made: Scene, unchanged: Unchanged) -> None:
    manager, clerk, form = console(app, made.manager), console(app, made.clerk), "/console/stock/counts/new"
    with unchanged():
        assert manager.send(manager.open(form), form).status == 422
        shelf = manager.send(manager.open(f"{form}?scope=shelf"), form, shelf="Z-9")
    assert shelf.message == "There is nothing to count there."
    assert shelf.form(form)["fields"]["shelf"] == "Z-9"
    begun = begin_count(manager, GTIN, approval_above="0")
    assert begun.via is not None
    where = begun.via.split("?")[0]
    entries = f"{where}/entries"
    with unchanged():
        empty = clerk.send(clerk.open(where), entries)
        strange = scan(clerk, clerk.open(where), entries, "CAKE-01")
        refused = clerk.send(strange, entries)
    assert empty.status == 422
    assert "Nothing has been entered yet." in empty.text
    assert refused.message == "This is not on the list to be counted."
    for units in ("8", "9"):
        clerk.send(clerk.open(where), entries, **{"counted.TEA-01": units})
    own = factories.staff(session, "manager", locations=[made.here.id])
    assert own is not None
    with unchanged():
        late = clerk.post(entries, _csrf=csrf(clerk), _key="k", **{"counted.TEA-01": "9"})
    assert late.message == "A line has been counted to its end, or waits for approval."
    back = manager.post(f"{where}/approval", **manager.open(where).filled(f"{where}/approval"), decision="recount")
    assert back.notice == "Sent back to be counted again."
    with unchanged():
        unsettled = manager.send(back, f"{where}/completion")
    assert unsettled.message == "Some differences are neither counted again nor approved."
    assert manager.send(back, f"{where}/cancellation").notice == "The count is cancelled."
    assert on_hand(session, made.tea, made.here) == 10
    with unchanged():
        closed = manager.post(f"{where}/completion", _csrf=csrf(manager), _key="k2")
    assert closed.message == "The count is closed."
    assert console(app, made.stranger).open(where).status == 404


def test_who_counted_does_not_approve(app: Flask, session: Session, made: Scene, unchanged: Unchanged) -> None:
    manager = console(app, made.manager, "ja")
    begun = begin_count(manager, GTIN, approval_above="0")
    assert begun.via is not None
    where = begun.via.split("?")[0]
    for units in ("8", "9"):
        manager.send(manager.open(where), f"{where}/entries", **{"counted.TEA-01": units})
    shown = manager.open(where)
    assert "sku.TEA-01" not in shown.form(f"{where}/approval")["fields"]  # not even chosen beforehand
    with unchanged():
        refused = manager.send(shown, f"{where}/approval", **{"sku.TEA-01": "1"})
    assert refused.message == "自分で数えた結果は承認できません。ほかの人に依頼してください。"


def test_nobody_without_a_role_in_stock_sees_it(app: Flask, session: Session, made: Scene) -> None:
    agent = console(app, factories.staff(session, "agent"))
    shown = agent.open("/console/stock/item?sku=TEA-01")
    assert shown.status == 200
    assert "/console/stock/receiving" not in shown.html
    assert [form["action"] for form in shown.forms if form["action"].startswith("/console/stock/")] == []
    for page in ("receiving", "receipt", "transfers", "counts", "counts/new"):
        assert agent.open(f"/console/stock/{page}").status == 403
    assert console(app, made.clerk).open("/console/stock/counts/new").status == 403
    nowhere = console(app, factories.staff(session, "associate"))
    for page in ("", "/receiving", "/receipt", "/transfers", "/transfers/new", "/counts", "/attention"):
        assert nowhere.open(f"/console/stock{page}").status == 200


def test_promises_that_cannot_be_kept_are_shown(app: Flask, session: Session, made: Scene) -> None:
    demands = [reservations.Demand(made.tea.id, made.here.id, 9, new_id())]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor="system", now=clock.now())
    page = console(app, made.clerk)
    broken = page.open("/console/stock/item?sku=TEA-01")
    assert page.send(broken, "/console/stock/set-asides", quantity="4", reason="damaged").notice == "Set aside."
    shown = page.open("/console/stock/attention")
    assert "Green tea TEA-01 Missing 3 / 3" in shown.text
    assert level(session, made.tea, made.here) == (10, 6, 0, 4)
    manager = console(app, made.manager)
    for limit, told in (("0", None), ("x", "Type a whole number.")):
        again = manager.send(
            manager.open("/console/stock/item?sku=TEA-01"), "/console/stock/limits", backorder_limit=limit
        )
        assert (told or "Saved.") in again.text
