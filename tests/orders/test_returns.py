"""Returns and exchanges: any location, any channel, by a policy that explains itself; nothing paid or kept twice."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
import loyalty.audit
import orders.audit
from orders import gift_cards, payment_methods
from orders.queries.returns import PolicyFacts, ReturnableLine
from orders.return_policies import DEFAULT, judge, policy_of
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests.conftest import NOW
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, account, level, pickup_body, ready_pickup, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
COMPANY = "/return-policies/company/all"


def bought(api: Api, made: Shop, *, quantity: int = 3, key: str = "buy", **changes: Any) -> dict[str, Any]:
    """Tea, handed over and paid in cash."""
    answer = api(made.customer).post("/orders", key=key, json=pickup_body(made, quantity=quantity, **changes))
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    pickup_id = ready_pickup(api, made, order)
    body = {"identity": "driving license", "tender": "cash"}
    if not changes.get("points_to_spend"):
        assert (
            api(made.associate).post(f"/pickups/{pickup_id}/collection", key=f"c-{key}", json=body).status_code == 200
        )
    else:
        answer = api(made.associate).post(f"/pickups/{pickup_id}/collection", key=f"c-{key}", json=body)
        assert answer.status_code == 200, answer.json
    return order


def ask(api: Api, caller: Actor, order: dict[str, Any], quantity: int = 1, key: str = "ask", **more: Any) -> Any:
    lines = [{"order_line_id": order["lines"][0]["id"], "quantity": quantity}]
    return api(caller).post("/returns", key=key, json={"order": order["reference"], "lines": lines} | more)


def swap(
    api: Api, caller: Actor, order: dict[str, Any], sku: str, quantity: int = 1, key: str = "swap", **more: Any
) -> Any:
    lines = [{"order_line_id": order["lines"][0]["id"], "quantity": quantity, "new_sku": sku}]
    return api(caller).post("/exchanges", key=key, json={"order": order["reference"], "lines": lines} | more)


def receive(api: Api, caller: Actor, back: dict[str, Any], place: Any, **more: Any) -> Any:
    return api(caller).post(
        f"/returns/{back['reference']}/receipt", key=str(new_id()), json={"location": place.code} | more
    )


def inspect(api: Api, caller: Actor, back: dict[str, Any], key: str = "inspect", more: Any = None, **found: int) -> Any:
    outcomes = [{"condition": name, "quantity": units} for name, units in found.items()]
    lines = [{"return_line_id": back["lines"][0]["id"], "outcomes": outcomes}]
    return api(caller).post(f"/returns/{back['reference']}/inspection", key=key, json={"lines": lines} | (more or {}))


def clean(session: Session) -> bool:
    audits = (inventory.audit.divergences, loyalty.audit.divergences, orders.audit.divergences)
    return [found for audit in audits for found in audit(session)] == []


def test_back_at_another_store(session: Session, api: Api) -> None:
    """Bought by an app and fetched in Shibuya, brought back in Umeda: paid back as it was paid, the goods are there."""
    made = shop(session)
    order = bought(api, made)
    assert account(session, made.customer) == (54, 0, 0)
    asked = ask(api, made.customer, order, 2)
    assert asked.status_code == 201, asked.json
    back = asked.json
    assert (back["state"], back["amount"]["amount_minor"], back["reference"][:2]) == ("approved", 3960, "B-")
    assert back["findings"][0]["rule"] == "default"
    assert receive(api, made.stranger, back, made.other).json["state"] == "received"
    done = inspect(api, made.stranger, back, sellable=1, damaged=1)
    assert done.status_code == 200, done.json
    assert (done.json["state"], done.json["amount"]["amount_minor"], done.json["location"]) == (
        "refunded",
        3960,
        made.other.code,
    )
    assert api(made.customer).get(f"/returns/{back['id']}").json == done.json
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    assert shown["lines"][0]["refunded_quantity"] == 2
    (refund,) = shown["refunds"]
    assert (refund["amount"]["amount_minor"], refund["return_id"], refund["state"]) == (3960, back["id"], "done")
    assert level(session, made.other, made.tea) == (2, 0, 0)
    aside = "SELECT unavailable FROM stock_level WHERE location_id = :place AND variant_id = :tea"
    assert session.execute(text(aside), {"place": made.other.id, "tea": made.tea.id}).scalar_one() == 1
    assert account(session, made.customer) == (18, 0, 0)
    assert clean(session)
    again = inspect(api, made.stranger, back, sellable=1, damaged=1)
    assert again.headers["Idempotent-Replayed"] == "true"
    late = inspect(api, made.stranger, back, key="again", sellable=1, damaged=1)
    assert (late.status_code, late.json["legal"]) == (409, [])


def test_points_come_back_last_and_onto_store_credit(session: Session, api: Api) -> None:
    made = shop(session, points=3000)
    order = bought(api, made, points_to_spend=3000)
    back = ask(api, made.customer, order, 3, refund_to="store_credit").json
    receive(api, made.associate, back, made.store)
    done = inspect(api, made.associate, back, opened=3)
    assert done.json["state"] == "refunded", done.json
    (refund,) = api(made.customer).get(f"/orders/{order['reference']}").json["refunds"]
    assert (refund["destination"], refund["amount"]["amount_minor"], refund["points"]) == ("gift_card", 2940, 3000)
    credit = session.execute(text("SELECT kind, balance_minor, customer_id FROM gift_card")).one()
    assert tuple(credit) == ("store_credit", 2940, made.customer.id)
    assert account(session, made.customer) == (3000, 0, 0)
    assert clean(session)


def test_what_the_policy_says(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = bought(api, made)
    admin, hanako = api(staff(session, "admin")), api(made.customer)
    path = f"/orders/{order['reference']}/returnability"
    (told,) = hanako.get(path).json["lines"]
    assert (told["returnable"], told["why_not"], told["window_days"]) == (3, None, 30)
    late = (NOW + timedelta(days=31)).isoformat().replace("+", "%2B")
    (told,) = hanako.get(f"{path}?at={late}").json["lines"]
    assert (told["returnable"], told["why_not"], told["rule"]) == (0, "window_over", "default")
    assert hanako.get(f"{path}?at=yesterday").status_code == 422
    assert hanako.get("/orders/R-22222-22222/returnability").status_code == 404
    assert (admin.get(COMPANY).json["version"], admin.get(COMPANY).json["scope"]) == (0, "company")
    strict = {"window_days": 14, "destinations": ["store_credit"], "approval": "by_hand", "restocking_fee_bp": 1000}
    with unchanged():
        for wrong, status in (
            ({}, 422),
            (strict | {"window_days": -1}, 422),
            (strict | {"destinations": []}, 422),
            (strict | {"restocking_fee_bp": 10_001}, 422),
        ):
            assert admin.put(COMPANY, if_match=0, json=wrong).status_code == status, wrong
        assert admin.put(COMPANY, if_match=1, json=strict).status_code == 412
        assert admin.get("/return-policies/planet/all").status_code == 404
    assert admin.put(COMPANY, if_match=0, json=strict).json["version"] == 1
    assert (
        admin.put(
            f"/return-policies/sku/{made.cake.sku}", if_match=0, json={"window_days": 0, "final_sale": True}
        ).status_code
        == 200
    )
    with unchanged():
        assert admin.put(COMPANY, if_match=0, json=strict).status_code == 412
        refused = ask(api, made.customer, order)
        assert (refused.status_code, refused.json["code"], refused.json["allowed"]) == (
            409,
            "destination_not_allowed",
            ["store_credit"],
        )
    back = ask(api, made.customer, order, refund_to="store_credit").json
    assert (back["state"], back["findings"][0]["rule"]) == ("requested", "company")
    with unchanged():
        early = receive(api, made.associate, back, made.store)
        assert (early.status_code, early.json["legal"]) == (409, ["approved", "rejected", "cancelled"])
        assert hanako.post(f"/returns/{back['reference']}/approval", key=str(new_id())).status_code == 403
        assert admin.post("/returns/B-22222-22222/approval", key=str(new_id())).status_code == 404
    for _ in range(2):
        assert admin.post(f"/returns/{back['reference']}/approval", key=str(new_id())).json["state"] == "approved"
    receive(api, made.associate, back, made.store)
    done = inspect(api, made.associate, back, sellable=1).json
    assert (done["amount"]["amount_minor"], done["fee"]["amount_minor"]) == (1782, 198)
    assert clean(session)
    with unchanged():
        closed = admin.post(f"/returns/{back['reference']}/approval", key=str(new_id()))
        assert (closed.status_code, closed.json["legal"]) == (409, [])


def line(**changes: Any) -> ReturnableLine:
    values: dict[str, Any] = {
        "id": new_id(),
        "position": 1,
        "variant_id": new_id(),
        "product_id": new_id(),
        "sku": "TEA",
        "title": "Tea",
        "category": "Drinks",
        "quantity": 3,
        "cancelled": 0,
        "refunded": 0,
        "returning": 0,
        "with_customer": 3,
        "left_at": NOW,
        "unit_price_minor": 100,
        "total_minor": 300,
        "tax_rate_bp": 1000,
        "location_id": new_id(),
        "method": "pickup",
    }
    return ReturnableLine(**values | changes)


def policy(scope: str = "company", key: str = "", **changes: Any) -> PolicyFacts:
    values = {name: getattr(DEFAULT, name) for name in DEFAULT.__slots__}
    return PolicyFacts(**values | {"scope": scope, "scope_key": key} | changes)


@pytest.mark.parametrize(
    ("of", "rules", "used", "days", "units", "why_not"),
    [
        ({}, {}, 0, 30, 3, ""),
        ({}, {}, 0, 31, 0, "window_over"),
        ({}, {"window_days": None}, 0, 3000, 3, ""),
        ({"with_customer": 0, "left_at": None}, {}, 0, 0, 0, "not_handed_over"),
        ({"refunded": 1, "returning": 1}, {}, 0, 0, 1, ""),
        ({"refunded": 2, "returning": 1}, {}, 0, 0, 0, "all_returned"),
        ({}, {"final_sale": True}, 0, 0, 0, "final_sale"),
        ({}, {"requests_per_order": 1}, 0, 0, 3, ""),
        ({}, {"requests_per_order": 1}, 1, 0, 0, "requests_used"),
    ],
)
def test_judging(of: dict[str, Any], rules: dict[str, Any], used: int, days: int, units: int, why_not: str) -> None:
    found = judge(line(**of), policy(**rules), used, NOW + timedelta(days=days))
    assert (found.units, found.why_not) == (units, why_not)


def test_the_most_specific_policy_counts() -> None:
    company, category, sku = policy(), policy("category", "Drinks"), policy("sku", "TEA")
    assert policy_of([], line()) is DEFAULT
    assert policy_of([company, policy("sku", "CAKE")], line()) is company
    assert policy_of([company, category], line()) is category
    assert policy_of([sku, company, category], line()) is sku


def test_what_may_not_come_back(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = bought(api, made)
    open_order = api(made.customer).post("/orders", key="open", json=pickup_body(made)).json
    taro, wallet = customer(session, name="Taro"), None
    wallet = payment_methods.add(
        session, customer_id=made.customer.id, kind="wallet", external_reference="p", now=clock.now()
    )
    agent = staff(session, "agent")
    first = ask(api, made.customer, order, 2).json
    with unchanged():
        more = ask(api, made.customer, order, 2, key="more")
        assert (more.status_code, more.json["code"]) == (409, "not_returnable")
        assert (more.json["errors"][0]["returnable"], more.json["errors"][0]["code"]) == (1, "more_than_left")
        early = ask(api, made.customer, open_order, key="early")
        assert early.json["errors"][0]["why_not"] == "not_handed_over"
        assert ask(api, taro, order, key="taro").status_code == 404
        assert ask(api, made.customer, order, 0, key="none").status_code == 422
        unknown = {"order": order["reference"], "lines": [{"order_line_id": str(new_id()), "quantity": 1}]}
        assert api(made.customer).post("/returns", key="u", json=unknown).status_code == 422
        elsewhere = ask(api, made.customer, order, key="else", payment_method_id=str(wallet))
        assert elsewhere.json["code"] == "destination_not_allowed"
        both = ask(api, made.customer, order, key="both", refund_to="original", gift_card="x")
        assert both.status_code == 422
        assert api(taro).get(f"/returns/{first['reference']}").status_code == 404
        assert api(taro).get("/returns").json["items"] == []
        assert api(taro).get("/returns?state=lost").status_code == 422
        nowhere = api(taro).post(f"/returns/{first['reference']}/cancellation", key=str(new_id()), json={"reason": "x"})
        assert nowhere.status_code == 404
        assert receive(api, made.stranger, first, made.store).status_code == 404, "another store's counter"
        many = receive(
            api, made.associate, first, made.store, lines=[{"return_line_id": first["lines"][0]["id"], "quantity": 3}]
        )
        assert (many.status_code, many.json["code"]) == (422, "not_counted")
    assert [one["reference"] for one in api(made.customer).get("/returns").json["items"]] == [first["reference"]]
    assert len(api(agent).get(f"/returns?order={order['reference']}&state=approved").json["items"]) == 1
    receive(api, made.associate, first, made.store)
    receive(api, made.associate, first, made.store)
    with unchanged():
        for found in ({"sellable": 1}, {"sellable": 3}, {}):
            wrong = inspect(api, made.associate, first, **found)
            assert (wrong.status_code, wrong.json["code"]) == (422, "not_counted")
        assert inspect(api, made.stranger, first, sellable=2).status_code == 404
        back = api(made.customer).post(
            f"/returns/{first['reference']}/cancellation", key=str(new_id()), json={"reason": "x"}
        )
        assert (back.status_code, back.json["legal"]) == (409, ["refunded", "exchanged", "rejected"])
    no = api(agent).post(f"/returns/{first['reference']}/rejection", key=str(new_id()), json={"reason": "worn"})
    assert (no.status_code, no.json["close_reason"]) == (200, "worn")
    with unchanged():
        assert (
            api(agent).post(f"/returns/{first['reference']}/rejection", key=str(new_id()), json={}).status_code == 422
        )
        assert (
            api(agent).post("/returns/B-22222-22222/rejection", key=str(new_id()), json={"reason": "x"}).status_code
            == 404
        )
        again = api(made.customer).post(
            f"/returns/{first['reference']}/cancellation", key=str(new_id()), json={"reason": "x"}
        )
        assert again.status_code == 409
    late = ask(api, made.customer, order, 3, key="late").json
    off = api(made.customer).post(
        f"/returns/{late['reference']}/cancellation", key=str(new_id()), json={"reason": "keep it"}
    )
    assert off.json["state"] == "cancelled"
    with unchanged():
        gone = api(agent).post(f"/returns/{late['reference']}/rejection", key=str(new_id()), json={"reason": "x"})
        assert gone.status_code == 409
    assert clean(session)


def test_nothing_accepted_is_nothing_paid(session: Session, api: Api) -> None:
    made = shop(session)
    order = bought(api, made)
    api(staff(session, "admin")).put(COMPANY, if_match=0, json={"window_days": 30, "conditions": ["sellable"]})
    back = ask(api, made.customer, order, 2).json
    receive(api, made.associate, back, made.store)
    before = level(session, made.store, made.tea)
    done = inspect(api, made.associate, back, damaged=1, missing=1).json
    assert (done["state"], done["close_reason"], done["amount"]["amount_minor"]) == ("rejected", "nothing_accepted", 0)
    assert level(session, made.store, made.tea) == before
    assert api(made.customer).get(f"/orders/{order['reference']}").json["refunds"] == []
    assert clean(session)


def test_swapped_at_the_counter(session: Session, api: Api) -> None:
    """Three teas bought, one brought back for a cake, cheaper: the difference goes back, the cake goes along."""
    made = shop(session)
    order = bought(api, made)
    answer = swap(api, made.customer, order, made.cake.sku)
    assert answer.status_code == 201, answer.json
    back = answer.json
    assert (back["purpose"], back["difference"]["amount_minor"]) == ("exchange", 540 - 1980)
    assert back["lines"][0]["exchange"]["title"] == "ケーキ", "in the language of the order"
    assert level(session, made.store, made.cake) == (10, 1, 0)
    receive(api, made.associate, back, made.store)
    done = inspect(api, made.associate, back, more={"over_the_counter": True}, sellable=1)
    assert (done.status_code, done.json["state"]) == (200, "exchanged"), done.json
    assert (level(session, made.store, made.cake), level(session, made.store, made.tea)) == ((9, 0, 0), (8, 0, 0))
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    assert [(one["sku"], one["quantity"], one["refunded_quantity"]) for one in shown["lines"]] == [
        (made.tea.sku, 3, 1),
        (made.cake.sku, 1, 0),
    ]
    assert shown["total"]["amount_minor"] == 5940 + 540
    assert (shown["refunds"][0]["amount"]["amount_minor"], shown["status"]) == (1440, "completed")
    assert account(session, made.customer) == (41, 0, 0), "what two teas and a cake earn: 3600 + 500"
    assert clean(session)


def test_dearer_goods_are_paid_by_what_is_named(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = bought(api, made)
    session.execute(text("UPDATE price SET amount_minor = 5000 WHERE variant_id = :cake"), {"cake": made.cake.id})
    poor = gift_cards.issue(session, amount_minor=3019, currency="JPY", actor="system", now=clock.now())
    rich = gift_cards.issue(session, amount_minor=3020, currency="JPY", actor="system", now=clock.now())
    with unchanged():
        short = swap(api, made.customer, order, made.cake.sku, gift_card=poor.number)
        assert (short.status_code, short.json["code"]) == (409, "gift_card_short")
        many = swap(api, made.customer, order, made.cake.sku, 3, key="x", location=made.other.code)
        assert (many.status_code, many.json["code"]) == (409, "out_of_stock")
        assert swap(api, made.customer, order, "NOTHING", key="y").json["code"] == "not_for_sale"
        assert swap(api, made.customer, order, made.cake.sku, key="z", location="MARS").status_code == 404
        mixed = [{"order_line_id": order["lines"][0]["id"], "quantity": 1}]
        assert (
            api(made.customer)
            .post("/exchanges", key="m", json={"order": order["reference"], "lines": mixed})
            .status_code
            == 422
        )
    back = swap(api, made.customer, order, made.cake.sku, gift_card=rich.number).json
    receive(api, made.associate, back, made.store)
    done = inspect(api, made.associate, back, sellable=1)
    assert done.json["state"] == "exchanged", done.json
    assert gift_cards.find(session, number=rich.number).balance_minor == 0
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    assert [(part["method"], part["state"]) for part in shown["fulfillments"]] == [
        ("pickup", "collected"),
        ("pickup", "allocated"),
    ]
    assert level(session, made.store, made.cake) == (10, 1, 0)
    assert clean(session)
    card = swap(api, made.customer, order, made.cake.sku, key="cash").json
    receive(api, made.associate, card, made.store)
    paid = inspect(api, made.associate, card, key="cash", more={"over_the_counter": True, "tender": "cash"}, sellable=1)
    assert paid.json["state"] == "exchanged", paid.json
    assert clean(session)


def test_exchanges_by_the_rules(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = bought(api, made)
    admin = api(staff(session, "admin"))
    admin.put(COMPANY, if_match=0, json={"window_days": 30, "same_product_only": True, "requests_per_order": 1})
    with unchanged():
        other = swap(api, made.customer, order, made.cake.sku)
        assert (other.status_code, other.json["errors"][0]["code"]) == (409, "other_product")
    admin.put(COMPANY, if_match=1, json={"window_days": 30, "exchange_allowed": False})
    with unchanged():
        never = swap(api, made.customer, order, made.cake.sku)
        assert (never.status_code, never.json["code"]) == (409, "exchange_refused")
    admin.put(COMPANY, if_match=2, json={"window_days": 30, "requests_per_order": 1})
    back = swap(api, made.customer, order, made.cake.sku).json
    with unchanged():
        twice = ask(api, made.customer, order, key="twice")
        assert twice.json["errors"][0]["why_not"] == "requests_used"
    api(made.customer).post(f"/returns/{back['reference']}/cancellation", key=str(new_id()), json={"reason": "no"})
    assert level(session, made.store, made.cake) == (10, 0, 0), "what was kept is free"
    assert ask(api, made.customer, order, key="now").status_code == 201


@pytest.mark.committed
def test_one_unit_comes_back_once(session: Session, api: Api) -> None:
    """Two requests for the same last unit at once: exactly one is accepted."""
    made = shop(session)
    order = bought(api, made, quantity=1)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda key=f"k{at}": answers.append(ask(api, made.customer, order, key=key)))
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    back = next(answer.json for answer in answers if answer.status_code == 201)
    receive(api, made.associate, back, made.store)
    done: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda key=f"i{at}": done.append(inspect(api, made.associate, back, key=key, sellable=1))
        )
        for at in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in done) == [200, 409, 409, 409]
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert session.execute(text("SELECT count(*), sum(amount_minor) FROM refund")).one() == (1, 1980)
    assert clean(session)


def test_an_exchange_whose_goods_were_paid_back_meanwhile_is_refused(
    session: Session, api: Api, unchanged: Unchanged
) -> None:
    """Found by a walk of the machine: the row's CHECK refused it, and nobody was told why."""
    made = shop(session)
    order = bought(api, made, quantity=1)
    back = swap(api, made.associate, order, made.cake.sku).json
    assert receive(api, made.associate, back, made.store).status_code == 200
    manager = staff(session, "manager", locations=[made.store.id])
    whole = api(manager).post(f"/orders/{order['reference']}/refunds", key="whole", json={"reason": "late"})
    assert whole.status_code == 201, whole.json
    with unchanged():
        refused = inspect(api, made.associate, back, more={"over_the_counter": True, "tender": None}, sellable=1)
        assert (refused.status_code, refused.json["code"]) == (409, "more_than_left"), refused.json
    rejected = api(manager).post(f"/returns/{back['reference']}/rejection", key="no", json={"reason": "paid back"})
    assert rejected.status_code == 200, rejected.json
    assert level(session, made.store, made.cake)[1] == 0, "what was kept for her is free"
    assert clean(session)


def test_dearer_goods_do_not_leave_over_the_counter_unpaid(session: Session, api: Api, unchanged: Unchanged) -> None:
    """Found by a walk of the machine: the difference was left to a pickup that there is not."""
    made = shop(session)
    order = bought(api, made, quantity=1, lines=[{"sku": made.cake.sku, "quantity": 1}])
    back = swap(api, made.associate, order, made.tea.sku).json
    receive(api, made.associate, back, made.store)
    with unchanged():
        unpaid = inspect(api, made.associate, back, more={"over_the_counter": True}, sellable=1)
        assert (unpaid.status_code, unpaid.json["code"]) == (409, "payment_missing"), unpaid.json
        assert unpaid.json["difference"]["amount_minor"] == 1980 - 540
    paid = inspect(api, made.associate, back, "paid", {"over_the_counter": True, "tender": "cash"}, sellable=1)
    assert (paid.status_code, paid.json["state"]) == (200, "exchanged"), paid.json
    assert clean(session)
