"""From elsewhere to the customer's store: in nobody's stock on the way, hers on arrival, and arriving completes nothing."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations, transfers
from retail.kernel import clock
from retail.kernel.auth import STAFF, Principal
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import Place, location, staff, variant
from tests.factories.orders import Shop, events, level, receive, shop, world
from tests.factories.shortfalls import Api, Picked, deliver_events, key, parts, picking, promises
from tests.inventory.books import balanced
from tests.inventory.supplies import bundle

Sent = tuple[Shop, Picked, Place, Any, str]


@pytest.fixture
def depot(session: Session) -> Place:
    """A warehouse."""
    return location(session, name="Depot", name_ja="倉庫", kind="warehouse", pickup_enabled=False)


@pytest.fixture
def sent(session: Session, api: Api, depot: Place) -> Sent:
    """Three teas are missing at the store, and come from the warehouse: they are being picked there."""
    made = shop(session, units=3)
    receive(session, depot, made.tea, 6)
    picked = picking(api, made)
    api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(3))
    body = {"resolution": "ship_to_store"}
    answer = api(made.associate).post(f"/pickups/{picked.pickup_id}/shortfall-resolution", key=key(), json=body)
    assert answer.status_code == 200, answer.json
    fulfillment_id = answer.json["shortfalls"][0]["to_fulfillment_id"]
    packer = staff(session, "associate", locations=[depot.id])
    assert api(packer).post(f"/pickups/{fulfillment_id}/picking", key=key()).status_code == 200
    return made, picked, depot, packer, fulfillment_id


def dispatch(api: Api, caller: Any, fulfillment_id: str) -> Any:
    return api(caller).post(f"/store-shipments/{fulfillment_id}/dispatch", key=key())


def arrive(api: Api, caller: Any, fulfillment_id: str, **line: Any) -> Any:
    body = {"lines": [line] if line else []}
    return api(caller).post(f"/store-shipments/{fulfillment_id}/arrival", key=key(), json=body)


def state_of(answer: Any, fulfillment_id: str) -> str:
    return str(next(part["state"] for part in answer.json["fulfillments"] if part["id"] == fulfillment_id))


def test_failure_10_arriving_is_not_completed(session: Session, api: Api, sent: Sent) -> None:
    made, picked, depot, packer, fulfillment_id = sent
    gone = dispatch(api, packer, fulfillment_id)
    assert (gone.status_code, state_of(gone, fulfillment_id)) == (200, "in_transit"), gone.json
    assert level(session, depot, made.tea) == (3, 0, 0)
    assert promises(session, picked.id) == []
    assert gone.json["status"] == "open"
    (paper,) = session.execute(text("SELECT state, promised_to FROM transfer")).all()
    assert tuple(paper) == ("in_transit", picked.id)
    assert balanced(session)
    there = arrive(api, made.associate, fulfillment_id)
    assert (there.status_code, state_of(there, fulfillment_id)) == (200, "arrived"), there.json
    assert there.json["status"] == "open", "neither ready nor completed"
    assert events(session, "PickupReady", "PickupCollected") == []
    assert level(session, made.store, made.tea) == (3, 3, 0)
    assert promises(session, picked.id) == [(made.store.code, "allocated", 3)]
    assert session.execute(text("SELECT state FROM transfer")).scalar_one() == "received"
    assert events(session, "StoreShipmentDispatched", "StoreShipmentArrived") == [
        "StoreShipmentDispatched",
        "StoreShipmentArrived",
    ]
    assert balanced(session)


def test_what_arrived_is_made_ready_and_collected_like_any_pickup(session: Session, api: Api, sent: Sent) -> None:
    made, _, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    counter = api(made.associate)
    early = counter.post(f"/pickups/{fulfillment_id}/ready", key=key())
    assert (early.status_code, early.json["legal"]) == (409, ["arrived", "cancelled"])
    arrive(api, made.associate, fulfillment_id)
    ready = counter.post(f"/pickups/{fulfillment_id}/ready", key=key())
    assert ready.status_code == 200, ready.json
    body = {"identity": "driving license", "tender": "cash"}
    done = counter.post(f"/pickups/{fulfillment_id}/collection", key=key(), json=body)
    assert (done.status_code, done.json["state"]) == (200, "collected"), done.json
    assert level(session, made.store, made.tea) == (0, 0, 0)
    assert balanced(session)


def test_doing_it_twice_is_once_and_each_step_has_its_place(session: Session, api: Api, sent: Sent) -> None:
    made, _, _, packer, fulfillment_id = sent
    before = world(session)
    early = arrive(api, made.associate, fulfillment_id)
    assert (early.status_code, early.json["code"], early.json["legal"]) == (
        409,
        "illegal_transition",
        ["in_transit", "short", "cancelled"],
    )
    assert dispatch(api, made.associate, fulfillment_id).status_code == 404, "who is at the store, not at the source"
    assert world(session) == before
    dispatch(api, packer, fulfillment_id)
    after = world(session) | {"idempotency_claim": 0}
    assert dispatch(api, packer, fulfillment_id).status_code == 200
    assert world(session) | {"idempotency_claim": 0} == after
    assert arrive(api, packer, fulfillment_id).status_code == 404, "who is at the source, not at the store"
    arrive(api, made.associate, fulfillment_id)
    for answer in (arrive(api, made.associate, fulfillment_id), dispatch(api, packer, fulfillment_id)):
        assert (answer.status_code, answer.json["legal"]) == (409, ["ready", "cancelled"])


def test_either_end_sees_what_is_on_its_way(session: Session, api: Api, sent: Sent) -> None:
    made, picked, depot, packer, fulfillment_id = sent
    for caller in (packer, made.associate):
        (one,) = api(caller).get("/store-shipments").json["items"]
        assert (one["id"], one["state"], one["reference"]) == (fulfillment_id, "picking", picked.order["reference"])
        assert (one["source"]["code"], one["location"]["code"]) == (depot.code, made.store.code)
        assert [(line["sku"], line["quantity"]) for line in one["lines"]] == [(made.tea.sku, 3)]
    assert api(made.stranger).get("/store-shipments").json["items"] == []
    assert api(packer).get(f"/store-shipments?location={made.other.code}").json["items"] == []
    assert api(packer).get(f"/store-shipments?location={depot.code}&state=arrived").json["items"] == []
    assert api(packer).get("/store-shipments?state=lost").status_code == 422


def test_a_pickup_is_no_shipment(session: Session, api: Api) -> None:
    made = shop(session)
    picked = picking(api, made)
    assert dispatch(api, made.associate, picked.pickup_id).status_code == 404
    assert arrive(api, made.associate, picked.pickup_id).status_code == 404
    assert dispatch(api, made.associate, str(new_id())).status_code == 404


def test_who_waits_at_the_store_does_not_get_what_is_hers(session: Session, api: Api, sent: Sent) -> None:
    made, picked, _, packer, fulfillment_id = sent
    session.execute(
        text("UPDATE stock_level SET backorder_limit = 5, safety = 2 WHERE location_id = :l"), {"l": made.store.id}
    )
    waits = new_id()
    demands = [reservations.Demand(made.tea.id, made.store.id, 2, new_id())]
    now = clock.now()
    session.execute(text("UPDATE stock_level SET safety = 0 WHERE location_id = :l"), {"l": made.store.id})
    reservations.allocate(session, owner_id=waits, demands=demands, actor="system", now=now)
    session.execute(text("UPDATE stock_level SET safety = 2 WHERE location_id = :l"), {"l": made.store.id})
    dispatch(api, packer, fulfillment_id)
    arrive(api, made.associate, fulfillment_id)
    assert promises(session, picked.id) == [(made.store.code, "allocated", 3)]
    statement = text("SELECT backordered FROM reservation WHERE owner_id = :o")
    assert session.execute(statement, {"o": waits}).scalar_one() == 2, "she goes on waiting"
    assert balanced(session)


def test_what_did_not_arrive_is_short_and_what_broke_is_set_aside(session: Session, api: Api, sent: Sent) -> None:
    made, picked, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    line = {"order_line_id": picked.line_ids[0], "received": 2, "damaged": 1}
    there = arrive(api, made.associate, fulfillment_id, **line)
    assert there.status_code == 200, there.json
    assert parts(session, picked.id)[1] == ("ship_to_store", "arrived", 3, 1, 0, 2, 0)
    assert promises(session, picked.id) == [(made.store.code, "allocated", 1), (made.store.code, "short", 2)]
    assert level(session, made.store, made.tea) == (2, 1, 0)
    body = {"resolution": "refund"}
    path = f"/pickups/{fulfillment_id}/shortfall-resolution"
    assert api(made.associate).post(path, key=key(), json=body).status_code == 200
    assert promises(session, picked.id) == [(made.store.code, "allocated", 1)]
    assert balanced(session)


def test_the_stores_own_shelf_fills_what_is_missing(session: Session, api: Api, sent: Sent) -> None:
    made, picked, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    receive(session, made.store, made.tea, 4)
    arrive(api, made.associate, fulfillment_id, order_line_id=picked.line_ids[0], received=0)
    assert promises(session, picked.id) == [(made.store.code, "allocated", 3)]
    assert parts(session, picked.id)[1][1:6] == ("arrived", 3, 3, 0, 0)
    assert balanced(session)


def test_nothing_arrives_and_everything_is_short(session: Session, api: Api, sent: Sent) -> None:
    made, picked, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    there = arrive(api, made.associate, fulfillment_id, order_line_id=picked.line_ids[0], received=0)
    assert state_of(there, fulfillment_id) == "short"
    receive(session, made.store, made.tea, 3)
    deliver_events(session, "AllocationFilled")
    assert parts(session, picked.id)[1][1] == "arrived"
    assert balanced(session)


def test_what_cannot_have_arrived(session: Session, api: Api, sent: Sent) -> None:
    made, picked, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    before = world(session)
    for line in (
        {"order_line_id": picked.line_ids[0], "received": 4},
        {"order_line_id": picked.line_ids[0], "received": 1, "damaged": 2},
        {"order_line_id": str(new_id()), "received": 1},
        {"order_line_id": picked.line_ids[0], "received": -1},
    ):
        assert arrive(api, made.associate, fulfillment_id, **line).status_code == 422
    assert world(session) == before


def test_nobody_else_takes_the_transfer_in(session: Session, api: Api, sent: Sent) -> None:
    _, _, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    paper = session.execute(text("SELECT reference FROM transfer")).scalar_one()
    boss = Principal(STAFF, new_id(), ROLES["manager"])
    now = clock.now()
    with pytest.raises(transfers.PromisedToOrder):
        transfers.receive(session, transfer=paper, arrived=[], final=True, key=None, caller=boss, now=now)
    with pytest.raises(transfers.PromisedToOrder):
        transfers.cancel(session, transfer=paper, choice="return", caller=boss, now=now)


def test_of_an_order_that_was_called_off_the_goods_become_the_stores(session: Session, api: Api, sent: Sent) -> None:
    made, picked, _, packer, fulfillment_id = sent
    dispatch(api, packer, fulfillment_id)
    agent = staff(session, "agent")
    gone = api(agent).post(f"/orders/{picked.id}/cancellation", key=key(), json={"reason": "asked"})
    assert gone.status_code == 200, gone.json
    there = arrive(api, made.associate, fulfillment_id)
    assert (there.status_code, state_of(there, fulfillment_id)) == (200, "cancelled"), there.json
    assert level(session, made.store, made.tea) == (3, 0, 0)
    assert arrive(api, made.associate, fulfillment_id).status_code == 409
    assert balanced(session)


def test_what_is_missing_at_the_source_is_settled_before_it_leaves(session: Session, api: Api, sent: Sent) -> None:
    _, picked, _, packer, fulfillment_id = sent
    answer = api(packer).post(f"/pickups/{fulfillment_id}/short", key=key(), json=picked.short(1))
    assert answer.status_code == 200, answer.json
    refused = dispatch(api, packer, fulfillment_id)
    assert (refused.status_code, refused.json["code"]) == (409, "shortfall_open")
    path = f"/pickups/{fulfillment_id}/shortfall-resolution"
    assert api(packer).post(path, key=key(), json={"resolution": "refund"}).status_code == 200
    assert dispatch(api, packer, fulfillment_id).status_code == 200
    assert balanced(session)


def test_a_bundle_travels_as_its_components(session: Session, api: Api, depot: Place) -> None:
    made = shop(session, units=4)
    cup, box = variant(session), variant(session, price_minor=3000)
    bundle(session, box, (made.tea, 2), (cup, 1))
    receive(session, made.store, cup, 2)
    receive(session, depot, cup, 2)
    receive(session, depot, made.tea, 4)
    picked = picking(api, made, lines=[{"sku": box.sku, "quantity": 2}])
    lines = [{"order_line_id": picked.line_ids[0], "quantity": 2, "sku": cup.sku}]
    assert (
        api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json={"lines": lines}).json["open"]
        == 2
    )
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    answer = api(made.associate).post(path, key=key(), json={"resolution": "ship_to_store"})
    assert answer.status_code == 200, answer.json
    fulfillment_id = answer.json["shortfalls"][0]["to_fulfillment_id"]
    packer = staff(session, "associate", locations=[depot.id])
    assert api(packer).post(f"/pickups/{fulfillment_id}/picking", key=key()).status_code == 200
    assert dispatch(api, packer, fulfillment_id).status_code == 200
    there = arrive(api, made.associate, fulfillment_id, order_line_id=picked.line_ids[0], received=2, damaged=1)
    assert there.status_code == 200, there.json
    assert level(session, made.store, cup)[1] == 1
    assert parts(session, picked.id)[1][5] == 1
    assert balanced(session)


def test_what_arrived_is_the_counters_and_late_when_it_lies_too_long(session: Session, api: Api, sent: Sent) -> None:
    made, _, _, packer, fulfillment_id = sent

    def listed(query: str = "") -> list[str]:
        items = api(made.associate).get(f"/pickups?{query}").json["items"]
        return [one["id"] for one in items if one["method"] == "ship_to_store"]

    dispatch(api, packer, fulfillment_id)
    assert listed() == [], "on its way it is not the counter's"
    assert arrive(api, made.associate, fulfillment_id).status_code == 200
    assert listed() == listed("state=arrived") == [fulfillment_id]
    assert listed("late=true") == []
    with clock.shifted(timedelta(days=1)):
        assert listed("late=true") == [fulfillment_id]
    assert api(made.associate).post(f"/pickups/{fulfillment_id}/ready", key=key()).status_code == 200
    with clock.shifted(timedelta(days=1)):
        assert listed("late=true") == []
        assert listed() == [fulfillment_id]
