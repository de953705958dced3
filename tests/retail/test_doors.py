"""The doors that other packages rely on: each one statement, exact answers."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from retail import queries, stores
from retail.kernel import clock, db
from retail.kernel.auth import Principal, token_hash
from retail.queries import LocationFacts, Offer
from retail.roles import CUSTOMER_PERMISSIONS, ROLES
from tests import factories


def test_offers_by_sku_and_by_id_are_one_statement(session: Session, now: datetime) -> None:
    tea = factories.variant(session, sku="TEA-1", price_minor=1080, tax_class="reduced")
    cup = factories.variant(session, sku="CUP-1", price_minor=1980, title="Cup", title_ja=None)
    factories.variant(session, sku="OLD-1", status="archived")
    factories.variant(session, sku="FREE-1", price_minor=None)
    expected = [
        Offer(cup.id, "CUP-1", "Cup", None, 1980, "JPY", True, 1000),
        Offer(tea.id, "TEA-1", "Green tea", "煎茶", 1080, "JPY", True, 800),
    ]
    asked = ["TEA-1", "CUP-1", "OLD-1", "FREE-1", "NONE-1"]
    with db.counting() as count:
        found = queries.offers_for(session, channel_code="web", skus=asked, location_id=None, now=now)
    assert count.statements == 1
    assert sorted(found, key=lambda offer: offer.sku) == expected
    ids = [tea.id, cup.id]
    by_id = queries.offers_for(session, channel_code="web", variant_ids=ids, location_id=None, now=now)
    assert sorted(by_id, key=lambda offer: offer.sku) == expected
    either = queries.offers_for(
        session, channel_code="web", skus=["TEA-1"], variant_ids=[cup.id], location_id=None, now=now
    )
    assert sorted(either, key=lambda offer: offer.sku) == expected
    assert queries.offers_for(session, channel_code="none", skus=asked, location_id=None, now=now) == []


def test_the_latest_price_that_has_begun_counts(session: Session, now: datetime) -> None:
    tea = factories.variant(session, sku="TEA-1", price_minor=1000)
    factories.price(session, variant_id=tea.id, amount_minor=900, days_ago=0)
    factories.price(session, variant_id=tea.id, amount_minor=1200, days_ago=-2)

    def price(at: datetime) -> int:
        (offer,) = queries.offers_for(session, channel_code="web", skus=["TEA-1"], location_id=None, now=at)
        return offer.unit_price_minor

    assert price(now - timedelta(seconds=1)) == 1000
    assert price(now) == 900
    assert price(now + timedelta(days=2)) == 1200


def test_a_location_is_found_by_code_or_id_with_its_hours(session: Session) -> None:
    hours = [(0, time(10), time(12)), (0, time(13), time(19, 30)), (5, time(9), time(17))]
    holidays = [(date(2026, 12, 31), time(10), time(15)), (date(2027, 1, 1), None, None)]
    made = factories.location(session, code="SHIBUYA", hours=hours, holidays=holidays)
    with db.counting() as count:
        by_code = queries.pickup_location(session, location="SHIBUYA")
    assert count.statements == 1
    assert by_code == LocationFacts(
        made.id, "SHIBUYA", "store", "Shibuya", "渋谷店", "Asia/Tokyo", "JP", True, 120, 7, "collected",
        tuple(hours), tuple(holidays),
    )  # fmt: skip
    assert queries.pickup_location(session, location=made.id) == by_code
    assert queries.pickup_location(session, location=str(made.id)) == by_code
    assert queries.pickup_location(session, location="NOWHERE") is None


def test_names_of_locations_and_variants(session: Session) -> None:
    place, tea = factories.location(session, code="A1"), factories.variant(session, sku="TEA-1")
    found = queries.locations_by_id(session, location_ids=[place.id, tea.id])
    assert found == {place.id: queries.LocationName(place.id, "A1", "Shibuya", "渋谷店", "Asia/Tokyo")}
    assert queries.variants_by_sku(session, skus=["TEA-1", "NONE"]) == {"TEA-1": tea.id}
    names = queries.skus_by_variant(session, variant_ids=[tea.id, place.id])
    assert names == {tea.id: queries.VariantName(tea.id, "TEA-1", "Green tea", "煎茶")}


def test_a_customer_shows_her_best_identities(session: Session, now: datetime) -> None:
    hanako = factories.customer(session, email="claimed@example.com", phone="+819012345678", assurance="claimed")
    factories.identity(session, customer_id=hanako.id, kind="email", value="hanako@example.com", assurance="attested")
    facts = queries.customer_facts(session, customer_id=hanako.id)
    assert facts == queries.CustomerFacts(
        hanako.id, hanako.reference, "Hanako Yamada", "ja", 1, now, None, "hanako@example.com", "+819012345678"
    )
    found = queries.customer_by_identity(session, kind="phone", value="+819012345678")
    assert found == (hanako.id, "claimed")
    assert queries.customer_by_identity(session, kind="email", value="nobody@example.com") is None
    listed = queries.identities_of(session, customer_id=hanako.id)
    assert [(row["kind"], row["value"], row["assurance"]) for row in listed] == [
        ("email", "claimed@example.com", "claimed"),
        ("email", "hanako@example.com", "attested"),
        ("phone", "+819012345678", "claimed"),
    ]


def test_principals(session: Session, now: datetime) -> None:
    place = factories.location(session)
    hanako = factories.customer(session)
    taro = factories.staff(session, "associate", locations=[place.id])
    aiko = factories.staff(session, "agent", locations=[place.id])
    till = factories.api_client(session, ["till.sell", "me", "no.such"], channel="store", location_id=place.id)

    def principal(token: str, at: datetime = now) -> Principal | None:
        return queries.principal_by_token(session, token_hash=token_hash(token), now=at)

    with db.counting() as count:
        customer = principal(hanako.token)
    assert count.statements == 1
    assert (customer.kind, customer.id, customer.permissions) == ("customer", hanako.id, CUSTOMER_PERMISSIONS)
    assert (customer.channel, customer.locations, customer.locale) == ("web", None, "ja")
    associate, agent, client = principal(taro.token), principal(aiko.token), principal(till.token)
    assert (associate.permissions, associate.locations) == (ROLES["associate"], frozenset({place.id}))
    assert (agent.permissions, agent.locations) == (ROLES["agent"], None)  # agents serve every store's customers
    assert client.permissions == {"till.sell"}  # `me` and unknown scopes are never granted
    assert (client.channel, client.locations, client.actor) == ("store", frozenset({place.id}), till.actor)
    assert principal("st_nobody") is None
    assert principal(hanako.token, now + timedelta(days=30)) is None  # expires_at itself is too late


FACTS = LocationFacts(
    factories.catalog.PRICE_LIST_ID, "S", "store", "S", None, "Asia/Tokyo", "JP", True, 120, 7, "collected",
    tuple((day, *span) for day in range(6) for span in ((time(10), time(12)), (time(13), time(19)))),
    ((date(2026, 7, 3), None, None), (date(2026, 7, 4), time(12), time(15))),
)  # fmt: skip


def tokyo(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 7, day, hour, minute, tzinfo=ZoneInfo("Asia/Tokyo")).astimezone(UTC)


@pytest.mark.parametrize(
    ("placed", "lead", "expected"),
    [
        (tokyo(1, 10), 120, tokyo(1, 12)),  # ends with the interval
        (tokyo(1, 11), 120, tokyo(1, 14)),  # the lunch break does not count
        (tokyo(1, 3), 0, tokyo(1, 10)),  # before opening
        (tokyo(1, 11, 30), 0, tokyo(1, 11, 30)),
        (tokyo(1, 18, 30), 60, tokyo(2, 10, 30)),  # over night
        (tokyo(2, 18, 30), 60, tokyo(4, 12, 30)),  # the 3rd is a holiday, the 4th opens at 12
        (tokyo(4, 14), 120, tokyo(6, 11)),  # Saturday 12-15 by exception, Sunday closed
    ],
)
def test_ready_by_counts_open_time(placed: datetime, lead: int, expected: datetime) -> None:
    facts = replace(FACTS, pickup_lead_minutes=lead)
    assert stores.ready_by(facts, placed) == expected


def test_collect_by_is_the_closing_time_of_an_open_day() -> None:
    assert stores.collect_by(FACTS, tokyo(1, 14)) == tokyo(8, 19)
    facts = replace(FACTS, pickup_keep_days=2)
    assert stores.collect_by(facts, tokyo(1, 14)) == tokyo(4, 15)  # the 3rd is a holiday
    assert stores.collect_by(facts, datetime(2026, 6, 30, 15, 30, tzinfo=UTC)) == tokyo(4, 15)  # 00:30 on the 1st there


def test_hours_follow_summer_time() -> None:
    hours = ((6, time(10), time(12)),)
    berlin = replace(FACTS, zone="Europe/Berlin", hours=hours, holidays=(), pickup_lead_minutes=60)
    assert stores.ready_by(berlin, datetime(2026, 3, 28, tzinfo=UTC)) == datetime(2026, 3, 29, 9, tzinfo=UTC)
    assert stores.ready_by(berlin, datetime(2026, 3, 21, tzinfo=UTC)) == datetime(2026, 3, 22, 10, tzinfo=UTC)


def test_a_store_that_never_opens_promises_nothing() -> None:
    facts = replace(FACTS, hours=())
    with pytest.raises(stores.NeverOpen):
        stores.ready_by(facts, datetime(2026, 7, 5, tzinfo=UTC))
    with pytest.raises(stores.NeverOpen):
        stores.collect_by(facts, datetime(2026, 7, 5, tzinfo=UTC))


@pytest.mark.committed
def test_committed_rows_are_seen_by_others_and_gone_afterwards(session: Session) -> None:
    tea = factories.variant(session, sku="TEA-REAL")
    with db.reading() as other:
        found = queries.offers_for(other, channel_code="web", skus=["TEA-REAL"], location_id=None, now=clock.now())
    assert [offer.variant_id for offer in found] == [tea.id]
