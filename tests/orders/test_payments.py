"""Paying by card: authorize at placing, complete once, capture by the store's policy; what the card network says wins."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import attempts, audit, payments, stripe_gateway
from retail.kernel import clock, db
from tests.conftest import NOW
from tests.factories import customer, staff
from tests.factories.orders import (
    Shop,
    account,
    entries,
    events,
    give_points,
    level,
    pickup_body,
    ready_pickup,
    shop,
    world,
)
from tests.factories.orders import payments as tenders
from tests.factories.stripe import AUTHENTICATED_CARD, DECLINED_CARD, GOOD_CARD, CardNetwork

Api = Callable[..., Any]


def by_card(made: Shop, *, card: str = GOOD_CARD, **changes: Any) -> dict[str, Any]:
    return pickup_body(made, **changes) | {"payment": {"method": "card", "payment_method": card}}


def placed(api: Api, made: Shop, *, card: str = GOOD_CARD, key: str = "place", **changes: Any) -> dict[str, Any]:
    answer = api(made.customer).post("/orders", key=key, json=by_card(made, card=card, **changes))
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def clean(session: Session) -> bool:
    return list(audit.divergences(session)) == []


def intent_of(order: dict[str, Any]) -> str:
    return str(order["payments"][-1]["provider_id"])


def test_a_card_is_authorized_at_placing(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    assert order["status"] == "open"
    (payment,) = order["payments"]
    assert payment["state"] == "authorized"
    assert payment["captured"] == {"amount_minor": 0, "currency": "JPY"}
    assert payment["capture_before"] == (NOW + timedelta(days=7)).isoformat()
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)]
    assert entries(session) == [("card", "authorize", 1980, "succeeded")]
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert level(session, made.store, made.tea) == (10, 1, 0)
    intent = cards.intent(intent_of(order))
    assert (intent["status"], intent["amount"], intent["currency"]) == ("requires_capture", 1980, "jpy")
    assert intent["metadata"]["order"] == order["reference"]
    assert len(cards.charges()) == 1
    assert clean(session)


def test_points_pay_first_and_the_card_pays_the_rest(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, points=500)
    order = placed(api, made, points_to_spend=500)
    assert cards.intent(intent_of(order))["amount"] == 1480
    assert sorted(tenders(session)) == [("card", "authorized", 1480, 1480, 0), ("points", "authorized", 500, 500, 0)]
    assert clean(session)


def test_handing_over_captures(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    pickup_id = ready_pickup(api, made, order)
    assert cards.intent(intent_of(order))["status"] == "requires_capture"
    body = {"identity": "driving license"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="hand", json=body).status_code == 200
    assert tenders(session) == [("card", "captured", 1980, 1980, 1980)]
    assert entries(session) == [("card", "authorize", 1980, "succeeded"), ("card", "capture", 1980, "succeeded")]
    assert cards.intent(intent_of(order))["status"] == "succeeded"
    assert clean(session)


@pytest.mark.parametrize(
    ("policy", "at_placing", "at_ready"), [("placed", "captured", "captured"), ("ready", "authorized", "captured")]
)
def test_the_stores_policy_says_when_to_capture(
    session: Session, api: Api, cards: CardNetwork, policy: str, at_placing: str, at_ready: str
) -> None:
    made = shop(session, capture_at=policy)
    order = placed(api, made)
    assert order["payments"][0]["state"] == at_placing
    ready_pickup(api, made, order)
    assert tenders(session)[0][1] == at_ready
    assert cards.intent(intent_of(order))["status"] == "succeeded"
    assert clean(session)


def test_a_declined_card_gives_everything_back(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, points=500)
    answer = api(made.customer).post("/orders", key="no", json=by_card(made, card=DECLINED_CARD, points_to_spend=500))
    assert answer.status_code == 409
    assert (answer.json["code"], answer.json["decline_code"]) == ("card_declined", "card_declined")
    assert sorted(tenders(session)) == [("card", "failed", 1480, 0, 0), ("points", "voided", 500, 500, 0)]
    assert sorted(entries(session)) == [
        ("card", "authorize", 1480, "failed"),
        ("points", "authorize", 500, "succeeded"),
        ("points", "void", 500, "succeeded"),
    ]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert account(session, made.customer) == (500, 0, 0)
    (row,) = session.execute(text('SELECT confirmed_at, cancelled_at, cancel_reason FROM "order"')).all()
    assert (row.confirmed_at, row.cancelled_at, row.cancel_reason) == (None, NOW, "payment_failed")
    assert session.execute(text("SELECT state FROM fulfillment")).scalars().all() == ["cancelled"]
    assert events(session, "OrderPlaced", "PaymentFailed", "OrderCancelled") == ["PaymentFailed"]
    assert [charge["status"] for charge in cards.charges()] == ["failed"]
    assert clean(session)


def test_the_same_key_hears_the_same_refusal(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    body = by_card(made, card=DECLINED_CARD)
    first = api(made.customer).post("/orders", key="no", json=body)
    before = world(session)
    again = api(made.customer).post("/orders", key="no", json=body)
    assert (again.status_code, again.json["code"]) == (409, "card_declined")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["decline_code"] == first.json["decline_code"]
    assert world(session) == before
    assert len(cards.charges()) == 1


@pytest.mark.parametrize("card", ["pm_unknown", "not a card"])
def test_a_payment_method_that_does_not_exist_fails_the_order(
    session: Session, api: Api, cards: CardNetwork, card: str
) -> None:
    made = shop(session)
    answer = api(made.customer).post("/orders", key="no", json=by_card(made, card=card))
    assert (answer.status_code, answer.json["code"]) == (409, "card_declined")
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert tenders(session) == [("card", "failed", 1980, 0, 0)]
    assert cards.charges() == []
    assert clean(session)


def test_without_a_provider_cards_are_refused(session: Session, api: Api) -> None:
    made = shop(session)
    before = world(session)
    answer = api(made.customer).post("/orders", key="card", json=by_card(made))
    assert (answer.status_code, answer.json["code"]) == (422, "cards_not_accepted")
    assert world(session) == before


def test_while_the_network_is_down_the_order_waits_and_the_same_key_resumes(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session, points=500)
    body = by_card(made, points_to_spend=500)
    cards.kill()
    away = api(made.customer).post("/orders", key="k", json=body)
    assert (away.status_code, away.json["code"], away.headers["Retry-After"]) == (503, "card_network_unavailable", "5")
    assert session.execute(text('SELECT confirmed_at, cancelled_at FROM "order"')).all() == [(None, None)]
    assert level(session, made.store, made.tea) == (10, 1, 0)
    assert account(session, made.customer) == (0, 500, 0)
    before = world(session)
    assert api(made.customer).post("/orders", key="k", json=body).status_code == 503
    assert world(session) == before
    cards.start()
    answer = api(made.customer).post("/orders", key="k", json=body)
    assert (answer.status_code, answer.json["status"]) == (201, "open")
    assert session.execute(text('SELECT count(*) FROM "order"')).scalar_one() == 1
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert len(cards.charges()) == 1
    assert clean(session)


def test_the_settle_job_resolves_what_the_network_left_open(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    cards.kill()
    assert api(made.customer).post("/orders", key="k", json=by_card(made)).status_code == 503
    assert payments.settle_started(now=NOW + timedelta(seconds=6)) == 0
    cards.start()
    assert payments.settle_started(now=NOW + timedelta(seconds=10)) == 0  # tried four seconds ago
    assert payments.settle_started(now=NOW + timedelta(seconds=11)) == 1
    assert payments.settle_started(now=NOW + timedelta(seconds=99)) == 0
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)]
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert len(cards.charges()) == 1
    answer = api(made.customer).post("/orders", key="k", json=by_card(made))
    assert (answer.status_code, answer.json["status"]) == (201, "open")
    assert len(cards.charges()) == 1


def test_an_order_whose_card_never_answers_is_called_off(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, points=500)
    cards.kill()
    assert api(made.customer).post("/orders", key="k", json=by_card(made, points_to_spend=500)).status_code == 503
    late = NOW + timedelta(minutes=attempts.PAYMENT_MINUTES)
    assert payments.settle_started(now=late) == 1  # nothing was ever made at the provider: no need to ask
    assert sorted(tenders(session)) == [("card", "failed", 1480, 0, 0), ("points", "voided", 500, 500, 0)]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert account(session, made.customer) == (500, 0, 0)
    assert events(session, "OrderPlaced", "PaymentFailed") == ["PaymentFailed"]
    assert clean(session)


# A process that dies, at each point where it can: the steps are run by hand up to there, and never further.


def died_before_asking(api: Api, made: Shop, cards: CardNetwork) -> UUID:
    """After the first transaction: the network is away and the claim is not given back."""
    cards.kill()
    assert api(made.customer).post("/orders", key="k", json=by_card(made)).status_code == 503
    cards.start()
    with db.transaction() as session:
        (entry_id,) = attempts.waiting(session, order_id=None, now=clock.now(), older_than_seconds=0)
        assert attempts.claim(session, entry_id=entry_id, now=clock.now()) is not None
    return entry_id


def test_dying_before_the_network_was_asked(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    died_before_asking(api, made, cards)
    assert (
        payments.settle_started(now=NOW + timedelta(seconds=attempts.attempt_seconds() - 1)) == 0
    )  # it may still live
    assert payments.settle_started(now=NOW + timedelta(seconds=attempts.attempt_seconds())) == 1
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)]
    assert len(cards.charges()) == 1
    assert clean(session)


def test_dying_after_the_intent_was_made_and_before_it_was_remembered(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    entry_id = died_before_asking(api, made, cards)
    lost = stripe_gateway.create(
        amount_minor=1980, currency="JPY", method=GOOD_CARD, key="lost", metadata={"entry_id": str(entry_id)}
    )
    assert payments.settle_started(now=NOW + timedelta(seconds=attempts.attempt_seconds())) == 1
    assert cards.intent(lost.id)["status"] == "requires_confirmation"  # never confirmed: it moved no money
    assert len(cards.charges()) == 1
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)]
    assert clean(session)


@pytest.mark.parametrize("confirmed", [False, True])
def test_dying_around_the_confirmation(session: Session, api: Api, cards: CardNetwork, confirmed: bool) -> None:
    made = shop(session)
    died_before_asking(api, made, cards)
    intent = stripe_gateway.create(amount_minor=1980, currency="JPY", method=GOOD_CARD, key="k", metadata={})
    session.execute(text("UPDATE payment SET provider_id = :id"), {"id": intent.id})
    if confirmed:
        stripe_gateway.confirm(intent.id, key="k")
    assert payments.settle_started(now=NOW + timedelta(seconds=attempts.attempt_seconds())) == 1
    assert [charge["payment_intent"] for charge in cards.charges()] == [intent.id]
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)]
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert clean(session)


def test_dying_around_the_capture(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    order_id = UUID(order["id"])
    with db.transaction() as tx:
        assert payments.prepare_capture(tx, order_id=order_id, actor="system", now=NOW) == 1
        assert payments.prepare_capture(tx, order_id=order_id, actor="system", now=NOW) == 1
    with db.transaction() as tx:
        (entry_id,) = attempts.waiting(tx, order_id=order_id, now=NOW, older_than_seconds=0)
        assert attempts.claim(tx, entry_id=entry_id, now=NOW) is not None
    stripe_gateway.capture(intent_of(order), amount_minor=1980, key="k")  # and dies here
    assert payments.settle_started(now=NOW + timedelta(seconds=attempts.attempt_seconds())) == 1
    assert tenders(session) == [("card", "captured", 1980, 1980, 1980)]
    assert entries(session) == [("card", "authorize", 1980, "succeeded"), ("card", "capture", 1980, "succeeded")]
    assert len(cards.charges()) == 1
    assert clean(session)


def test_authentication_is_asked_for_and_its_secret_is_not_kept(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made, card=cards.card(AUTHENTICATED_CARD))
    assert (order["status"], order["payments"][0]["state"]) == ("pending_payment", "requires_action")
    secret = order["payments"][0]["client_secret"]
    assert secret.startswith(intent_of(order))
    kept = session.execute(
        text("SELECT count(*) FROM event WHERE data::text LIKE :s"), {"s": f"%{secret}%"}
    ).scalar_one()
    assert kept == 0
    looked = api(made.customer).post(f"/orders/{order['reference']}/payment", key="look")
    assert looked.status_code == 200
    assert looked.json == {
        "order_reference": order["reference"],
        "order_status": "pending_payment",
        "state": "requires_action",
        "client_secret": secret,
    }
    cards.authenticate(intent_of(order), secret, success=True)
    back = api(made.customer).post(f"/orders/{order['reference']}/payment", key="back")
    assert (back.json["order_status"], back.json["state"], back.json["client_secret"]) == ("open", "authorized", None)
    again = api(made.customer).post(f"/orders/{order['reference']}/payment", key="again")
    assert (again.status_code, again.json["order_status"]) == (200, "open")
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert clean(session)


def test_a_failed_authentication_calls_the_order_off(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made, card=cards.card(AUTHENTICATED_CARD))
    cards.authenticate(intent_of(order), order["payments"][0]["client_secret"], success=False)
    back = api(made.customer).post(f"/orders/{order['reference']}/payment", key="back")
    assert (back.status_code, back.json["decline_code"]) == (409, "payment_intent_authentication_failure")
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert tenders(session) == [("card", "failed", 1980, 0, 0)]
    assert clean(session)


@pytest.mark.parametrize("authenticated", [False, True])
def test_the_time_to_authenticate_ends(session: Session, api: Api, cards: CardNetwork, authenticated: bool) -> None:
    made = shop(session)
    order = placed(api, made, card=cards.card(AUTHENTICATED_CARD))
    if authenticated:
        cards.authenticate(intent_of(order), order["payments"][0]["client_secret"], success=True)
    payments.settle_started(now=NOW + timedelta(minutes=attempts.PAYMENT_MINUTES))
    status = api(made.customer).get(f"/orders/{order['reference']}").json["status"]
    if authenticated:  # the money came and the stock was kept: the order stands
        assert (status, tenders(session)) == ("open", [("card", "authorized", 1980, 1980, 0)])
    else:
        assert (status, tenders(session)) == ("cancelled", [("card", "failed", 1980, 0, 0)])
        assert cards.intent(intent_of(order))["status"] == "canceled"
    assert level(session, made.store, made.tea) == (10, int(authenticated), 0)
    assert clean(session)


def test_looking_at_a_payment_is_for_those_who_may_see_the_order(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session)
    order = placed(api, made)
    other = customer(session)
    path = f"/orders/{order['reference']}/payment"
    before = world(session)
    assert api().post(path, key="a").status_code == 401
    assert api(other).post(path, key="b").status_code == 404
    assert api(made.web).post(path, key="c").status_code == 404  # placed by the customer, not by this client
    assert api(made.customer).post("/orders/R-22222-22222/payment", key="d").status_code == 404
    assert api(made.customer).post(path).json["code"] == "idempotency_key_missing"
    assert world(session) == before
    agent = staff(session, "agent")
    assert api(agent).post(path, key="e").json["state"] == "authorized"


def test_a_wrong_key_of_ours_fails_no_order(
    session: Session, api: Api, cards: CardNetwork, configured: Callable[..., Any]
) -> None:
    made = shop(session)
    with configured(stripe_api_key="wrong"):
        answer = api(made.customer).post("/orders", key="k", json=by_card(made))
    assert answer.status_code == 503
    assert session.execute(text('SELECT confirmed_at, cancelled_at FROM "order"')).all() == [(None, None)]
    assert api(made.customer).post("/orders", key="k", json=by_card(made)).status_code == 201


def test_nobody_calls_the_network_with_a_transaction_open(session: Session, cards: CardNetwork) -> None:
    with db.transaction(), pytest.raises(db.TransactionIsOpen):
        stripe_gateway.retrieve("pi_any")


def test_the_audit_names_and_repairs_a_wrong_sum(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    give_points(session, made.customer, 100)
    order = placed(api, made, points_to_spend=100)
    session.execute(text("UPDATE payment SET authorized_minor = authorized_minor - 1 WHERE tender = 'card'"))
    (wrong,) = audit.divergences(session)
    assert (wrong.ledger, wrong.key) == ("payment", f"{order['reference']} card")
    assert wrong.stored == "authorized 1879, captured 0, refunded 0"
    assert wrong.rebuilt == "authorized 1880, captured 0, refunded 0"
    assert wrong.repair is not None
    wrong.repair(session)
    assert clean(session)
    session.execute(text("UPDATE points_hold SET state = 'released'"))
    (points,) = audit.divergences(session)
    assert (points.ledger, points.stored, points.rebuilt) == (
        "points_tender",
        "open 100, refunded 0",
        "released 100, refunded 0",
    )
    session.execute(text("UPDATE points_hold SET state = 'open'"))
    session.execute(text('UPDATE "order" SET total_minor = total_minor + 5'))
    (total,) = audit.divergences(session)
    assert (total.ledger, total.stored, total.rebuilt) == ("order", "total 1985", "tenders 1980")
