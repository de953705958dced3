"""Two records merged: each log-in sees and does what was done with either, and after the merge is undone with its own alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import claims, gift_cards, payment_methods
from orders import queries as order_queries
from orders.queries import till as till_queries
from retail import merging
from retail.kernel import clock
from retail.queries import MergeFacts
from tests import factories
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, pickup_body, ready_pickup, shop
from tests.orders.test_promotions import coupon, promote, reasons
from tests.orders.test_returns import ask, bought

Api = Callable[..., Any]


@pytest.fixture
def made(session: Session) -> Shop:
    """Its customer is who stays."""
    return shop(session)


@pytest.fixture
def card(session: Session, made: Shop) -> Actor:
    """The record that goes: made at the store."""
    return customer(session, name="山田花子", email="card@example.com", card="12345678")


def merge(session: Session, made: Shop, card: Actor) -> MergeFacts:
    return merging.merge(session, gone=card.id, stays=made.customer.id, reason="", actor="staff:x", now=clock.now())


def undo(session: Session, merged: MergeFacts) -> None:
    merging.unmerge(session, merge_id=merged.id, actor="staff:x", now=clock.now())


def place(api: Api, made: Shop, who: Actor, key: str, **changes: Any) -> dict[str, Any]:
    answer = api(who).post("/orders", key=key, json=pickup_body(made, **changes))
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def references(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [one["reference"] for one in answer.json["items"]]


def test_orders_are_listed_together_in_one_order_and_pages(session: Session, api: Api, made: Shop, card: Actor) -> None:
    placed = []
    for number, who in enumerate((made.customer, card, made.customer, card)):
        with clock.shifted(timedelta(minutes=number)):
            placed.append(place(api, made, who, str(number)))
    newest = [order["reference"] for order in reversed(placed)]
    apart = (newest[1::2], newest[0::2])
    agent = api(staff(session, "agent"))

    def seen() -> list[list[str]]:
        mine = [references(api(who).get("/me/orders")) for who in (made.customer, card)]
        asked = [references(agent.get(f"/orders?customer_id={who.id}")) for who in (made.customer, card)]
        assert asked == mine
        facts = order_queries.orders_for_customer(session, customer_id=made.customer.id, open_limit=9, past_limit=9)
        assert [order["reference"] for order in facts] == mine[0]
        return mine

    assert seen() == [*apart]
    merged = merge(session, made, card)
    assert seen() == [newest, newest]
    for who in (made.customer, card):
        page = api(who).get("/me/orders?limit=3").json
        assert [one["reference"] for one in page["items"]] == newest[:3]
        assert references(api(who).get(f"/me/orders?limit=3&cursor={page['next']}")) == newest[3:]
        assert references(api(who).get(f"/orders?customer_id={card.id}")) == newest
        assert references(api(who).get(f"/orders?customer_id={customer(session).id}")) == []
    assert references(agent.get(f"/orders?customer_id={made.customer.id}&status=ready")) == []
    undo(session, merged)
    assert seen() == [*apart]


def test_she_does_with_an_order_of_the_other_record_whatever_is_hers_to_do(
    session: Session, api: Api, made: Shop, card: Actor
) -> None:
    order = place(api, made, card, "one", quantity=2)
    part = order["fulfillments"][0]["id"]
    path = f"/orders/{order['reference']}"
    proxy = {"name": "Taro", "email": "taro@example.com"}
    hers = api(made.customer)

    def refused() -> list[int]:
        asked = [hers.get(path), hers.get(f"{path}/timeline"), hers.get(f"/me{path}/pickup-code")]
        asked += [hers.post(f"{path}/cancellation", key="off", json={}, if_match=order["version"])]
        asked += [hers.post(f"/pickups/{part}/proxies", key="proxy", json=proxy)]
        asked += [hers.post(f"/pickups/{part}/location", key="move", json={"location": made.other.code})]
        return [answer.status_code for answer in asked]

    assert refused() == [404] * 6
    merged = merge(session, made, card)
    assert hers.get(path).json["reference"] == order["reference"]
    timeline = hers.get(f"{path}/timeline").json["items"]
    assert {step["actor"] for step in timeline} == {"you"}
    assert timeline[0]["data"]["customer_id"] == str(card.id)
    assert hers.post(f"/pickups/{part}/proxies", key="proxy-1", json=proxy).status_code == 201
    ready_pickup(api, made, order)
    assert hers.get(f"/me{path}/pickup-code").status_code == 200
    undo(session, merged)
    assert refused() == [404] * 6
    assert api(card).get(path).status_code == 200


def test_a_cancellation_by_either_log_in(session: Session, api: Api, made: Shop, card: Actor) -> None:
    first, second = place(api, made, card, "one"), place(api, made, made.customer, "two")
    merge(session, made, card)
    for who, order in ((made.customer, first), (card, second)):
        answer = api(who).post(f"/orders/{order['reference']}/cancellation", key=order["id"], json={})
        assert answer.status_code == 200, answer.json
        assert answer.json["status"] == "cancelled"


def test_goods_of_the_other_record_come_back(session: Session, api: Api, made: Shop, card: Actor) -> None:
    order = bought(api, replace(made, customer=card), quantity=2)
    assert ask(api, made.customer, order).status_code == 404
    merged = merge(session, made, card)
    asked = ask(api, made.customer, order, key="again")
    assert asked.status_code == 201, asked.json
    back = asked.json
    assert back["customer_id"] == str(card.id), "the goods are that record's"
    for who in (made.customer, card):
        assert references(api(who).get("/returns")) == [back["reference"]]
        assert api(who).get(f"/returns/{back['reference']}").status_code == 200
    found = order_queries.returns_for_customer(session, customer_id=made.customer.id, limit=5)
    assert [one["reference"] for one in found] == [back["reference"]]
    undo(session, merged)
    assert references(api(made.customer).get("/returns")) == []
    assert api(made.customer).get(f"/returns/{back['reference']}").status_code == 404
    off = {"reason": "kept"}
    assert api(made.customer).post(f"/returns/{back['reference']}/cancellation", key="x", json=off).status_code == 404
    assert api(card).post(f"/returns/{back['reference']}/cancellation", key="y", json=off).status_code == 200


def test_carts_of_the_other_record(session: Session, api: Api, made: Shop, card: Actor) -> None:
    lines = [{"sku": made.tea.sku, "quantity": 1}]
    own = api(card).post("/carts", json={"lines": lines}).json
    asked_for = api(made.web).post("/carts", json={"lines": lines, "customer_id": str(card.id)}).json
    carts = [own["id"], asked_for["id"]]
    assert [api(made.customer).get(f"/carts/{cart}").status_code for cart in carts] == [404, 404]
    merged = merge(session, made, card)
    assert [api(who).get(f"/carts/{cart}").status_code for cart in carts for who in (made.customer, card)] == [200] * 4
    body = {"cart_id": own["id"], "location": made.store.code, "payment": {"method": "pay_at_pickup"}}
    answer = api(made.customer).post("/orders", key="cart", json=body)
    assert answer.status_code == 201, answer.json
    undo(session, merged)
    assert [api(made.customer).get(f"/carts/{cart}").status_code for cart in carts] == [404, 404]


def test_gift_cards_and_saved_methods(session: Session, api: Api, made: Shop, card: Actor) -> None:
    boss = api(staff(session, "supervisor"))
    given = {"kind": "store_credit", "amount": {"amount_minor": 500, "currency": "JPY"}, "reason": "sorry"}
    credit = boss.post("/gift-cards", key="one", json=given | {"customer": card.reference}).json
    saved = {"kind": "card", "brand": "visa", "external_reference": "credit_card_1"}
    method = payment_methods.add(session, customer_id=card.id, **saved, now=clock.now())

    def seen(who: Actor) -> tuple[list[str], list[str], int]:
        cards = [one["id"] for one in api(who).get("/me/gift-cards").json["items"]]
        methods = [one["id"] for one in api(who).get("/me/payment-methods").json["items"]]
        return cards, methods, api(who).get(f"/gift-cards/{credit['id']}/number").status_code

    nothing, everything = ([], [], 404), ([credit["id"]], [str(method)], 200)
    assert (seen(made.customer), seen(card)) == (nothing, everything)
    merged = merge(session, made, card)
    assert (seen(made.customer), seen(card)) == (everything, everything)
    kept = {"kind": "gift_card", "gift_card": gift_cards.number_of(UUID(credit["id"]))}
    payment_methods.add(session, customer_id=card.id, **kept, now=clock.now())
    with pytest.raises(payment_methods.MethodKnown):
        payment_methods.add(session, customer_id=made.customer.id, **kept, now=clock.now())
    undo(session, merged)
    assert seen(made.customer) == nothing
    assert api(made.customer).delete(f"/me/payment-methods/{method}").status_code == 404
    assert api(card).delete(f"/me/payment-methods/{method}").status_code == 204


def test_a_saved_method_pays_for_orders_of_either_record(session: Session, api: Api, made: Shop, card: Actor) -> None:
    method = payment_methods.add(
        session, customer_id=made.customer.id, kind="card", external_reference="card_1", now=clock.now()
    )
    merged = merge(session, made, card)
    for record in (card, made.customer):
        assert payment_methods.of_customer(session, customer_id=record.id, method_id=method).id == method
    undo(session, merged)
    with pytest.raises(merging.NotFound):
        payment_methods.of_customer(session, customer_id=card.id, method_id=method)


def test_a_coupon_once_per_customer_is_used_once_by_her(session: Session, api: Api, made: Shop, card: Actor) -> None:
    admin = staff(session, "admin")
    promote(api, admin, needs_coupon=True)
    coupon(api, admin, per_customer_limit=1)
    assert reasons(place(api, made, card, "one", coupon_codes=["SUMMER10"])) == [("SUMMER10", "applied")]
    merged = merge(session, made, card)
    for key, who in (("two", made.customer), ("three", card)):
        again = place(api, made, who, key, coupon_codes=["SUMMER10"])
        assert reasons(again) == [("SUMMER10", "used_by_customer")]
    undo(session, merged)
    assert reasons(place(api, made, made.customer, "four", coupon_codes=["SUMMER10"])) == [("SUMMER10", "applied")]


def test_a_guest_order_becomes_that_of_the_record_which_its_address_names(
    session: Session, api: Api, made: Shop, card: Actor
) -> None:
    guest = place(api, made, made.web, "guest", contact={"email": "card@example.com"})
    both = place(api, made, made.web, "both", contact={"email": "card@example.com", "phone": "+819012345678"})
    strange = place(api, made, made.web, "strange", contact={"email": "third@example.com"})
    merged = merge(session, made, card)
    taken = claims.claim(session, customer_id=made.customer.id, actor=made.customer.actor, now=clock.now())
    assert taken == sorted([guest["reference"], both["reference"]])
    undo(session, merged)
    assert sorted(references(api(card).get("/me/orders"))) == taken
    owner = session.execute(text('SELECT customer_id FROM "order" WHERE id = :id'), {"id": strange["id"]}).scalar_one()
    assert owner is None


def test_the_till_knows_which_record_was_shown(session: Session, made: Shop, card: Actor) -> None:
    def shown() -> list[tuple[Any, Any]]:
        found = till_queries.buyers(session, ids=[made.customer.id], cards=["12345678"])
        return [(found[key].id, found[key].named_id) for key in ("12345678", str(made.customer.id))]

    own = (made.customer.id, made.customer.id)
    assert shown() == [(card.id, card.id), own]
    merged = merge(session, made, card)
    assert shown() == [(made.customer.id, card.id), own]
    undo(session, merged)
    assert shown() == [(card.id, card.id), own]


def test_what_is_bought_by_either_log_in_is_the_survivors(session: Session, api: Api, made: Shop, card: Actor) -> None:
    merge(session, made, card)
    assert place(api, made, card, "one")["customer_id"] == str(made.customer.id)
    assert place(api, made, made.web, "two", customer_id=str(card.id))["customer_id"] == str(made.customer.id)
    assert place(api, made, made.customer, "three", customer_id=str(card.id))["customer_id"] == str(made.customer.id)
    refused = api(made.customer).post(
        "/orders", key="four", json=pickup_body(made, customer_id=str(factories.customer(session).id))
    )
    assert refused.status_code == 404
