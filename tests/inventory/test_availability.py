"""What can be promised now: one statement, exact numbers, unknown names refused all at once."""

import json
from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import availability, reservations
from inventory.reservations import Demand
from inventory.schemas.availability import AvailabilitySchema
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import location, variant
from tests.inventory.books import limit, receive, stocked
from tests.inventory.supplies import bundle, category, delivery, policy, rule, transfer


def test_all_numbers_in_one_statement_without_expired_holds(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 20, safety=3)
    depot = location(session, code="ZZ-DEPOT", name="Depot", name_ja=None, kind="warehouse")
    receive(session, tea, depot, 2)
    limit(session, tea, depot, safety=9)
    bare = variant(session)
    reservations.allocate(session, owner_id=new_id(), demands=[Demand(tea.id, shop.id, 4)], actor="a", now=now)
    for minutes, quantity in ((5, 2), (10, 1)):
        demands = [Demand(tea.id, shop.id, quantity)]
        reservations.hold(session, owner_id=new_id(), demands=demands, hold_seconds=minutes * 60, actor="a", now=now)
    later = now + timedelta(minutes=5)
    with db.counting() as count:
        found = availability.for_skus(session, skus=[bare.sku, tea.sku, bare.sku], location_ids=None, now=later)
    assert count.statements == 1
    assert found == [
        {
            "sku": bare.sku,
            "variant_id": str(bare.id),
            "title": "Green tea",
            "title_ja": "煎茶",
            "bundle": False,
            "available": 0,
            "orderable": 0,
            "preorder": None,
            "locations": [],
        },
        {
            "sku": tea.sku,
            "variant_id": str(tea.id),
            "title": "Green tea",
            "title_ja": "煎茶",
            "bundle": False,
            "available": 12,
            "orderable": 12,
            "preorder": None,
            "locations": [
                {
                    "location": {"id": str(shop.id), "code": shop.code, "name": "Shibuya", "name_ja": "渋谷店"},
                    "on_hand": 20,
                    "allocated": 4,
                    "held": 1,
                    "unavailable": 0,
                    "safety": 3,
                    "buffer": 0,
                    "backorder_limit": 0,
                    "available": 12,
                    "orderable": 12,
                },
                {
                    "location": {"id": str(depot.id), "code": "ZZ-DEPOT", "name": "Depot", "name_ja": None},
                    "on_hand": 2,
                    "allocated": 0,
                    "held": 0,
                    "unavailable": 0,
                    "safety": 9,
                    "buffer": 0,
                    "backorder_limit": 0,
                    "available": 0,
                    "orderable": 0,
                },
            ],
        },
    ]


def test_at_given_locations_each_is_listed_even_where_the_sku_has_never_been(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 4)
    never = location(session)
    other = location(session)
    receive(session, tea, other, 7)
    with db.counting() as count:
        (found,) = availability.for_skus(session, skus=[tea.sku], location_ids=[shop.id, never.id], now=now)
    assert count.statements == 1
    assert found["available"] == 4
    listed = {entry["location"]["code"]: (entry["on_hand"], entry["available"]) for entry in found["locations"]}
    assert listed == {shop.code: (4, 4), never.code: (0, 0)}


def test_every_unknown_sku_is_named(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 4)
    with pytest.raises(availability.UnknownSku) as refused:
        availability.for_skus(session, skus=["NOPE", tea.sku, "NEITHER"], location_ids=None, now=now)
    assert [error["sku"] for error in refused.value.errors] == ["NOPE", "NEITHER"]
    assert refused.value.status == 422


def test_every_unknown_location_is_named(session: Session) -> None:
    shop = location(session, code="SHIBUYA")
    assert availability.locate(session, names=["SHIBUYA", str(shop.id), str(shop.id).upper()]) == [shop.id]
    ghost = str(new_id())
    with pytest.raises(availability.UnknownLocations) as refused:
        availability.locate(session, names=["SHIBUYA", "NOWHERE", ghost])
    assert [error["detail"] for error in refused.value.errors] == ["NOWHERE", ghost]


def test_the_buffer_of_a_channel_is_kept_from_it_alone(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 10, safety=1)
    rule(session, 4, channel="web")

    def sold(channel: str | None) -> tuple[int, int, int]:
        (item,) = availability.for_skus(session, skus=[tea.sku], location_ids=None, channel=channel, now=now)
        (entry,) = item["locations"]
        return entry["buffer"], item["available"], item["orderable"]

    assert sold("web") == (4, 5, 5)
    assert sold("app") == sold(None) == (0, 9, 9)
    limit(session, tea, shop, safety=8, backorder_limit=3)
    assert sold("web") == (4, 0, 1), "10 - 8 - 4 is 2 less than nothing; 3 more may be promised"


def test_a_buffer_holds_from_the_moment_it_is_set(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 10)

    def sold() -> tuple[int, int]:
        with db.counting() as count:
            (item,) = availability.for_skus(session, skus=[tea.sku], location_ids=None, channel="web", now=now)
        return item["available"], count.statements

    sold()
    assert sold() == (10, 1)
    rule(session, 4, channel="web")
    assert sold() == (6, 2), "what this process remembered of the channel was no longer true"
    assert sold() == (6, 1)
    session.execute(text("UPDATE stock_rule SET retired_at = now()"))
    assert sold() == (10, 1)
    assert sold() == (10, 1)


def test_the_most_specific_buffer_wins(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 100)
    other = location(session)
    receive(session, tea, other, 100)
    category(session, tea, "tea")

    def buffers() -> tuple[int, int]:
        places = [shop.id, other.id]
        with db.counting() as count:
            (item,) = availability.for_skus(session, skus=[tea.sku], location_ids=places, channel="web", now=now)
        assert count.statements == 1
        found = {entry["location"]["code"]: entry["buffer"] for entry in item["locations"]}
        return found[shop.code], found[other.code]

    assert buffers() == (0, 0)
    scopes: list[tuple[int, dict[str, Any], tuple[int, int]]] = [
        (1, {}, (1, 1)),
        (2, {"place": shop}, (2, 1)),
        (3, {"category": "tea"}, (3, 3)),
        (4, {"category": "tea", "place": shop}, (4, 3)),
        (5, {"made": tea}, (5, 5)),
        (6, {"made": tea, "place": shop}, (6, 5)),
    ]
    for quantity, scope, expected in scopes:
        rule(session, quantity, channel="web", **scope)
        rule(session, 50 + quantity, channel="web", retired=True, **scope)
        rule(session, 70 + quantity, channel="app", **scope)
        rule(session, 90 + quantity, **scope)
        rule(session, 30, channel="web", category="coffee", place=location(session))
        assert buffers() == expected, scope


def test_a_bundle_has_what_its_scarcest_component_makes(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 7)
    cup = variant(session)
    depot = location(session, code="ZZ-DEPOT")
    receive(session, cup, shop, 9)
    receive(session, cup, depot, 9)
    limit(session, cup, shop, safety=1, backorder_limit=2)
    gift = bundle(session, variant(session), (tea, 2), (cup, 4))
    with db.counting() as count:
        found = availability.for_skus(session, skus=[gift.sku, tea.sku], location_ids=None, now=now)
    assert count.statements == 1
    assert [(item["sku"], item["bundle"], item["available"], item["orderable"]) for item in found] == [
        (gift.sku, True, 2, 2),
        (tea.sku, False, 7, 7),
    ]
    assert [(entry.pop("location")["code"], entry) for entry in found[0]["locations"]] == [
        (shop.code, {"available": 2, "orderable": 2}),
        ("ZZ-DEPOT", {"available": 0, "orderable": 0}),
    ]
    limit(session, tea, shop, backorder_limit=100)
    (again,) = availability.for_skus(session, skus=[gift.sku], location_ids=[depot.id, shop.id], now=now)
    assert (again["available"], again["orderable"]) == (2, 2), "11 cups less 1 make 2 gifts, however much tea comes"
    bare = bundle(session, variant(session), (variant(session), 1))
    (nowhere,) = availability.for_skus(session, skus=[bare.sku], location_ids=None, now=now)
    assert (nowhere["bundle"], nowhere["available"], nowhere["locations"]) == (True, 0, [])


def test_before_its_release_nothing_is_sold_but_orders_are_taken(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 4, backorder_limit=6)
    gift = bundle(session, variant(session), (tea, 2))
    policy(session, tea, releases_at=now + timedelta(days=3))
    for moment, available, preorder in (
        (now, 4, {"releases_at": "2026-07-04T03:00:00+00:00"}),
        (now + timedelta(days=3), 4, None),
    ):
        found = availability.for_skus(session, skus=[tea.sku, gift.sku], location_ids=None, now=moment)
        expected = 0 if preorder else available
        assert [(item["available"], item["orderable"], item["preorder"]) for item in found] == [
            (expected, 10, preorder),
            (expected // 2, 5, preorder),
        ]


def test_an_unknown_channel_is_refused(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 4)
    asked: list[dict[str, Any]] = [{}, {"explain": True}]
    for options in asked:
        with pytest.raises(availability.UnknownChannel) as refused:
            availability.for_skus(session, skus=[tea.sku], location_ids=None, channel="fax", now=now, **options)
        assert refused.value.status == 422
        assert refused.value.errors == [{"field": "channel", "code": "unknown_channel", "detail": "fax"}]


def test_the_answer_written_by_hand_is_what_the_documented_schema_would_write(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 4)
    gift = bundle(session, variant(session), (tea, 2))
    policy(session, tea, releases_at=now + timedelta(days=3))
    delivery(session, tea, shop, 5, now + timedelta(days=1))
    transfer(session, tea, location(session), shop, 5, None)
    rule(session, 1, channel="web", place=shop)
    rule(session, 1)
    later = {"at": now + timedelta(days=2), "explain": True}
    asked: list[dict[str, Any]] = [{}, {"promise": True}, {"explain": True}, later, {"explain": True, "names": False}]
    for options in asked:
        items = availability.for_skus(
            session, skus=[tea.sku, gift.sku], location_ids=None, channel="web", now=now, **options
        )
        answer = {"items": items}
        field_by_field = ma.Schema.dump(AvailabilitySchema(), answer)
        assert AvailabilitySchema().dump(answer) == field_by_field
        assert json.loads(json.dumps(answer)) == field_by_field
        assert AvailabilitySchema().dump([answer], many=True) == [field_by_field]
