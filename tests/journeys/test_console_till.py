"""The till as staff use it: open the drawer, scan, sell, give change, close; what is refused changes nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import AUDITS
from loyalty import cards
from orders import gift_cards
from retail import limits
from retail.kernel import clock
from tests.factories.orders import Shop, account, level, payments, shop
from tests.factories.people import identity
from tests.journeys.console_client import Console, Shown
from tests.orders.test_drawers import till

CARD = "2912345678906"
PAGE = "/console/till/T1"
GTIN = "4901234567894"
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def made(session: Session) -> Shop:
    """A shop with a till T1; the tea has a barcode."""
    found = shop(session, points=500)
    till(session, found)
    statement = "INSERT INTO barcode (gtin, variant_id, created_at) VALUES (:gtin, :id, now())"
    session.execute(text(statement), {"gtin": f"0{GTIN}", "id": found.tea.id})
    identity(session, customer_id=found.customer.id, kind="card", value=CARD)
    return found


def desk(app: Flask, made: Shop, locale: str = "en") -> Console:
    return Console(app, made.associate.token, locale=locale)


def opened(console: Console, amount: str = "10,000") -> Shown:
    shown = console.send(console.open(PAGE), f"{PAGE}/drawer", opening_minor=amount)
    assert shown.notice == "The drawer is open."
    return shown


def scanned(console: Console, shown: Shown, what: str, quantity: str = "1") -> Shown:
    return console.send(shown, f"{PAGE}/lines", scan=what, quantity=quantity)


def clean(session: Session) -> bool:
    session.flush()
    return [found for audit in AUDITS for found in audit(session)] == []


def test_a_day_at_the_till(app: Flask, session: Session, made: Shop) -> None:
    console = desk(app, made)
    assert "T1" in console.open("/console/till").text
    shown = scanned(console, opened(console), GTIN)
    shown = scanned(console, shown, GTIN)
    shown = scanned(console, shown, made.cake.sku, "3")
    for word in ("2 ×", "3 ×", made.tea.sku, "5,580"):  # 2 x 1,980 + 3 x 540
        assert word in shown.text, word
    line = next(form["action"] for form in shown.forms if form["action"].endswith("/removal"))
    shown = console.send(shown, line)
    assert "1,620" in shown.text
    shown = scanned(console, shown, GTIN, "2")
    shown = console.send(shown, f"{PAGE}/customer", customer=CARD)
    assert "Hanako Yamada" in shown.text
    done = console.send(shown, f"{PAGE}/sale", points="500", received="6000")
    assert "Change to give back" in done.text
    assert "920" in done.text  # 6,000 - (5,580 - 500)
    assert payments(session) == [("points", "captured", 500, 500, 500), ("cash", "captured", 5080, 5080, 5080)]
    assert level(session, made.store, made.tea) == (8, 0, 0)
    assert account(session, made.customer)[1:] == (0, 0)
    reference = session.execute(text('SELECT reference FROM "order"')).scalar_one()
    assert f"/console/documents?order={reference}" in done.html
    assert console.open(f"/console/documents?order={reference}").status == 200
    drawer = console.open(f"{PAGE}/drawer")
    assert "15,080" in drawer.text
    moved = console.send(drawer, f"{PAGE}/drawer/movements", kind="pay_out", amount_minor="80", reason="stamps")
    assert (moved.notice, "stamps" in moved.text, "15,000" in moved.text) == ("Noted.", True, True)
    closed = console.send(moved, f"{PAGE}/drawer/closing", counted_minor="14,990")
    assert closed.notice == "The drawer is closed."
    assert "10" in closed.text.partition("Difference:")[2][:8]
    assert session.execute(text("SELECT expected_minor, difference_minor FROM drawer")).one() == (15_000, -10)
    assert clean(session)


def test_the_code_on_her_phone_finds_her_once(app: Flask, session: Session, made: Shop, unchanged: Unchanged) -> None:
    console = desk(app, made)
    shown = scanned(console, opened(console), made.tea.sku)
    code = cards.token(made.customer.id, now=clock.now()).value
    with unchanged():
        nonsense = console.send(shown, f"{PAGE}/customer", customer="M1.NOTHING")
        assert nonsense.message == "This is not the code of a member's card."
        with clock.shifted(timedelta(minutes=2)):
            late = console.send(shown, f"{PAGE}/customer", customer=code)
        assert late.message == "This code has run out. Scan the one that her phone shows now."
    found = console.send(shown, f"{PAGE}/customer", customer=code.lower())
    assert "Hanako Yamada" in found.text
    with unchanged():
        again = console.send(found, f"{PAGE}/customer", customer=code)
        assert again.message == "This code was used before. Her phone shows the next one soon."
    console.send(found, f"{PAGE}/sale", points="500", received="2000")
    assert payments(session) == [("points", "captured", 500, 500, 500), ("cash", "captured", 1480, 1480, 1480)]
    assert clean(session)


def test_points_are_spent_by_who_was_found_by_her_card(
    app: Flask, session: Session, made: Shop, unchanged: Unchanged
) -> None:
    console = desk(app, made)
    shown = scanned(console, opened(console), made.tea.sku)
    by_phone = console.send(shown, f"{PAGE}/customer", customer="090-1234-5678")
    assert ("Hanako Yamada" in by_phone.text, "points" in by_phone.form(f"{PAGE}/sale")["fields"]) == (True, False)
    assert "To spend points, find the customer by her card." in by_phone.text
    with unchanged():  # whoever writes the field herself
        forged = by_phone.filled(f"{PAGE}/sale", received="2000") | {"points": "500"}
        refused = console.post(f"{PAGE}/sale", **forged)
        assert refused.message == "Find the customer by her card first: a phone number spends no points."
    by_card = console.send(by_phone, f"{PAGE}/customer", customer="29 1234 567890 6")
    # what is scanned and taken out meanwhile does not lose it
    more = scanned(console, by_card, made.cake.sku)
    less = console.send(more, [form["action"] for form in more.forms if form["action"].endswith("/removal")][1])
    with unchanged():
        for proof in ("S1.AAAA", f"{less.form(f'{PAGE}/sale')['fields']['proof'][:-1]}="):
            wrong = console.send(less, f"{PAGE}/sale", points="500", received="2000", proof=proof)
            assert wrong.message == "Find the customer by her card again: this was for somebody else."
        with clock.shifted(timedelta(seconds=limits.SPEND_PROOF_SECONDS)):
            late = console.send(less, f"{PAGE}/sale", points="500", received="2000")
        assert late.message == "Find the customer by her card again: the last time was too long ago."
        assert late.form(f"{PAGE}/sale")["fields"]["points"] == "500"
    console.send(less, f"{PAGE}/sale", points="500", received="2000")
    assert payments(session) == [("points", "captured", 500, 500, 500), ("cash", "captured", 1480, 1480, 1480)]
    assert clean(session)


def test_a_gift_card_and_the_card_terminal(app: Flask, session: Session, made: Shop) -> None:
    card = gift_cards.issue(session, amount_minor=1000, currency="JPY", actor="system", now=clock.now())
    console = desk(app, made)
    shown = scanned(console, opened(console), made.tea.sku)
    for _ in range(2):  # a double click sells once
        done = console.send(shown, f"{PAGE}/sale", gift_card=card.number, tender="card_terminal")
        assert "Change to give back" not in done.text
    assert sorted(payments(session)) == [
        ("card_terminal", "captured", 980, 980, 980),
        ("gift_card", "captured", 1000, 1000, 1000),
    ]
    assert clean(session)


def test_what_is_refused_changes_nothing(app: Flask, session: Session, made: Shop, unchanged: Unchanged) -> None:
    console = desk(app, made)
    start = console.open(PAGE)
    with unchanged():
        for amount in ("ten", "-5", "1.5", "NaN", "1e999", ""):
            refused = console.send(start, f"{PAGE}/drawer", opening_minor=amount)
            assert (refused.status, "This is not an amount." in refused.text) == (422, True), amount
    fresh = opened(console)
    with unchanged():
        refused = scanned(console, fresh, "NO-SUCH-THING")
        assert refused.status == 422
        assert refused.form(f"{PAGE}/lines")["fields"]["scan"] == "NO-SUCH-THING"
        assert console.send(start, f"{PAGE}/drawer", opening_minor="1").message == "The drawer is open already."
    shown = scanned(console, fresh, made.tea.sku)
    with unchanged():
        nobody = console.send(shown, f"{PAGE}/customer", customer="03-0000-0000")
        assert nobody.message == "Nobody is known by this phone number or card."
        little = console.send(shown, f"{PAGE}/sale", received="1979")
        assert (little.status, "It is less than what is to be paid." in little.text) == (422, True)
        assert little.form(f"{PAGE}/sale")["fields"]["received"] == "1979"
        for told in ("1", "9" * 5000, ""):
            changed = console.send(shown, f"{PAGE}/sale", told=told)
            assert changed.message == "The total has changed. Tell the customer the new one."
    drawer = console.open(f"{PAGE}/drawer")
    console.send(drawer, f"{PAGE}/drawer/closing", counted_minor="10000")
    with unchanged():
        late = console.send(shown, f"{PAGE}/sale", received="2000")
        assert late.message == "The drawer is not open. Count it and open it first."
        again = console.send(drawer, f"{PAGE}/drawer/movements", amount_minor="1", reason="x")
        assert again.message == "The drawer is not open. Count it and open it first."
    given_up = console.send(shown, f"{PAGE}/abandonment")
    assert given_up.notice == "The sale was given up."
    assert clean(session)


def test_who_may(app: Flask, session: Session, made: Shop, unchanged: Unchanged) -> None:
    stranger = Console(app, made.stranger.token, locale="en")
    console = desk(app, made)
    shown = scanned(console, opened(console), made.tea.sku)
    console.send(shown, f"{PAGE}/sale", received="1980")
    reference = session.execute(text('SELECT reference FROM "order"')).scalar_one()
    with unchanged():
        assert "T1" not in stranger.open("/console/till").text
        for path in (PAGE, f"{PAGE}/drawer", f"{PAGE}/sold/{reference}", "/console/till/NONE"):
            assert stranger.open(path).status == 404
        assert console.open(f"{PAGE}/sold/R-0000").status == 404
        assert console.post(f"{PAGE}/drawer/closing", counted_minor="1").status == 403  # no token


def test_in_japanese(app: Flask, made: Shop) -> None:
    console = desk(app, made, "ja")
    shown = console.open(PAGE)
    assert "レジを開ける" in shown.text
    shown = scanned(console, console.send(shown, f"{PAGE}/drawer", opening_minor="10000"), GTIN)
    for word in ("お会計", "お預かり", "内消費税", "カード端末"):
        assert word in shown.text, word
    assert "お釣り" in console.send(shown, f"{PAGE}/sale", received="2000").text


def test_more_than_is_there(app: Flask, session: Session, made: Shop, unchanged: Unchanged) -> None:
    console = desk(app, made)
    shown: Any = scanned(console, opened(console), made.tea.sku, "11")
    with unchanged():
        assert console.send(shown, f"{PAGE}/sale", received="30000").message == "There is not enough in stock."
    assert session.execute(text('SELECT count(*) FROM "order"')).scalar_one() == 0
