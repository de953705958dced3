"""Refunds in full: every tender gives back what it gave, once; points are clawed back once (FAILURES 13)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inventory import audit as stock_audit
from loyalty import audit as points_audit
from orders import attempts, audit, payments, stripe_gateway
from retail.kernel import clock, db
from tests.conftest import NOW
from tests.factories import api_client, staff
from tests.factories.orders import Shop, account, entries, events, level, pickup_body, ready_pickup, shop, world
from tests.factories.orders import payments as tenders
from tests.factories.stripe import GOOD_CARD, CardNetwork

Api = Callable[..., Any]


def clean(session: Session) -> bool:
    return [*audit.divergences(session), *stock_audit.divergences(session), *points_audit.divergences(session)] == []


def handed_over(api: Api, made: Shop, *, card: bool = True, **changes: Any) -> dict[str, Any]:
    """An order that was placed, picked, paid and handed over."""
    payment = {"method": "card", "payment_method": GOOD_CARD} if card else {"method": "pay_at_pickup"}
    order = (
        api(made.customer).post("/orders", key="place", json=pickup_body(made, **changes) | {"payment": payment}).json
    )
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license"} | ({} if card else {"tender": "cash"})
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="hand", json=body).status_code == 200
    done = api(made.customer).get(f"/orders/{order['reference']}").json
    assert done["status"] == "completed"
    return dict(done)


def refund(api: Api, who: Any, order: dict[str, Any], *, key: str = "back", **body: Any) -> Any:
    return api(who).post(f"/orders/{order['reference']}/refunds", key=key, json={"reason": "damaged"} | body)


def intent_of(order: dict[str, Any]) -> str:
    return next(str(payment["provider_id"]) for payment in order["payments"] if payment["tender"] == "card")


def test_everything_goes_back_to_where_it_came_from(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, points=500)
    order = handed_over(api, made, quantity=2, points_to_spend=500)
    assert level(session, made.store, made.tea) == (8, 0, 0)
    # 3960 in all, 3600 without tax; the points' share of it earns nothing: 31 points for the card's 3460
    earned = account(session, made.customer)[0]
    assert earned == 31
    answer = refund(api, staff(session, "agent"), order, restock=True)
    assert answer.status_code == 201
    receipt = dict(answer.json)
    refund_id = receipt.pop("id")
    assert receipt == {
        "order_id": order["id"],
        "order_reference": order["reference"],
        "state": "done",
        "amount": {"amount_minor": 3460, "currency": "JPY"},
        "points": 500,
        "reason": "damaged",
        "restock": True,
        "remaining": {"amount_minor": 0, "currency": "JPY"},
        "created_at": NOW.isoformat(),
    }
    assert [(back["amount"], back["status"]) for back in cards.refunds(intent_of(order))] == [(3460, "succeeded")]
    assert account(session, made.customer) == (500, 0, 0)
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert sorted(entries(session))[:3] == [
        ("card", "authorize", 3460, "succeeded"),
        ("card", "capture", 3460, "succeeded"),
        ("card", "refund", 3460, "succeeded"),
    ]
    after = api(made.customer).get(f"/orders/{order['reference']}").json
    assert after["status"] == "refunded"
    assert [line["refunded_quantity"] for line in after["lines"]] == [2]
    assert {payment["tender"]: payment["refunded"]["amount_minor"] for payment in after["payments"]} == {
        "card": 3460,
        "points": 500,
    }
    assert [(back["id"], back["state"]) for back in after["refunds"]] == [(refund_id, "done")]
    assert events(session, "OrderRefunded") == ["OrderRefunded"]
    data = session.execute(text("SELECT data FROM event WHERE type = 'OrderRefunded'")).scalar_one()
    assert (data["refund_id"], data["amount_minor"], data["points"]) == (refund_id, 3460, 500)
    assert clean(session)


def test_failure_13_earned_points_are_clawed_back_once_even_when_spent(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    order = handed_over(api, made)
    assert account(session, made.customer) == (18, 0, 0)
    again = api(made.customer).post("/orders", key="spend", json=pickup_body(made, points_to_spend=10))
    assert again.status_code == 201
    assert refund(api, staff(session, "agent"), order).status_code == 201
    assert account(session, made.customer) == (0, 10, 10)  # 8 were there, 10 are owed
    claws = text("SELECT count(*) FROM points_transaction WHERE kind = 'claw_back'")
    assert session.execute(claws).scalar_one() == 1
    refund(api, staff(session, "agent"), order, key="again")
    payments.settle_started(now=NOW + timedelta(hours=1))
    assert session.execute(claws).scalar_one() == 1
    assert account(session, made.customer) == (0, 10, 10)
    assert clean(session)


def test_without_restock_the_goods_stay_gone(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = handed_over(api, made)
    assert refund(api, staff(session, "agent"), order).json["restock"] is False
    assert level(session, made.store, made.tea) == (9, 0, 0)
    assert clean(session)


def test_cash_goes_back_at_once(session: Session, api: Api) -> None:
    made = shop(session)
    order = handed_over(api, made, card=False)
    manager = staff(session, "manager", locations=[made.store.id])
    answer = refund(api, manager, order)
    assert (answer.status_code, answer.json["state"], answer.json["amount"]["amount_minor"]) == (201, "done", 1980)
    assert tenders(session) == [("cash", "captured", 1980, 1980, 1980)]
    assert account(session, made.customer) == (0, 0, 0)
    assert clean(session)


def test_the_same_key_refunds_once_and_another_finds_nothing(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = handed_over(api, made)
    agent = staff(session, "agent")
    first = refund(api, agent, order)
    before = world(session)
    again = refund(api, agent, order)
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, first.json, "true")
    other = refund(api, agent, order, key="other")
    assert (other.status_code, other.json["code"]) == (409, "nothing_to_refund")
    assert other.json["remaining"] == {"amount_minor": 0, "currency": "JPY", "points": 0}
    assert world(session) == before
    assert len(cards.refunds(intent_of(order))) == 1


def test_while_the_network_is_down_a_refund_is_pending(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = handed_over(api, made)
    agent = staff(session, "agent")
    cards.kill()
    answer = refund(api, agent, order, restock=True)
    assert (answer.status_code, answer.json["state"]) == (201, "pending")
    assert answer.json["remaining"]["amount_minor"] == 0  # on its way: nobody may give it back a second time
    assert refund(api, agent, order, key="other").json["code"] == "nothing_to_refund"
    assert tenders(session) == [("card", "captured", 1980, 1980, 1980)]
    assert account(session, made.customer) == (18, 0, 0)
    assert level(session, made.store, made.tea) == (9, 0, 0)
    cards.start()
    assert payments.settle_started(now=NOW + timedelta(seconds=5)) == 1
    assert payments.settle_started(now=NOW + timedelta(seconds=99)) == 0
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1980]
    assert account(session, made.customer) == (0, 0, 0)
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert session.execute(text("SELECT state, done_at FROM refund")).one() == ("done", NOW + timedelta(seconds=5))
    assert clean(session)


@pytest.mark.parametrize("asked", [False, True], ids=["before Stripe was asked", "after Stripe gave it back"])
def test_a_process_that_dies_refunds_once(session: Session, api: Api, cards: CardNetwork, asked: bool) -> None:
    made = shop(session)
    order = handed_over(api, made)
    cards.kill()
    assert refund(api, staff(session, "agent"), order).json["state"] == "pending"
    cards.start()
    with db.transaction() as tx:
        (entry_id,) = attempts.waiting(tx, order_id=UUID(order["id"]), now=clock.now(), older_than_seconds=0)
        work = attempts.claim(tx, entry_id=entry_id, now=clock.now())
    assert work is not None
    if asked:
        stripe_gateway.refund(intent_of(order), amount_minor=1980, entry_id=str(entry_id), key=work.idempotency_key)
        assert len(cards.refunds(intent_of(order))) == 1
    for seconds in (attempts.attempt_seconds(), attempts.attempt_seconds() + 5, 3600):
        payments.settle_started(now=NOW + timedelta(seconds=seconds))
    assert [back["metadata"]["entry_id"] for back in cards.refunds(intent_of(order))] == [str(entry_id)]
    assert session.execute(text("SELECT state FROM refund")).scalars().all() == ["done"]
    assert account(session, made.customer) == (0, 0, 0)
    assert events(session, "OrderRefunded") == ["OrderRefunded"]
    assert clean(session)


def test_a_refund_the_provider_refuses_fails_and_changes_nothing_else(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    order = handed_over(api, made)
    session.execute(text("UPDATE payment SET provider_id = 'pi_lost'"))
    agent = staff(session, "agent")
    answer = refund(api, agent, order, restock=True)
    assert (answer.status_code, answer.json["code"], answer.json["provider_code"]) == (
        409,
        "refund_failed",
        "invalid_request",
    )
    assert refund(api, agent, order, restock=True).headers["Idempotent-Replayed"] == "true"
    assert session.execute(text("SELECT state FROM refund")).scalars().all() == ["failed"]
    assert session.execute(text("SELECT refunded_minor FROM payment")).scalars().all() == [0]
    assert account(session, made.customer) == (18, 0, 0)
    assert level(session, made.store, made.tea) == (9, 0, 0)
    assert events(session, "OrderRefunded") == []
    assert clean(session)
    session.execute(text("UPDATE payment SET provider_id = :id"), {"id": intent_of(order)})
    assert refund(api, agent, order, key="anew").json["state"] == "done"
    assert clean(session)


def test_an_order_that_was_not_charged_is_cancelled_instead(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    payment = {"method": "card", "payment_method": GOOD_CARD}
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made) | {"payment": payment}).json
    before = world(session)
    agent = staff(session, "agent")
    answer = refund(api, agent, order)
    assert (answer.status_code, answer.json["code"], answer.json["legal"]) == (409, "not_refundable", ["cancellation"])
    assert world(session) == before
    assert api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="c", json={}).status_code == 200
    assert refund(api, agent, order, key="later").json["legal"] == []


def test_charged_and_not_handed_over_is_called_off_and_refunded(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, capture_at="placed")
    payment = {"method": "card", "payment_method": GOOD_CARD}
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made) | {"payment": payment}).json
    answer = refund(api, staff(session, "agent"), order)
    assert (answer.status_code, answer.json["state"]) == (201, "done")
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert events(session, "OrderCancelled", "OrderRefunded") == ["OrderCancelled", "OrderRefunded"]
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1980]
    assert api(made.customer).get(f"/orders/{order['reference']}").json["status"] == "cancelled"
    assert clean(session)


def test_who_may_refund_what(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = handed_over(api, made)
    others = staff(session, "manager", locations=[made.other.id])
    client = api_client(session, ("orders.refund", "orders.place"))
    before = world(session)
    assert api().post(f"/orders/{order['reference']}/refunds", key="a", json={"reason": "x"}).status_code == 401
    assert refund(api, made.customer, order, key="b").status_code == 403
    assert refund(api, made.associate, order, key="c").status_code == 403
    assert refund(api, others, order, key="d").status_code == 404
    assert refund(api, client, order, key="e").status_code == 404
    assert refund(api, staff(session, "agent"), {"reference": "R-22222-22222"}, key="f").status_code == 404
    assert world(session) == before
    assert cards.refunds(intent_of(order)) == []


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "x", "restock": "maybe"}, {"reason": "x" * 201}, {"amount": 1}]
)
def test_a_refund_says_why(session: Session, api: Api, cards: CardNetwork, body: Any) -> None:
    made = shop(session)
    order = handed_over(api, made)
    agent = staff(session, "agent")
    before = world(session)
    assert api(agent).post(f"/orders/{order['reference']}/refunds", key="k", json=body).status_code == 422
    assert api(agent).post(f"/orders/{order['reference']}/refunds", json={"reason": "x"}).status_code == 400
    assert world(session) == before


def test_the_row_refuses_more_than_was_captured(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    handed_over(api, made)
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(text("UPDATE payment SET refunded_minor = captured_minor + 1"))


def test_the_audit_names_a_refund_without_entries(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = handed_over(api, made)
    refund_id = refund(api, staff(session, "agent"), order).json["id"]
    session.execute(text("UPDATE refund SET amount_minor = amount_minor - 80"))
    (wrong,) = audit.divergences(session)
    assert (wrong.ledger, wrong.key) == ("refund", f"{order['reference']} {refund_id}")
    assert (wrong.stored, wrong.rebuilt, wrong.repair) == ("1900", "1980", None)


def test_all_is_not_paid_back_while_a_card_is_being_charged(session: Session, api: Api, cards: CardNetwork) -> None:
    """Found by a walk of the machine: the points went back, and the card was charged afterwards."""
    made = shop(session, points=500)
    payment = {"method": "card", "payment_method": GOOD_CARD}
    body = pickup_body(made, points_to_spend=500) | {"payment": payment}
    order = api(made.customer).post("/orders", key="place", json=body).json
    pickup_id = ready_pickup(api, made, order)
    cards.kill()
    hand = {"identity": "driving license"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="hand", json=hand).status_code == 200
    agent = staff(session, "agent")
    before = world(session)
    busy = refund(api, agent, order)
    assert (busy.status_code, busy.json["code"]) == (503, "payment_in_progress"), busy.json
    assert world(session) == before
    cards.start()
    assert payments.settle_started(now=NOW + timedelta(seconds=5)) == 1
    assert refund(api, agent, order).json["state"] == "done"
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1480]
    assert clean(session)


def test_points_on_their_way_back_do_not_go_back_by_a_return_too(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    """Found by a walk of the machine: a refund of all that waits for the card network, and a return meanwhile."""
    made = shop(session, points=3000)
    order = handed_over(api, made, quantity=2, points_to_spend=3000)
    cards.kill()
    assert refund(api, staff(session, "agent"), order).json["state"] == "pending"
    line = {"order_line_id": order["lines"][0]["id"], "quantity": 1}
    counter = api(made.associate)
    back = counter.post("/returns", key="ask", json={"order": order["reference"], "lines": [line]}).json
    path = f"/returns/{back['reference']}"
    assert counter.post(f"{path}/receipt", key="in", json={"location": made.store.code}).status_code == 200
    before = world(session)
    found = {"return_line_id": back["lines"][0]["id"], "outcomes": [{"condition": "sellable", "quantity": 1}]}
    refused = counter.post(f"{path}/inspection", key="look", json={"lines": [found]})
    assert (refused.status_code, refused.json["code"]) == (409, "nothing_left"), refused.json
    assert world(session) == before
    cards.start()
    assert payments.settle_started(now=NOW + timedelta(seconds=5)) == 1
    assert clean(session)


def test_nothing_is_paid_back_whole_of_which_goods_are_still_to_come(session: Session, api: Api) -> None:
    """Found by a walk of the machine: all was paid back, and the rest could still be fetched."""
    made = shop(session)
    lines = [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}]
    order = handed_over(api, made, card=False, lines=lines)
    asked = {"order_line_id": order["lines"][0]["id"], "quantity": 1, "new_sku": made.cake.sku}
    counter, manager = api(made.associate), staff(session, "manager", locations=[made.store.id])
    back = counter.post("/exchanges", key="ask", json={"order": order["reference"], "lines": [asked]}).json
    path = f"/returns/{back['reference']}"
    assert counter.post(f"{path}/receipt", key="in", json={"location": made.store.code}).status_code == 200
    found = {"return_line_id": back["lines"][0]["id"], "outcomes": [{"condition": "sellable", "quantity": 1}]}
    swapped = counter.post(f"{path}/inspection", key="look", json={"lines": [found]})
    assert (swapped.status_code, swapped.json["state"]) == (200, "exchanged"), swapped.json
    before = world(session)
    refused = refund(api, manager, order)
    assert (refused.status_code, refused.json["code"]) == (409, "not_refundable"), refused.json
    assert refused.json["legal"] == ["line_cancellation", "return"]
    assert world(session) == before
    part = api(made.customer).get(f"/orders/{order['reference']}").json
    new = next(line for line in part["lines"] if line["quantity"] == 1 and line["id"] != order["lines"][1]["id"])
    off = api(manager).post(f"/orders/{order['reference']}/lines/{new['id']}/cancellation", key="off", json={})
    assert off.status_code == 200, off.json
    assert refund(api, manager, order, key="now").json["state"] == "done"
    assert clean(session)
