"""Orders that change after they were placed: goods, address, contact, payment method; the shop's rules; saved methods."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, gift_cards, payment_methods
from retail import limits
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests.factories import customer, staff, variant
from tests.factories.orders import Shop, level, pickup_body, receive, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]

HOME = {
    "name": "",
    "phone": "",
    "postal_code": "150-0002",
    "region": "東京都",
    "city": "渋谷区",
    "line1": "渋谷1-2-3",
    "line2": "",
    "country": "JP",
}


def place(api: Api, made: Shop, *, quantity: int = 3, key: str = "place") -> dict[str, Any]:
    answer = api(made.customer).post("/orders", key=key, json=pickup_body(made, quantity=quantity))
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def sent(session: Session, order: dict[str, Any]) -> None:
    """Let the order be one that is sent home."""
    given = {"id": order["id"]}
    session.execute(text("UPDATE fulfillment SET method = 'ship' WHERE order_id = :id"), given)
    ship_to = '{"postal_code": "100-0001", "city": "千代田区", "line1": "1-1", "country": "JP"}'
    session.execute(text(f"""UPDATE "order" SET ship_to = '{ship_to}' WHERE id = :id"""), given)


def money(session: Session, order: dict[str, Any]) -> list[tuple[Any, ...]]:
    statement = text(
        "SELECT tender, state, amount_minor, captured_minor, refunded_minor, released_minor FROM payment "
        "WHERE order_id = :id ORDER BY id"
    )
    return [tuple(row) for row in session.execute(statement, {"id": order["id"]}).all()]


def change(api: Api, caller: Any, order: dict[str, Any], key: str = "change", **body: Any) -> Any:
    return api(caller).post(f"/orders/{order['reference']}/goods-changes", key=key, json=body)


def line(order: dict[str, Any], at: int = 0, **to: Any) -> dict[str, Any]:
    return {"order_line_id": order["lines"][at]["id"], **to}


def save_card(session: Session, owner: Any, amount: int, currency: str = "JPY") -> tuple[str, str]:
    """A gift card among the customer's methods: (method, number)."""
    card = gift_cards.issue(session, amount_minor=amount, currency=currency, actor="system", now=clock.now())
    method = payment_methods.add(
        session, customer_id=owner.id, kind="gift_card", gift_card=card.number, now=clock.now()
    )
    return str(method), card.number


def save_wallet(session: Session, owner: Any, name: str = "paypal_1") -> str:
    return str(
        payment_methods.add(
            session, customer_id=owner.id, kind="wallet", brand="paypal", external_reference=name, now=clock.now()
        )
    )


def test_another_variant_and_more_of_it(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    answer = change(
        api,
        made.customer,
        order,
        changes=[line(order, sku=made.cake.sku, quantity=4)],
        settlement={"at_counter": True},
    )
    assert answer.status_code == 200, answer.json
    changed = answer.json
    assert [(one["sku"], one["quantity"], one["total"]["amount_minor"]) for one in changed["lines"]] == [
        (made.cake.sku, 4, 2160)
    ]
    assert (changed["total"]["amount_minor"], changed["changes"], changed["version"]) == (2160, 1, 3)
    assert changed["tax_lines"][0]["rate_bp"] == 800
    assert changed["fulfillments"][0]["lines"][0]["quantity"] == 4
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((10, 0, 0), (10, 4, 0))
    assert money(session, order) == [("pay_at_pickup", "pending", 5940, 0, 0, 3780)]
    assert list(audit.divergences(session)) == []
    (told,) = api(made.customer).get(f"/orders/{order['reference']}/changes").json["items"]
    assert (told["kind"], told["difference"]["amount_minor"]) == ("goods", -3780)
    assert (told["before"]["lines"][0]["sku"], told["after"]["lines"][0]["sku"]) == (made.tea.sku, made.cake.sku)
    again = change(
        api, made.customer, order, changes=[line(order, sku=made.cake.sku, quantity=4)], settlement={"at_counter": True}
    )
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_line_more_keeps_the_price_of_the_others(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    session.execute(text("UPDATE price SET amount_minor = amount_minor * 2"))
    answer = change(
        api,
        made.customer,
        order,
        changes=[line(order, quantity=2)],
        additions=[{"sku": made.cake.sku, "quantity": 1}],
        settlement={"at_counter": True},
    )
    assert answer.status_code == 200, answer.json
    assert [(one["sku"], one["unit_price"]["amount_minor"]) for one in answer.json["lines"]] == [
        (made.tea.sku, 1980),
        (made.cake.sku, 1080),
    ]
    assert answer.json["total"]["amount_minor"] == 2 * 1980 + 1080
    assert len(answer.json["fulfillments"][0]["lines"]) == 2
    assert level(session, made.store, made.tea) == (10, 2, 0)
    assert level(session, made.store, made.cake) == (10, 1, 0)
    assert list(audit.divergences(session)) == []


def test_what_costs_more_is_paid_by_what_is_named(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = place(api, made, quantity=1)
    more = [line(order, quantity=3)]
    small, _ = save_card(session, made.customer, 3959)
    wallet = save_wallet(session, made.customer)
    stranger = customer(session, name="Taro")
    theirs, _ = save_card(session, stranger, 9999)
    sent(session, order)
    with unchanged():
        missing = change(api, made.customer, order, changes=more)
        assert (missing.status_code, missing.json["code"]) == (409, "payment_missing")
        assert missing.json["difference"]["amount_minor"] == 3960
        counter = change(api, made.customer, order, changes=more, settlement={"at_counter": True})
        assert counter.json["code"] == "payment_missing", "what is sent home is not paid at a counter"
        short = change(api, made.customer, order, changes=more, settlement={"payment_method_id": small})
        assert (short.status_code, short.json["code"]) == (409, "gift_card_short")
        foreign = change(api, made.customer, order, changes=more, settlement={"payment_method_id": theirs})
        assert foreign.status_code == 404
    answer = change(api, made.customer, order, changes=more, settlement={"payment_method_id": wallet})
    assert answer.status_code == 200, answer.json
    assert money(session, order) == [
        ("pay_at_pickup", "pending", 1980, 0, 0, 0),
        ("external", "captured", 3960, 3960, 0, 0),
    ]
    assert list(audit.divergences(session)) == []


def test_what_costs_less_goes_where_it_is_told(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    wallet, other = save_wallet(session, made.customer), save_wallet(session, made.customer, "paypal_2")
    card, number = save_card(session, made.customer, 0)
    moved = api(made.customer).post(
        f"/orders/{order['reference']}/payment-method", key="method", json={"payment_method_id": wallet}
    )
    assert moved.status_code == 200, moved.json
    for position, (method, expected) in enumerate(
        ((wallet, "original"), (card, "gift_card"), (other, "payment_method"))
    ):
        quantity = 3 if position else 2
        answer = change(
            api,
            made.customer,
            order,
            key=f"less-{position}",
            changes=[line(order, sku=made.tea.sku, quantity=2 - position)]
            if position < 2
            else [line(order, sku=made.cake.sku)],
            settlement={"payment_method_id": method},
        )
        assert quantity
        assert answer.status_code == 200, answer.json
        assert answer.json["refunds"][-1]["destination"] == expected
        assert list(audit.divergences(session)) == []
    assert gift_cards.find(session, number=number).balance_minor == 1980
    assert money(session, order)[-1] == ("external", "captured", 5940, 5940, 5940 - 540, 0)


def test_what_cannot_be_changed(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = place(api, made)
    agent, taro = staff(session, "agent"), customer(session, name="Taro")
    huge = {"changes": [line(order, quantity=11)], "settlement": {"at_counter": True}}
    with unchanged():
        for body, status, code in (
            ({}, 422, "invalid"),
            ({"changes": [line(order)]}, 422, "invalid"),
            ({"changes": [line(order, quantity=0)]}, 422, "invalid"),
            ({"changes": [line(order, quantity=limits.QUANTITY_PER_LINE + 1)]}, 422, "invalid"),
            ({"changes": [{"order_line_id": str(new_id()), "quantity": 1}]}, 422, "invalid"),
            ({"changes": [line(order, quantity=1), line(order, quantity=2)]}, 422, "invalid"),
            ({"changes": [line(order, sku="NOTHING")]}, 422, "not_for_sale"),
            ({"changes": [line(order, quantity=3)]}, 409, "nothing_changes"),
            (
                {"changes": [line(order, quantity=1)], "settlement": {"gift_card": "x", "at_counter": True}},
                422,
                "invalid",
            ),
            (huge, 409, "out_of_stock"),
        ):
            answer = change(api, made.customer, order, **body)
            assert (answer.status_code, answer.json["code"]) == (status, code), (body, answer.json)
        assert change(api, taro, order, **huge).status_code == 404
        assert change(api, made.stranger, order, **huge).status_code == 403
        assert change(api, agent, order | {"reference": "R-22222-22222"}, **huge).status_code == 404
    counter = api(made.associate)
    counter.post(f"/pickups/{order['fulfillments'][0]['id']}/picking", key="picking")
    with unchanged():
        begun = change(api, made.customer, order, changes=[line(order, quantity=1)])
        assert (begun.status_code, begun.json["code"], begun.json["legal"]) == (409, "not_changeable", [])
    api(agent).post(f"/orders/{order['reference']}/cancellation", key="off", json={"reason": "x"})
    with unchanged():
        for path, method, body in (
            ("goods-changes", "post", {"changes": [line(order, quantity=1)]}),
            ("contact", "put", {"name": "Taro"}),
            ("address", "put", {"ship_to": HOME}),
        ):
            caller = api(made.customer)
            options = {"key": "late"} if method == "post" else {}
            answer = getattr(caller, method)(f"/orders/{order['reference']}/{path}", json=body, **options)
            assert (answer.status_code, answer.json["code"]) == (409, "not_changeable"), path


def test_the_shops_rules(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    admin, web = api(staff(session, "admin")), "web"
    order = place(api, made)
    free = admin.get(f"/order-policies/{web}").json
    assert (free["version"], free["cancel_reasons"], free["goods_changes_most"]) == (0, None, None)
    strict = {"cancel_reasons": ["mistake"], "same_product_only": True, "frozen_by_goods_change": True}
    with unchanged():
        assert admin.put("/order-policies/nowhere", if_match=0, json=strict).status_code == 404
        assert admin.get("/order-policies/nowhere").status_code == 404
        assert admin.put(f"/order-policies/{web}", if_match=3, json=strict).status_code == 412
        assert admin.put(f"/order-policies/{web}", if_match=0, json={"goods_changes_most": -1}).status_code == 422
    general = admin.put("/order-policies/default", if_match=0, json={"goods_changes_most": 0})
    assert (general.status_code, general.json["version"]) == (200, 1), general.json
    with unchanged():
        never = change(api, made.customer, order, changes=[line(order, quantity=1)])
        assert (never.json["code"], never.json["rule"]) == ("not_allowed", "goods_changes_most")
        assert admin.put("/order-policies/default", if_match=0, json=strict).status_code == 412
    assert admin.put(f"/order-policies/{web}", if_match=0, json=strict).json["version"] == 1
    with unchanged():
        other = change(api, made.customer, order, changes=[line(order, sku=made.cake.sku)])
        assert (other.status_code, other.json["rule"]) == (409, "same_product_only")
        reason = api(made.customer).post(
            f"/orders/{order['reference']}/cancellation", key="why", json={"reason": "just so"}
        )
        assert (reason.status_code, reason.json["code"], reason.json["rule"]) == (409, "not_allowed", "cancel_reasons")
    blue = variant(session, price_minor=1880)
    session.execute(
        text("UPDATE variant SET product_id = (SELECT product_id FROM variant WHERE id = :tea) WHERE id = :id"),
        {"tea": made.tea.id, "id": blue.id},
    )
    receive(session, made.store, blue, 10)
    assert change(api, made.customer, order, changes=[line(order, sku=blue.sku)]).status_code == 200
    wallet = save_wallet(session, made.customer)
    with unchanged():
        for path, body in (
            ("goods-changes", {"changes": [line(order, quantity=1)]}),
            ("payment-method", {"payment_method_id": wallet}),
            ("cancellation", {"reason": "mistake"}),
        ):
            frozen = api(made.customer).post(f"/orders/{order['reference']}/{path}", key="frozen", json=body)
            assert (frozen.status_code, frozen.json["rule"]) == (409, "frozen_by_goods_change"), frozen.json
    sent(session, order)
    assert api(made.customer).put(f"/orders/{order['reference']}/address", json={"ship_to": HOME}).status_code == 200


def test_another_address_and_contact(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = place(api, made)
    path, hanako, taro = f"/orders/{order['reference']}", api(made.customer), api(customer(session))
    with unchanged():
        assert hanako.put(f"{path}/address", json={"ship_to": HOME}).json["code"] == "not_changeable"
        assert hanako.put(f"{path}/address", json={"ship_to": {}}).status_code == 422
        assert hanako.put(f"{path}/contact", json={"email": "nobody"}).status_code == 422
        assert hanako.put(f"{path}/contact", json={}).status_code == 422
        assert hanako.put(f"{path}/contact", json={"email": "hanako@example.com"}).json["code"] == "nothing_changes"
        assert taro.put(f"{path}/contact", json={"name": "x"}).status_code == 404
        assert hanako.get("/orders/R-22222-22222/changes").status_code == 404
    sent(session, order)
    with unchanged():
        abroad = hanako.put(f"{path}/address", json={"ship_to": HOME | {"country": "US"}})
        assert (abroad.status_code, abroad.json["legal"]) == (409, ["cancellation"])
    moved = hanako.put(f"{path}/address", json={"ship_to": HOME})
    assert (moved.status_code, moved.json["ship_to"]) == (200, HOME), moved.json
    with unchanged():
        assert hanako.put(f"{path}/address", json={"ship_to": HOME}).json["code"] == "nothing_changes"
    told = hanako.put(f"{path}/contact", json={"name": "山田太郎", "phone": "03-1234-5678"})
    assert told.json["contact"] == {"name": "山田太郎", "email": "hanako@example.com", "phone": "+81312345678"}
    assert [one["kind"] for one in hanako.get(f"{path}/changes").json["items"]] == ["address", "contact"]
    page = hanako.get(f"{path}/changes?limit=1").json
    assert [one["kind"] for one in hanako.get(f"{path}/changes?limit=1&cursor={page['next']}").json["items"]] == [
        "contact"
    ]
    session.execute(text("UPDATE fulfillment SET state = 'shipped'"))
    with unchanged():
        assert hanako.put(f"{path}/address", json={"ship_to": HOME | {"line2": "401"}}).json["legal"] == ["return"]


def test_another_payment_method(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = place(api, made)
    path, hanako = f"/orders/{order['reference']}/payment-method", api(made.customer)
    short, _ = save_card(session, made.customer, 5939)
    whole, number = save_card(session, made.customer, 6000)
    with unchanged():
        refused = hanako.post(path, key="m", json={"payment_method_id": short})
        assert (refused.status_code, refused.json["code"]) == (409, "gift_card_short")
        assert hanako.post(path, key="m", json={"payment_method_id": str(new_id())}).status_code == 404
        assert hanako.post(path, key="m", json={}).status_code == 422
    answer = hanako.post(path, key="m", json={"payment_method_id": whole})
    assert answer.status_code == 200, answer.json
    assert money(session, order) == [
        ("pay_at_pickup", "voided", 5940, 0, 0, 5940),
        ("gift_card", "captured", 5940, 5940, 0, 0),
    ]
    assert gift_cards.find(session, number=number).balance_minor == 60
    assert list(audit.divergences(session)) == []
    with unchanged():
        assert hanako.post(path, key="n", json={"payment_method_id": whole}).json["code"] == "nothing_changes"
    back = save_wallet(session, made.customer)
    assert hanako.post(path, key="o", json={"payment_method_id": back}).status_code == 200
    assert gift_cards.find(session, number=number).balance_minor == 6000
    api(staff(session, "admin")).put("/order-policies/default", if_match=0, json={"payment_changes_most": 2})
    with unchanged():
        often = hanako.post(path, key="p", json={"payment_method_id": whole})
        assert (often.status_code, often.json["rule"]) == (409, "payment_changes_most")
    cancelled = hanako.post(f"/orders/{order['reference']}/cancellation", key="off", json={"reason": "x"})
    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
    assert [row[4] for row in money(session, order)] == [0, 5940, 5940]
    assert list(audit.divergences(session)) == []


@pytest.mark.parametrize("own", [True, False])
def test_saved_payment_methods(session: Session, api: Api, unchanged: Unchanged, own: bool) -> None:
    hanako, taro = customer(session, name="Hanako"), customer(session, name="Taro")
    agent = api(staff(session, "agent"))
    caller = api(hanako) if own else agent
    path = "/me/payment-methods" if own else f"/customers/{hanako.id}/payment-methods"
    card = gift_cards.issue(session, amount_minor=500, currency="JPY", actor="system", now=clock.now())
    token = {"kind": "card", "brand": "visa", "label": "4242", "provider_method": "pm_card_visa"}
    assert caller.get(path).json == {"items": []}
    assert caller.post(path, json=token).status_code == 201
    saved = caller.post(path, json={"kind": "gift_card", "gift_card": card.number}).json["items"]
    assert [(one["kind"], one["label"], one["charged_here"]) for one in saved] == [
        ("card", "4242", True),
        ("gift_card", card.number[-4:], True),
    ]
    assert saved[1]["balance"] == {"amount_minor": 500, "currency": "JPY"}
    assert "pm_card_visa" not in str(saved)
    wallet = {"kind": "wallet", "brand": "paypal", "external_reference": "paypal_1"}
    assert caller.post(path, json=wallet).json["items"][2]["charged_here"] is False
    with unchanged():
        for body, status in (
            ({"kind": "gift_card"}, 422),
            ({"kind": "card"}, 422),
            ({"kind": "cheque"}, 422),
            ({"kind": "gift_card", "gift_card": "1234"}, 422),
            ({"kind": "gift_card", "gift_card": card.number}, 409),
            (wallet, 409),
        ):
            assert caller.post(path, json=body).status_code == status, body
        assert caller.delete(f"{path}/{new_id()}").status_code == 404
        assert api(taro).delete(f"/me/payment-methods/{saved[0]['id']}").status_code == 404
        assert agent.get("/customers/C-22222-22222/payment-methods").status_code == 404
    assert caller.delete(f"{path}/{saved[0]['id']}").status_code == 204
    with unchanged():
        assert caller.delete(f"{path}/{saved[0]['id']}").status_code == 404
    for at in range(limits.PAYMENT_METHODS_PER_CUSTOMER - 2):
        caller.post(path, json=token | {"label": str(at)})
    with unchanged():
        assert caller.post(path, json=token).json["code"] == "too_many_payment_methods"


@pytest.mark.committed
def test_two_changes_at_once_one_after_the_other(session: Session, api: Api) -> None:
    """Both want the last units that the order does not have: one gets them, the other is told how many there are."""
    made = shop(session)
    order = place(api, made, quantity=2)
    answers: list[Any] = []

    def more(quantity: int) -> None:
        body = {"changes": [line(order, quantity=quantity)], "settlement": {"at_counter": True}}
        answers.append(change(api, made.customer, order, key=f"more-{quantity}", **body))

    threads = [threading.Thread(target=more, args=(quantity,)) for quantity in (9, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200, 200]
    last = max(answer.json["version"] for answer in answers)
    final = next(answer.json for answer in answers if answer.json["version"] == last)
    quantity = final["lines"][0]["quantity"]
    assert level(session, made.store, made.tea) == (10, quantity, 0)
    assert final["total"]["amount_minor"] == 1980 * quantity
    assert list(audit.divergences(session)) == []
    assert UUID(order["id"])
