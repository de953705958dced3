"""Several currencies, one per order: yen without decimals, dollars with two, dinars with three, from the cart to the papers."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, gift_cards, stripe_gateway
from retail.kernel import clock, i18n
from retail.kernel.ids import new_id
from tests.factories import staff
from tests.factories.currencies import Abroad, channel
from tests.factories.documents import issuer
from tests.factories.orders import Shop, give_points, pickup_body, ready_pickup, shop
from tests.factories.stripe import GOOD_CARD, CardNetwork
from tests.journeys.console_client import Console

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
# (currency, prices of a tea and a cake, total of two and one, tax of 10 % and 8 % inside, how a page says the total)
CASES = [
    ("JPY", (1980, 540), 4500, (360, 40), "￥4,500", "¥4,500"),
    ("USD", (1999, 550), 4548, (363, 41), "$45.48", "$45.48"),
    ("KWD", (1250, 470), 2970, (227, 35), "KWD 2.970", "KWD 2.970"),
]


def selling(session: Session, currency: str, prices: tuple[int, int], **more: Any) -> tuple[Shop, Abroad]:
    made = shop(session)
    issuer(session)
    return made, channel(session, made, currency=currency, prices={made.tea: prices[0], made.cake: prices[1]}, **more)


def lines(made: Shop) -> list[dict[str, Any]]:
    return [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}]


@pytest.mark.parametrize(("currency", "prices", "total", "taxes", "japanese", "english"), CASES)
def test_from_the_cart_to_the_papers(
    session: Session, api: Api, app: Flask, cards: CardNetwork, currency: str, prices: tuple[int, int], total: int,
    taxes: tuple[int, int], japanese: str, english: str,
) -> None:  # fmt: skip
    made, abroad = selling(session, currency, prices)
    buyer, boss = api(abroad.customer), staff(session, "admin")
    cart = buyer.post("/carts", json={"location": made.store.code, "lines": lines(made)})
    assert cart.status_code == 201, cart.json
    assert cart.json["totals"]["total"] == {"amount_minor": total, "currency": currency}
    body = {"cart_id": cart.json["id"], "payment": {"method": "card", "payment_method": GOOD_CARD}}
    order = buyer.post("/orders", key="place", json=body).json
    assert (order["currency"], order["total"]["amount_minor"], order["tax"]["amount_minor"]) == (
        currency,
        total,
        sum(taxes),
    )
    intent = str(order["payments"][0]["provider_id"])
    asked = cards.intent(intent)
    assert (asked["amount"], asked["currency"], asked["status"]) == (total, currency.lower(), "requires_capture")
    pickup = ready_pickup(api, made, order)
    assert (
        api(made.associate).post(f"/pickups/{pickup}/collection", key="c", json={"identity": "passport"}).status_code
        == 200
    )
    assert cards.intent(intent)["status"] == "succeeded"
    assert [(one["amount"], one["captured"]) for one in cards.charges(intent)] == [(total, True)]

    invoice = buyer.post(f"/me/orders/{order['reference']}/invoice", key="i", json={}).json["items"][0]
    assert (invoice["total"], invoice["qualified"]) == (
        {"amount_minor": total, "currency": currency},
        currency == "JPY",
    )
    assert [tax["tax"]["amount_minor"] for tax in invoice["tax_lines"]] == list(taxes)
    refund = api(boss).post(f"/orders/{order['reference']}/refunds", key="r", json={"reason": "defect"})
    assert (refund.status_code, refund.json["amount"]) == (201, {"amount_minor": total, "currency": currency})
    assert [one["amount"] for one in cards.refunds(intent)] == [total]
    back = buyer.post(f"/me/orders/{order['reference']}/return-invoice", key="b", json={}).json["items"][0]
    assert (back["total"], back["tax"], back["tax_lines"]) == (invoice["total"], invoice["tax"], invoice["tax_lines"])
    for locale, said in (("ja", japanese), ("en", english)):
        page = Console(app, boss.token, locale=locale).open(f"/console/documents/{invoice['id']}")
        assert said in page.text.replace("\xa0", " ")
    assert list(audit.divergences(session)) == []


@pytest.mark.parametrize(("currency", "prices", "total", "taxes", "japanese", "english"), CASES)
def test_how_pages_say_it(
    currency: str, prices: tuple[int, int], total: int, taxes: tuple[int, int], japanese: str, english: str
) -> None:
    amount = {"amount_minor": total, "currency": currency}
    said = [i18n.texts(locale).money(amount).replace("\xa0", " ") for locale in ("ja", "en")]
    assert said == [japanese, english]
    less = i18n.texts("en").money({"amount_minor": -total, "currency": currency})
    assert less.startswith("-")
    assert sum(taxes) < sum(prices)


def test_tax_on_top_of_the_price(session: Session, api: Api) -> None:
    made, abroad = selling(session, "USD", (1999, 550), tax_inclusive=False)
    body = pickup_body(made, method="cash", lines=lines(made)) | {"method": "carry_out"}
    order = api(abroad.till).post("/orders", key="s", json=body).json
    assert [order[name]["amount_minor"] for name in ("subtotal", "tax", "total")] == [4548, 444, 4992]
    issued = api(abroad.till).post(f"/orders/{order['reference']}/receipt", key="r", json={})
    assert issued.status_code == 201, issued.json
    (receipt,) = issued.json["items"]
    assert [line["amount"]["amount_minor"] for line in receipt["lines"]] == [3998, 550]
    assert [
        tuple(tax[name]["amount_minor"] for name in ("taxable", "tax", "gross")) for tax in receipt["tax_lines"]
    ] == [(3998, 400, 4398), (550, 44, 594)]
    assert (receipt["tax_inclusive"], receipt["total"]["amount_minor"]) == (False, 4992)


def test_points_do_not_pay_in_another_currency(session: Session, api: Api, unchanged: Unchanged) -> None:
    made, abroad = selling(session, "USD", (1999, 550))
    give_points(session, abroad.customer, 500)
    with unchanged():
        body = pickup_body(made, points_to_spend=100)
        refused = api(abroad.customer).post("/orders", key="p", json=body)
        assert (refused.status_code, refused.json["code"]) == (422, "points_not_accepted")
        assert refused.json["errors"][0]["currency"] == "USD"


def test_a_gift_card_of_another_currency_does_not_pay(session: Session, api: Api, unchanged: Unchanged) -> None:
    made, abroad = selling(session, "USD", (1999, 550))
    yen = gift_cards.issue(session, amount_minor=5000, currency="JPY", actor="system", now=clock.now())
    with unchanged():
        refused = api(abroad.customer).post("/orders", key="p", json=pickup_body(made, gift_cards=[yen.number]))
        assert (refused.status_code, refused.json["code"]) == (409, "gift_card_currency")
    dollars = gift_cards.issue(session, amount_minor=1500, currency="USD", actor="system", now=clock.now())
    order = api(abroad.customer).post("/orders", key="p", json=pickup_body(made, gift_cards=[dollars.number])).json
    assert [(one["tender"], one["amount"]) for one in order["payments"]] == [
        ("gift_card", {"amount_minor": 1500, "currency": "USD"}),
        ("pay_at_pickup", {"amount_minor": 499, "currency": "USD"}),
    ]


def _moved(session: Session, abroad: Abroad, listed: str) -> None:
    """The channel sells from another price list from now on."""
    statement = "UPDATE channel SET price_list_id = (SELECT id FROM price_list WHERE code = :listed) WHERE code = :code"
    session.execute(text(statement), {"listed": listed, "code": abroad.channel})


@pytest.mark.parametrize(("listed", "why"), [("JPY", "other_currency"), ("LIST-NET", "other_tax_mode")])
def test_an_order_has_one_currency_and_one_tax_mode(
    session: Session, api: Api, unchanged: Unchanged, listed: str, why: str
) -> None:
    """A channel that has moved to another price list since sells nothing more into its old orders."""
    made, abroad = selling(session, "USD", (1999, 550))
    order = api(abroad.customer).post("/orders", key="p", json=pickup_body(made, quantity=2)).json
    session.execute(
        text("INSERT INTO price_list (id, code, currency, tax_inclusive) VALUES (:id, 'LIST-NET', 'USD', false)"),
        {"id": new_id()},
    )
    session.execute(
        text(
            "INSERT INTO price (variant_id, price_list_id, valid_from, amount_minor) "
            "SELECT :cake, id, now() - interval '1 year', 500 FROM price_list WHERE code = 'LIST-NET'"
        ),
        {"cake": made.cake.id},
    )
    _moved(session, abroad, listed)
    change = {"changes": [], "additions": [{"sku": made.cake.sku, "quantity": 1}]}
    with unchanged():
        refused = api(abroad.customer).post(f"/orders/{order['reference']}/goods-changes", key="g", json=change)
        assert (refused.status_code, refused.json["code"]) == (422, "not_for_sale")
        assert [(one["sku"], one["code"]) for one in refused.json["errors"]] == [(made.cake.sku, why)]
    pickup = ready_pickup(api, made, order)
    done = api(made.associate).post(
        f"/pickups/{pickup}/collection", key="c", json={"identity": "passport", "tender": "cash"}
    )
    assert done.status_code == 200, done.json
    exchange = [{"order_line_id": order["lines"][0]["id"], "quantity": 1, "new_sku": made.cake.sku}]
    with unchanged():
        body = {"order": order["reference"], "lines": exchange}
        refused = api(abroad.customer).post("/exchanges", key="x", json=body)
        assert (refused.status_code, [one["code"] for one in refused.json["errors"]]) == (422, [why])


def test_one_cart_has_one_channel(session: Session, api: Api, unchanged: Unchanged) -> None:
    """A line that the cart's channel has no price for is refused, whatever it costs elsewhere."""
    made = shop(session)
    abroad = channel(session, made, currency="USD", prices={made.tea: 1999})
    with unchanged():
        body = pickup_body(made, lines=lines(made))
        refused = api(abroad.customer).post("/orders", key="p", json=body)
        assert (refused.status_code, refused.json["code"]) == (422, "not_for_sale")
        assert [one["sku"] for one in refused.json["errors"]] == [made.cake.sku]


@pytest.mark.parametrize(("currency", "price"), [("KWD", 1255), ("ISK", 500), ("UGX", 5000), ("MGA", 50000)])
def test_an_amount_that_the_card_network_counts_otherwise_is_refused_before(
    session: Session, api: Api, cards: CardNetwork, unchanged: Unchanged, currency: str, price: int
) -> None:
    made, abroad = selling(session, currency, (price, price))
    with unchanged():
        body = pickup_body(made) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
        refused = api(abroad.customer).post("/orders", key="p", json=body)
        assert (refused.status_code, refused.json["code"]) == (422, "amount_not_chargeable"), refused.json
        assert refused.json["errors"][0]["field"] == "payment.method"
    assert cards.charges() == []
    order = api(abroad.customer).post("/orders", key="q", json=pickup_body(made))
    assert order.status_code == 201  # the counter takes it
    assert UUID(order.json["id"])


def test_what_stripe_takes() -> None:
    for amount, currency in ((1, "JPY"), (1999, "USD"), (1250, "KWD"), (5, "KRW"), (10, "TND")):
        stripe_gateway.require_chargeable(amount, currency)
