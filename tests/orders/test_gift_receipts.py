"""Gift receipts: no price and no buyer on them; what comes back by one is store credit of whoever brought it."""

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import orders.audit
from orders import gift_cards
from retail.kernel.ids import new_id
from tests.factories import customer, staff
from tests.factories.orders import account, pickup_body, ready_pickup, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def given(session: Session, api: Api) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """(shop, order, gift receipt): two teas bought by Hanako, to be given away."""
    made = shop(session)
    order = api(made.customer).post("/orders", key="buy", json=pickup_body(made, quantity=2)).json
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="hand", json=body).status_code == 200
    answer = api(made.customer).post(f"/orders/{order['reference']}/gift-receipt", key="gift")
    assert answer.status_code == 201, answer.json
    return made, order, answer.json


def ask(api: Api, caller: Any, bought: dict[str, Any], key: str = "ask", **body: Any) -> Any:
    lines = [{"order_line_id": bought["lines"][0]["id"], "quantity": 1}]
    return api(caller).post("/returns", key=key, json={"lines": lines} | body)


def test_it_shows_no_price_and_no_buyer(session: Session, api: Api) -> None:
    made, order, receipt = given(session, api)
    assert receipt["reference"].startswith("G-")
    again = api(made.customer).post(f"/orders/{order['reference']}/gift-receipt", key="again")
    assert again.json == receipt
    guest = customer(session, email="taro@example.com")
    for key in (receipt["reference"].lower(), receipt["token"]):
        seen = api(guest).get(f"/gift-receipts/{key}")
        assert seen.status_code == 200
        assert (seen.json["lines"][0]["returnable"], seen.json["lines"][0]["quantity"]) == (2, 2)
    for language, words in (("ja", "ギフトレシート"), ("en", "Gift receipt")):
        page = api().client.get(receipt["path"], headers={"Accept-Language": language})
        assert (page.status_code, words in page.text, order["lines"][0]["title"] in page.text) == (200, True, True)
        for secret in ("1,980", "1980", "3,960", "3960", "hanako", order["reference"]):
            assert secret not in page.text.lower()
    stored = session.execute(text("SELECT token_hash FROM gift_receipt")).scalar_one()
    assert receipt["token"] not in stored


def test_it_pays_store_credit_to_whoever_was_given_the_goods(session: Session, api: Api) -> None:
    made, order, receipt = given(session, api)
    taro = customer(session, email="taro@example.com")
    back = ask(api, taro, order, gift_receipt=receipt["token"])
    assert back.status_code == 201, back.json
    assert (back.json["refund_to"], back.json["customer_id"]) == ("store_credit", str(taro.id))
    assert back.json["gift_receipt"] == receipt["reference"]
    assert api(made.customer).get(f"/returns/{back.json['reference']}").status_code == 404
    path = f"/returns/{back.json['reference']}"
    api(made.stranger).post(f"{path}/receipt", key="in", json={"location": made.other.code})
    found = [{"return_line_id": back.json["lines"][0]["id"], "outcomes": [{"condition": "sellable", "quantity": 1}]}]
    done = api(made.stranger).post(f"{path}/inspection", key="look", json={"lines": found})
    assert (done.status_code, done.json["state"], done.json["amount"]["amount_minor"]) == (200, "refunded", 1980)
    card = gift_cards.show(session, gift_card_id=done.json["store_credit_id"])
    assert (card["kind"], card["balance"]["amount_minor"], card["customer_id"]) == ("store_credit", 1980, taro.id)
    tenders = session.execute(text("SELECT tender, captured_minor, refunded_minor FROM payment")).all()
    assert tenders[0].tender == "cash"
    assert account(session, made.customer) == (18, 0, 0)  # the buyer's points for what came back are clawed back
    assert list(orders.audit.divergences(session)) == []


def test_it_pays_nothing_else(session: Session, api: Api, unchanged: Unchanged) -> None:
    made, order, receipt = given(session, api)
    with unchanged():
        for more in ({"refund_to": "original"}, {"payment_method_id": str(new_id())}):
            refused = ask(api, made.associate, order, gift_receipt=receipt["reference"], **more)
            assert (refused.status_code, refused.json["allowed"]) == (409, ["store_credit"])
        both = ask(api, made.associate, order, gift_receipt=receipt["reference"], order=order["reference"])
        assert both.status_code == 422
        assert ask(api, made.associate, order, gift_receipt="G-22222-22222").status_code == 404
        lines = [{"order_line_id": order["lines"][0]["id"], "quantity": 1, "new_sku": made.cake.sku}]
        body = {"gift_receipt": receipt["reference"], "lines": lines}
        assert api(made.associate).post("/exchanges", key="swap", json=body).status_code == 422
        assert api(made.customer).get("/gift-receipts/nothing").status_code == 404
        assert api().client.get("/gift-receipts/nothing", headers={"Accept-Language": "en"}).status_code == 404


def test_of_what_is_called_off_there_is_none(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = api(made.customer).post("/orders", key="buy", json=pickup_body(made)).json
    api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="off", json={"reason": "no"})
    with unchanged():
        refused = api(made.customer).post(f"/orders/{order['reference']}/gift-receipt", key="gift")
        assert (refused.status_code, refused.json["code"]) == (409, "no_gift_receipt")
        assert api(made.customer).post("/orders/R-22222-22222/gift-receipt", key="none").status_code == 404


def test_buyer_and_holder_learn_nothing_of_each_other(session: Session, api: Api, unchanged: Unchanged) -> None:
    """The holder: no price, no order, no buyer. The buyer: not who brought it, nor the number of the store credit."""
    made, order, receipt = given(session, api)
    taro = customer(session, email="taro@example.com")
    asked = ask(api, taro, order, gift_receipt=receipt["reference"]).json
    path = f"/returns/{asked['reference']}"
    shown = api(taro).get(path).json
    for told in (asked, shown, api(taro).get("/returns").json["items"][0]):
        assert (told["amount"], told["fee"], told["order_id"], told["order_reference"]) == (None, None, None, None)
        assert told["lines"][0]["amount"] is None
        assert not [secret for secret in (order["id"], order["reference"], "anako") if secret in str(told)]
        assert "1980" not in ID.sub("", str(told)), "the digits of an id are no price"
    known_to_staff = api(made.associate).get(path).json
    assert (known_to_staff["order_reference"], known_to_staff["amount"]["amount_minor"]) == (order["reference"], 1980)
    assert api(made.stranger).post(f"{path}/receipt", key="in", json={"location": made.other.code}).status_code == 200
    found = [{"return_line_id": asked["lines"][0]["id"], "outcomes": [{"condition": "sellable", "quantity": 1}]}]
    assert api(made.stranger).post(f"{path}/inspection", key="look", json={"lines": found}).status_code == 200
    done = api(taro).get(path).json
    assert (done["amount"]["amount_minor"], done["order_reference"], done["fee"]) == (1980, None, None)
    buyer = api(made.customer)
    with unchanged():
        assert buyer.get(path).status_code == 404
        assert buyer.get(f"/returns/{done['id']}").status_code == 404
        assert buyer.post(f"{path}/cancellation", key="no", json={"reason": "mine"}).status_code == 404
        for listed in ("/returns", f"/returns?order={order['reference']}"):
            assert buyer.get(listed).json["items"] == []
        for reads in ("", "/number"):
            assert buyer.get(f"/gift-cards/{done['store_credit_id']}{reads}").status_code in (403, 404)
        assert api(taro).get(f"/orders/{order['reference']}").status_code == 404
        assert api(made.associate).get(path).status_code == 404  # the goods are at another store
        assert api(made.associate).get("/returns").json["items"] == []
    number = gift_cards.number_of(UUID(done["store_credit_id"]))
    for told in (
        buyer.get(f"/orders/{order['reference']}").json,
        buyer.get(f"/orders/{order['reference']}/timeline").json,
        buyer.get("/me/gift-cards").json,
    ):
        assert not [secret for secret in (str(taro.id), number, "taro") if secret in str(told)]


def test_who_may(session: Session, api: Api, unchanged: Unchanged) -> None:
    made, order, receipt = given(session, api)
    path, looks = f"/orders/{order['reference']}/gift-receipt", f"/gift-receipts/{receipt['reference']}"
    analyst, jiro = staff(session, "analyst"), customer(session, email="jiro@example.com")
    with unchanged():
        assert api().post(path, key="a").status_code == 401
        assert api().get(looks).status_code == 401
        assert api(analyst).get(looks).status_code == 403
        assert api(jiro).post(path, key="b").status_code == 404
    assert api(made.associate).get(looks).json["lines"] == receipt["lines"]


@pytest.mark.committed
def test_two_at_once_make_one(session: Session, api: Api) -> None:
    made = shop(session)
    order = api(made.customer).post("/orders", key="buy", json=pickup_body(made)).json
    answers: list[Any] = []

    def make(key: str) -> None:
        answers.append(api(made.customer).post(f"/orders/{order['reference']}/gift-receipt", key=key).json)

    both = [threading.Thread(target=make, args=(key,)) for key in ("one", "two")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert answers[0] == answers[1]
    assert session.execute(text("SELECT count(*) FROM gift_receipt")).scalar_one() == 1
