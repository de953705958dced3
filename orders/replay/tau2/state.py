"""Orders and users of the shop in the data set's words, and where they differ from what the data set expects."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from orders.importers.tau2.reading import address_of, cents
from orders.replay.http import Api, part

ADDRESS = ("postal_code", "region", "city", "line1", "line2", "country")
OPEN = ("requested", "approved", "received")


def order_state(api: Api, order_id: str) -> dict[str, Any]:
    """An order as the data set would describe it; money in cents."""
    order = api.get(f"/orders/{part(order_id)}").body
    names = _method_names(api, order["customer_id"])
    back = [one for one in api.get("/returns", order=order["reference"]).body["items"] if one["state"] in OPEN]
    returned = next((one for one in back if one["purpose"] == "refund"), None)
    exchanged = next((one for one in back if one["purpose"] == "exchange"), None)
    paid, refunded = _money(order, names)
    return {
        "status": _status(order, returned, exchanged),
        "items": [(line["sku"], line["unit_price"]["amount_minor"]) for line in order["lines"]],
        "address": {name: order["ship_to"][name] for name in ADDRESS},
        "paid": paid,
        "refunded": refunded,
        "cancel_reason": order["cancel_reason"],
        "return_items": _skus(returned),
        "return_payment_method_id": _method(returned, names),
        "exchange_items": _skus(exchanged),
        "exchange_new_items": None
        if exchanged is None
        else sorted(one["exchange"]["sku"] for one in exchanged["lines"]),
        "exchange_payment_method_id": _method(exchanged, names),
        "exchange_price_difference": None if exchanged is None else exchanged["difference"]["amount_minor"],
    }


def expected_order(given: Mapping[str, Any]) -> dict[str, Any]:
    """The data set's order in the same words."""
    paid: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for one in given["payment_history"]:
        (paid if one["transaction_type"] == "payment" else refunded)[one["payment_method_id"]] += cents(one["amount"])
    address = address_of(given["address"])
    difference = given["exchange_price_difference"]
    return {
        "status": given["status"],
        "items": [(item["item_id"], cents(item["price"])) for item in given["items"]],
        "address": {name: address[name] for name in ADDRESS},
        "paid": dict(+paid),
        "refunded": dict(+refunded),
        "cancel_reason": given["cancel_reason"],
        "return_items": given["return_items"],
        "return_payment_method_id": given["return_payment_method_id"],
        "exchange_items": given["exchange_items"],
        "exchange_new_items": given["exchange_new_items"],
        "exchange_payment_method_id": given["exchange_payment_method_id"],
        "exchange_price_difference": None if difference is None else cents(difference),
    }


def with_reference_defect(state: Mapping[str, Any], new_items: Sequence[str]) -> dict[str, Any]:
    """The same order with a defect of the data set's reference tool: when it modifies several items at once, it writes the
    price of the LAST new item onto each of them (what it charges is right). This shop writes each item's own."""
    rest = Counter(new_items)
    if rest.total() < 2:
        return dict(state)
    last = next(price for sku, price in state["items"] if sku == new_items[-1])
    items = []
    for sku, price in state["items"]:
        items.append((sku, last if rest[sku] > 0 else price))
        rest[sku] -= 1
    return dict(state) | {"items": items}


def user_state(api: Api, user_id: str) -> dict[str, Any]:
    """A user: address, and what is on her gift cards."""
    user = api.get("/customers", external=user_id).body["items"][0]
    methods = api.get(f"/customers/{user['id']}/payment-methods").body["items"]
    return {
        "address": {name: user["address"][name] for name in ADDRESS},
        "gift_cards": {
            one["external_reference"]: one["balance"]["amount_minor"] for one in methods if one["kind"] == "gift_card"
        },
    }


def expected_user(given: Mapping[str, Any]) -> dict[str, Any]:
    """The data set's user in the same words."""
    address = address_of(given["address"])
    return {
        "address": {name: address[name] for name in ADDRESS},
        "gift_cards": {
            one["id"]: cents(one["balance"])
            for one in given["payment_methods"].values()
            if one["source"] == "gift_card"
        },
    }


def differences(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Each fact that is another than expected, in one line."""
    return [
        f"{name}: {found[name]!r}, expected {expected[name]!r}" for name in expected if found[name] != expected[name]
    ]


def _status(order: Mapping[str, Any], returned: Any, exchanged: Any) -> str:
    if returned is not None:
        return "return requested"
    if exchanged is not None:
        return "exchange requested"
    words = {"cancelled": "cancelled", "refunded": "cancelled", "completed": "delivered", "shipped": "processed"}
    if order["status"] in words:
        return words[order["status"]]
    return "pending (item modified)" if order["changes"] else "pending"


def _method_names(api: Api, customer_id: str) -> dict[str, str]:
    """The data set's name of each method, by its id and by its gift card's."""
    names = {}
    for one in api.get(f"/customers/{customer_id}/payment-methods").body["items"]:
        names[one["id"]] = one["external_reference"]
        if one["gift_card_id"] is not None:
            names[one["gift_card_id"]] = one["external_reference"]
    return names


def _money(order: Mapping[str, Any], names: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """What was paid by each method, and what each got back: of a refund that was sent elsewhere, the method it went to."""
    paid: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    elsewhere = 0
    for refund in order["refunds"]:
        if refund["destination"] != "original":
            to = names[refund["gift_card_id"] or refund["payment_method_id"]]
            refunded[to] += refund["amount"]["amount_minor"]
            elsewhere += refund["amount"]["amount_minor"]
    for payment in order["payments"]:
        name = names[payment["payment_method_id"] or payment["gift_card"]["id"]]
        paid[name] += payment["captured"]["amount_minor"]
        back = payment["refunded"]["amount_minor"]
        moved = min(back, elsewhere)
        elsewhere -= moved
        refunded[name] += back - moved
    return dict(+paid), dict(+refunded)


def _skus(back: Any) -> list[str] | None:
    return None if back is None else sorted(line["sku"] for line in back["lines"] for _ in range(line["quantity"]))


def _method(back: Any, names: Mapping[str, str]) -> str | None:
    return None if back is None else names[back["payment_method_id"]]
