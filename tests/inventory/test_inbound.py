"""Deliveries of suppliers: what came, what did not, who waited for it; and that a refusal changes nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit, inbound, naming, reservations, stock
from inventory.documents import Arrived
from inventory.reservations import Demand
from retail import barcodes, limits
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, customer, location, staff, variant, variants
from tests.inventory.books import balanced, level, limit, receive
from tests.inventory.papers import MANAGER, announced, causes, columns, events, line, state

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
GTIN = "4901234567894"
NUMBERS = ("sku", "expected", "received", "damaged", "outstanding", "difference")


@pytest.fixture
def store(session: Session) -> Place:
    return location(session)


@pytest.fixture
def goods(session: Session) -> list[Variant]:
    return variants(session, 3)


def order(place: Place, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"location": place.code, "due_at": "2026-07-03T09:00:00+09:00", "lines": list(lines), **more}


def test_a_delivery_is_announced_received_in_parts_and_closed_with_its_differences(
    session: Session, api: Api, store: Place, goods: list[Variant], now: datetime
) -> None:
    tea, cup, pot = goods
    barcodes.add(session, sku=cup.sku, barcode=GTIN, actor="system", now=now)
    caller = api(staff(session, "manager", locations=[store.id]))
    given = order(
        store, line(tea, expected=10), {"barcode": GTIN, "expected": 4}, supplier="Uji Tea", note=" by truck "
    )
    made = caller.post("/inbound-shipments", json=given, key="a")
    assert made.status_code == 201, made.json
    reference = made.json["reference"]
    assert reference.startswith("IN-")
    assert (made.json["state"], made.json["supplier"], made.json["note"]) == ("expected", "Uji Tea", "by truck")
    assert datetime.fromisoformat(made.json["due_at"]) == datetime.fromisoformat("2026-07-03T00:00:00+00:00")
    assert made.headers["ETag"] == '"1"'
    assert columns(made.json, *NUMBERS) == [(tea.sku, 10, 0, 0, 10, 0), (cup.sku, 4, 0, 0, 4, 0)]
    assert level(session, tea, store) is None, "nothing is here yet"

    first = [line(tea, quantity=4, damaged=1), line(tea, quantity=2), line(cup, quantity=5)]
    part = caller.post(f"/inbound-shipments/{reference}/receipts", json={"lines": first, "final": False}, key="b")
    assert part.status_code == 201, part.json
    assert part.json["state"] == "partly_received"
    assert columns(part.json, *NUMBERS) == [(tea.sku, 10, 6, 1, 4, 0), (cup.sku, 4, 5, 0, 0, 1)]
    assert level(session, tea, store) == (6, 0, 0, 1)
    assert level(session, cup, store) == (5, 0, 0, 0)

    rest = {"lines": [line(tea, quantity=3), line(pot, quantity=2, damaged=2)], "final": True}
    done = caller.post(f"/inbound-shipments/{made.json['id']}/receipts", json=rest, key="c")
    assert (done.status_code, done.json["state"]) == (201, "received")
    assert done.json["closed_at"] is not None
    assert columns(done.json, *NUMBERS) == [
        (tea.sku, 10, 9, 1, 0, -1),
        (cup.sku, 4, 5, 0, 0, 1),
        (pot.sku, 0, 2, 2, 0, 2),
    ]
    assert done.json["units"] == {"lines": 3, "expected": 14, "received": 16, "damaged": 3, "outstanding": 0}
    assert level(session, pot, store) == (2, 0, 0, 2)
    assert causes(session, tea, "inbound") == [
        ("outside", "unavailable", 1),
        ("outside", "available", 5),
        ("outside", "available", 3),
    ]
    told = events(session, "InboundShipmentChanged")
    assert [one["state"] for one in told] == ["expected", "partly_received", "received"]
    assert told[1]["differences"] == []
    assert told[2]["differences"] == [
        {"sku": tea.sku, "expected": 10, "received": 9, "damaged": 1},
        {"sku": cup.sku, "expected": 4, "received": 5, "damaged": 0},
        {"sku": pot.sku, "expected": 0, "received": 2, "damaged": 2},
    ]
    assert balanced(session)


@pytest.mark.parametrize(
    ("final", "quantity", "expected_state"),
    [(None, 3, "received"), (None, 2, "partly_received"), (False, 3, "partly_received"), (True, 1, "received")],
)
def test_a_receipt_closes_the_delivery_when_it_is_whole_or_said_to_be_the_last(
    session: Session,
    store: Place,
    goods: list[Variant],
    now: datetime,
    final: bool | None,
    quantity: int,
    expected_state: str,
) -> None:
    reference = announced(session, store, {goods[0]: 3})
    arrived = [Arrived(goods[0].id, quantity)]
    inbound.receive(session, shipment=reference, arrived=arrived, final=final, key=None, caller=MANAGER, now=now)
    assert state(session, reference) == expected_state


def test_a_receipt_sent_twice_is_received_once(
    session: Session, api: Api, store: Place, goods: list[Variant], unchanged: Unchanged, now: datetime
) -> None:
    tea = goods[0]
    reference = announced(session, store, {tea: 9})
    actor = staff(session, "associate", locations=[store.id])
    path, body = (
        f"/inbound-shipments/{reference}/receipts",
        {"lines": [line(tea, quantity=2, damaged=1)], "final": False},
    )
    first = api(actor).post(path, json=body, key="box-1")
    with unchanged():
        again = api(actor).post(path, json=body, key="box-1")
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json == first.json
        assert api(actor).post(path, json=body | {"final": True}, key="box-1").status_code == 422
    session.execute(text("DELETE FROM idempotency_claim"))
    with unchanged():
        late = api(actor).post(path, json=body, key="box-1")
        assert (late.status_code, late.json["code"]) == (409, "already_recorded"), (
            "the claim is forgotten, the movement is not"
        )
    assert level(session, tea, store) == (2, 0, 0, 1)


def test_whoever_waits_is_served_by_the_delivery(
    session: Session, store: Place, goods: list[Variant], now: datetime
) -> None:
    tea, cup, _ = goods
    for made in (tea, cup):
        receive(session, made, store, 1)
        limit(session, made, store, backorder_limit=9)
    order_id = new_id()
    demands = [Demand(tea.id, store.id, 4, new_id()), Demand(cup.id, store.id, 3, new_id())]
    promises = reservations.allocate(session, owner_id=order_id, demands=demands, actor="system", now=now)
    assert sorted(promise.backordered for promise in promises) == [2, 3]
    reference = announced(session, store, {tea: 5, cup: 5}, now + timedelta(days=2))
    arrived = [Arrived(tea.id, 5, 1), Arrived(cup.id, 1, 1)]
    inbound.receive(session, shipment=reference, arrived=arrived, final=False, key=None, caller=MANAGER, now=now)
    waiting = text("SELECT variant_id, allocated, backordered FROM stock_level WHERE location_id = :l")
    found = {row[0]: (row[1], row[2]) for row in session.execute(waiting, {"l": store.id})}
    assert found == {tea.id: (4, 0), cup.id: (3, 2)}, "damaged goods serve nobody"
    assert [one["line_id"] for one in events(session, "AllocationFilled")] == [str(demands[0].line_id)]
    assert balanced(session)


def test_what_was_announced_may_change_while_nothing_has_come(
    session: Session, api: Api, store: Place, goods: list[Variant], unchanged: Unchanged, now: datetime
) -> None:
    tea, cup, pot = goods
    reference = announced(session, store, {tea: 3, cup: 1})
    caller, path = api(staff(session, "manager", locations=[store.id])), f"/inbound-shipments/{reference}"
    change = {
        "lines": [line(pot, expected=7), line(tea, expected=2)],
        "supplier": "Uji",
        "due_at": "2026-08-01T00:00:00Z",
    }
    changed = caller.patch(path, json=change, if_match=1)
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"'), changed.json
    assert columns(changed.json, "sku", "expected", "position") == [(pot.sku, 7, 1), (tea.sku, 2, 2)]
    assert (changed.json["supplier"], changed.json["due_at"]) == ("Uji", "2026-08-01T00:00:00+00:00")
    with unchanged():
        assert caller.patch(path, json={"note": "x"}, if_match=1).status_code == 412
        assert caller.patch(path, json={"note": "x"}).status_code == 428
        for wrong in (
            {},
            {"lines": []},
            {"due_at": "2026-08-01"},
            {"due_at": "0001-01-01T00:00:00+09:00"},
            {"state": "received"},
        ):
            assert caller.patch(path, json=wrong, if_match=2).status_code == 422, wrong
        twice = caller.patch(path, json={"lines": [line(tea, expected=1), line(tea, expected=1)]}, if_match=2)
        assert (twice.status_code, twice.json["code"], twice.json["errors"][0]["line"]) == (422, "duplicate_line", 2)
    arrived = [Arrived(pot.id, 1)]
    inbound.receive(session, shipment=reference, arrived=arrived, key=None, caller=MANAGER, now=now)
    with unchanged():
        late = caller.patch(path, json={"lines": [line(tea, expected=1)]}, if_match=3)
        assert (late.status_code, late.json["code"], late.json["state"]) == (
            409,
            "illegal_transition",
            "partly_received",
        )
    assert caller.patch(path, json={"due_at": "2026-08-02T00:00:00Z"}, if_match=3).json["version"] == 4


def test_a_cancelled_delivery_expects_nothing_and_keeps_what_came(
    session: Session, api: Api, store: Place, goods: list[Variant], unchanged: Unchanged, now: datetime
) -> None:
    tea = goods[0]
    reference = announced(session, store, {tea: 5})
    inbound.receive(session, shipment=reference, arrived=[Arrived(tea.id, 2)], key=None, caller=MANAGER, now=now)
    caller, path = api(staff(session, "manager", locations=[store.id])), f"/inbound-shipments/{reference}"
    done = caller.post(f"{path}/cancellation", json={"reason": "lost at sea"}, key="k")
    assert (done.status_code, done.json["state"], done.json["note"]) == (200, "cancelled", "lost at sea"), done.json
    assert columns(done.json, *NUMBERS[1:]) == [(5, 2, 0, 0, -3)]
    told = events(session, "InboundShipmentChanged")[-1]
    assert told["reason"] == "lost at sea"
    assert told["differences"] == [{"sku": tea.sku, "expected": 5, "received": 2, "damaged": 0}]
    assert level(session, tea, store) == (2, 0, 0, 0)
    with unchanged():
        for step, body in (("receipts", {"lines": [line(tea, quantity=1)]}), ("cancellation", {})):
            refused = caller.post(f"{path}/{step}", json=body, key=step)
            assert (refused.status_code, refused.json["code"]) == (409, "illegal_transition")
            assert (refused.json["state"], refused.json["legal"]) == ("cancelled", [])
        assert caller.patch(path, json={"note": "x"}, if_match=done.json["version"]).status_code == 409
    assert balanced(session)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"location": "NOWHERE"}, 404, "unknown_location"),
        ({"due_at": None}, 422, "invalid"),
        ({"due_at": "soon"}, 422, "invalid"),
        ({"lines": []}, 422, "invalid"),
        ({"lines": [{"sku": "NOPE", "expected": 1}, {"sku": "NIX", "expected": 1}]}, 422, "unknown_sku"),
        ({"lines": [{"barcode": "4901234567895", "expected": 1}]}, 422, "unknown_goods"),
        ({"lines": [{"barcode": GTIN, "expected": 1}]}, 422, "unknown_goods"),
        ({"lines": [{"expected": 1}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "barcode": GTIN, "expected": 1}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "expected": 0}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "expected": limits.QUANTITY_PER_MOVEMENT + 1}]}, 422, "invalid"),
        ({"lines": [{"sku": "A", "expected": 1}] * (limits.LINES_PER_RECEIPT + 1)}, 422, "invalid"),
        ({"supplier": "two\nlines"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_announced(
    session: Session,
    api: Api,
    store: Place,
    goods: list[Variant],
    unchanged: Unchanged,
    change: Any,
    status: int,
    code: str,
) -> None:
    caller = api(staff(session, "manager", locations=[store.id]))
    with unchanged():
        answer = caller.post("/inbound-shipments", json=order(store, line(goods[0], expected=1)) | change, key="k")
    assert (answer.status_code, answer.json["code"]) == (status, code), answer.json


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "nothing_arrived"),
        ({"lines": []}, "nothing_arrived"),
        ({"lines": [{"sku": "TEA", "quantity": 0}]}, "invalid"),
        ({"lines": [{"sku": "TEA", "quantity": 1, "damaged": -1}]}, "invalid"),
        ({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1, "damaged": 2}]}, "damaged_exceeds"),
        ({"lines": [{"sku": "NOPE", "quantity": 1}]}, "unknown_sku"),
        ({"lines": [{"sku": "TEA", "quantity": 2_147_483_648}]}, "invalid"),
        ({"lines": [{"sku": "TEA", "quantity": 1}], "final": "perhaps"}, "invalid"),
    ],
)
def test_a_receipt_that_cannot_be_changes_nothing(
    session: Session, api: Api, store: Place, unchanged: Unchanged, body: Any, code: str
) -> None:
    reference = announced(session, store, {variant(session, sku="TEA"): 3})
    caller = api(staff(session, "associate", locations=[store.id]))
    with unchanged():
        answer = caller.post(f"/inbound-shipments/{reference}/receipts", json=body, key="k")
    assert (answer.status_code, answer.json["code"]) == (422, code), answer.json
    if code == "damaged_exceeds":
        (error,) = answer.json["errors"]
        assert (error["line"], error["quantity"], error["damaged"]) == (2, 1, 2)


def test_every_line_that_names_nothing_is_named_in_order(session: Session) -> None:
    named = [{"sku": "NOPE"}, {"sku": variant(session).sku}, {"barcode": "4901234567895"}, {"barcode": "4006381333931"}]
    with pytest.raises(naming.UnknownGoods) as caught:
        naming.variants_of(session, lines=named)
    assert caught.value.detail == "These lines name nothing in the catalog: 1, 3, 4"
    assert [(error["line"], error["code"]) for error in caught.value.errors] == [
        (1, "unknown_sku"),
        (3, "barcode_invalid"),
        (4, "unknown_barcode"),
    ]


def test_a_bundle_is_neither_announced_nor_received(
    session: Session, api: Api, store: Place, goods: list[Variant], unchanged: Unchanged
) -> None:
    tea, cup, box = goods
    statement = "INSERT INTO bundle_component (bundle_id, component_id, quantity) VALUES (:b, :c, 2)"
    session.execute(text(statement), {"b": box.id, "c": tea.id})
    reference = announced(session, store, {cup: 3})
    caller = api(staff(session, "manager", locations=[store.id]))
    with unchanged():
        for path, body in (
            ("/inbound-shipments", order(store, line(cup, expected=1), line(box, expected=1))),
            (f"/inbound-shipments/{reference}/receipts", {"lines": [line(box, quantity=1)]}),
            ("/transfers", {"from": store.code, "to": store.code, "lines": [line(box, quantity=1)]}),
        ):
            answer = caller.post(path, json=body, key="k")
            assert (answer.status_code, answer.json["code"]) == (422, "bundle_has_no_stock"), answer.json


def test_more_than_can_be_counted_is_refused(
    session: Session, store: Place, goods: list[Variant], now: datetime, unchanged: Unchanged
) -> None:
    tea = goods[0]
    reference = announced(session, store, {tea: 3})
    session.execute(text("UPDATE inbound_line SET received = 2147483600, expected = 2147483647"))
    with unchanged(), pytest.raises(Exception, match="out of range") as refused, session.begin_nested():
        arrived = [Arrived(tea.id, 100)]
        inbound.receive(session, shipment=reference, arrived=arrived, key=None, caller=MANAGER, now=now)
    assert db.is_out_of_range(refused.value), "which the API answers with 422"


def test_stores_see_and_receive_their_own_deliveries_alone(
    session: Session, api: Api, store: Place, goods: list[Variant], unchanged: Unchanged
) -> None:
    other = location(session)
    mine, theirs = announced(session, store, {goods[0]: 1}), announced(session, other, {goods[0]: 1})
    here, nowhere = api(staff(session, "manager", locations=[store.id])), api(customer(session))
    associate = api(staff(session, "associate", locations=[store.id]))
    with unchanged():
        assert [one["reference"] for one in here.get("/inbound-shipments").json["items"]] == [mine]
        assert here.get(f"/inbound-shipments?location={other.code}").json["items"] == []
        for name in (theirs, "IN-AAAAA-AAAAA", "nonsense", str(new_id())):
            path = f"/inbound-shipments/{name}"
            assert here.get(path).status_code == 404
            assert here.patch(path, json={"note": "x"}, if_match=1).status_code == 404
            assert (
                here.post(f"{path}/receipts", json={"lines": [line(goods[0], quantity=1)]}, key="r").status_code == 404
            )
            assert here.post(f"{path}/cancellation", json={}, key="c").status_code == 404
        assert (
            here.post("/inbound-shipments", json=order(other, line(goods[0], expected=1)), key="k").status_code == 404
        )
        assert nowhere.get("/inbound-shipments").status_code == 403
        assert nowhere.get(f"/inbound-shipments/{mine}").status_code == 403
    with unchanged():
        assert (
            associate.post("/inbound-shipments", json=order(store, line(goods[0], expected=1)), key="k").status_code
            == 403
        )
    assert here.get(f"/inbound-shipments/{mine.lower().replace('-', ' ')}").json["reference"] == mine


def test_deliveries_are_listed_by_place_state_and_due_date(
    session: Session, api: Api, store: Place, goods: list[Variant], now: datetime
) -> None:
    other, tea = location(session), goods[0]
    made = [announced(session, store, {tea: 1}, now + timedelta(days=day)) for day in range(4)]
    elsewhere = announced(session, other, {tea: 1}, now)
    inbound.cancel(session, shipment=made[0], caller=MANAGER, now=now)
    caller = api(staff(session, "agent"))

    def listed(query: str) -> list[str]:
        answer = caller.get(f"/inbound-shipments?{query}")
        assert answer.status_code == 200, answer.json
        return [one["reference"] for one in answer.json["items"]]

    assert listed("") == [elsewhere, *made[::-1]]
    assert listed(f"location={store.code}") == made[::-1]
    assert listed("state=cancelled") == made[:1]
    assert listed(f"state=cancelled&state=expected&location={store.id}") == made[::-1]
    due = (now + timedelta(days=2)).isoformat().replace("+", "%2B")
    assert listed(f"location={store.code}&due_before={due}") == [made[1], made[0]]
    first = caller.get("/inbound-shipments?limit=3").json
    second = caller.get(f"/inbound-shipments?limit=3&cursor={first['next']}").json
    assert [one["reference"] for one in first["items"] + second["items"]] == [elsewhere, *made[::-1]]
    assert second["next"] is None
    for wrong in ("state=lost", "due_before=today", "limit=0", "cursor=x"):
        assert caller.get(f"/inbound-shipments?{wrong}").status_code == 422
    assert caller.get("/inbound-shipments?location=NOWHERE").status_code == 404


def test_two_hundred_lines_take_as_many_statements_as_two(session: Session, store: Place, now: datetime) -> None:
    counted = []
    for size in (2, 200):
        made = variants(session, size)
        with db.counting() as announcing:
            reference = announced(session, store, dict.fromkeys(made, 2))
        arrived = [Arrived(one.id, 2, place % 2) for place, one in enumerate(made)]
        with db.counting() as receiving:
            inbound.receive(session, shipment=reference, arrived=arrived, key=f"r{size}", caller=MANAGER, now=now)
        with db.counting() as reading:
            found = inbound.view(session, shipment=reference, caller=MANAGER)
        assert len(found["lines"]) == size
        counted.append((announcing.statements, receiving.statements, reading.statements))
    assert counted[0] == counted[1]
    assert counted[1][0] <= 3
    assert counted[1][1] <= 16
    assert counted[1][2] == 2


def test_the_audit_names_a_delivery_whose_movements_say_otherwise(
    session: Session, store: Place, goods: list[Variant], now: datetime
) -> None:
    tea, cup, _ = goods
    reference = announced(session, store, {tea: 5})
    inbound.receive(
        session, shipment=reference, arrived=[Arrived(tea.id, 3, 1)], final=True, key=None, caller=MANAGER, now=now
    )
    assert balanced(session)
    session.execute(text("UPDATE inbound_line SET received = 4, closed = false"))
    (shipment_id,) = session.execute(text("SELECT id FROM inbound_shipment")).one()
    stock.receive(
        session,
        location_id=store.id,
        lines=[(cup.id, 2)],
        key=None,
        cause="inbound",
        cause_id=shipment_id,
        actor="system",
        now=now,
    )
    found = [(one.ledger, one.key, one.stored, one.rebuilt) for one in audit.divergences(session)]
    assert sorted(found) == sorted(
        [
            ("inbound_line", f"{reference} {tea.sku}", "received 4, damaged 1", "received 3, damaged 1"),
            ("inbound_line", f"{reference} {cup.sku}", "no line", "received 2, damaged 0"),
            ("inbound_shipment", reference, "received, 1 units outstanding", "0 units"),
        ]
    )
