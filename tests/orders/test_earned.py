"""What orders earn by rules: at the counter, in parts, at the till, from an offline till, and late (FAILURES 13, 14, 15)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import queries
from retail.kernel import clock, db, outbox
from tests.factories import customer
from tests.factories.currencies import channel
from tests.factories.orders import Shop, account, pickup_body, ready_pickup, shop, spends
from tests.loyalty.ledger_facts import assert_clean
from tests.loyalty.rule_book import change_rule, make_rule, reasons, records
from tests.loyalty.tier_facts import program, standing
from tests.orders import test_till_upload as uploads
from tests.orders.test_parting import units
from tests.orders.test_place_at_till import sale, till

Api = Callable[..., Any]
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def place(api: Api, made: Shop, key: str = "one", *, caller: Any = None, **changes: Any) -> dict[str, Any]:
    answer = api(caller or made.customer).post("/orders", key=key, json=pickup_body(made, **changes))
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def collect(api: Api, made: Shop, pickup: str, **body: Any) -> None:
    """What is due is paid in cash with the first part."""
    due = api(made.associate).get(f"/pickups/{pickup}").json["due"]["amount_minor"]
    sent = {"identity": "passport"} | ({"tender": "cash"} if due else {}) | body
    answer = api(made.associate).post(f"/pickups/{pickup}/collection", key=f"c-{pickup}", json=sent)
    assert answer.status_code == 200, answer.json


def sell(api: Api, session: Session, made: Shop, key: str = "sale-1", **changes: Any) -> dict[str, Any]:
    body = sale(made, customer_id=str(made.customer.id), **changes)
    answer = api(till(session, made)).post("/orders", key=key, json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def test_an_order_is_judged_by_the_rules_of_its_placing(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "welcome", points=50, first_purchase=True)
    make_rule(session, "double", "multiplier")
    order = place(api, made, quantity=2)
    with clock.shifted(HOUR):
        change_rule(session, "double", 1, factor_bp=50_000)
        change_rule(session, "welcome", 1, active=False)
        make_rule(session, "base", "amount", points=9, per_minor=100)
        collect(api, made, ready_pickup(api, made, order))
    assert account(session, made.customer) == (122, 0, 0)
    assert reasons(session, made.customer.id) == [
        ("base", 0, 36, 3600),
        ("welcome", 1, 50, 3600),
        ("double", 1, 36, 3600),
    ]
    assert records(session) == [(122, "web", 1)]
    with clock.shifted(2 * HOUR):
        later = place(api, made, key="two")
        collect(api, made, ready_pickup(api, made, later))
    assert account(session, made.customer) == (122 + 162 + 648, 0, 0)
    assert_clean(session)


def test_parts_earn_what_the_whole_earns_and_tell_it_by_line(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "tea", "unit", points=7, skus=[made.tea.sku])
    make_rule(session, "once", points=5)
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 1}]
    order = place(api, made, lines=lines)
    pickup = ready_pickup(api, made, order)
    collect(api, made, pickup, lines=units(order, tea=1))
    assert reasons(session, made.customer.id) == [("base", 0, 18, 1800), ("once", 1, 1, 1800), ("tea", 1, 7, 1)]
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    rest = next(one["id"] for one in shown["fulfillments"] if one["state"] == "ready")
    collect(api, made, rest)
    assert account(session, made.customer) == (59 + 21 + 5, 0, 0)
    sums: dict[str, int] = {}
    for code, _, points, _ in reasons(session, made.customer.id):
        sums[code] = sums.get(code, 0) + points
    assert sums == {"base": 59, "tea": 21, "once": 5}
    assert records(session) == [(85, "web", 2)]
    spent = session.execute(text("SELECT sum(spend_minor) FROM points_transaction WHERE kind = 'earn'")).scalar_one()
    assert spent == 5900
    assert_clean(session)


def test_the_tier_is_that_of_placing(session: Session, api: Api, made: Shop) -> None:
    session.execute(
        text(
            "INSERT INTO tier (code, name, rank, threshold, multiplier_bp, updated_at) VALUES ('gold', 'Gold', 1, 1, 15000, now())"
        )
    )
    make_rule(session, "golden", points=3, tiers=["gold"])
    before = place(api, made)
    with clock.shifted(HOUR):
        session.execute(
            text("INSERT INTO points_account (customer_id, opened_at) VALUES (:id, :at) ON CONFLICT DO NOTHING"),
            {"id": made.customer.id, "at": clock.now()},
        )
        session.execute(
            text("INSERT INTO member_tier (customer_id, tier_code, since) VALUES (:id, 'gold', :at)"),
            {"id": made.customer.id, "at": clock.now()},
        )
        session.execute(
            text(
                "INSERT INTO tier_change (id, customer_id, to_code, reason, figure, actor, at) "
                "VALUES (gen_random_uuid(), :id, 'gold', 'staff', 0, 'system', :at)"
            ),
            {"id": made.customer.id, "at": clock.now()},
        )
    with clock.shifted(2 * HOUR):
        after = place(api, made, key="two")
        for order in (before, after):
            collect(api, made, ready_pickup(api, made, order))
    assert reasons(session, made.customer.id) == [
        ("base", 0, 18, 1800),
        ("base", 0, 18, 1800),
        ("golden", 1, 3, 1800),
        ("tier:gold", 0, 9, 1800),
    ]


def test_points_wait_as_long_as_their_rule_says(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "base", "amount", points=1, per_minor=100, pending_days=14, lot_days=30)
    make_rule(session, "once", points=5)
    sell(api, session, made)
    now = clock.now()
    lots = session.execute(
        text(
            "SELECT earned, available_from, expires_at FROM points_lot WHERE customer_id = :id ORDER BY available_from"
        ),
        {"id": made.customer.id},
    ).all()
    assert [tuple(lot) for lot in lots] == [(5, now, now + 365 * DAY), (18, now + 14 * DAY, now + 44 * DAY)]
    spendable = {
        days: queries.points_of(session, customer_id=made.customer.id, now=now + days * DAY)["available"]
        for days in (0, 13, 14, 43, 44)
    }
    assert spendable == {0: 5, 13: 5, 14: 23, 43: 23, 44: 5}
    assert_clean(session)


def test_stores_weekdays_and_days_are_those_of_the_store(session: Session, api: Api, made: Shop) -> None:
    """July 1st, 2026, noon in Tokyo: a Wednesday. At 16:00 UTC it is Thursday there."""
    make_rule(session, "here", points=1, locations=[made.store.code])
    make_rule(session, "there", points=2, locations=[made.other.code])
    make_rule(session, "wednesday", points=4, weekdays=[3])
    make_rule(session, "thursday", points=8, weekdays=[4])
    make_rule(session, "second", points=16, from_on=(clock.now() + DAY).date(), to_on=(clock.now() + DAY).date())
    sell(api, session, made)
    with clock.shifted(13 * HOUR):
        sell(api, session, made, key="late")
    found = [code for code, *_ in reasons(session, made.customer.id)]
    assert found == ["base", "here", "wednesday", "base", "here", "second", "thursday"]


def test_pence_earn_and_pay_but_are_no_qualifying_yen(session: Session, api: Api, made: Shop) -> None:
    abroad = channel(session, made, currency="GBP", prices={made.tea: 1200})
    body = sale(made, customer_id=str(abroad.customer.id))
    assert api(abroad.till).post("/orders", key="pounds", json=body).status_code == 201
    [(code, version, points, _)] = reasons(session, abroad.customer.id)
    assert (code, version, points) == ("base", 0, 10)
    assert session.execute(text("SELECT spend_minor FROM points_transaction WHERE kind = 'earn'")).scalar_one() == 0
    body |= {"points_to_spend": 10} | spends(abroad.customer, abroad.till)
    spent = api(abroad.till).post("/orders", key="spent", json=body)
    assert spent.status_code == 201, spent.json
    assert [(part["tender"], part["amount"]["amount_minor"]) for part in spent.json["payments"]] == [
        ("points", 10),
        ("cash", 1190),
    ]


def test_what_points_cost_a_placing(session: Session, api: Api) -> None:
    """Earning and spending add three statements to a sale at the till, and holding one to a pickup."""
    made = shop(session, points=300)
    selling = till(session, made)
    seller = api(selling)
    known = {"customer_id": str(made.customer.id)}
    seller.post("/orders", key="warm", json=sale(made) | known)
    counts = {}
    spending = known | {"points_to_spend": 100} | spends(made.customer, selling)
    for name, told in (("nobody", {}), ("earns", known), ("spends", spending)):
        with db.counting() as count:
            assert seller.post("/orders", key=name, json=sale(made) | told).status_code == 201
        counts[name] = count.statements
    customers = 1  # who the buyer is
    assert counts["earns"] - counts["nobody"] == 2 + customers
    assert counts["spends"] - counts["nobody"] == 3 + customers
    pickups = {}
    for name, told in (("plain", {}), ("holds", {"points_to_spend": 100})):
        with db.counting() as count:
            place(api, made, key=name, **told)
        pickups[name] = count.statements
    assert pickups["holds"] - pickups["plain"] == 1


def test_failure_14_an_offline_sale_earns_once_by_the_rules_of_when_it_was_made(session: Session, api: Api) -> None:
    made = shop(session)
    seller = uploads.till(session, made)
    now = clock.now()
    make_rule(session, "happy", points=5, now=now - 3 * HOUR)
    change_rule(session, "happy", 1, now=now - HOUR / 2, points=100)
    one = uploads.sale(made, customer_id=str(made.customer.id))  # an hour ago
    uploads.told(api, seller, one)
    uploads.told(api, seller, one, key="again")
    assert reasons(session, made.customer.id) == [("base", 0, 18, 1800), ("happy", 1, 5, 1800)]
    assert records(session) == [(23, "store", 1)]
    assert uploads.clean(session)


def test_a_till_whose_clock_is_ahead_earns_by_the_rules_of_now(session: Session, api: Api) -> None:
    made = shop(session)
    make_rule(session, "today", points=5)
    ahead = uploads.sale(
        made, customer_id=str(made.customer.id), sold_at=(clock.now() + 9 * HOUR).isoformat()
    )  # there it would be tomorrow already
    make_rule(session, "thursday", points=50, weekdays=[4])
    [told] = uploads.told(api, uploads.till(session, made), ahead)
    assert uploads.codes(told) == ["clock_ahead"]
    assert [code for code, *_ in reasons(session, made.customer.id)] == ["base", "today"]


def test_of_a_batch_one_sale_is_the_first_purchase_and_caps_count_the_others(session: Session, api: Api) -> None:
    made = shop(session)
    before = clock.now() - 5 * HOUR
    make_rule(session, "welcome", points=50, first_purchase=True, now=before)
    make_rule(session, "visit", points=10, cap_per_member=15, now=before)
    known = {"customer_id": str(made.customer.id)}
    sales = [
        uploads.sale(made, number, **known, sold_at=(clock.now() - number * HOUR).isoformat()) for number in (1, 2, 3)
    ]
    uploads.told(api, uploads.till(session, made), *sales)
    assert [(code, points) for code, _, points, _ in reasons(session, made.customer.id) if code != "base"] == [
        ("visit", 10),
        ("welcome", 50),
        ("visit", 5),
    ]
    uploads.told(api, uploads.till(session, made), uploads.sale(made, 4, **known), key="next")
    assert reasons(session, made.customer.id)[-1][0] == "base"
    assert uploads.clean(session)


def test_a_batch_costs_the_same_however_many_members(session: Session, api: Api) -> None:
    made = shop(session, units=50)
    make_rule(session, "visit", points=10, cap_per_member=15)
    seller = api(uploads.till(session, made))
    counts = []
    for size in (1, 5):
        people = [str(customer(session).id) for _ in range(size)]
        sales = [uploads.sale(made, 10 * size + at, customer_id=who) for at, who in enumerate(people)]
        with db.counting() as count:
            assert seller.post(uploads.PATH, key=f"n-{size}", json={"sales": sales}).status_code == 200
        counts.append(count.statements)
    assert counts[0] == counts[1]


GUEST = {"contact": {"name": "Guest", "email": "guest@example.com"}}


def guest_order(api: Api, made: Shop, **changes: Any) -> dict[str, Any]:
    answer = api(made.web).post("/orders", key="guest", json=pickup_body(made, **GUEST, **changes))
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def claim(api: Api, owner: Any, key: str) -> list[str]:
    return list(api(owner).post("/me/orders/claims", key=key).json["references"])


def test_a_guests_purchase_that_is_claimed_after_the_handover_earns_late_and_once(
    session: Session, api: Api, made: Shop
) -> None:
    make_rule(session, "welcome", points=50, first_purchase=True)
    order = guest_order(api, made, quantity=2)
    collect(api, made, ready_pickup(api, made, order))
    owner = customer(session, email="guest@example.com")
    with clock.shifted(DAY):
        change_rule(session, "welcome", 1, points=1000)
        assert claim(api, owner, "a") == [order["reference"]]
        assert account(session, owner) == (86, 0, 0)
        assert claim(api, owner, "b") == []
    assert reasons(session, owner.id) == [("base", 0, 36, 3600), ("welcome", 1, 50, 3600)]
    key = session.execute(text("SELECT key FROM points_transaction WHERE kind = 'earn'")).scalar_one()
    assert key == f"late:{order['id']}"
    assert_clean(session)


def test_claimed_before_the_handover_it_earns_then(session: Session, api: Api, made: Shop) -> None:
    order = guest_order(api, made)
    owner = customer(session, email="guest@example.com")
    assert claim(api, owner, "a") == [order["reference"]]
    assert reasons(session, owner.id) == []
    collect(api, made, ready_pickup(api, made, order))
    assert account(session, owner) == (18, 0, 0)
    assert_clean(session)


def test_claimed_between_two_parts_each_earns(session: Session, api: Api, made: Shop) -> None:
    order = guest_order(api, made, quantity=3)
    pickup = ready_pickup(api, made, order)
    collect(api, made, pickup, lines=[{"order_line_id": order["lines"][0]["id"], "quantity": 1}])
    owner = customer(session, email="guest@example.com")
    claim(api, owner, "a")
    assert account(session, owner) == (18, 0, 0)
    shown = api(made.associate).get(f"/orders/{order['reference']}").json
    collect(api, made, next(one["id"] for one in shown["fulfillments"] if one["state"] == "ready"))
    assert account(session, owner) == (54, 0, 0)
    assert_clean(session)


def test_what_a_guest_gave_back_does_not_earn_late(session: Session, api: Api, made: Shop) -> None:
    order = guest_order(api, made, quantity=2)
    collect(api, made, ready_pickup(api, made, order))
    session.execute(text("UPDATE order_line SET refunded_quantity = 1 WHERE order_id = :id"), {"id": order["id"]})
    owner = customer(session, email="guest@example.com")
    claim(api, owner, "a")
    assert account(session, owner) == (18, 0, 0)
    assert_clean(session)


def test_what_is_too_little_for_a_point_counts_late_too_less_what_came_back(
    session: Session, api: Api, made: Shop
) -> None:
    program(session)
    make_rule(session, "base", "amount", points=1, per_minor=10_000)
    order = guest_order(api, made, quantity=2)
    collect(api, made, ready_pickup(api, made, order))
    session.execute(text("UPDATE order_line SET refunded_quantity = 1 WHERE order_id = :id"), {"id": order["id"]})
    owner = customer(session, email="guest@example.com")
    claim(api, owner, "a")
    spent = session.execute(text("SELECT kind, spend_minor FROM points_transaction ORDER BY seq")).all()
    assert [tuple(row) for row in spent] == [("earn", 3600), ("claw_back", -1800)]
    outbox.drain()
    assert standing(session, owner.id) == ("silver", clock.now(), None, clock.now() + 365 * DAY)
    assert api(owner).get("/me/points").json["available"] == 0
    assert_clean(session)


def test_a_sale_too_small_for_a_point_costs_what_a_sale_costs(session: Session, api: Api, made: Shop) -> None:
    program(session)
    make_rule(session, "base", "amount", points=1, per_minor=10_000)
    seller, body = api(till(session, made)), sale(made)
    seller.post("/orders", key="warm", json=body)
    counts = []
    for key, told in (("guest", {}), ("member", {"customer_id": str(made.customer.id)})):
        with db.counting() as count:
            assert seller.post("/orders", key=key, json=body | told).status_code == 201
        counts.append(count.statements)
    assert counts[1] - counts[0] == 1 + 2  # who she is; lock and judge, book
    assert session.execute(text("SELECT spend_minor FROM points_transaction")).scalars().all() == [1800]


def test_history_and_what_was_not_handed_over_do_not_earn_late(session: Session, api: Api, made: Shop) -> None:
    order = guest_order(api, made)
    collect(api, made, ready_pickup(api, made, order))
    session.execute(text("UPDATE \"order\" SET kind = 'history' WHERE id = :id"), {"id": order["id"]})
    owner = customer(session, email="guest@example.com")
    assert claim(api, owner, "a") == [order["reference"]]
    assert reasons(session, owner.id) == []


def test_a_birthday_rule_looks_at_the_day_of_placing(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "birthday", "multiplier", birthday="day")
    session.execute(
        text("INSERT INTO points_account (customer_id, opened_at, birth_month, birth_day) VALUES (:id, now(), 7, 1)"),
        {"id": made.customer.id},
    )
    order = place(api, made)
    with clock.shifted(13 * HOUR):  # past midnight in Tokyo
        collect(api, made, ready_pickup(api, made, order))
    assert [code for code, *_ in reasons(session, made.customer.id)] == ["base", "birthday"]


def test_a_category_is_the_products(session: Session, api: Api, made: Shop) -> None:
    session.execute(
        text("UPDATE product SET category = 'Teas' WHERE id = (SELECT product_id FROM variant WHERE id = :id)"),
        {"id": made.tea.id},
    )
    make_rule(session, "teas", points=5, categories=["Teas"])
    sell(api, session, made)
    order = place(api, made)
    collect(api, made, ready_pickup(api, made, order))
    uploads.told(
        api,
        uploads.till(session, made),
        uploads.sale(made, customer_id=str(made.customer.id), sold_at=clock.now().isoformat()),
    )
    assert [code for code, *_ in reasons(session, made.customer.id)] == ["base", "teas"] * 3


def test_a_member_who_is_blocked_earns_all_the_same(session: Session, api: Api, made: Shop) -> None:
    session.execute(
        text(
            "INSERT INTO points_account (customer_id, opened_at, state, blocked_reason) VALUES (:id, now(), 'blocked', 'x')"
        ),
        {"id": made.customer.id},
    )
    sell(api, session, made)
    assert account(session, made.customer)[0] == 18
