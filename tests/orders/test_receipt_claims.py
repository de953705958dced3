"""A guest's purchase becomes a customer's by the code on its receipt, or by staff: for whom, when, once, and what it earns."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import receipt_codes
from retail import limits, merging
from retail.kernel import clock, config, ids
from retail.kernel.ids import new_id
from tests.factories import Actor, customer, staff
from tests.factories.documents import issuer
from tests.factories.orders import Shop, account, events, pickup_body, shop
from tests.journeys.console_client import Console
from tests.loyalty.ledger_facts import assert_clean
from tests.loyalty.rule_book import reasons

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
CLAIMS = "/me/orders/receipt-claims"
NEVER = "R-22222-2222C"  # well written, and nobody's


@pytest.fixture
def made(session: Session) -> Shop:
    issuer(session)
    return shop(session)


def sold(api: Api, made: Shop, *, key: str = "sale", **changes: Any) -> dict[str, Any]:
    """Two teas over the counter to somebody who does not say who she is: 36 points."""
    body = pickup_body(made, quantity=2, method="cash", **changes) | {"method": "carry_out"}
    answer = api(made.associate).post("/orders", key=key, json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def receipt(api: Api, made: Shop, order: dict[str, Any]) -> dict[str, Any]:
    """Its receipt, as the counter prints it."""
    answer = api(made.associate).post(f"/orders/{order['reference']}/receipt", key=f"receipt-{new_id()}", json={})
    assert answer.status_code == 201, answer.json
    return dict(answer.json["items"][0])


def code_of(order: dict[str, Any]) -> str:
    """What stands, or would stand, on the receipt."""
    return ids.derive_code(config.current().secret_key, receipt_codes.PURPOSE, str(order["id"]), length=12)


def join(api: Api, who: Actor, order: dict[str, Any] | str, code: str, key: str = "") -> Any:
    reference = order if isinstance(order, str) else order["reference"]
    return api(who).post(CLAIMS, key=key or f"j-{new_id()}", json={"reference": reference, "receipt_code": code})


def give(api: Api, who: Actor, order: dict[str, Any], to: Any, note: Any = "paid by her card", key: str = "") -> Any:
    path = f"/orders/{order['reference']}/customer"
    return api(who).post(path, key=key or f"g-{new_id()}", json={"customer": str(to), "note": note})


def owner(session: Session, order: dict[str, Any]) -> Any:
    return session.execute(text('SELECT customer_id FROM "order" WHERE id = :id'), {"id": order["id"]}).scalar_one()


def change(session: Session, order: dict[str, Any], values: str) -> None:
    session.execute(text(f'UPDATE "order" SET {values} WHERE id = :id'), {"id": order["id"]})


def test_a_guests_receipt_carries_a_code_and_no_other_does(app: Flask, session: Session, api: Api, made: Shop) -> None:
    order = sold(api, made)
    assert order["customer_id"] is None
    printed = receipt(api, made, order)
    code = printed["receipt_code"]
    assert [len(group) for group in code.split("-")] == [4, 4, 4]
    assert code.replace("-", "") == code_of(order)
    path = f"/orders/{order['reference']}"
    assert api(made.associate).get(f"{path}/receipt").json["items"] == [printed]
    assert api(made.associate).get(f"/documents/{printed['number']}").json["receipt_code"] == code
    assert api(made.stranger).get(f"{path}/receipt").status_code == 404
    body = {"recipient": "株式会社青山"}
    invoice = api(made.associate).post(f"{path}/invoice", key="i", json=body).json["items"][0]
    assert invoice["receipt_code"] is None
    content = session.execute(text("SELECT CAST(content AS text) FROM document WHERE kind = 'receipt'")).scalar_one()
    assert code not in content
    assert code_of(order) not in content
    page = Console(app, made.associate.token, locale="en").open(f"/console/documents/{printed['id']}")
    assert f"within 90 days of buying: {code}" in page.text
    link = app.test_client().get(printed["page_url"].removeprefix(config.current().public_url))
    assert (link.status_code, code in link.text) == (200, True)

    join(api, made.customer, order, code)
    assert api(made.associate).get(f"{path}/receipt").json["items"] == [printed | {"receipt_code": None}]
    assert code not in Console(app, made.associate.token).open(f"/console/documents/{printed['id']}").text


@pytest.mark.parametrize(
    "changes",
    [
        "customer_id = (SELECT id FROM customer LIMIT 1)",
        "contact_email = 'guest@example.com'",
        "contact_phone = '+819099998888'",
        'ship_to = \'{"country": "JP"}\'',
        "kind = 'history'",
        "placed_at = placed_at - interval '91 days'",
    ],
)
def test_a_code_that_would_be_good_for_nothing_is_not_shown(
    session: Session, api: Api, made: Shop, changes: str
) -> None:
    order = sold(api, made)
    printed = receipt(api, made, order)
    assert printed["receipt_code"] is not None
    change(session, order, changes)
    shown = api(made.associate).get(f"/orders/{order['reference']}/receipt").json["items"]
    assert shown == [printed | {"receipt_code": None}]


def test_she_joins_by_the_code_and_the_points_come_late_and_once(
    session: Session, api: Api, made: Shop, unchanged: Unchanged
) -> None:
    order = sold(api, made)
    code = receipt(api, made, order)["receipt_code"]
    change(session, order, "placed_at = placed_at - interval '89 days 23 hours'")
    typed = f" {code.lower().replace('-', ' ')}　"
    done = join(api, made.customer, order["reference"].lower().replace("-", ""), typed, key="one")
    assert (done.status_code, done.json) == (200, {"references": [order["reference"]]})
    again = join(api, made.customer, order["reference"].lower().replace("-", ""), typed, key="one")
    assert (again.headers["Idempotent-Replayed"], again.json) == ("true", done.json)
    second = join(api, made.customer, order, code)
    assert (second.status_code, second.json) == (200, {"references": []})
    assert account(session, made.customer) == (36, 0, 0)
    assert reasons(session, made.customer.id) == [("base", 0, 36, 3600)]
    assert [one["reference"] for one in api(made.customer).get("/me/orders").json["items"]] == [order["reference"]]
    steps = api(made.customer).get(f"/orders/{order['reference']}/timeline").json["items"]
    [step] = [step for step in steps if step["type"] == "OrderClaimed"]
    assert (step["actor"], step["data"]["by"]) == ("you", "receipt")
    assert events(session, "OrderClaimed") == ["OrderClaimed"]
    assert_clean(session)
    other = customer(session)
    with unchanged():
        refused = join(api, other, order, code)
        assert (refused.status_code, refused.json["code"]) == (409, "order_has_customer")


def test_a_wrong_code_and_an_unknown_order_are_the_same_answer(
    session: Session, api: Api, made: Shop, unchanged: Unchanged
) -> None:
    order, other = sold(api, made), sold(api, made, key="other")
    history = sold(api, made, key="history")
    change(session, history, "kind = 'history'")
    with unchanged():
        answers = [
            join(api, made.customer, order, code_of(other)),
            join(api, made.customer, NEVER, code_of(order)),
            join(api, made.customer, "no order at all", code_of(order)),
            join(api, made.customer, history, code_of(history)),
        ]
    assert [answer.status_code for answer in answers] == [404] * 4
    told = [{name: value for name, value in one.json.items() if name != "request_id"} for one in answers]
    assert told == [told[0]] * 4
    assert order["reference"] not in str(told[0])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ("contact_email = 'guest@example.com'", "claim_by_address"),
        ("contact_phone = '+819099998888'", "claim_by_address"),
        ('ship_to = \'{"country": "JP"}\'', "claim_by_address"),
        ("placed_at = placed_at - interval '91 days'", "receipt_too_old"),
    ],
)
def test_with_the_right_code_she_learns_why_not(
    session: Session, api: Api, made: Shop, unchanged: Unchanged, changes: str, code: str
) -> None:
    order = sold(api, made)
    change(session, order, changes)
    with unchanged():
        refused = join(api, made.customer, order, code_of(order))
        assert (refused.status_code, refused.json["code"]) == (409, code)
        assert "example.com" not in refused.text


def test_that_it_is_taken_is_said_before_anything_else(
    session: Session, api: Api, made: Shop, unchanged: Unchanged
) -> None:
    order = sold(api, made)
    change(session, order, "contact_email = 'guest@example.com', placed_at = placed_at - interval '91 days'")
    give(api, staff(session, "agent"), order, made.customer.id)
    assert join(api, made.customer, order, code_of(order)).json == {"references": []}
    other = customer(session)
    with unchanged():
        refused = join(api, other, order, code_of(order))
        assert (refused.status_code, refused.json["code"]) == (409, "order_has_customer")


def test_only_customers_ask_and_a_key_is_needed(session: Session, api: Api, made: Shop, unchanged: Unchanged) -> None:
    order = sold(api, made)
    body = {"reference": order["reference"], "receipt_code": code_of(order)}
    with unchanged():
        for who in (made.associate, made.web):
            assert join(api, who, order, code_of(order)).status_code == 403
        assert api(made.customer).post(CLAIMS, json=body).status_code == 400
        assert api(made.customer).post(CLAIMS, key="k", json={"reference": order["reference"]}).status_code == 422


def test_attempts_are_limited_and_a_typing_error_is_none(
    session: Session, api: Api, made: Shop, unchanged: Unchanged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RECEIPT_CODE_TRIES", 2)
    order, other = sold(api, made), sold(api, made, key="other")
    code = code_of(order)
    mistyped = ids.ALPHABET[ids.ALPHABET.index(code[0]) - 1] + code[1:]
    with unchanged():
        for wrong in (mistyped, code[:-1], "", "0" * 12):
            assert join(api, made.customer, order, wrong).status_code == 422
        for _ in range(2):
            assert join(api, made.customer, order, code_of(other)).status_code == 404
        late = join(api, made.customer, order, code)
        assert (late.status_code, "Retry-After" in late.headers) == (429, True)
    assert join(api, customer(session), order, code).status_code == 200, "others are not held up"


def test_what_was_given_back_meanwhile_earns_nothing(session: Session, api: Api, made: Shop) -> None:
    order = sold(api, made)
    session.execute(text("UPDATE order_line SET refunded_quantity = 1 WHERE order_id = :id"), {"id": order["id"]})
    assert join(api, made.customer, order, code_of(order)).status_code == 200
    assert account(session, made.customer) == (18, 0, 0)
    assert_clean(session)


def test_a_merged_record_joins_for_the_survivor(session: Session, api: Api, made: Shop) -> None:
    card = customer(session, card="12345678")
    first, second = sold(api, made), sold(api, made, key="second")
    merging.merge(session, gone=card.id, stays=made.customer.id, reason="", actor="staff:x", now=clock.now())
    assert join(api, card, first, code_of(first)).json == {"references": [first["reference"]]}
    assert owner(session, first) == made.customer.id
    assert join(api, made.customer, first, code_of(first)).json == {"references": []}
    agent = staff(session, "agent")
    assert give(api, agent, second, card.id).json["customer_id"] == str(made.customer.id)
    assert account(session, made.customer) == (72, 0, 0)


def test_staff_give_an_order_and_say_why(session: Session, api: Api, made: Shop, unchanged: Unchanged) -> None:
    order = sold(api, made, contact={"name": "Guest", "email": "guest@example.com"})
    agent = staff(session, "agent")
    reference = api(agent).get(f"/customers/{made.customer.id}").json["reference"]
    change(session, order, "placed_at = placed_at - interval '200 days'")
    done = give(api, agent, order, reference.lower(), note="  showed her bank's statement ", key="one")
    assert (done.status_code, done.json["customer_id"]) == (200, str(made.customer.id)), done.json
    assert done.json["version"] == order["version"] + 1
    again = give(api, agent, order, reference.lower(), note="  showed her bank's statement ", key="one")
    assert (again.headers["Idempotent-Replayed"], again.json) == ("true", done.json)
    assert reasons(session, made.customer.id) == [("base", 0, 36, 3600)]
    assert_clean(session)
    path = f"/orders/{order['reference']}/timeline"
    [step] = [one for one in api(agent).get(path).json["items"] if one["type"] == "OrderClaimed"]
    assert (step["actor"], step["data"]["by"]) == (agent.actor, "staff")
    assert step["data"]["note"] == "showed her bank's statement"
    [hers] = [one for one in api(made.customer).get(path).json["items"] if one["type"] == "OrderClaimed"]
    assert (hers["actor"], "note" in hers["data"]) == ("shop", False)
    other = customer(session)
    with unchanged():
        for who in (made.customer.id, other.id):
            refused = give(api, agent, order, who)
            assert (refused.status_code, refused.json["code"]) == (409, "order_has_customer")


def test_who_may_give_an_order_and_what_must_be_said(
    session: Session, api: Api, made: Shop, unchanged: Unchanged
) -> None:
    order = sold(api, made)
    manager = staff(session, "manager", locations=[made.store.id])
    elsewhere = staff(session, "manager", locations=[made.other.id])
    analyst = staff(session, "analyst")
    with unchanged():
        for who in (made.associate, made.customer, made.web, analyst):
            assert give(api, who, order, made.customer.id).status_code == 403
        assert give(api, elsewhere, order, made.customer.id).status_code == 404
        assert give(api, manager, {"reference": NEVER}, made.customer.id).status_code == 404
        assert give(api, manager, order, new_id()).status_code == 404
        assert give(api, manager, order, "C-nobody").status_code == 404
        for note in ("", "  ", None, "x" * 501):
            assert give(api, manager, order, made.customer.id, note=note).status_code == 422
        body = {"customer": str(made.customer.id)}
        assert api(manager).post(f"/orders/{order['reference']}/customer", key="n", json=body).status_code == 422
    assert give(api, manager, order, made.customer.id).status_code == 200
    assert owner(session, order) == made.customer.id


def test_history_that_staff_give_earns_nothing(session: Session, api: Api, made: Shop) -> None:
    order = sold(api, made)
    change(session, order, "kind = 'history'")
    assert give(api, staff(session, "supervisor"), order, made.customer.id).status_code == 200
    assert owner(session, order) == made.customer.id
    assert reasons(session, made.customer.id) == []
