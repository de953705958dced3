"""Gift cards: issued, looked up, corrected, blocked, spent when an order is placed, given back when it is called off."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, gift_cards
from orders.splitting import split
from retail import limits
from retail.kernel import clock
from retail.kernel.errors import Invalid
from retail.kernel.ids import new_id
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, account, level, pickup_body, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def issued(session: Session, amount: int, **more: Any) -> gift_cards.Issued:
    return gift_cards.issue(session, amount_minor=amount, currency="JPY", actor="system", now=clock.now(), **more)


def balance(session: Session, card: gift_cards.Issued) -> int:
    return gift_cards.find(session, number=card.number).balance_minor


def body(amount: int = 1000, currency: str = "JPY", **more: Any) -> dict[str, Any]:
    return {"amount": {"amount_minor": amount, "currency": currency}, **more}


def test_issue_show_and_hand_over(session: Session, api: Api, unchanged: Unchanged) -> None:
    hanako, taro = customer(session, name="Hanako"), customer(session, name="Taro")
    boss, plain = api(staff(session, "supervisor")), api(staff(session, "agent"))
    with unchanged():
        for wrong, status in (
            ({}, 422),
            (body(0), 422),
            (body(limits.GIFT_CARD_MINOR + 1), 422),
            (body(kind="store_credit"), 422),
            (body(customer="C-22222-22222"), 404),
        ):
            assert boss.post("/gift-cards", key="no", json=wrong).status_code == status, wrong
        assert plain.post("/gift-cards", key="no", json=body()).status_code == 403
    answer = boss.post(
        "/gift-cards", key="one", json=body(kind="store_credit", customer=str(hanako.id), reason="sorry")
    )
    assert answer.status_code == 201, answer.json
    card = answer.json
    assert (card["balance"]["amount_minor"], card["kind"], card["entries"][0]["kind"]) == (
        1000,
        "store_credit",
        "issue",
    )
    assert boss.post(
        "/gift-cards", key="one", json=body(kind="store_credit", customer=str(hanako.id), reason="sorry")
    ).headers["Idempotent-Replayed"]
    with unchanged():
        assert boss.post("/gift-cards", key="one", json=body(2000)).status_code == 422
    number = boss.get(f"/gift-cards/{card['id']}/number").json["number"]
    assert number not in str(card)
    assert api(hanako).get(f"/gift-cards/{card['id']}/number").json == {"number": number}
    assert number.endswith(card["hint"])
    assert api(taro).get(f"/gift-cards/{card['id']}/number").status_code == 404
    assert [one["id"] for one in api(hanako).get("/me/gift-cards").json["items"]] == [card["id"]]
    assert plain.get(f"/customers/{hanako.id}/gift-cards").json == api(hanako).get("/me/gift-cards").json
    assert plain.get("/customers/C-22222-22222/gift-cards").status_code == 404
    assert plain.get(f"/gift-cards/{new_id()}").status_code == 404
    assert plain.get(f"/gift-cards/{card['id']}").json["entries"] == card["entries"]


def test_the_balance_by_number_and_how_often(session: Session, api: Api, unchanged: Unchanged) -> None:
    card, web = issued(session, 700), api(customer(session))
    found = web.post("/gift-cards/balance", json={"number": card.number.lower()})
    assert (found.status_code, found.json["balance"]["amount_minor"]) == (200, 700), found.json
    assert "number" not in found.json
    with unchanged():
        assert web.post("/gift-cards/balance", json={}).status_code == 422
        for _ in range(limits.GIFT_CARD_LOOKUPS - 1):
            assert web.post("/gift-cards/balance", json={"number": "AAAA"}).json["code"] == "gift_card_unknown"
        often = web.post("/gift-cards/balance", json={"number": card.number})
        assert often.status_code == 429
        assert int(often.headers["Retry-After"]) > 0


def test_correct_and_block(session: Session, api: Api, unchanged: Unchanged) -> None:
    made, card = shop(session), issued(session, 5000)
    boss = api(staff(session, "supervisor"))
    path = f"/gift-cards/{card.id}"
    with unchanged():
        low = boss.post(f"{path}/adjustments", key="a", json={"amount_minor": -5001, "reason": "x"})
        assert (low.status_code, low.json["code"]) == (409, "gift_card_short")
        for wrong in ({"amount_minor": 0, "reason": "x"}, {"amount_minor": 1}, {"reason": "x"}):
            assert boss.post(f"{path}/adjustments", key="a", json=wrong).status_code == 422
        nowhere = boss.post(f"/gift-cards/{new_id()}/adjustments", key="a", json={"amount_minor": 1, "reason": "x"})
        assert nowhere.status_code == 404
        assert boss.put(f"{path}/state", if_match=9, json={"state": "blocked"}).status_code == 412
        assert boss.put(f"{path}/state", if_match=2, json={"state": "lost"}).status_code == 422
    less = boss.post(f"{path}/adjustments", key="b", json={"amount_minor": -1000, "reason": "miscounted"})
    assert (less.status_code, less.json["balance"]["amount_minor"]) == (201, 4000)
    version = less.json["version"]
    assert boss.put(f"{path}/state", if_match=version, json={"state": "blocked"}).json["state"] == "blocked"
    order = pickup_body(made, quantity=1, gift_cards=[card.number])
    with unchanged():
        refused = api(made.customer).post("/orders", key="no", json=order)
        assert (refused.status_code, refused.json["code"]) == (409, "gift_card_blocked")
    boss.put(f"{path}/state", if_match=version + 1, json={"state": "active"})
    assert api(made.customer).post("/orders", key="yes", json=order).status_code == 201
    assert list(audit.divergences(session)) == []


def place(api: Api, caller: Actor, made: Shop, key: str = "place", **more: Any) -> Any:
    return api(caller).post("/orders", key=key, json=pickup_body(made, quantity=2) | more)


def test_points_cards_and_the_counter_pay_one_order(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session, points=500)
    small, large = issued(session, 1000), issued(session, 2000)
    answer = place(api, made.customer, made, points_to_spend=500, gift_cards=[small.number, large.number])
    assert answer.status_code == 201, answer.json
    order = answer.json
    assert [(one["tender"], one["state"], one["amount"]["amount_minor"]) for one in order["payments"]] == [
        ("points", "authorized", 500),
        ("gift_card", "captured", 1000),
        ("gift_card", "captured", 2000),
        ("pay_at_pickup", "pending", 460),
    ]
    assert order["payments"][1]["gift_card"]["hint"] == small.number[-4:]
    assert order == api(made.customer).get(f"/orders/{order['reference']}").json, (
        "what placing answers is what is there"
    )
    assert (balance(session, small), balance(session, large)) == (0, 0)
    off = api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="off", json={})
    assert off.json["status"] == "cancelled"
    assert (balance(session, small), balance(session, large)) == (1000, 2000)
    assert account(session, made.customer) == (500, 0, 0)
    assert list(audit.divergences(session)) == []
    with unchanged():
        twice = place(api, made.customer, made, key="t", gift_cards=[large.number, large.number])
        assert twice.json["errors"][0]["code"] == "repeated"
        assert place(api, made.customer, made, key="u", gift_cards=["1234"]).json["code"] == "gift_card_unknown"


def test_a_card_that_pays_everything_needs_nothing_else(session: Session, api: Api) -> None:
    made, card = shop(session), issued(session, 10_000)
    answer = place(
        api, made.customer, made, gift_cards=[card.number], payment={"method": "card", "payment_method": "pm"}
    )
    assert answer.status_code == 201, answer.json
    assert [one["tender"] for one in answer.json["payments"]] == ["gift_card"]
    assert (answer.json["status"], balance(session, card)) == ("open", 10_000 - 3960)


def test_several_tenders_at_the_till(session: Session, api: Api, unchanged: Unchanged) -> None:
    made, card = shop(session), issued(session, 1000)
    sale = {
        "lines": [{"sku": made.tea.sku, "quantity": 2}],
        "method": "carry_out",
        "location": made.store.code,
        "gift_cards": [card.number],
        "customer_id": str(made.customer.id),
    }
    till = api(made.associate)
    taken = [{"method": "cash", "amount_minor": 2000}, {"method": "card_terminal", "amount_minor": 960}]
    with unchanged():
        for payments, code in (
            ([{"method": "cash", "amount_minor": 2959}], "wrong_sum"),
            ([{"method": "cash", "amount_minor": 2961}], "wrong_sum"),
        ):
            wrong = till.post("/orders", key="w", json=sale | {"payments": payments})
            assert (wrong.status_code, wrong.json["errors"][0]["code"]) == (422, code)
        both = till.post("/orders", key="w", json=sale | {"payments": taken, "payment": {"method": "cash"}})
        assert both.status_code == 422
        web = api(made.customer).post("/orders", key="w", json=pickup_body(made) | {"payments": taken})
        assert web.status_code == 422
    done = till.post("/orders", key="sale", json=sale | {"payments": taken})
    assert done.status_code == 201, done.json
    assert sorted((one["tender"], one["captured"]["amount_minor"]) for one in done.json["payments"]) == [
        ("card_terminal", 960),
        ("cash", 2000),
        ("gift_card", 1000),
    ]
    assert account(session, made.customer) == (26, 0, 0), "3,600 without tax, less the 1,000 of the gift card"
    assert level(session, made.store, made.tea) == (8, 0, 0)
    assert list(audit.divergences(session)) == []


def test_splitting_pays_exactly_the_total() -> None:
    assert split(0, "JPY", method="pickup", points=100) == (0, ())
    points, parts = split(1000, "JPY", method="pickup", points=300, payment={"method": "pay_at_pickup"})
    assert (points, [(part.tender, part.amount_minor) for part in parts]) == (
        300,
        [("points", 300), ("pay_at_pickup", 700)],
    )
    with pytest.raises(Invalid):
        split(1000, "JPY", method="pickup", points=0)


@pytest.mark.committed
def test_one_balance_is_spent_once(session: Session, api: Api) -> None:
    """Two orders at once, one card that pays for one of them: exactly one is placed with it."""
    made, card = shop(session), issued(session, 3960)
    answers: list[Any] = []
    order = {name: value for name, value in pickup_body(made, quantity=2).items() if name != "payment"}

    def buy(key: str) -> None:
        answers.append(api(made.customer).post("/orders", key=key, json=order | {"gift_cards": [card.number]}))

    threads = [threading.Thread(target=buy, args=(key,)) for key in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} == {"gift_card_short"}
    assert balance(session, card) == 0
    assert session.execute(text("SELECT count(*) FROM gift_card_entry WHERE kind = 'spend'")).scalar_one() == 1
    assert level(session, made.store, made.tea) == (10, 2, 0)
    assert list(audit.divergences(session)) == []
