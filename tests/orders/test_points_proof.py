"""Whose points a till spends: the member's that it has looked up by her card; nobody's whose number it was merely told."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import cards
from retail import limits
from retail.kernel import clock, db
from tests.factories import Actor, api_client, customer, identity, staff
from tests.factories.orders import CLIENT_SCOPES, Shop, account, give_points, pickup_body, shop, world

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
CARD, PHONE = "2912345678906", "+819012345678"
LATER = timedelta(seconds=limits.SPEND_PROOF_SECONDS)


@pytest.fixture
def made(session: Session) -> Shop:
    """Hanako has 300 points and a card."""
    found = shop(session, points=300)
    identity(session, customer_id=found.customer.id, kind="card", value=CARD)
    return found


def a_till(session: Session, made: Shop, *more: str) -> Actor:
    scopes = [*CLIENT_SCOPES, "till.sell", "members.work", *more]
    return api_client(session, scopes, channel="store", location_id=made.store.id)


def sale(made: Shop, **changes: Any) -> dict[str, Any]:
    body = pickup_body(made, method="cash", points_to_spend=100, customer_id=str(made.customer.id))
    return body | {"method": "carry_out"} | changes


def looked_up(api: Api, seller: Actor, **named: str) -> str | None:
    answer = api(seller).post("/members/lookup", json=named)
    assert answer.status_code == 200, answer.json
    proof: str | None = answer.json["spend_proof"]
    return proof


def refused(api: Api, seller: Actor, body: dict[str, Any]) -> tuple[int, str]:
    answer = api(seller).post("/orders", key="refused", json=body)
    return answer.status_code, answer.json["code"]


@pytest.mark.parametrize("how", ["token", "card"])
@pytest.mark.parametrize("seller", ["till", "associate"])
def test_who_was_found_by_her_card_spends(session: Session, api: Api, made: Shop, how: str, seller: str) -> None:
    caller = made.associate if seller == "associate" else a_till(session, made)
    named = {"token": cards.token(made.customer.id, now=clock.now()).value} if how == "token" else {"card": CARD}
    proof = looked_up(api, caller, **named)
    with clock.shifted(LATER - timedelta(seconds=1)):
        answer = api(caller).post("/orders", key="one", json=sale(made, points_proof=proof))
    assert answer.status_code == 201, answer.json
    assert answer.json["payments"][0]["points"] == 100


def test_who_was_not_does_not(session: Session, api: Api, made: Shop, unchanged: Unchanged) -> None:
    seller, stranger = a_till(session, made), customer(session, card="2900000000001")
    give_points(session, stranger, 500)
    others = {
        "another till's": looked_up(api, a_till(session, made), card=CARD),
        "a colleague's": looked_up(api, made.associate, card=CARD),
        "another member's": looked_up(api, seller, card="2900000000001"),
    }
    mine = looked_up(api, seller, card=CARD)
    assert mine is not None
    bent = {"of another kind": f"M1.{mine[3:]}", "cut": mine[:-2], "not ours": "x", "longer": f"{mine}A"}
    bent |= {"its end": mine[:-2] + ("AA" if mine[-2:] != "AA" else "BA"), "its time": f"S1.7{mine[4:]}"}
    with unchanged():
        assert looked_up(api, seller, phone=PHONE) is None
        assert refused(api, seller, sale(made)) == (403, "points_proof_required")
        for why, proof in (others | bent).items():
            assert refused(api, seller, sale(made, points_proof=proof)) == (403, "points_proof_invalid"), why
        with clock.shifted(LATER):
            assert refused(api, seller, sale(made, points_proof=mine)) == (403, "points_proof_expired")
            # of what is another's, not even that is said
            wrong = sale(made, points_proof=others["another till's"])
            assert refused(api, seller, wrong) == (403, "points_proof_invalid")
        for empty in ("", None, 7, "S" * (limits.SPEND_PROOF_CHARACTERS + 1)):
            assert refused(api, seller, sale(made, points_proof=empty)) == (422, "invalid")
    assert api(seller).post("/orders", key="refused", json=sale(made, points_proof=mine)).status_code == 201


def test_points_of_a_cart_and_of_an_order_for_later_are_points_too(
    session: Session, api: Api, made: Shop, unchanged: Unchanged
) -> None:
    seller = a_till(session, made)
    proof = looked_up(api, seller, card=CARD)
    wish = {"lines": [{"sku": made.tea.sku, "quantity": 1}], "location": made.store.code, "points_to_spend": 100}
    cart = api(seller).post("/carts", json=wish | {"customer_id": str(made.customer.id)}).json
    by_cart = {"cart_id": cart["id"], "payment": {"method": "pay_at_pickup"}}
    later = pickup_body(made, points_to_spend=100, customer_id=str(made.customer.id))
    by_card = later | {"payment": {"method": "card", "payment_method": "pm_card_visa"}}
    with unchanged():
        for body in (by_cart, later, by_card):
            assert refused(api, seller, body) == (403, "points_proof_required")
    for key, body in (("cart", by_cart), ("later", later)):
        answer = api(seller).post("/orders", key=key, json=body | {"points_proof": proof})
        assert answer.status_code == 201, answer.json
    assert account(session, made.customer) == (100, 200, 0)


def test_nobody_else_is_asked(session: Session, api: Api, made: Shop) -> None:
    give_points(session, made.customer, 1000)
    her_own = pickup_body(made, points_to_spend=100)
    named = her_own | {"customer_id": str(made.customer.id)}
    for caller, body in ((made.customer, her_own), (made.web, named), (staff(session, "admin"), named)):
        answer = api(caller).post("/orders", key="one", json=body)
        assert answer.status_code == 201, answer.json
    # no points, no proof; nor for a guest, who has none to spend
    seller = a_till(session, made)
    assert api(seller).post("/orders", key="earns", json=sale(made, points_to_spend=0)).status_code == 201
    guest = {key: value for key, value in sale(made).items() if key != "customer_id"}
    assert refused(api, seller, guest) == (422, "invalid")


def test_a_repeat_is_answered_whatever_became_of_the_proof(session: Session, api: Api, made: Shop) -> None:
    seller = a_till(session, made)
    body = sale(made, points_proof=looked_up(api, seller, card=CARD))
    first = api(seller).post("/orders", key="one", json=body)
    after = world(session)
    with clock.shifted(LATER):
        again = api(seller).post("/orders", key="one", json=body)
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, first.json, "true")
    assert world(session) == after


def test_a_merged_record_and_the_one_that_stays_are_one_member(
    session: Session, api: Api, made: Shop, unchanged: Unchanged
) -> None:
    seller, gone = a_till(session, made), customer(session, card="2900000000001")
    before = looked_up(api, seller, card="2900000000001")
    merge = text("UPDATE customer SET merged_into = :to WHERE id = :id")
    with unchanged():
        assert refused(api, seller, sale(made, points_proof=before)) == (403, "points_proof_invalid")
    session.execute(merge, {"to": made.customer.id, "id": gone.id})
    after = looked_up(api, seller, card="2900000000001")
    as_gone = {"customer_id": str(gone.id), "points_to_spend": 10}
    for key, change in (
        ("before", {"points_to_spend": 10, "points_proof": before}),
        ("gone", as_gone | {"points_proof": before}),
        ("after", as_gone | {"points_proof": after}),
    ):
        answer = api(seller).post("/orders", key=key, json=sale(made) | change)
        assert (answer.status_code, answer.json.get("customer_id")) == (201, str(made.customer.id)), answer.json
    session.execute(merge, {"to": None, "id": gone.id})
    with unchanged():
        assert refused(api, seller, sale(made, **as_gone, points_proof=after)) == (403, "points_proof_invalid")


def test_the_proof_costs_no_statement(session: Session, api: Api, made: Shop) -> None:
    seller, trusted = a_till(session, made), a_till(session, made, "points.spend_for")
    proof = looked_up(api, seller, card=CARD)
    counts = []
    for caller, more in ((trusted, {}), (seller, {"points_proof": proof})):
        api(caller).post("/orders", key="warm", json=sale(made, points_to_spend=0))
        with db.counting() as count:
            assert api(caller).post("/orders", key="one", json=sale(made) | more).status_code == 201
        counts.append(count.statements)
    assert counts[0] == counts[1]
