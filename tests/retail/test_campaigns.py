"""Prices for a while: prices that end, and campaigns whose list goes before a channel's own."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from retail import queries
from retail.kernel import clock
from tests import factories
from tests.factories import Actor, Variant

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def admin(session: Session) -> Actor:
    return factories.staff(session, "admin")


@pytest.fixture
def tea(session: Session) -> Variant:
    return factories.variant(session, sku="TEA", price_minor=1000)


def at(session: Session, moment: datetime, made: Variant, location: Any = None, channel: str = "web") -> int:
    """What it costs in the channel at that moment."""
    found = queries.offers_for(
        session, channel_code=channel, skus=[made.sku], location_id=location and location.id, now=moment
    )
    assert len(found) == 1
    return found[0].unit_price_minor


def yen(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "JPY"}


def price(api: Api, admin: Actor, price_list: str, sku: str, amount_minor: int, **period: datetime) -> None:
    line = {"sku": sku, "price": yen(amount_minor)} | {name: moment.isoformat() for name, moment in period.items()}
    answer = api(admin).post(f"/price-lists/{price_list}/prices", json={"prices": [line]})
    assert answer.status_code == 201, answer.json


def campaign(api: Api, admin: Actor, code: str, sku: str, amount_minor: int, **facts: Any) -> dict[str, Any]:
    made = api(admin).post("/price-lists", json={"code": code, "currency": "JPY", "tax_inclusive": True})
    assert (made.status_code, made.json["channels"]) == (201, [])
    price(api, admin, code, sku, amount_minor)
    answer = api(admin).post("/campaigns", json={"channel": "web", "price_list": code} | facts)
    assert answer.status_code == 201, answer.json
    found: dict[str, Any] = answer.json
    return found


def test_a_price_ends_at_its_moment(session: Session, api: Api, admin: Actor, tea: Variant, now: datetime) -> None:
    begins, ends = now + HOUR, now + 3 * HOUR
    price(api, admin, "JPY", "TEA", 800, valid_from=begins, valid_to=ends)
    price(api, admin, "JPY", "TEA", 1100, valid_from=ends + HOUR)
    moments = [begins - TICK, begins, ends - TICK, ends, ends + HOUR - TICK, ends + HOUR]
    assert [at(session, moment, tea) for moment in moments] == [1000, 800, 800, 1000, 1000, 1100]
    for moment, expected in ((begins, 800), (ends, 1000)):
        with clock.shifted(moment - now):
            shown = api(admin).get("/price-lists/JPY/prices").json["items"][0]
            assert shown["price"] == yen(expected)
            assert (shown["valid_to"] is None) == (expected == 1000)
            assert [each["price"] for each in api(admin).get("/variants/TEA").json["prices"]] == [yen(expected)]


def test_a_campaign_goes_before_the_channels_own_list(
    session: Session, api: Api, admin: Actor, tea: Variant, now: datetime
) -> None:
    cake = factories.variant(session, sku="CAKE", price_minor=500)
    begins, ends = now + HOUR, now + 2 * HOUR
    period = {"valid_from": begins.isoformat(), "valid_to": ends.isoformat()}
    made = campaign(api, admin, "SALE", "TEA", 700, **period)
    assert (made["priority"], made["from_on"], made["version"]) == (100, None, 1)
    price(
        api, admin, "JPY", "TEA", 1200, valid_from=begins + HOUR / 2
    )  # a change of the usual price is none of the sale's
    moments = [begins - TICK, begins, ends - TICK, ends]
    assert [at(session, moment, tea) for moment in moments] == [1000, 700, 700, 1200]
    assert at(session, begins, cake) == 500  # which the list does not price
    assert at(session, begins, tea, channel="store") == 1000


def test_the_highest_priority_counts_where_it_has_a_price(
    session: Session, api: Api, admin: Actor, tea: Variant, now: datetime
) -> None:
    cake = factories.variant(session, sku="CAKE", price_minor=500)
    campaign(api, admin, "SALE", "TEA", 700, priority=10)
    price(api, admin, "SALE", "CAKE", 450)
    campaign(api, admin, "FLASH", "TEA", 900, priority=20)
    assert (at(session, now, tea), at(session, now, cake)) == (900, 450)
    campaign(api, admin, "LAST", "TEA", 650, priority=20)  # of equals the younger
    assert at(session, now, tea) == 650


def test_days_are_those_of_the_store(session: Session, api: Api, admin: Actor, tea: Variant) -> None:
    tokyo = factories.location(session)
    honolulu = factories.location(session, zone="Pacific/Honolulu")
    campaign(api, admin, "SALE", "TEA", 700, from_on="2026-07-10", to_on="2026-07-11")
    first_tokyo = datetime(2026, 7, 9, 15, tzinfo=UTC)  # midnight in Tokyo
    over_tokyo = datetime(2026, 7, 11, 15, tzinfo=UTC)
    for zone in (tokyo, None):
        moments = [first_tokyo - TICK, first_tokyo, over_tokyo - TICK, over_tokyo]
        assert [at(session, moment, tea, zone) for moment in moments] == [1000, 700, 700, 1000]
    first, over = datetime(2026, 7, 10, 10, tzinfo=UTC), datetime(2026, 7, 12, 10, tzinfo=UTC)
    assert [at(session, m, tea, honolulu) for m in (first - TICK, first, over - TICK, over)] == [1000, 700, 700, 1000]


def test_a_campaign_is_read_changed_and_ended(
    session: Session, api: Api, admin: Actor, tea: Variant, now: datetime, unchanged: Unchanged
) -> None:
    made = campaign(api, admin, "SALE", "TEA", 700)
    path = f"/campaigns/{made['id']}"
    assert at(session, now, tea) == 700
    read = api(admin).get(path)
    assert (read.json, read.headers["ETag"]) == (made, '"1"')
    reader = factories.api_client(session, ["catalog.read"])
    assert api(reader).get("/campaigns?channel=web").json == {"items": [made], "next": None}
    assert api(reader).get("/campaigns?channel=store").json["items"] == []
    with unchanged():
        assert api(admin).patch(path, json={"priority": 5}).status_code == 428
        assert api(admin).patch(path, json={"priority": 5}, if_match=7).status_code == 412
        assert api(admin).patch(path, json={}, if_match=1).status_code == 422
        backwards = api(admin).patch(path, json={"valid_to": (now - HOUR).isoformat()}, if_match=1)
        assert (backwards.status_code, backwards.json["errors"][0]["code"]) == (422, "backwards")
        both = api(admin).patch(path, json={"to_on": "2026-08-01"}, if_match=1)
        assert (both.status_code, both.json["errors"][0]["code"]) == (422, "one_of")
        assert api(reader).patch(path, json={"priority": 5}, if_match=1).status_code == 403
        assert api(admin).patch(f"/campaigns/{tea.id}", json={"priority": 5}, if_match=1).status_code == 404
    with clock.shifted(HOUR):
        ended = api(admin).patch(path, json={"valid_to": (now + HOUR).isoformat()}, if_match=1)
    assert (ended.status_code, ended.json["version"]) == (200, 2)
    assert [at(session, now + HOUR - TICK, tea), at(session, now + HOUR, tea)] == [700, 1000]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"channel": "moon"}, "channel", "unknown"),
        ({"price_list": "NONE"}, "price_list", "unknown"),
        ({"price_list": "JPY"}, "price_list", "own"),
        ({"price_list": "NET"}, "price_list", "other_mode"),
        ({"valid_from": "2026-08-01T00:00:00Z", "valid_to": "2026-08-01T00:00:00Z"}, "valid_to", "backwards"),
        ({"from_on": "2026-08-02", "to_on": "2026-08-01"}, "to_on", "backwards"),
        ({"from_on": "2026-08-02", "valid_to": "2026-08-04T00:00:00Z"}, "valid_from", "one_of"),
        ({"to_on": "2026-08-02"}, "valid_from", "one_of"),
        ({"valid_from": "2026-08-01T00:00:00"}, "valid_from", "invalid"),
        ({"priority": -1}, "priority", "invalid"),
    ],
)
def test_campaigns_that_cannot_be(
    session: Session, api: Api, admin: Actor, unchanged: Unchanged, change: dict[str, Any], field: str, code: str
) -> None:
    factories.channels(session)
    for name, inclusive in (("SALE", True), ("NET", False)):
        listed = {"code": name, "currency": "JPY", "tax_inclusive": inclusive}
        assert api(admin).post("/price-lists", json=listed).status_code == 201
    with unchanged():
        answer = api(admin).post("/campaigns", json={"channel": "web", "price_list": "SALE"} | change)
    assert answer.status_code == 422
    assert (answer.json["errors"][0]["field"], answer.json["errors"][0]["code"]) == (field, code)


def test_price_lists_and_ends_that_cannot_be(
    session: Session, api: Api, admin: Actor, tea: Variant, now: datetime, unchanged: Unchanged
) -> None:
    reader = factories.api_client(session, ["catalog.read"])
    listed = {"code": "SALE", "currency": "JPY", "tax_inclusive": True}
    with unchanged():
        assert api(reader).post("/price-lists", json=listed).status_code == 403
        assert api(reader).post("/campaigns", json={"channel": "web", "price_list": "JPY"}).status_code == 403
        assert api().get("/campaigns").status_code == 401
        assert api().get(f"/campaigns/{tea.id}").status_code == 401
        assert api(admin).get(f"/campaigns/{tea.id}").status_code == 404
        assert api(admin).get("/campaigns?cursor=x").status_code == 422
        assert api(admin).post("/price-lists", json=listed | {"currency": "yen"}).status_code == 422
        taken = api(admin).post("/price-lists", json=listed | {"code": "JPY"})
        assert (taken.status_code, taken.json["code"]) == (409, "price_list_code_taken")
        line = {"sku": "TEA", "price": yen(1), "valid_to": now.isoformat()}
        ends = api(admin).post("/price-lists/JPY/prices", json={"prices": [line]})
        assert (ends.status_code, ends.json["errors"][0]["code"]) == (422, "backwards")


def test_the_days_of_a_campaign_are_dates(session: Session, api: Api, admin: Actor, tea: Variant) -> None:
    made = campaign(api, admin, "SALE", tea.sku, 700, from_on="2026-07-10")
    facts = queries.campaign_facts(session, campaign_id=made["id"])
    assert facts is not None
    assert (facts.from_on, facts.to_on, facts.valid_from) == (date(2026, 7, 10), None, None)
