"""Giving back a part: for units that were handed over, or out of goodwill; to the tenders in their order, once, never more than
was charged, however many ask at once."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit as stock_audit
from loyalty import audit as points_audit
from orders import audit, payments
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests.factories import staff
from tests.factories.orders import Shop, account, events, level, pickup_body, ready_pickup, shop, world
from tests.factories.shortfalls import Api, key
from tests.factories.stripe import GOOD_CARD, CardNetwork
from tests.races.test_payments_races import at_once


def clean(session: Session) -> bool:
    return [*audit.divergences(session), *stock_audit.divergences(session), *points_audit.divergences(session)] == []


def collected(api: Api, made: Shop, *, card: bool = True, **changes: Any) -> dict[str, Any]:
    payment = {"method": "card", "payment_method": GOOD_CARD} if card else {"method": "pay_at_pickup"}
    body = pickup_body(made, **{"quantity": 3, **changes}) | {"payment": payment}
    order = api(made.customer).post("/orders", key=key(), json=body).json
    pickup_id = ready_pickup(api, made, order)
    given = {"identity": "passport"} | ({} if card else {"tender": "cash"})
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key=key(), json=given).status_code == 200
    return dict(api(made.customer).get(f"/orders/{order['reference']}").json)


def refund(api: Api, who: Any, order: dict[str, Any], *, at: str | None = None, **body: Any) -> Any:
    sent = {"reason": "damaged"} | body
    return api(who).post(f"/orders/{order['reference']}/refunds", key=at or key(), json=sent)


def units(order: dict[str, Any], quantity: int) -> list[dict[str, Any]]:
    return [{"order_line_id": order["lines"][0]["id"], "quantity": quantity}]


def yen(minor: int, currency: str = "JPY") -> dict[str, Any]:
    return {"amount_minor": minor, "currency": currency}


def sent_back(cards: CardNetwork, order: dict[str, Any]) -> list[int]:
    intent = next(str(one["provider_id"]) for one in order["payments"] if one["tender"] == "card")
    return sorted(back["amount"] for back in cards.refunds(intent))


def test_units_are_paid_back_once_each(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order, agent = collected(api, made), staff(session, "agent")
    earned = account(session, made.customer)[0]
    first = refund(api, agent, order, lines=units(order, 1))
    assert (first.status_code, first.json["state"], first.json["amount"]) == (201, "done", yen(1980))
    assert first.json["remaining"] == yen(3960)
    assert account(session, made.customer)[0] == earned - earned // 3
    assert level(session, made.store, made.tea) == (7, 0, 0), "the goods stay where they are"
    before = world(session)
    more = refund(api, agent, order, lines=units(order, 3))
    assert (more.status_code, more.json["code"]) == (409, "not_handed_over")
    assert [(row["requested"], row["left"]) for row in more.json["errors"]] == [(3, 2)]
    assert world(session) == before
    assert refund(api, agent, order, lines=units(order, 2)).json["remaining"] == yen(0)
    assert sent_back(cards, order) == [1980, 3960]
    assert events(session, "OrderRefunded") == ["OrderRefunded"] * 2
    assert clean(session)


def test_out_of_goodwill_within_a_cap(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order, agent = collected(api, made), staff(session, "agent")
    first = refund(api, agent, order, amount=yen(1000))
    assert (first.status_code, first.json["amount"], first.json["remaining"]) == (201, yen(1000), yen(4940))
    before = world(session)
    second = refund(api, agent, order, amount=yen(189))  # 20 % of 5,940 are 1,188
    assert (second.status_code, second.json["code"]) == (409, "goodwill_capped")
    assert (second.json["cap"], second.json["given"]) == (yen(1188), yen(1000))
    assert world(session) == before
    assert refund(api, agent, order, amount=yen(188)).status_code == 201
    boss = staff(session, "supervisor")
    assert refund(api, boss, order, amount=yen(4000)).status_code == 201
    before = world(session)
    over = refund(api, boss, order, amount=yen(753))
    assert (over.status_code, over.json["code"]) == (409, "nothing_to_refund")
    assert over.json["remaining"]["amount_minor"] == 752
    assert world(session) == before
    (line,) = api(made.customer).get(f"/orders/{order['reference']}").json["lines"]
    assert line["refunded_quantity"] == 0
    assert sent_back(cards, order) == [188, 1000, 4000]
    assert clean(session)


def test_cash_gives_back_after_the_card_and_nothing_else_is_asked(session: Session, api: Api) -> None:
    made = shop(session)
    order = collected(api, made, card=False)
    manager = staff(session, "manager", locations=[made.store.id])
    assert refund(api, manager, order, amount=yen(500)).json["state"] == "done"
    row = session.execute(text("SELECT captured_minor, refunded_minor FROM payment WHERE tender = 'cash'")).one()
    assert tuple(row) == (5940, 500)
    assert clean(session)


def test_the_same_key_gives_once(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order, agent = collected(api, made), staff(session, "agent")
    first = refund(api, agent, order, at="once", amount=yen(300))
    again = refund(api, agent, order, at="once", amount=yen(300))
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, first.json, "true")
    assert refund(api, agent, order, at="once", amount=yen(301)).status_code == 422
    assert sent_back(cards, order) == [300]


def test_while_the_network_is_down_it_counts_already(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order, boss = collected(api, made), staff(session, "supervisor")
    cards.kill()
    assert refund(api, boss, order, amount=yen(5000)).json["state"] == "pending"
    over = refund(api, boss, order, amount=yen(941))
    assert (over.status_code, over.json["remaining"]["amount_minor"]) == (409, 940)
    cards.start()
    payments.settle_started(now=clock.now() + timedelta(seconds=10))
    assert sent_back(cards, order) == [5000]
    assert clean(session)


@pytest.mark.parametrize(
    "body",
    [
        {"lines": []},
        {"lines": [{"order_line_id": str(new_id()), "quantity": 0}]},
        {"amount": {"amount_minor": 0, "currency": "JPY"}},
        {"amount": {"amount_minor": -5, "currency": "JPY"}},
        {"amount": {"amount_minor": 5, "currency": "USD"}},
        {"amount": {"amount_minor": 5, "currency": "JPY"}, "lines": [{"order_line_id": str(new_id()), "quantity": 1}]},
        {"amount": {"amount_minor": 5, "currency": "JPY"}, "restock": True},
    ],
)
def test_what_makes_no_sense_is_refused(session: Session, api: Api, cards: CardNetwork, body: dict[str, Any]) -> None:
    order = collected(api, shop(session))
    agent = staff(session, "agent")
    before = world(session)
    assert refund(api, agent, order, **body).status_code == 422
    assert world(session) == before


def test_a_line_twice_or_of_another_order_is_refused(session: Session, api: Api, cards: CardNetwork) -> None:
    order, agent = collected(api, shop(session)), staff(session, "agent")
    before = world(session)
    assert refund(api, agent, order, lines=units(order, 1) * 2).status_code == 422
    strange = [{"order_line_id": str(new_id()), "quantity": 1}]
    assert refund(api, agent, order, lines=strange).json["code"] == "not_handed_over"
    assert world(session) == before


def test_who_may(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = collected(api, made)
    before = world(session)
    assert refund(api, None, order, amount=yen(1)).status_code == 401
    assert refund(api, made.associate, order, amount=yen(1)).status_code == 403
    elsewhere = staff(session, "manager", locations=[made.other.id])
    assert refund(api, elsewhere, order, amount=yen(1)).status_code == 404
    assert refund(api, elsewhere, order, lines=units(order, 1)).status_code == 404
    assert world(session) == before


def test_what_was_not_handed_over_is_not_paid_back(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session, capture_at="placed")
    body = pickup_body(made) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
    order = api(made.customer).post("/orders", key=key(), json=body).json
    answer = refund(api, staff(session, "agent"), order, lines=units(order, 1))
    assert (answer.status_code, answer.json["errors"][0]["left"]) == (409, 0)
    assert sent_back(cards, order) == []


@pytest.mark.races
@pytest.mark.committed
def test_two_at_once_never_give_more_than_was_charged(session: Session, api: Api, cards: CardNetwork) -> None:
    made = shop(session)
    order = collected(api, made)
    bosses = [staff(session, "supervisor") for _ in range(4)]
    answers = at_once(*(lambda who=who: refund(api, who, order, amount=yen(2500)) for who in bosses))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]
    assert sent_back(cards, order) == [2500, 2500]
    assert clean(session)
