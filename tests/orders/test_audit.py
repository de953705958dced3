"""What the audit of orders finds when goods left unpaid: the order by name, with the figures; and nothing else."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, shipping, value
from retail.audit import Divergence
from retail.kernel import clock, db
from tests.factories import staff
from tests.factories.orders import Shop, pickup_body, ready_pickup, receive, shop
from tests.factories.stripe import CardNetwork

Api = Callable[..., Any]


def found(session: Session) -> list[tuple[str, str, str, str]]:
    """(ledger, key, stored, rebuilt) of each divergence."""
    return [(one.ledger, one.key, one.stored, one.rebuilt) for one in audit.divergences(session)]


def handed_over(api: Api, made: Shop, *, quantity: int = 2, **changes: Any) -> dict[str, Any]:
    """An order of teas that was fetched and paid for at the counter; the order."""
    order: dict[str, Any] = (
        api(made.customer).post("/orders", key="place", json=pickup_body(made, quantity=quantity, **changes)).json
    )
    part = ready_pickup(api, made, order)
    tender = {"tender": "cash"} if order["payments"][-1]["tender"] == "pay_at_pickup" else {}
    answer = api(made.associate).post(f"/pickups/{part}/collection", key="c", json={"identity": "passport"} | tender)
    assert answer.status_code == 200, answer.json
    return order


def unpay(session: Session) -> None:
    """As Odoo once did (#284403): handed over, and the money never recorded; each ledger agrees with itself."""
    session.execute(text("DELETE FROM payment_entry"))
    session.execute(
        text("UPDATE payment SET tender = 'pay_at_pickup', state = 'pending', authorized_minor = 0, captured_minor = 0")
    )


def test_goods_that_left_unpaid_are_named(session: Session, api: Api) -> None:
    order = handed_over(api, shop(session))
    assert found(session) == []
    unpay(session)
    goods = "goods worth 3960"
    nothing = "paid 0 (captured 0, being captured 0, given back 0)"
    assert found(session) == [("handed_over", order["reference"], goods, nothing)], "no other audit sees it"


def test_it_is_one_statement_for_all_orders_and_the_first_is_named_first(session: Session, api: Api) -> None:
    made = shop(session, units=20)
    references = []
    for number in range(3):
        body = pickup_body(made, quantity=number + 1)
        order = api(made.customer).post("/orders", key=f"place-{number}", json=body).json
        part = ready_pickup(api, made, order)
        paid = {"identity": "passport", "tender": "cash"}
        assert api(made.associate).post(f"/pickups/{part}/collection", key=f"c-{part}", json=paid).status_code == 200
        references.append(order["reference"])
    with db.counting() as before:
        assert found(session) == []
    unpay(session)
    with db.counting() as after:
        assert [key for _, key, _, _ in found(session)] == sorted(references)
    assert after.statements == before.statements


def test_money_that_went_back_for_other_goods_does_not_pay(session: Session, api: Api) -> None:
    """Paid and collected; then money goes back although no goods came back, as a faulty refund would have it."""
    order = handed_over(api, shop(session))
    session.execute(text("UPDATE payment SET refunded_minor = 1980"))
    session.execute(
        text(
            """
            INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
            SELECT gen_random_uuid(), id, 'refund', 1980, 'succeeded', 'planted', 'system', now(), now() FROM payment
            """
        )
    )
    paid = "paid 1980 (captured 3960, being captured 0, given back 1980)"
    assert ("handed_over", order["reference"], "goods worth 3960", paid) in found(session)


def test_goods_that_came_back_goodwill_and_a_refund_of_all_are_no_fault(session: Session, api: Api) -> None:
    made = shop(session)
    order = handed_over(api, made, quantity=3)
    asked = {"order": order["reference"], "lines": [{"order_line_id": order["lines"][0]["id"], "quantity": 1}]}
    back = api(made.associate).post("/returns", key="r", json=asked).json
    path = f"/returns/{back['reference']}"
    assert api(made.associate).post(f"{path}/receipt", key="in", json={"location": made.store.code}).status_code == 200
    outcome = {"return_line_id": back["lines"][0]["id"], "outcomes": [{"condition": "sellable", "quantity": 1}]}
    assert api(made.associate).post(f"{path}/inspection", key="i", json={"lines": [outcome]}).status_code == 200
    assert found(session) == []
    value.cut(
        session,
        order_id=UUID(order["id"]),
        amount_minor=500,
        goodwill=True,
        reason="late",
        actor="system",
        now=clock.now(),
    )
    assert refunded(session) == 1980 + 500
    assert found(session) == []
    manager = staff(session, "manager", locations=[made.store.id])
    whole = api(manager).post(f"/orders/{order['reference']}/refunds", key="w", json={"reason": "broken"})
    assert whole.status_code == 201, whole.json
    assert refunded(session) == 3 * 1980
    assert found(session) == []


def refunded(session: Session) -> int:
    return int(session.execute(text("SELECT sum(refunded_minor) FROM payment")).scalar_one())


def test_a_card_pays_as_far_as_its_capture_is_asked_for(
    session: Session, api: Api, cards: CardNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handed over while the card network is silent: the capture is written down, and a job will make it. Without it, the
    authorization alone pays nothing."""
    made = shop(session)
    payment = {"method": "card", "payment_method": "pm_card_visa"}
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made, quantity=2, payment=payment)).json
    part = ready_pickup(api, made, order)
    monkeypatch.setattr("orders.payments.capture", lambda **_: None)
    monkeypatch.setattr("orders.cancellation.settle", lambda **_: None)
    answer = api(made.associate).post(f"/pickups/{part}/collection", key="c", json={"identity": "passport"})
    assert answer.status_code == 200, answer.json
    entry = "SELECT count(*) FROM payment_entry WHERE kind = 'capture' AND state = 'started'"
    assert (session.execute(text(entry)).scalar_one(), found(session)) == (1, [])
    session.execute(text("DELETE FROM payment_entry WHERE kind = 'capture'"))
    nothing = "paid 0 (captured 0, being captured 0, given back 0)"
    assert found(session) == [("handed_over", order["reference"], "goods worth 3960", nothing)]


def sent_unpaid(session: Session, api: Api, made: Shop) -> tuple[dict[str, Any], Any]:
    """A pay-at-pickup order of three of which one is missing and shipped from the other store, ready to leave; the order,
    and the answer to its parcel leaving."""
    receive(session, made.other, made.tea, 5)
    manager = staff(session, "manager", locations=[made.store.id, made.other.id])
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made, quantity=3)).json
    part, line = order["fulfillments"][0]["id"], order["lines"][0]["id"]
    at_counter, boss = api(made.associate), api(manager)
    at_counter.post(f"/pickups/{part}/picking", key="p")
    missing = {"lines": [{"order_line_id": line, "quantity": 1}]}
    assert at_counter.post(f"/pickups/{part}/short", key="s", json=missing).status_code == 200
    address = {"postal_code": "150-0002", "city": "渋谷区", "line1": "1-2-3"}
    resolution = {"resolution": "ship", "ship_to": address, "location": made.other.code}
    assert boss.post(f"/pickups/{part}/shortfall-resolution", key="r", json=resolution).status_code == 200
    (shipment,) = boss.get("/shipments").json["items"]
    path = f"/shipments/{shipment['id']}"
    assert boss.post(f"{path}/picking", key="sp").status_code == 200
    parcels = {"parcels": [{"lines": [{"order_line_id": line, "quantity": 1}]}]}
    packed = boss.post(f"{path}/packing", key="pack", json=parcels).json
    leaving = {"carrier": "yamato", "parcels": [{"parcel_id": packed["parcels"][0]["id"], "tracking": "1"}]}
    return order, boss.post(f"{path}/dispatch", key="go", json=leaving)


def test_the_guard_keeps_an_unpaid_parcel_in_and_the_audit_clean(session: Session, api: Api) -> None:
    _, answer = sent_unpaid(session, api, shop(session, units=3))
    assert (answer.status_code, answer.json["code"]) == (409, "payment_due")
    assert found(session) == []


def test_without_the_guard_the_parcel_leaves_and_the_audit_cries(
    session: Session, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "_require_paid", lambda *_: None)
    order, answer = sent_unpaid(session, api, shop(session, units=3))
    assert (answer.status_code, answer.json["state"]) == (200, "shipped")
    (cried,) = audit.divergences(session)
    paid = "paid 0 (captured 0, being captured 0, given back 0)"
    assert cried == Divergence("handed_over", order["reference"], "goods worth 1980", paid)
