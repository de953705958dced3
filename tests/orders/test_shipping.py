"""What is sent: picked, packed, handed over parcel by parcel, delivered; each once, in order, by the right people."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
import loyalty.audit
from orders import audit
from retail.kernel import clock, outbox
from retail.kernel.ids import new_id
from tests.factories import staff
from tests.factories.orders import Shop, account, level, pickup_body, receive, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
HOME = '{"postal_code": "150-0002", "city": "渋谷区", "line1": "1-2-3", "country": "JP"}'


def sent(session: Session, api: Api, made: Shop, *, paid: bool = False) -> tuple[dict[str, Any], str]:
    """An order of three teas and a cake that is sent home; returns it and its shipment's id."""
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 1}]
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made) | {"lines": lines}).json
    session.execute(text("UPDATE fulfillment SET method = 'ship'"))
    session.execute(text('UPDATE "order" SET ship_to = CAST(:home AS jsonb)'), {"home": HOME})
    if paid:  # by another system, so that nothing is left to the counter
        session.execute(
            text(
                "UPDATE payment SET tender = 'external', state = 'captured', authorized_minor = amount_minor, captured_minor = amount_minor"
            )
        )
        session.execute(
            text(
                """
                INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
                SELECT gen_random_uuid(), id, kind, amount_minor, 'succeeded', kind || id, 'system', :now, :now
                FROM payment CROSS JOIN unnest(ARRAY['authorize', 'capture']) AS kind
                """
            ),
            {"now": clock.now()},
        )
    return order, order["fulfillments"][0]["id"]


def step(api: Api, caller: Any, shipment: str, name: str, key: str = "", **body: Any) -> Any:
    return api(caller).post(f"/shipments/{shipment}/{name}", key=key or f"{name}-{new_id()}", json=body or None)


def parcels(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Two teas in one, a tea and the cake in the other."""
    tea, cake = (line["id"] for line in order["lines"])
    return [
        {"lines": [{"order_line_id": tea, "quantity": 2}], "weight_g": 400},
        {"lines": [{"order_line_id": tea, "quantity": 1}, {"order_line_id": cake, "quantity": 1}]},
    ]


def leave(
    api: Api, caller: Any, shipment: str, *ids: str, key: str = "", tracking: str | None = "1234-5678", **more: Any
) -> Any:
    body = {"carrier": "yamato", "parcels": [{"parcel_id": one, "tracking": tracking} for one in ids]} | more
    return step(api, caller, shipment, "dispatch", key, **body)


def clean(session: Session) -> bool:
    audits = (audit.divergences, inventory.audit.divergences, loyalty.audit.divergences)
    return [found for one in audits for found in one(session)] == []


def test_two_parcels_one_after_the_other(session: Session, api: Api) -> None:
    made = shop(session)
    order, shipment = sent(session, api, made, paid=True)
    (listed,) = api(made.associate).get("/shipments").json["items"]
    assert (listed["id"], listed["state"], listed["ship_to"]["postal_code"]) == (shipment, "allocated", "150-0002")
    assert step(api, made.associate, shipment, "picking").json["state"] == "picking"
    assert step(api, made.associate, shipment, "picking").json["state"] == "picking", "a double click"
    packed = step(api, made.associate, shipment, "packing", parcels=parcels(order))
    assert packed.status_code == 200, packed.json
    first, second = (one["id"] for one in packed.json["parcels"])
    one = leave(api, made.associate, shipment, first, key="first")
    assert (one.status_code, one.json["state"]) == (200, "packed"), one.json
    assert [(parcel["state"], parcel["tracking"]) for parcel in one.json["parcels"]] == [
        ("shipped", "1234-5678"),
        ("packed", None),
    ]
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((8, 1, 0), (10, 1, 0))
    assert account(session, made.customer) == (36, 0, 0), "two teas have left"
    assert leave(api, made.associate, shipment, first, key="first").headers["Idempotent-Replayed"] == "true"
    assert leave(api, made.associate, shipment, first).json["state"] == "packed", "a parcel leaves once"
    assert api(made.customer).get(f"/orders/{order['reference']}").json["status"] == "open"
    rest = leave(api, made.associate, shipment, second, carrier="manual", tracking="99")
    assert rest.json["state"] == "shipped"
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((7, 0, 0), (9, 0, 0))
    assert account(session, made.customer) == (59, 0, 0), "5,400 and 500 without tax"
    assert api(made.customer).get(f"/orders/{order['reference']}").json["status"] == "shipped"
    for _ in range(2):
        assert step(api, made.associate, shipment, "delivery").json["state"] == "delivered"
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    assert (shown["status"], [line["collected"] for line in shown["fulfillments"][0]["lines"]]) == ("completed", [3, 1])
    assert api(made.associate).get("/shipments").json["items"] == []
    assert len(api(made.associate).get(f"/shipments?state=delivered&location={made.store.code}").json["items"]) == 1
    assert clean(session)
    (told,) = api(made.customer).get(f"/orders/{order['reference']}/returnability").json["lines"][:1]
    assert told["returnable"] == 3, "what was delivered can come back"


def test_the_customer_gets_the_number_of_each_parcel_once(session: Session, api: Api) -> None:
    made = shop(session)
    order, shipment = sent(session, api, made, paid=True)
    step(api, made.associate, shipment, "picking")
    packed = step(api, made.associate, shipment, "packing", parcels=parcels(order)).json
    leave(api, made.associate, shipment, *(one["id"] for one in packed["parcels"]))
    outbox.drain()
    letters = session.execute(text("SELECT template FROM message ORDER BY 1")).scalars().all()
    assert letters.count("parcel_shipped") == 2


def test_what_does_not_follow(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order, shipment = sent(session, api, made, paid=True)
    whole: dict[str, Any] = {"parcels": parcels(order)}
    unknown = str(new_id())
    with unchanged():
        early = step(api, made.associate, shipment, "packing", **whole)
        assert (early.status_code, early.json["legal"]) == (409, ["picking", "short", "cancelled"])
        assert step(api, made.associate, shipment, "delivery").status_code == 409
        bodies: dict[str, dict[str, Any]] = {"picking": {}, "packing": whole, "delivery": {}}
        for name, body in bodies.items():
            assert step(api, made.stranger, shipment, name, **body).status_code == 404, name
            assert step(api, made.associate, unknown, name, **body).status_code == 404, name
        assert leave(api, made.stranger, shipment, unknown).status_code == 404
        assert api(made.stranger).get(f"/shipments/{shipment}").status_code == 404
        assert api(made.stranger).get("/shipments").json["items"] == []
        assert api(made.associate).get("/shipments?state=lost").status_code == 422
    assert api(made.associate).get(f"/shipments/{shipment}").json["state"] == "allocated"
    step(api, made.associate, shipment, "picking")
    tea = order["lines"][0]["id"]
    with unchanged():
        for wrong in (
            whole["parcels"][:1],
            [*whole["parcels"], {"lines": [{"order_line_id": tea, "quantity": 1}]}],
            [{"lines": [{"order_line_id": unknown, "quantity": 1}]}, *whole["parcels"]],
        ):
            answer = step(api, made.associate, shipment, "packing", parcels=wrong)
            assert (answer.status_code, answer.json["code"]) == (422, "packing_invalid")
        assert step(api, made.associate, shipment, "packing", parcels=[]).status_code == 422
    packed = step(api, made.associate, shipment, "packing", **whole).json
    first = packed["parcels"][0]["id"]
    with unchanged():
        late = step(api, made.associate, shipment, "picking")
        assert (late.status_code, late.json["legal"]) == (409, ["shipped", "cancelled"])
        assert step(api, made.associate, shipment, "delivery").json["code"] == "parcels_left"
        assert leave(api, made.associate, shipment, unknown).json["code"] == "parcel_unknown"
        assert leave(api, made.associate, shipment, first, first).json["code"] == "parcel_unknown"
        assert leave(api, made.associate, shipment, first, carrier="pigeon").json["code"] == "carrier_unknown"
        assert leave(api, made.associate, shipment, first, tracking=None).json["code"] == "tracking_missing"
    assert leave(api, made.associate, shipment, *(one["id"] for one in packed["parcels"])).json["state"] == "shipped"
    manager = staff(session, "manager", locations=[made.store.id])
    with unchanged():
        over = api(manager).post(f"/orders/{order['reference']}/cancellation", key="off", json={})
        assert over.json["code"] == "too_late_to_cancel"


def test_what_was_called_off_does_not_leave(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order, shipment = sent(session, api, made)
    step(api, made.associate, shipment, "picking")
    packed = step(api, made.associate, shipment, "packing", parcels=parcels(order)).json
    manager = staff(session, "manager", locations=[made.store.id])
    off = api(manager).post(f"/orders/{order['reference']}/cancellation", key="off", json={})
    assert off.json["status"] == "cancelled", off.json
    with unchanged():
        late = leave(api, made.associate, shipment, packed["parcels"][0]["id"])
        assert (late.status_code, late.json["code"], late.json["legal"]) == (409, "illegal_transition", [])
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert clean(session)


def test_an_order_of_which_a_parcel_has_left_is_not_called_off(
    session: Session, api: Api, unchanged: Unchanged
) -> None:
    """Not by cancellation nor by refund: both would pay for the goods that are with the customer, too."""
    made = shop(session)
    order, shipment = sent(session, api, made, paid=True)
    step(api, made.associate, shipment, "picking")
    packed = step(api, made.associate, shipment, "packing", parcels=parcels(order)).json
    leave(api, made.associate, shipment, packed["parcels"][0]["id"])
    manager = staff(session, "manager", locations=[made.store.id])
    with unchanged():
        for name, body in (("cancellation", {}), ("refunds", {"reason": "late"})):
            over = api(manager).post(f"/orders/{order['reference']}/{name}", key=name, json=body)
            assert (over.status_code, over.json["code"], over.json["legal"]) == (409, "too_late_to_cancel", ["return"])
    rest = leave(api, made.associate, shipment, packed["parcels"][1]["id"])
    assert (rest.status_code, rest.json["state"]) == (200, "shipped")
    assert clean(session)


def test_what_was_sent_can_be_refunded(session: Session, api: Api) -> None:
    made = shop(session)
    order, shipment = sent(session, api, made, paid=True)
    step(api, made.associate, shipment, "picking")
    packed = step(api, made.associate, shipment, "packing", parcels=parcels(order)).json
    leave(api, made.associate, shipment, *(one["id"] for one in packed["parcels"]))
    step(api, made.associate, shipment, "delivery")
    manager = staff(session, "manager", locations=[made.store.id])
    refund = api(manager).post(f"/orders/{order['reference']}/refunds", key="r", json={"reason": "late"})
    assert (refund.status_code, refund.json["amount"]["amount_minor"]) == (201, 6_480), refund.json
    assert api(made.customer).get(f"/orders/{order['reference']}").json["status"] == "refunded"
    assert level(session, made.store, made.tea) == (7, 0, 0), "nothing came back"
    assert clean(session)


def test_missing_goods_are_sent_instead(session: Session, api: Api, unchanged: Unchanged) -> None:
    """A pick that finds too little; the customer would rather have it sent: the shipment is worked on to its end."""
    made = shop(session, units=3)
    receive(session, made.other, made.tea, 5)
    manager = staff(session, "manager", locations=[made.store.id, made.other.id])
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made, quantity=3)).json
    part, line = order["fulfillments"][0]["id"], order["lines"][0]["id"]
    counter = api(made.associate)
    counter.post(f"/pickups/{part}/picking", key="p")
    short = counter.post(f"/pickups/{part}/short", key="s", json={"lines": [{"order_line_id": line, "quantity": 1}]})
    assert short.status_code == 200, short.json
    address = {"postal_code": "150-0002", "city": "渋谷区", "line1": "1-2-3"}
    resolved = api(manager).post(
        f"/pickups/{part}/shortfall-resolution",
        key="r",
        json={"resolution": "ship", "ship_to": address, "location": made.other.code},
    )
    assert resolved.status_code == 200, resolved.json
    (shipment,) = api(manager).get("/shipments").json["items"]
    assert (shipment["location"]["code"], shipment["lines"][0]["quantity"]) == (made.other.code, 1)
    step(api, manager, shipment["id"], "picking")
    body = [{"lines": [{"order_line_id": line, "quantity": 1}]}]
    packed = step(api, manager, shipment["id"], "packing", parcels=body).json
    with unchanged():  # she pays at the counter, where two are ready, and has not been there
        unpaid = leave(api, manager, shipment["id"], packed["parcels"][0]["id"])
        assert (unpaid.status_code, unpaid.json["code"]) == (409, "payment_due"), unpaid.json
        assert unpaid.json["legal"] == ["payment-method", "cancelled"]
    ready = counter.post(f"/pickups/{part}/ready", key="ready")
    collected = counter.post(f"/pickups/{part}/collection", key="c", json={"identity": "passport", "tender": "cash"})
    assert (ready.status_code, collected.status_code) == (200, 200), (ready.json, collected.json)
    assert leave(api, manager, shipment["id"], packed["parcels"][0]["id"]).json["state"] == "shipped"
    assert level(session, made.other, made.tea) == (4, 0, 0)
    assert list(inventory.audit.divergences(session)) == []


@pytest.mark.committed
def test_a_parcel_leaves_once_for_two_who_say_so(session: Session, api: Api) -> None:
    made = shop(session)
    order, shipment = sent(session, api, made, paid=True)
    step(api, made.associate, shipment, "picking")
    packed = step(api, made.associate, shipment, "packing", parcels=parcels(order)).json
    first = packed["parcels"][0]["id"]
    answers: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda number=number: answers.append(leave(api, made.associate, shipment, first, tracking=number))
        )
        for number in ("1", "2", "3")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.json["parcels"][0]["tracking"] for answer in answers}) == 1, "one number, whoever was first"
    assert level(session, made.store, made.tea) == (8, 1, 0)
    assert account(session, made.customer) == (36, 0, 0)
    assert clean(session)
