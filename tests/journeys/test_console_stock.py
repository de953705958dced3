"""The stock pages as store staff use them: look up, receive, adjust; what is refused changes nothing."""

from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from retail import barcodes
from retail.kernel import clock
from tests import factories
from tests.factories import Actor, Place, Variant
from tests.factories.orders import receive
from tests.inventory.books import level
from tests.journeys.console_client import Console, Shown

GTIN = "4901234567894"


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
