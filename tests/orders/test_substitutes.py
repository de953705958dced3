"""Another article instead: offered by a link, never dearer, and only with the customer's yes."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, gift_cards, jobs, substitutes
from retail import limits
from retail.kernel import clock
from tests.factories import Variant, staff, variant
from tests.factories.orders import Shop, events, level, receive, shop, world
from tests.factories.shortfalls import Api, Picked, deliver_events, key, parts, picking, promises
from tests.inventory.books import balanced

Asked = tuple[Shop, Picked, Variant, str]


def offer(api: Api, caller: Any, picked: Picked, sku: str, **body: Any) -> Any:
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    return api(caller).post(path, key=key(), json={"resolution": "substitute", "sku": sku} | body)


def token(session: Session) -> str:
    """What the newest letter's link ends with."""
    proposal_id = session.execute(
        text("SELECT id FROM substitute_proposal ORDER BY created_at DESC, id DESC LIMIT 1")
    ).scalar_one()
    return substitutes.token_of(proposal_id)


def answer(api: Api, link: str, *, accept: bool) -> Any:
    return api(None).post(f"/substitutes/{link}/answer", json={"accept": accept})


@pytest.fixture
def asked(session: Session, api: Api) -> Asked:
    """One of three teas (1,980) is missing; another tea (1,500) is offered."""
    made = shop(session, units=3)
    green = variant(session, price_minor=1500, title="Green tea", title_ja="緑茶")
    receive(session, made.store, green, 5)
    picked = picking(api, made)
    counter = api(made.associate)
    assert counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(1)).status_code == 200
    offered = offer(api, made.associate, picked, green.sku)
    assert offered.status_code == 200, offered.json
    assert offered.json["shortfalls"][0]["state"] == "proposed"
    return made, picked, green, token(session)


def test_yes_replaces_the_line_in_the_customers_favor(session: Session, api: Api, asked: Asked) -> None:
    made, picked, green, link = asked
    assert level(session, made.store, green) == (5, 1, 0), "kept for her answer"
    shown = api(None).get(f"/substitutes/{link}")
    assert (shown.status_code, shown.json["state"], shown.json["sku"]) == (200, "proposed", green.sku), shown.json
    assert (shown.json["price"]["amount_minor"], shown.json["missing_price"]["amount_minor"]) == (1500, 1980)
    said = answer(api, link, accept=True)
    assert (said.status_code, said.json["state"]) == (200, "accepted"), said.json
    order = api(made.customer).get(f"/orders/{picked.id}").json
    old, new = order["lines"]
    assert (old["cancelled_quantity"], new["quantity"], new["substitute_for"]) == (1, 1, old["id"])
    assert (new["sku"], new["title"], new["total"]["amount_minor"]) == (green.sku, "緑茶", 1500)
    assert [one["released"]["amount_minor"] for one in order["payments"]] == [480]
    assert sum(line["tax"]["amount_minor"] for line in order["tax_lines"]) == order["tax"]["amount_minor"]
    assert order["total"]["amount_minor"] == 3 * 1980 + 1500
    assert parts(session, picked.id) == [("pickup", "picking", 3, 0, 0, 1, 0), ("pickup", "picking", 1, 0, 0, 0, 0)]
    assert sorted(row[1:] for row in promises(session, picked.id)) == [("allocated", 3)]
    assert events(session, "SubstituteProposed", "SubstituteAnswered") == ["SubstituteProposed", "SubstituteAnswered"]
    counter = api(made.associate)
    assert counter.post(f"/pickups/{picked.pickup_id}/ready", key=key()).status_code == 200
    body = {"identity": "driving license", "tender": "cash"}
    done = counter.post(f"/pickups/{picked.pickup_id}/collection", key=key(), json=body)
    assert done.status_code == 200, done.json
    cash = session.execute(text("SELECT captured_minor FROM payment WHERE tender = 'cash'")).scalar_one()
    assert cash == 2 * 1980 + 1500
    assert level(session, made.store, green) == (4, 0, 0)
    assert balanced(session)


def test_what_was_paid_before_pays_the_substitute_and_the_rest_goes_back(session: Session, api: Api) -> None:
    """Money that is captured already: the difference is refunded, and nothing counts twice (found by a walk of the machine)."""
    made = shop(session, units=3)
    green = variant(session, price_minor=1500)
    receive(session, made.store, green, 5)
    card = gift_cards.issue(session, amount_minor=10_000, currency="JPY", actor="system", now=clock.now())
    picked = picking(api, made, gift_cards=[card.number])
    counter = api(made.associate)
    assert counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(2)).status_code == 200
    assert offer(api, made.associate, picked, green.sku).status_code == 200
    assert answer(api, token(session), accept=True).status_code == 200
    balance = session.execute(text("SELECT balance_minor FROM gift_card")).scalar_one()
    assert balance == 10_000 - 1980 - 2 * 1500
    assert list(audit.divergences(session)) == []
    assert balanced(session)


def test_the_same_answer_twice_is_one_and_another_is_too_late(session: Session, api: Api, asked: Asked) -> None:
    _, _, _, link = asked
    answer(api, link, accept=True)
    after = world(session)
    assert answer(api, link, accept=True).status_code == 200
    no = answer(api, link, accept=False)
    assert (no.status_code, no.json["code"], no.json["state"]) == (409, "already_answered", "accepted")
    assert world(session) == after


def test_no_leaves_the_decision_to_the_shop(session: Session, api: Api, asked: Asked) -> None:
    made, picked, green, link = asked
    assert answer(api, link, accept=False).json["state"] == "declined"
    assert level(session, made.store, green) == (5, 0, 0)
    shown = api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json
    assert [one["state"] for one in shown["shortfalls"]] == ["open"]
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    assert api(made.associate).post(path, key=key(), json={"resolution": "refund"}).status_code == 200
    assert balanced(session)


def test_a_dearer_one_costs_what_the_missing_one_did(session: Session, api: Api, asked: Asked) -> None:
    made, picked, green, link = asked
    gold = variant(session, price_minor=9900, title="Gold tea")
    receive(session, made.store, gold, 1)
    assert offer(api, made.associate, picked, gold.sku).status_code == 200
    assert level(session, made.store, green) == (5, 0, 0), "the earlier question is withdrawn"
    assert answer(api, link, accept=True).json["state"] == "withdrawn"
    newest = token(session)
    assert api(None).get(f"/substitutes/{newest}").json["price"]["amount_minor"] == 1980
    assert answer(api, newest, accept=True).status_code == 200
    order = api(made.customer).get(f"/orders/{picked.id}").json
    assert order["lines"][1]["total"]["amount_minor"] == 1980
    assert [one["released"]["amount_minor"] for one in order["payments"]] == [0]


def test_another_decision_withdraws_the_question(session: Session, api: Api, asked: Asked) -> None:
    made, picked, green, link = asked
    path = f"/pickups/{picked.pickup_id}/shortfall-resolution"
    assert api(made.associate).post(path, key=key(), json={"resolution": "refund"}).status_code == 200
    assert level(session, made.store, green) == (5, 0, 0)
    late = answer(api, link, accept=True)
    assert (late.status_code, late.json["state"]) == (409, "withdrawn")
    assert balanced(session)


def test_of_a_cancelled_order_nothing_is_asked(session: Session, api: Api, asked: Asked) -> None:
    made, picked, green, link = asked
    agent = staff(session, "agent")
    gone = api(agent).post(f"/orders/{picked.id}/cancellation", key=key(), json={"reason": "asked"})
    assert gone.status_code == 200, gone.json
    late = answer(api, link, accept=True)
    assert (late.status_code, late.json["state"]) == (409, "withdrawn")
    deliver_events(session)
    assert level(session, made.store, green) == (5, 0, 0)
    assert balanced(session)


@pytest.mark.committed
def test_silence_ends_the_question(session: Session, api: Api, asked: Asked) -> None:
    made, picked, green, link = asked
    with clock.shifted(timedelta(hours=limits.SUBSTITUTE_HOURS, minutes=1)):
        late = answer(api, link, accept=True)
        assert (late.status_code, late.json["state"]) == (409, "expired")
        assert api(None).get(f"/substitutes/{link}").json["state"] == "expired"
        assert jobs.expire_substitutes() == 1
        assert jobs.expire_substitutes() == 0
    assert level(session, made.store, green) == (5, 0, 0)
    shown = api(made.associate).get(f"/pickups/{picked.pickup_id}/shortfalls").json
    assert [one["state"] for one in shown["shortfalls"]] == ["open"]


def test_a_substitute_for_a_pickup_that_is_ready_is_a_pickup_of_its_own(
    session: Session, api: Api, asked: Asked
) -> None:
    made, picked, _green, link = asked
    assert api(made.associate).post(f"/pickups/{picked.pickup_id}/ready", key=key()).status_code == 200
    assert answer(api, link, accept=True).status_code == 200
    assert [row[1:3] for row in parts(session, picked.id)] == [("ready", 3), ("allocated", 1)]


def test_everything_replaced_is_picked_again(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    green = variant(session, price_minor=1500)
    receive(session, made.store, green, 5)
    picked = picking(api, made)
    api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(3))
    offer(api, made.associate, picked, green.sku)
    assert answer(api, token(session), accept=True).status_code == 200
    assert [row[1:6] for row in parts(session, picked.id)] == [("allocated", 3, 0, 0, 3), ("allocated", 3, 0, 0, 0)]
    assert balanced(session)


def test_what_cannot_be_offered(session: Session, api: Api, asked: Asked) -> None:
    made, picked, _, _ = asked
    rare = variant(session, price_minor=100)
    before = world(session)
    for sku, status, code in (
        ("NOPE", 422, "not_sold"),
        (made.tea.sku, 422, "not_sold"),
        (rare.sku, 409, "out_of_stock"),
    ):
        refused = offer(api, made.associate, picked, sku)
        assert (refused.status_code, refused.json["code"]) == (status, code), refused.json
    assert api(None).get("/substitutes/nonsense").status_code == 404
    assert api(None).post("/substitutes/nonsense/answer", json={"accept": True}).status_code == 404
    assert api(None).post("/substitutes/nonsense/answer", json={}).status_code == 422
    assert world(session) == before


def test_one_line_at_a_time(session: Session, api: Api) -> None:
    made = shop(session, units=3)
    green = variant(session)
    receive(session, made.store, green, 5)
    lines = [{"sku": made.tea.sku, "quantity": 1}, {"sku": made.cake.sku, "quantity": 1}]
    picked = picking(api, made, lines=lines)
    body = {"lines": [{"order_line_id": line, "quantity": 1} for line in picked.line_ids]}
    assert api(made.associate).post(f"/pickups/{picked.pickup_id}/short", key=key(), json=body).status_code == 200
    refused = offer(api, made.associate, picked, green.sku)
    assert (refused.status_code, refused.json["code"]) == (422, "one_line")
    assert offer(api, made.associate, picked, green.sku, lines=[picked.line_ids[1]]).status_code == 200
