"""Orders and pickups under many hands, over HTTP: real connections, real commits. Each fails when its guard is out."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit as stock_audit
from loyalty import audit as points_audit
from orders import cart_holds, carts, checkout, confirmation, proofs
from retail.kernel import clock, db
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.ids import ALPHABET, check_character
from retail.roles import CUSTOMER_PERMISSIONS
from tests.factories import customer, staff
from tests.factories.orders import (
    Shop,
    account,
    events,
    level,
    payments,
    pickup_body,
    ready_pickup,
    shop,
)
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]
PAY = {"payment": {"method": "pay_at_pickup"}}


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run every call in a thread of its own, let go together; the answers in order."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(20)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def outcomes(answers: Sequence[Any]) -> Counter[Any]:
    """How often each (status, code of the refusal) was answered."""
    return Counter((a.status_code, a.json["code"] if a.status_code >= 400 else None) for a in answers)


def post(caller: Any, path: str, **options: Any) -> Callable[[], Any]:
    return lambda: caller.post(path, **options)


def number_of(session: Session, table: str) -> int:
    return int(session.execute(text(f'SELECT count(*) FROM "{table}"')).scalar_one())


def test_the_last_units_are_sold_once(session: Session, api: Api) -> None:
    """FAILURES 1: ten buyers, five units; half of them want it on two lines (FAILURES 2)."""
    made = shop(session, units=5)
    buyers = [customer(session, email=f"b{number}@example.com") for number in range(10)]
    line = {"sku": made.tea.sku, "quantity": 1}
    one, two = pickup_body(made), pickup_body(made) | {"lines": [line, line]}
    answers = at_once(
        [post(api(buyer), "/orders", key="k", json=two if at % 2 else one) for at, buyer in enumerate(buyers)]
    )
    taken = sum(len(answer.json["lines"]) for answer in answers if answer.status_code == 201)
    assert set(outcomes(answers)) <= {(201, None), (409, "out_of_stock")}
    on_hand, allocated, held = level(session, made.store, made.tea)
    assert (on_hand, allocated, held) == (5, taken, 0)
    assert taken in (4, 5)  # one unit may be left when the last in line wanted two
    placed = outcomes(answers)[201, None]
    assert number_of(session, "order") == placed == len(events(session, "OrderPlaced"))
    assert list(stock_audit.divergences(session)) == []


def test_one_key_places_one_order(session: Session, api: Api) -> None:
    """FAILURES 18: the same request many times at once; whoever is not first is told to wait, or gets its answer."""
    made = shop(session, points=1000)
    body = pickup_body(made, points_to_spend=100)
    for number in range(5):
        key = f"key-{number}"
        answers = at_once([post(api(made.customer), "/orders", key=key, json=body) for _ in range(6)])
        assert set(outcomes(answers)) <= {(201, None), (409, "idempotency_in_progress")}
        assert len({answer.json["id"] for answer in answers if answer.status_code == 201}) == 1
        assert number_of(session, "order") == number + 1
        again = api(made.customer).post("/orders", key=key, json=body)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert account(session, made.customer) == (500, 500, 0)
    assert level(session, made.store, made.tea) == (10, 5, 0)


def test_a_cart_is_placed_once(session: Session, api: Api) -> None:
    made = shop(session)
    for number in range(5):
        lines = [{"sku": made.tea.sku, "quantity": 1}]
        cart = api(made.customer).post("/carts", json={"lines": lines, "location": made.store.code}).json
        bodies = [{"cart_id": cart["id"]} | PAY] * 4
        answers = at_once(
            [post(api(made.customer), "/orders", key=f"{number}-{at}", json=body) for at, body in enumerate(bodies)]
        )
        assert outcomes(answers) == {(201, None): 1, (409, "cart_changed"): 3}
        assert level(session, made.store, made.tea) == (10, number + 1, 0)
    assert list(stock_audit.divergences(session)) == []


def test_nothing_is_held_for_a_cart_that_was_ordered_from_meanwhile(session: Session, api: Api) -> None:
    """The hold read the cart while it was open, and waited for the stock that the order took."""
    made = shop(session)
    lines = [{"sku": made.tea.sku, "quantity": 2}]
    cart = api(made.customer).post("/carts", json={"lines": lines, "location": made.store.code}).json
    caller = Principal(CUSTOMER, made.customer.id, CUSTOMER_PERMISSIONS, channel="web")
    cart_id, now = UUID(cart["id"]), clock.now()
    with db.transaction() as placing:
        checkout.place(placing, cart_id=cart_id, payment=PAY["payment"], caller=caller, now=now)
        holding = Other(lambda s: cart_holds.hold(s, cart_id=cart_id, hold_seconds=60, caller=caller, now=now))
        assert holding.waits()
    with pytest.raises(carts.CartClosed):
        holding.result()
    assert level(session, made.store, made.tea) == (10, 2, 0)
    assert list(stock_audit.divergences(session)) == []


def test_edits_of_one_cart_at_once(session: Session, api: Api) -> None:
    """Four windows edit the cart they all read: one is right, the others are stale and change nothing."""
    made = shop(session)
    cart = api(made.customer).post("/carts", json={}).json
    line = {"sku": made.tea.sku, "quantity": 1}
    for version in range(1, 5):
        add = [post(api(made.customer), f"/carts/{cart['id']}/lines", json=line, if_match=version) for _ in range(4)]
        assert outcomes(at_once(add)) == {(201, None): 1, (412, "stale"): 3}
    found = api(made.customer).get(f"/carts/{cart['id']}").json
    assert (found["version"], [one["position"] for one in found["lines"]]) == (5, [1, 2, 3, 4])


def test_two_staff_hand_over_at_once(session: Session, api: Api) -> None:
    """FAILURES 12: the goods leave once, the money is taken once, the points are earned once."""
    made = shop(session, points=100)
    for number in range(4):
        body = pickup_body(made, points_to_spend=10)
        order = api(made.customer).post("/orders", key=f"o{number}", json=body).json
        pickup_id = ready_pickup(api, made, order)
        code = api(made.customer).get(f"/me/orders/{order['id']}/pickup-code").json["code"]
        path = f"/pickups/{pickup_id}/collection"
        tenders = ["cash", "card_terminal", "cash"]
        answers = at_once(
            [
                post(api(made.associate), path, key=f"c{number}-{at}", json={"code": code, "tender": tender})
                for at, tender in enumerate(tenders)
            ]
        )
        assert outcomes(answers) == {(200, None): 1, (409, "already_collected"): 2}
    assert level(session, made.store, made.tea) == (6, 0, 0)
    assert len(events(session, "PickupCollected")) == 4
    assert [state for _, state, *_ in payments(session)] == ["captured"] * 8
    assert account(session, made.customer) == (60 + 4 * 17, 0, 0)


def test_handed_over_or_cancelled_never_both(session: Session, api: Api) -> None:
    """The desk cancels while the counter hands over: one of them is told what the other did."""
    made = shop(session, points=100)
    manager = staff(session, "manager", locations=[made.store.id])
    for number in range(6):
        order = api(made.customer).post("/orders", key=f"o{number}", json=pickup_body(made, points_to_spend=10)).json
        pickup_id = ready_pickup(api, made, order)
        proof = {"identity": "passport", "tender": "cash"}
        answers = at_once(
            [
                post(api(made.associate), f"/pickups/{pickup_id}/collection", key=f"c{number}", json=proof),
                post(
                    api(manager),
                    f"/orders/{order['id']}/cancellation",
                    key=f"x{number}",
                    json={"reason": "asked for it"},
                ),
            ]
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409], [a.json for a in answers]
        won = "completed" if answers[0].status_code == 200 else "cancelled"
        assert api(made.customer).get(f"/orders/{order['id']}").json["status"] == won
    assert Counter(events(session))["PickupCollected"] + Counter(events(session))["OrderCancelled"] == 6
    assert list(stock_audit.divergences(session)) == []
    assert list(points_audit.divergences(session)) == []


def test_ready_twice_at_once_is_one_message(session: Session, api: Api) -> None:
    """FAILURES 11."""
    made = shop(session)
    for number in range(4):
        order = api(made.customer).post("/orders", key=f"o{number}", json=pickup_body(made)).json
        pickup_id = order["fulfillments"][0]["id"]
        for step in ("picking", "ready"):
            answers = at_once(
                [
                    post(api(made.associate), f"/pickups/{pickup_id}/{step}", key=f"{step}{number}{at}")
                    for at in range(4)
                ]
            )
            assert outcomes(answers) == {(200, None): 4}
            assert all(answer.json == answers[0].json for answer in answers)
    assert Counter(events(session)) == {"OrderPlaced": 4, "PickupPicking": 4, "PickupReady": 4}


def test_guesses_at_once_are_counted_one_by_one(session: Session, api: Api) -> None:
    made = shop(session)
    order = api(made.customer).post("/orders", key="o", json=pickup_body(made)).json
    pickup_id = ready_pickup(api, made, order)
    right = proofs.secrets_of(UUID(pickup_id), 1)[0]
    guesses = [right[:4] + letter for letter in ALPHABET if letter != right[4]][:12]
    answers = at_once(
        [
            post(
                api(made.associate),
                f"/pickups/{pickup_id}/collection",
                key=guess,
                json={"code": guess + check_character(guess), "tender": "cash"},
            )
            for guess in guesses
        ]
    )
    assert outcomes(answers) == {(422, "pickup_code_wrong"): 5, (409, "pickup_code_locked"): 7}
    assert sorted(a.json["attempts_left"] for a in answers if a.status_code == 422) == [0, 1, 2, 3, 4]
    row = session.execute(text("SELECT attempts, locked_at IS NOT NULL FROM pickup_code")).one()
    assert tuple(row) == (5, True)
    assert level(session, made.store, made.tea) == (10, 1, 0)


def _waiting(made: Shop) -> UUID:
    """An order that waits for its card's answer."""
    caller = Principal(CUSTOMER, made.customer.id, CUSTOMER_PERMISSIONS, channel="web")
    with db.transaction() as session:
        order = checkout.place(
            session,
            lines=[checkout.Item(1, made.tea.sku)],
            location=made.store.code,
            payment={"method": "card", "payment_method": "pm_card_visa"},
            points_to_spend=100,
            caller=caller,
            now=clock.now(),
        )
    return UUID(str(order["id"]))


def test_the_card_is_confirmed_or_declined_never_both(session: Session, api: Api) -> None:
    """FAILURES 17: request, webhook and job bring their news at once."""
    made = shop(session, points=1000)
    for _ in range(6):
        order_id = _waiting(made)
        before = level(session, made.store, made.tea), account(session, made.customer)

        news = {"order_id": order_id, "actor": "system", "now": clock.now()}
        confirm, fail = partial(confirmation.confirm, **news), partial(confirmation.fail, **news, code="declined")
        results = together([confirm, fail, confirm, fail])
        assert sorted(results) == [False, False, False, True]
        confirmed = results[0] or results[2]
        status = api(made.customer).get(f"/orders/{order_id}").json["status"]
        assert status == ("open" if confirmed else "cancelled")
        after = level(session, made.store, made.tea), account(session, made.customer)
        if confirmed:
            assert after == before
        else:
            (on_hand, allocated, held), (available, points_held, owed) = before
            assert after == ((on_hand, allocated - 1, held), (available + 100, points_held - 100, owed))
    decided = Counter(events(session, "OrderPlaced", "PaymentFailed"))
    assert decided.total() == 6
    assert list(stock_audit.divergences(session)) == []
