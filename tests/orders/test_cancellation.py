"""Calling an order off: who may until when, and that everything goes back once, whatever the card network does."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import attempts, audit, payments, stripe_gateway
from retail.kernel import clock, db
from tests.conftest import NOW
from tests.factories import api_client, customer, staff
from tests.factories.orders import Shop, account, entries, events, level, pickup_body, ready_pickup, shop, world
from tests.factories.orders import payments as tenders
from tests.factories.stripe import AUTHENTICATED_CARD, GOOD_CARD, CardNetwork

Api = Callable[..., Any]


def placed(api: Api, made: Shop, *, card: str | None = GOOD_CARD, **changes: Any) -> dict[str, Any]:
    payment = {"method": "card", "payment_method": card} if card else {"method": "pay_at_pickup"}
    answer = api(made.customer).post("/orders", key="place", json=pickup_body(made, **changes) | {"payment": payment})
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def cancel(api: Api, who: Any, order: dict[str, Any], *, key: str = "cancel", reason: str = "changed my mind") -> Any:
    return api(who).post(f"/orders/{order['reference']}/cancellation", key=key, json={"reason": reason})


def stand(session: Session) -> dict[str, Any]:
    """Everything but the claims of refused requests, of which none may be left either."""
    return world(session)


def test_a_customer_cancels_her_order(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, points=500)
    order = placed(api, made, points_to_spend=500)
    answer = cancel(api, made.customer, order)
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert (answer.json["cancel_reason"], answer.json["cancelled_at"]) == ("changed my mind", NOW.isoformat())
    assert [part["state"] for part in answer.json["fulfillments"]] == ["cancelled"]
    assert sorted(tenders(session)) == [("card", "voided", 1480, 1480, 0), ("points", "voided", 500, 500, 0)]
    assert sorted(entries(session)) == [
        ("card", "authorize", 1480, "succeeded"),
        ("card", "void", 1480, "succeeded"),
        ("points", "authorize", 500, "succeeded"),
        ("points", "void", 500, "succeeded"),
    ]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert account(session, made.customer) == (500, 0, 0)
    assert events(session, "OrderCancelled") == ["OrderCancelled"]
    assert cards.intent(order["payments"][-1]["provider_id"])["status"] == "canceled"
    assert list(audit.divergences(session)) == []


def test_cancelling_twice_is_cancelling_once(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    first = cancel(api, made.customer, order)
    before = stand(session)
    replayed = cancel(api, made.customer, order)
    assert (replayed.status_code, replayed.json, replayed.headers["Idempotent-Replayed"]) == (200, first.json, "true")
    assert stand(session) == before
    again = cancel(api, made.customer, order, key="another")
    assert (again.status_code, again.json) == (200, first.json)
    assert stand(session) == before | {"idempotency_claim": before["idempotency_claim"] + 1}


def test_an_order_to_be_paid_at_pickup_owes_nothing_afterwards(session: Session, api: Api) -> None:
    made = shop(session)
    order = placed(api, made, card=None)
    assert cancel(api, made.customer, order).json["status"] == "cancelled"
    assert tenders(session) == [("pay_at_pickup", "voided", 1980, 0, 0)]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert list(audit.divergences(session)) == []


def test_once_picking_has_started_only_staff_may(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup_id = order["fulfillments"][0]["id"]
    assert api(made.associate).post(f"/pickups/{pickup_id}/picking", key="pick").status_code == 200
    before = stand(session)
    late = cancel(api, made.customer, order)
    assert (late.status_code, late.json["code"], late.json["legal"]) == (409, "too_late_to_cancel", [])
    assert stand(session) == before
    assert cards.intent(order["payments"][0]["provider_id"])["status"] == "requires_capture"
    manager = staff(session, "manager", locations=[made.store.id])
    assert cancel(api, manager, order, key="manager").json["status"] == "cancelled"
    assert level(session, made.store, made.tea) == (10, 0, 0)


def test_what_is_ready_can_be_called_off_by_an_agent(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    ready_pickup(api, made, order)
    assert cancel(api, staff(session, "agent"), order).json["status"] == "cancelled"
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert tenders(session) == [("card", "voided", 1980, 1980, 0)]


def test_what_was_handed_over_is_not_cancelled(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="hand", json=body).status_code == 200
    agent = staff(session, "agent")
    before = stand(session)
    for number, who in enumerate((agent, made.customer)):
        answer = cancel(api, who, order, key=f"late-{number}")
        assert (answer.status_code, answer.json["code"], answer.json["legal"]) == (
            409,
            "too_late_to_cancel",
            ["refund"],
        )
    assert stand(session) == before
    assert cards.refunds(order["payments"][0]["provider_id"]) == []


def test_what_was_captured_goes_back(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, capture_at="placed", points=500)
    order = placed(api, made, points_to_spend=500)
    answer = cancel(api, made.customer, order)
    assert answer.json["status"] == "cancelled"
    (refund,) = answer.json["refunds"]
    assert (refund["amount"]["amount_minor"], refund["points"], refund["state"]) == (1480, 0, "done")
    card = next(payment for payment in answer.json["payments"] if payment["tender"] == "card")
    assert (card["state"], card["captured"]["amount_minor"], card["refunded"]["amount_minor"]) == (
        "captured",
        1480,
        1480,
    )
    assert [back["amount"] for back in cards.refunds(card["provider_id"])] == [1480]
    assert account(session, made.customer) == (500, 0, 0)
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert list(audit.divergences(session)) == []


def test_the_network_may_be_down(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    cards.kill()
    answer = cancel(api, made.customer, order)
    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert answer.json["payments"][0]["state"] == "authorized"
    assert level(session, made.store, made.tea) == (10, 0, 0)
    cards.start()
    assert payments.settle_started(now=NOW + timedelta(seconds=5)) == 1
    assert tenders(session) == [("card", "voided", 1980, 1980, 0)]
    assert cards.intent(order["payments"][0]["provider_id"])["status"] == "canceled"


def test_an_order_is_called_off_while_its_card_is_being_asked(session: Session, api: Api, cards: CardNetwork) -> None:
    """The bank says yes a moment later: the money is given free again and the order stays cancelled."""
    made = shop(session)
    cards.kill()
    payment = {"method": "card", "payment_method": GOOD_CARD}
    assert api(made.customer).post("/orders", key="k", json=pickup_body(made) | {"payment": payment}).status_code == 503
    cards.start()
    with db.transaction() as tx:
        (entry_id,) = attempts.waiting(tx, order_id=None, now=clock.now(), older_than_seconds=0)
        work = attempts.claim(tx, entry_id=entry_id, now=clock.now())
    assert work is not None
    reference = session.execute(text('SELECT reference FROM "order"')).scalar_one()
    assert cancel(api, made.customer, {"reference": reference}).json["status"] == "cancelled"
    intent = stripe_gateway.create(amount_minor=1980, currency="JPY", method=GOOD_CARD, key="k", metadata={})
    session.execute(text("UPDATE payment SET provider_id = :id"), {"id": intent.id})
    stripe_gateway.confirm(intent.id, key="k")
    late = NOW + timedelta(seconds=attempts.attempt_seconds())
    assert payments.settle_started(now=late) == 1
    assert payments.settle_started(now=late + timedelta(seconds=5)) == 1
    assert tenders(session) == [("card", "voided", 1980, 1980, 0)]
    assert cards.intent(intent.id)["status"] == "canceled"
    assert events(session, "OrderPlaced", "OrderCancelled") == ["OrderCancelled"]
    assert list(audit.divergences(session)) == []


def test_an_authentication_that_is_asked_for_is_called_off_too(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made, card=cards.card(AUTHENTICATED_CARD))
    assert cancel(api, made.customer, order).json["status"] == "cancelled"
    assert cards.intent(order["payments"][0]["provider_id"])["status"] == "canceled"
    assert tenders(session) == [("card", "failed", 1980, 0, 0)]
    assert events(session, "OrderCancelled", "PaymentFailed") == ["OrderCancelled"]


def test_a_late_authentication_of_a_cancelled_order_is_given_free(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    order = placed(api, made, card=cards.card(AUTHENTICATED_CARD))
    intent = order["payments"][0]["provider_id"]
    cards.kill()
    assert cancel(api, made.customer, order).json["status"] == "cancelled"
    cards.start()
    cards.authenticate(intent, order["payments"][0]["client_secret"], success=True)
    assert payments.settle_started(now=NOW + timedelta(seconds=5)) == 1
    assert payments.settle_started(now=NOW + timedelta(seconds=10)) == 1
    assert cards.intent(intent)["status"] == "canceled"
    assert [charge["captured"] for charge in cards.charges(intent)] == [False]
    assert tenders(session) == [("card", "voided", 1980, 1980, 0)]
    assert events(session, "OrderPlaced") == []
    assert list(audit.divergences(session)) == []


def test_who_may_cancel_what(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    others = staff(session, "manager", locations=[made.other.id])
    client = api_client(session, ("orders.cancel", "orders.place"))
    before = stand(session)
    assert api().post(f"/orders/{order['reference']}/cancellation", key="a", json={}).status_code == 401
    assert cancel(api, made.associate, order, key="b").status_code == 403
    assert cancel(api, made.web, order, key="c").status_code == 403
    assert cancel(api, customer(session), order, key="d").status_code == 404
    assert cancel(api, client, order, key="e").status_code == 404
    assert cancel(api, others, order, key="f").status_code == 404
    assert cancel(api, made.customer, {"reference": "R-22222-22222"}, key="g").status_code == 404
    assert stand(session) == before


@pytest.mark.parametrize(
    "body", [{"reason": ""}, {"reason": "x" * 201}, {"reason": 7}, {"reason": "a\nb"}, {"why": "x"}, []]
)
def test_a_reason_is_a_short_line(session: Session, api: Api, body: Any) -> None:
    made = shop(session)
    order = placed(api, made, card=None)
    before = stand(session)
    answer = api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="k", json=body)
    assert answer.status_code == 422
    assert stand(session) == before


def test_a_key_is_needed_and_not_reused(session: Session, api: Api) -> None:
    made = shop(session)
    order = placed(api, made, card=None)
    before = stand(session)
    path = f"/orders/{order['reference']}/cancellation"
    assert api(made.customer).post(path, json={}).json["code"] == "idempotency_key_missing"
    assert api(made.customer).post(path, key="place", json={}).json["code"] == "idempotency_key_reused"
    assert api(made.customer).post(path, key="k", data=b"{", content_type="application/json").status_code == 400
    assert stand(session) == before
