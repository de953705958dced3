"""Who completes, refunds and calls off when several do at once: real connections, a real card network (FAILURES 17)."""

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inventory import audit as stock_audit
from loyalty import audit as points_audit
from orders import attempts, audit, confirmation, payments, refund_ledger, settlement, stripe_gateway, webhooks
from orders.queries import payments as queries
from orders.stripe_gateway import Intent
from retail.kernel import clock, db
from tests.factories import staff
from tests.factories.orders import Shop, account, events, level, pickup_body, ready_pickup, shop
from tests.factories.orders import payments as tenders
from tests.factories.stripe import AUTHENTICATED_CARD, GOOD_CARD, CardNetwork, event, signature
from tests.races.interleaving import Other

pytestmark = [pytest.mark.races, pytest.mark.committed]
Api = Callable[..., Any]


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run all at once, in threads that meet at a barrier; their values in order."""
    barrier, values = Barrier(len(works)), [None] * len(works)

    def run(position: int, work: Callable[[], Any]) -> None:
        barrier.wait(10)
        values[position] = work()

    threads = [Thread(target=run, args=(position, work), daemon=True) for position, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return values


def clean(session: Session) -> bool:
    return [*audit.divergences(session), *stock_audit.divergences(session), *points_audit.divergences(session)] == []


def placed(api: Api, made: Shop, card: str = GOOD_CARD, key: str = "place") -> dict[str, Any]:
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": card}}
    answer = api(made.customer).post("/orders", key=key, json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def intent_of(order: dict[str, Any]) -> str:
    return str(order["payments"][0]["provider_id"])


def authenticated(api: Api, made: Shop, cards: CardNetwork, key: str) -> dict[str, Any]:
    """An order whose customer has just authenticated, and we have not been told."""
    order = placed(api, made, cards.card(AUTHENTICATED_CARD), key)
    assert order["status"] == "pending_payment"
    cards.authenticate(intent_of(order), order["payments"][0]["client_secret"], success=True)
    return order


def test_failure_17_the_page_and_the_webhook_complete_the_order_once(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made = shop(session, units=20)
    for number in range(5):
        order = authenticated(api, made, cards, f"place-{number}")
        raw = event(f"evt_{number}", intent_of(order))
        header = {"Stripe-Signature": signature(raw, clock.now())}
        assert api().post("/hooks/stripe/main", data=raw, headers=header).status_code == 200
        answers = at_once(
            page(api, made, order, f"back-{number}"),
            lambda: webhooks.process_inbox(now=clock.now()),
            page(api, made, order, f"reload-{number}"),
        )
        assert answers == ["open", 1, "open"]
        placed_events = text("SELECT count(*) FROM event WHERE type = 'OrderPlaced' AND aggregate_id = :id")
        assert session.execute(placed_events, {"id": order["id"]}).scalar_one() == 1
        assert len(cards.charges(intent_of(order))) == 1
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)] * 5
    assert level(session, made.store, made.tea) == (20, 5, 0)
    assert clean(session)


def page(api: Api, made: Shop, order: dict[str, Any], key: str) -> Callable[[], Any]:
    """The page she returns to; it says how the order stands."""
    path = f"/orders/{order['reference']}/payment"
    return lambda: api(made.customer).post(path, key=key).json["order_status"]


def completing(order: dict[str, Any], intent: Intent) -> Callable[[Session], None]:
    payment_id = UUID(order["payments"][0]["id"])

    def work(session: Session) -> None:
        settlement.apply_intent(session, payment_id=payment_id, intent=intent, actor="system", now=clock.now())

    return work


def complete_twice(api: Api, made: Shop, cards: CardNetwork) -> Other:
    """One completion holds its transaction open while another begins; returns the other, which has ended."""
    order = authenticated(api, made, cards, "place")
    work = completing(order, stripe_gateway.retrieve(intent_of(order)))
    with_lock: list[Other] = []

    def first(session: Session) -> None:
        work(session)
        with_lock.append(Other(work))
        with_lock[0].waited = with_lock[0].waits()  # type: ignore[attr-defined]

    Other(first).result()
    with_lock[0].result()
    return with_lock[0]


def test_failure_17_who_comes_second_waits_and_finds_it_done(session: Session, api: Api, cards: CardNetwork) -> None:
    other = complete_twice(api, shop(session), cards)
    assert other.waited  # type: ignore[attr-defined]
    assert events(session, "OrderPlaced") == ["OrderPlaced"]


def without(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, part: str) -> None:
    statement: TextClause = getattr(module, name)
    assert part in statement.text
    monkeypatch.setattr(module, name, text(statement.text.replace(part, "")))


def test_failure_17_without_the_lock_and_the_guard_the_order_is_announced_twice(
    session: Session, api: Api, cards: CardNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above proves: taken out, the guards are missed."""
    without(monkeypatch, queries, "_LOCK_ORDER", "FOR UPDATE OF o")
    without(monkeypatch, queries, "_LOCK_PAYMENTS", "FOR UPDATE OF p")
    without(monkeypatch, confirmation, "_CONFIRM", "AND confirmed_at IS NULL AND cancelled_at IS NULL")
    complete_twice(api, shop(session), cards)
    assert events(session, "OrderPlaced") == ["OrderPlaced", "OrderPlaced"]


def collected(api: Api, made: Shop, order: dict[str, Any]) -> None:
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license"}
    assert (
        api(made.associate).post(f"/pickups/{pickup_id}/collection", key=f"hand-{pickup_id}", json=body).status_code
        == 200
    )


def test_two_refunds_at_once_one_wins(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    collected(api, made, order)
    agents = [staff(session, "agent") for _ in range(3)]
    path = f"/orders/{order['reference']}/refunds"
    answers = at_once(
        *(
            lambda who=who: api(who).post(path, key="back", json={"reason": "damaged", "restock": True})
            for who in agents
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    lost = [answer.json for answer in answers if answer.status_code == 409]
    nothing = {"amount_minor": 0, "currency": "JPY", "points": 0}
    assert [(body["code"], body["remaining"]) for body in lost] == [("nothing_to_refund", nothing)] * 2
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1980]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert events(session, "OrderRefunded") == ["OrderRefunded"]
    assert clean(session)


def answered_twice(session: Session, api: Api, cards: CardNetwork) -> tuple[Shop, list[Exception | None]]:
    """The request and the settle job both hear from Stripe about one refund, and write it at once."""
    made = shop(session)
    order = placed(api, made)
    collected(api, made, order)
    cards.kill()
    path = f"/orders/{order['reference']}/refunds"
    refund_id = api(staff(session, "agent")).post(path, key="back", json={"reason": "x", "restock": True}).json["id"]
    cards.start()
    (entry_id,) = attempts.waiting(session, order_id=UUID(order["id"]), now=clock.now(), older_than_seconds=0)
    result = stripe_gateway.refund(intent_of(order), amount_minor=1980, entry_id=str(entry_id), key="k")
    errors: list[Exception | None] = []

    def writing() -> None:
        try:
            with db.transaction() as tx:
                settlement.apply_refund(
                    tx,
                    payment_id=UUID(order["payments"][0]["id"]),
                    entry_id=entry_id,
                    refund_id=UUID(refund_id),
                    provider_id=result.id,
                    error=None,
                    now=clock.now(),
                )
        except refund_ledger.BooksDisagree as error:
            errors.append(error)

    at_once(writing, writing, writing)
    return made, errors


def test_failure_13_one_refund_answered_many_times_is_booked_once(
    session: Session, api: Api, cards: CardNetwork
) -> None:
    made, errors = answered_twice(session, api, cards)
    assert errors == []
    assert tenders(session) == [("card", "captured", 1980, 1980, 1980)]
    assert session.execute(text("SELECT refunded_minor FROM payment")).scalars().all() == [1980]
    assert account(session, made.customer) == (0, 0, 0)
    assert level(session, made.store, made.tea) == (10, 0, 0)
    claws = text("SELECT count(*) FROM points_transaction WHERE kind = 'claw_back'")
    assert session.execute(claws).scalar_one() == 1
    assert events(session, "OrderRefunded") == ["OrderRefunded"]
    assert clean(session)


def test_failure_13_without_its_guard_the_sums_guard_refuses_the_second(
    session: Session, api: Api, cards: CardNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, settlement, "_REFUND_ANSWERED", "AND state = 'started'")
    _, errors = answered_twice(session, api, cards)
    assert len(errors) == 2
    assert clean(session)


def test_failure_13_without_any_guard_more_goes_back_than_was_captured(
    session: Session, api: Api, cards: CardNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CHECK is what is left then."""
    without(monkeypatch, settlement, "_REFUND_ANSWERED", "AND state = 'started'")
    without(monkeypatch, refund_ledger, "_ADD_REFUNDED", "AND refunded_minor + :amount <= captured_minor")
    monkeypatch.setattr(refund_ledger, "BooksDisagree", IntegrityError)
    _, errors = answered_twice(session, api, cards)
    assert [type(error) for error in errors] == [IntegrityError, IntegrityError]
    assert clean(session)


def test_many_settle_jobs_refund_once(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = placed(api, made)
    collected(api, made, order)
    cards.kill()
    answer = api(staff(session, "agent")).post(
        f"/orders/{order['reference']}/refunds", key="back", json={"reason": "damaged"}
    )
    assert answer.json["state"] == "pending"
    cards.start()
    later = clock.now() + timedelta(seconds=10)
    assert sum(at_once(*[lambda: payments.settle_started(now=later)] * 6)) == 1
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1980]
    assert clean(session)


def test_many_settle_jobs_and_the_request_authorize_once(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    cards.kill()
    assert api(made.customer).post("/orders", key="place", json=body).status_code == 503
    cards.start()

    def again() -> int:
        return int(api(made.customer).post("/orders", key="place", json=body).status_code)

    later = clock.now() + timedelta(seconds=10)
    answers = at_once(again, *[lambda: payments.settle_started(now=later)] * 4)
    assert answers[0] in (201, 503)  # 503: a settle job was at it; the customer asks again
    assert again() == 201
    assert [charge["status"] for charge in cards.charges()] == ["succeeded"]
    assert events(session, "OrderPlaced") == ["OrderPlaced"]
    assert tenders(session) == [("card", "authorized", 1980, 1980, 0)]
    assert clean(session)


def test_handing_over_and_calling_off_at_once(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, units=20)
    agent = staff(session, "agent")
    for number in range(4):
        order = placed(api, made, key=f"place-{number}")
        pickup_id = ready_pickup(api, made, order)
        hand, off = at_once(handing(api, made, pickup_id), calling_off(api, agent, order))
        assert sorted((hand.status_code, off.status_code)) == [200, 409]
        status = cards.intent(intent_of(order))["status"]
        assert status == ("succeeded" if hand.status_code == 200 else "canceled")
    assert clean(session)


def handing(api: Api, made: Shop, pickup_id: str) -> Callable[[], Any]:
    body = {"identity": "driving license"}
    return lambda: api(made.associate).post(f"/pickups/{pickup_id}/collection", key=f"h-{pickup_id}", json=body)


def calling_off(api: Api, who: Any, order: dict[str, Any]) -> Callable[[], Any]:
    path = f"/orders/{order['reference']}/cancellation"
    return lambda: api(who).post(path, key=f"c-{order['id']}", json={})


def test_calling_off_while_the_card_is_being_captured(session: Session, api: Api, cards: CardNetwork) -> None:
    """Captured a moment before: the order is cancelled all the same, and the money goes straight back."""
    made = shop(session, capture_at="ready")
    order = placed(api, made)
    order_id = UUID(order["id"])
    agent = staff(session, "agent")
    pickup_id = order["fulfillments"][0]["id"]
    assert api(made.associate).post(f"/pickups/{pickup_id}/picking", key="pick").status_code == 200
    cards.kill()
    assert api(made.associate).post(f"/pickups/{pickup_id}/ready", key="ready").status_code == 200
    cards.start()
    (entry_id,) = attempts.waiting(session, order_id=order_id, now=clock.now(), older_than_seconds=0)
    assert attempts.claim(session, entry_id=entry_id, now=clock.now()) is not None
    stripe_gateway.capture(intent_of(order), amount_minor=1980, key="k")  # and dies before it could write it down
    off = api(agent).post(f"/orders/{order['reference']}/cancellation", key="off", json={})
    assert (off.status_code, off.json["status"]) == (200, "cancelled")
    assert tenders(session) == [("card", "captured", 1980, 1980, 1980)]
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1980]
    payments.settle_started(now=clock.now() + timedelta(seconds=attempts.attempt_seconds() + 1))
    assert [back["amount"] for back in cards.refunds(intent_of(order))] == [1980]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert clean(session)
