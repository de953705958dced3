"""The demo's data: all of it or nothing, once, and what the shop's own audits say about it."""

import json
import stat
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
import loyalty.audit
import orders.audit
import retail.audit
from deploy.demo import people, seed
from deploy.demo.assortment import families
from deploy.demo.mailbox import Mailbox
from deploy.demo.telling import Caller, Inbox, TourStopped, cell, check, code_in
from retail import queries
from retail.kernel.auth import token_hash
from retail.kernel.errors import Problem
from retail.roles import ROLES

COUNTS = {
    "product": 52,
    "variant": 204,
    "price": 408,
    "location": 4,
    "channel": 5,
    "customer": 30,
    "identity": 90,
    "staff": 8,
    "api_client": 6,
    "order": 103,
    "till": 3,
}


def counts(session: Session) -> dict[str, int]:
    return {name: session.execute(text(f'SELECT count(*) FROM "{name}"')).scalar_one() for name in COUNTS}


def test_it_makes_a_whole_shop_once(session: Session, now: datetime) -> None:
    made = seed.seed(session, now=now)
    assert (made.new, made.variants, made.orders) == (True, 204, 103)
    assert counts(session) == COUNTS
    assert set(session.execute(text("SELECT DISTINCT role FROM staff")).scalars()) == set(ROLES)
    audits = (retail.audit, inventory.audit, loyalty.audit, orders.audit)
    assert [divergence for audit in audits for divergence in audit.divergences(session)] == []
    states = "SELECT state, count(*) FROM fulfillment WHERE method = 'pickup' GROUP BY state ORDER BY state"
    assert [tuple(row) for row in session.execute(text(states))] == [
        ("allocated", 4),
        ("collected", 24),
        ("picking", 1),
        ("ready", 4),
    ]
    assert session.execute(text('SELECT max(placed_at) < :now FROM "order"'), {"now": now}).scalar_one()
    assert session.execute(text("SELECT max(at) <= :now FROM event"), {"now": now}).scalar_one()
    again = seed.seed(session, now=now)
    assert (again.new, counts(session)) == (False, COUNTS)


def test_prices_are_inclusive_in_yen_and_exclusive_in_dollars(session: Session, now: datetime) -> None:
    seed.seed(session, now=now)
    (web,) = queries.offers_for(session, channel_code="web", skus=["TEA-SENCHA-80"], location_id=None, now=now)
    (abroad,) = queries.offers_for(session, channel_code="global", skus=["TEA-SENCHA-80"], location_id=None, now=now)
    assert (web.unit_price_minor, web.currency, web.tax_inclusive, web.tax_rate_bp) == (1080, "JPY", True, 800)
    assert (abroad.unit_price_minor, abroad.currency, abroad.tax_inclusive) == (650, "USD", False)


def test_stores_have_lunch_breaks_and_national_holidays(session: Session, now: datetime) -> None:
    seed.seed(session, now=now)
    kyoto = queries.pickup_location(session, location="KYOTO")
    assert kyoto is not None
    monday = [(f"{opens:%H:%M}", f"{closes:%H:%M}") for weekday, opens, closes in kyoto.hours if weekday == 0]
    assert monday == [("10:00", "13:00"), ("14:00", "19:00")]
    assert {f"{day}": opens is None for day, opens, _ in kyoto.holidays}["2027-01-02"] is True
    assert {f"{day}": opens is None for day, opens, _ in kyoto.holidays}["2026-11-23"] is False


def test_where_something_is_in_the_way_nothing_is_made(session: Session, now: datetime) -> None:
    session.execute(text("INSERT INTO tax_class (code, name) VALUES ('standard', 'Standard')"))
    sku = next(families()).articles[-1].sku
    product = "INSERT INTO product (id, code, title, tax_class_code, created_at, updated_at) "
    session.execute(text(product + "VALUES (gen_random_uuid(), 'MINE', 'Mine', 'standard', :now, :now)"), {"now": now})
    variant = "INSERT INTO variant (id, product_id, sku, title, created_at) "
    session.execute(
        text(variant + "SELECT gen_random_uuid(), id, :sku, 'Mine', :now FROM product"), {"sku": sku, "now": now}
    )
    before = counts(session)
    nested = session.begin_nested()
    with pytest.raises(Problem):
        seed.seed(session, now=now)
    nested.rollback()
    assert counts(session) == before


def test_keys_are_kept_and_issued_anew_when_lost(session: Session, now: datetime, tmp_path: Path) -> None:
    seed.seed(session, now=now)
    first = seed.keys(session, folder=tmp_path, now=now)
    assert list(first) == [client.name for client in people.CLIENTS]
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    assert seed.keys(session, folder=tmp_path, now=now) == first
    (tmp_path / "keys.json").write_text("{broken")
    second = seed.keys(session, folder=tmp_path, now=now)
    assert not set(second.values()) & set(first.values())
    assert json.loads((tmp_path / "keys.json").read_text()) == second
    for old, new in zip(first.values(), second.values(), strict=True):
        assert queries.principal_by_token(session, token_hash=token_hash(old), now=now) is None
        assert queries.principal_by_token(session, token_hash=token_hash(new), now=now) is not None


def test_the_tour_stops_at_the_first_answer_that_is_not_as_told(app: Flask) -> None:
    with httpx.Client(transport=httpx.WSGITransport(app=app), base_url="http://shop") as http:
        with pytest.raises(TourStopped, match=r"GET /api/v1/me \(Eve\): status 401 instead of 200: unauthorized"):
            Caller(http, "Eve", "ct_wrong").ask("GET", "/me")
        assert Caller(http, "Eve", "ct_wrong").ask("GET", "/me", refused=401) is None
    with pytest.raises(TourStopped, match="The total: 3 instead of 4"):
        check("The total", 3, 4)


def test_mails_about_something_else_are_passed_over(tmp_path: Path) -> None:
    inbox = Inbox(Mailbox(tmp_path), "hanako@example.com")
    for number, (subject, body) in enumerate([("R-1", "old"), ("R-2", "Your code:\n\n    K7M2QX\n\nBye")]):
        mail = f"X-Envelope-To: hanako@example.com\nSubject: {subject}\n\n{body}\n"
        (tmp_path / f"{number:08}.eml").write_text(mail)
    message = inbox.next("the code", about="R-2")
    assert (message["Subject"], code_in(message)) == ("R-2", "K7M2QX")


def test_japanese_text_is_two_columns_wide() -> None:
    assert cell("湯呑み 青磁", 14) == "湯呑み 青磁   "
