"""What can be promised now: one statement, exact numbers, unknown names refused all at once."""

import json
from datetime import datetime, timedelta

import marshmallow as ma
import pytest
from sqlalchemy.orm import Session

from inventory import availability, reservations
from inventory.reservations import Demand
from inventory.schemas.availability import AvailabilitySchema
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import location, variant
from tests.inventory.books import limit, receive, stocked


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
            "available": 0,
            "locations": [],
        },
        {
            "sku": tea.sku,
            "variant_id": str(tea.id),
            "title": "Green tea",
            "title_ja": "煎茶",
            "available": 12,
            "locations": [
                {
                    "location": {"id": str(shop.id), "code": shop.code, "name": "Shibuya", "name_ja": "渋谷店"},
                    "on_hand": 20,
                    "allocated": 4,
                    "held": 1,
                    "unavailable": 0,
                    "safety": 3,
                    "available": 12,
                },
                {
                    "location": {"id": str(depot.id), "code": "ZZ-DEPOT", "name": "Depot", "name_ja": None},
                    "on_hand": 2,
                    "allocated": 0,
                    "held": 0,
                    "unavailable": 0,
                    "safety": 9,
                    "available": 0,
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


def test_the_answer_written_by_hand_is_what_the_documented_schema_would_write(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 4)
    answer = {"items": availability.for_skus(session, skus=[tea.sku], location_ids=None, now=now)}
    field_by_field = ma.Schema.dump(AvailabilitySchema(), answer)
    assert AvailabilitySchema().dump(answer) == field_by_field
    assert json.loads(json.dumps(answer)) == field_by_field
    assert AvailabilitySchema().dump([answer], many=True) == [field_by_field]
