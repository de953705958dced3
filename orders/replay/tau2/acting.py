"""One action of the data set, done through the API."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orders.importers.tau2.reading import address_of
from orders.replay.http import Answer, Api, part

Arguments = Mapping[str, Any]
DONE = Answer(200, None)
MISSING = Answer(404, {"code": "not_found", "detail": "Not found"})


def act(api: Api, name: str, arguments: Arguments) -> Answer:
    """Do it; the answer says whether it was done.

    Raises:
        KeyError: an action that nobody knows.
    """
    return ACTIONS[name](api, arguments)


def _by_email(api: Api, given: Arguments) -> Answer:
    return _found(api.get("/customers", email=given["email"]))


def _by_name_and_zip(api: Api, given: Arguments) -> Answer:
    name = f"{given['first_name']} {given['last_name']}"
    found = api.get("/customers", q=name, postal_code=given["zip"])
    if not found.ok:
        return found
    exact = [one for one in found.body["items"] if one["name"].casefold() == name.casefold()]
    return Answer(200, exact[0]) if exact else MISSING


def _user(api: Api, given: Arguments) -> Answer:
    return _found(api.get("/customers", external=given["user_id"]))


def _order(api: Api, given: Arguments) -> Answer:
    return api.get(f"/orders/{part(given['order_id'])}")


def _product(api: Api, given: Arguments) -> Answer:
    return api.get(f"/products/{part(given['product_id'])}")


def _item(api: Api, given: Arguments) -> Answer:
    return api.get(f"/variants/{part(given['item_id'])}")


def _nothing(api: Api, given: Arguments) -> Answer:  # noqa: ARG001 - nothing of the shop is asked
    return DONE


def _cancel(api: Api, given: Arguments) -> Answer:
    return api.post(f"/orders/{part(given['order_id'])}/cancellation", {"reason": given["reason"]})


def _change_items(api: Api, given: Arguments) -> Answer:
    order, method = _order_and_method(api, given)
    if not order.ok or not method.ok:
        return method if order.ok else order
    pairs = _pairs(order.body, given["item_ids"], given["new_item_ids"])
    if pairs is None:
        return Answer(
            422, {"code": "invalid", "detail": "The items are not the order's, or not as many as the new ones"}
        )
    body = {
        "changes": [{"order_line_id": line, "sku": sku} for line, sku in pairs],
        "settlement": {"payment_method_id": method.body["id"]},
    }
    return api.post(f"/orders/{order.body['reference']}/goods-changes", body)


def _change_address(api: Api, given: Arguments) -> Answer:
    ship_to = address_of(given)
    return api.put(f"/orders/{part(given['order_id'])}/address", {"ship_to": ship_to})


def _change_method(api: Api, given: Arguments) -> Answer:
    order, method = _order_and_method(api, given)
    if not order.ok or not method.ok:
        return method if order.ok else order
    return api.post(f"/orders/{order.body['reference']}/payment-method", {"payment_method_id": method.body["id"]})


def _change_user(api: Api, given: Arguments) -> Answer:
    user = _user(api, given)
    if not user.ok:
        return user
    return api.patch(f"/customers/{user.body['id']}", {"address": address_of(given)}, user.body["version"])


def _return(api: Api, given: Arguments) -> Answer:
    order, method = _order_and_method(api, given)
    if not order.ok or not method.ok:
        return method if order.ok else order
    pairs = _pairs(order.body, given["item_ids"], given["item_ids"])
    if pairs is None:
        return Answer(422, {"code": "invalid", "detail": "The items are not the order's"})
    lines = [{"order_line_id": line, "quantity": 1} for line, _ in pairs]
    return api.post(
        "/returns", {"order": order.body["reference"], "lines": lines, "payment_method_id": method.body["id"]}
    )


def _exchange(api: Api, given: Arguments) -> Answer:
    order, method = _order_and_method(api, given)
    if not order.ok or not method.ok:
        return method if order.ok else order
    pairs = _pairs(order.body, given["item_ids"], given["new_item_ids"])
    if pairs is None:
        return Answer(
            422, {"code": "invalid", "detail": "The items are not the order's, or not as many as the new ones"}
        )
    lines = [{"order_line_id": line, "quantity": 1, "new_sku": sku} for line, sku in pairs]
    return api.post(
        "/exchanges", {"order": order.body["reference"], "lines": lines, "payment_method_id": method.body["id"]}
    )


def _found(answer: Answer) -> Answer:
    """The one that a search found."""
    if not answer.ok:
        return answer
    return Answer(200, answer.body["items"][0]) if answer.body["items"] else MISSING


def _order_and_method(api: Api, given: Arguments) -> tuple[Answer, Answer]:
    """The order, and the method that the action names among its customer's."""
    order = _order(api, given)
    if not order.ok:
        return order, MISSING
    methods = api.get(f"/customers/{order.body['customer_id']}/payment-methods").body["items"]
    named = [one for one in methods if one["external_reference"] == given["payment_method_id"]]
    return order, Answer(200, named[0]) if named else MISSING


def _pairs(order: Mapping[str, Any], items: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]] | None:
    """Each item's order line with what is wanted in its place; an item named twice is two lines."""
    if len(items) != len(others):
        return None
    free = [(line["sku"], line["id"]) for line in order["lines"]]
    pairs = []
    for item, other in zip(items, others, strict=True):
        line = next((one for one in free if one[0] == item), None)
        if line is None:
            return None
        free.remove(line)
        pairs.append((line[1], other))
    return pairs


ACTIONS: Mapping[str, Callable[[Api, Arguments], Answer]] = {
    "find_user_id_by_email": _by_email,
    "find_user_id_by_name_zip": _by_name_and_zip,
    "get_user_details": _user,
    "get_order_details": _order,
    "get_product_details": _product,
    "get_item_details": _item,
    "list_all_product_types": _nothing,
    "calculate": _nothing,
    "transfer_to_human_agents": _nothing,
    "think": _nothing,
    "cancel_pending_order": _cancel,
    "modify_pending_order_items": _change_items,
    "modify_pending_order_address": _change_address,
    "modify_pending_order_payment": _change_method,
    "modify_user_address": _change_user,
    "return_delivered_order_items": _return,
    "exchange_delivered_order_items": _exchange,
}
