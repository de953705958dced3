"""Sales of an offline till: recorded as they happened, once, whatever they meet here (FAILURES 12, 14)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import AUDITS
from loyalty import merging
from orders import gift_cards
from retail.kernel import clock, db
from tests.factories import Actor, api_client, customer, staff
from tests.factories.orders import (
    CLIENT_SCOPES,
    Shop,
    account,
    entries,
    events,
    level,
    payments,
    pickup_body,
    shop,
    world,
)

Api = Callable[..., Any]
PATH = "/tills/T1/sales"


def till(session: Session, made: Shop, *, where: Any = None) -> Actor:
    """A till client of the store, and its till T1 with an open drawer."""
    session.execute(
        text(
            "INSERT INTO till (id, code, location_id, created_by, created_at) "
            "VALUES (gen_random_uuid(), 'T1', :place, 'system', now()) ON CONFLICT DO NOTHING"
        ),
        {"place": made.store.id},
    )
    session.execute(
        text(
            "INSERT INTO drawer (id, till_id, currency, opening_minor, opened_by, opened_at) "
            "SELECT gen_random_uuid(), id, 'JPY', 10000, 'system', now() FROM till ON CONFLICT DO NOTHING"
        )
    )
    place = made.store.id if where is None else where
    return api_client(session, [*CLIENT_SCOPES, "till.sell"], channel="store", location_id=place)


def sale(made: Shop, number: int = 1, *, quantity: int = 1, sku: str | None = None, **changes: Any) -> dict[str, Any]:
    line = {"sku": sku or made.tea.sku, "quantity": quantity, "unit_price_minor": 1980, "tax_rate_bp": 1000}
    return {
        "sale_id": f"s-{number}",
        "sold_at": (clock.now() - timedelta(hours=1)).isoformat(),
        "lines": [line],
        "tenders": [{"method": "cash", "amount_minor": 1980 * quantity}],
    } | changes


def clean(session: Session) -> bool:
    session.flush()
    return [found for audit in AUDITS for found in audit(session)] == []


def told(api: Api, seller: Actor, *sales: dict[str, Any], key: str = "k") -> list[dict[str, Any]]:
    answer = api(seller).post(PATH, key=key, json={"sales": list(sales)})
    assert answer.status_code == 200, answer.json
    return list(answer.json["sales"])


def codes(one: dict[str, Any]) -> list[str]:
    return [flag["code"] for flag in one["flags"]]


def test_a_sale_is_recorded_as_it_was(session: Session, api: Api) -> None:
    made = shop(session, points=300)
    tenders = [{"method": "points", "amount_minor": 300}, {"method": "cash", "amount_minor": 3500}]
    lines = [
        {"sku": made.tea.sku, "quantity": 1, "unit_price_minor": 1980, "tax_rate_bp": 1000},
        {"sku": made.cake.sku, "quantity": 4, "unit_price_minor": 480, "discount_minor": 100, "tax_rate_bp": 800},
    ]
    (one,) = told(api, till(session, made), sale(made, lines=lines, tenders=tenders, customer_id=str(made.customer.id)))
    assert (one["outcome"], one["flags"], one["errors"]) == ("recorded", [], [])
    order = api(made.associate).get(f"/orders/{one['order_reference']}").json
    assert (order["status"], order["total"]["amount_minor"], order["channel"]) == ("completed", 3800, "store")
    assert order["placed_at"].startswith((clock.now() - timedelta(hours=1)).isoformat()[:19])
    assert [(line["quantity"], line["total"]["amount_minor"]) for line in order["lines"]] == [(1, 1980), (4, 1820)]
    assert payments(session) == [("points", "captured", 300, 300, 300), ("cash", "captured", 3500, 3500, 3500)]
    assert len(entries(session)) == 4
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((9, 0, 0), (6, 0, 0))
    # 1800 + 1686 without tax, 300 of it paid with points: 31 points
    assert account(session, made.customer) == (31, 0, 0)
    assert clean(session)


def test_failure_14_a_retry_records_once(session: Session, api: Api) -> None:
    """Also in another batch, and beside new ones."""
    made = shop(session, points=500)
    seller = till(session, made)
    tenders = [{"method": "points", "amount_minor": 100}, {"method": "cash", "amount_minor": 1880}]
    one = sale(made, tenders=tenders, customer_id=str(made.customer.id))
    (first,) = told(api, seller, one)
    after = world(session)
    again = told(api, seller, one, one, key="other")
    assert [answer | {"outcome": ""} for answer in again] == [first | {"outcome": ""}] * 2
    assert {answer["outcome"] for answer in again} == {"repeated"}
    assert world(session) | {"idempotency_claim": 0} == after | {"idempotency_claim": 0}
    assert account(session, made.customer) == (417, 0, 0)
    mixed = told(api, seller, sale(made, 2), one, key="third")
    assert [answer["outcome"] for answer in mixed] == ["recorded", "repeated"]
    assert clean(session)


def test_one_batch_may_name_a_sale_twice(session: Session, api: Api) -> None:
    made = shop(session)
    one, other = sale(made), sale(made, quantity=2)
    answers = told(api, till(session, made), one, one, other)
    assert [answer["outcome"] for answer in answers] == ["recorded", "repeated", "conflict"]
    assert len({answer["order_reference"] for answer in answers}) == 1
    assert level(session, made.store, made.tea) == (9, 0, 0)


def test_other_content_is_a_conflict_and_shown_once(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    told(api, seller, sale(made))
    after = world(session)
    for key in ("b", "c"):
        (answer,) = told(api, seller, sale(made, quantity=2), key=key)
        assert (answer["outcome"], codes(answer)) == ("conflict", ["content_differs"])
    assert world(session) | {"idempotency_claim": 0} == after | {"idempotency_claim": 0}
    (shown,) = api(made.associate).get("/till-sales").json["items"]
    assert [flag["code"] for flag in shown["flags"]] == ["content_differs"]


def test_what_is_no_longer_there_is_taken_as_far_as_it_goes(session: Session, api: Api) -> None:
    """Promises of others give way, youngest first; nothing is negative."""
    made = shop(session, units=3)
    api(made.customer).post("/orders", key="web", json=pickup_body(made, quantity=2))
    assert level(session, made.store, made.tea) == (3, 2, 0)
    answers = told(api, till(session, made), sale(made, 1, quantity=2), sale(made, 2, quantity=4))
    assert [codes(answer) for answer in answers] == [[], ["stock_short"]]
    flag = answers[1]["flags"][0]
    assert (flag["line"], flag["sku"], flag["sold"], flag["taken"]) == (1, made.tea.sku, 4, 1)
    assert level(session, made.store, made.tea) == (0, 0, 0)
    assert events(session, "AllocationShort") == ["AllocationShort"]
    assert clean(session)


def test_names_that_mean_nothing_here(session: Session, api: Api) -> None:
    made = shop(session)
    session.execute(text("UPDATE product SET status = 'archived' WHERE id = :id"), {"id": made.cake.product_id})
    stranger = "018f0000-0000-7000-8000-0000000000ff"
    answers = told(
        api,
        till(session, made),
        sale(made, 1, sku="NOT-OURS"),
        sale(made, 2, sku=made.cake.sku),
        sale(made, 3, customer_id=stranger),
        sale(made, 4, member="no-such-card"),
    )
    assert {answer["outcome"] for answer in answers} == {"recorded"}
    expected = [["sku_unknown"], ["not_for_sale"], ["customer_unknown"], ["customer_unknown"]]
    assert [codes(answer) for answer in answers] == expected
    order = api(made.associate).get(f"/orders/{answers[0]['order_reference']}").json
    assert (order["lines"][0]["sku"], order["status"]) == ("NOT-OURS", "completed")
    assert level(session, made.store, made.cake) == (9, 0, 0)
    assert clean(session)


@pytest.mark.parametrize(("days", "flags"), [(1, ["clock_ahead"]), (-8, ["clock_behind"]), (-6, [])])
def test_a_clock_that_is_wrong(session: Session, api: Api, days: int, flags: list[str]) -> None:
    made = shop(session)
    at = clock.now() + timedelta(days=days)
    (answer,) = told(api, till(session, made), sale(made, sold_at=at.isoformat()))
    assert (answer["outcome"], codes(answer)) == ("recorded", flags)
    placed = session.execute(text('SELECT placed_at FROM "order"')).scalar_one()
    assert placed == min(at, clock.now())


def test_points_burn_as_far_as_they_go(session: Session, api: Api) -> None:
    made = shop(session, points=300)
    tenders = [{"method": "points", "amount_minor": 500}, {"method": "cash", "amount_minor": 1480}]
    buyer = {"customer_id": str(made.customer.id)}
    answers = told(api, till(session, made), sale(made, 1, tenders=tenders, **buyer), sale(made, 2, tenders=tenders))
    assert [codes(answer) for answer in answers] == [
        ["points_short", "uncovered"],
        ["points_without_customer", "uncovered"],
    ]
    assert answers[0]["flags"][0] == {"code": "points_short", "points": 500, "burned": 300}
    assert account(session, made.customer) == (13, 0, 0)  # (1800 - 500) / 100
    tenders_booked = session.execute(
        text("SELECT tender, amount_minor FROM payment ORDER BY tender, amount_minor")
    ).all()
    assert [tuple(row) for row in tenders_booked] == [
        ("cash", 1480), ("cash", 1480), ("external", 200), ("external", 500), ("points", 300),
    ]  # fmt: skip
    assert clean(session)


def test_what_a_merged_record_earns_by_its_card_goes_back_with_the_undoing(session: Session, api: Api) -> None:
    made = shop(session, points=300)
    gone = customer(session, card="7700012345")
    facts = {"session": session, "reason": "", "actor": "system", "now": clock.now()}
    merge_id = merging.merge(gone=str(gone.id), customer=str(made.customer.id), **facts)
    told(api, till(session, made), sale(made, member="7700012345"))
    assert account(session, made.customer) == (318, 0, 0)
    del facts["reason"]
    merging.unmerge(customer=str(made.customer.id), merge_id=merge_id, **facts)
    assert (account(session, made.customer), account(session, gone)) == ((300, 0, 0), (18, 0, 0))
    assert clean(session)


def test_gift_cards_pay_as_far_as_they_go(session: Session, api: Api) -> None:
    made = shop(session)
    given = {"currency": "JPY", "actor": "system", "now": clock.now()}
    card = gift_cards.issue(session, amount_minor=2500, **given)
    barred = gift_cards.issue(session, amount_minor=5000, **given)
    session.execute(text("UPDATE gift_card SET state = 'blocked' WHERE id = :id"), {"id": barred.id})

    def paid(number: str) -> dict[str, Any]:
        return {"tenders": [{"method": "gift_card", "amount_minor": 1980, "number": number}]}

    answers = told(
        api,
        till(session, made),
        sale(made, 1, **paid(card.number)),
        sale(made, 2, **paid(card.number)),
        sale(made, 3, **paid(barred.number)),
        sale(made, 4, **paid("AAAA")),
    )
    assert [codes(answer) for answer in answers] == [
        [], ["gift_card_short", "uncovered"], ["gift_card_not_usable", "uncovered"], ["gift_card_unknown", "uncovered"],
    ]  # fmt: skip
    balances = session.execute(text("SELECT balance_minor FROM gift_card ORDER BY balance_minor")).scalars().all()
    assert list(balances) == [0, 5000]
    assert clean(session)


def test_what_is_no_sale_is_answered_and_left_out(session: Session, api: Api) -> None:
    made = shop(session)
    broken: list[Any] = [
        sale(made, 1, lines=[]),
        sale(made, 2, tenders=[{"method": "cash", "amount_minor": 1}]),
        sale(made, 3, quantity=10_000),
        sale(made, 4, sold_at="yesterday"),
        sale(made, 5, tenders=[{"method": "cheque", "amount_minor": 1980}]),
        sale(made, 6) | {"lines": [{"sku": 7}]},
        sale(made, 7, customer_id="who"),
        sale(made, 8) | {"strange": 1},
        "a sale",
        {"sale_id": 9},
    ]
    seller = till(session, made)
    before = world(session)
    answers = told(api, seller, *broken)
    assert {answer["outcome"] for answer in answers} == {"invalid"}
    assert all(answer["errors"] and answer["order_reference"] is None for answer in answers)
    assert answers[1]["errors"][0] | {"detail": ""} == {"field": "tenders", "code": "wrong_sum", "detail": ""}
    assert world(session) | {"idempotency_claim": 0} == before | {"idempotency_claim": 0}
    assert session.execute(text("SELECT count(*) FROM till_sale")).scalar_one() == 0
    mixed = told(api, seller, broken[0], sale(made, 20), key="mixed")
    assert [answer["outcome"] for answer in mixed] == ["invalid", "recorded"]


def test_as_many_statements_whatever_the_size(session: Session, api: Api) -> None:
    made = shop(session, units=500, points=100)
    seller = api(till(session, made))

    def statements(key: str, sales: list[dict[str, Any]]) -> int:
        with db.counting() as count:
            answer = seller.post(PATH, key=key, json={"sales": sales})
        assert {one["outcome"] for one in answer.json["sales"]} == {"recorded"}
        return count.statements

    buyer = {"customer_id": str(made.customer.id)}
    few = statements("few", [sale(made, 1, **buyer)])
    assert statements("many", [sale(made, number, **buyer) for number in range(2, 202)]) == few
    assert few <= 20
    assert clean(session)


def test_staff_look_through_what_did_not_fit(session: Session, api: Api) -> None:
    made = shop(session)
    told(api, till(session, made), sale(made, 1, sku="NOT-OURS"), sale(made, 2))
    (shown,) = api(made.associate).get("/till-sales").json["items"]
    assert (shown["till"], shown["sale_id"], shown["seen_by"]) == ("T1", "s-1", None)
    path = f"/till-sales/{shown['id']}/review"
    assert api(made.stranger).get("/till-sales").json["items"] == []
    assert api(made.stranger).post(path, key="no").status_code == 404
    assert api(made.customer).post(path, key="no").status_code == 403
    assert api(made.customer).get("/till-sales").status_code == 403
    assert api(made.associate).get("/till-sales?limit=x").status_code == 422
    seen = api(made.associate).post(path, key="yes").json
    assert (seen["seen_by"], seen["seen_at"] is not None) == (made.associate.actor, True)
    other = staff(session, "associate", locations=[made.store.id])
    assert api(other).post(path, key="too").json == seen
    assert api(made.associate).get("/till-sales").json["items"] == []
    assert len(api(made.associate).get("/till-sales?seen=true").json["items"]) == 1


def test_who_may_tell(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    elsewhere, roaming = till(session, made, where=made.other.id), api_client(session, ["till.sell"])
    before = world(session)
    body = {"sales": [sale(made)]}
    for caller, status in (
        (made.customer, 403),
        (made.web, 403),
        (roaming, 403),
        (elsewhere, 404),
        (made.stranger, 404),
    ):
        assert api(caller).post(PATH, key="one", json=body).status_code == status, caller
    assert api(seller).post("/tills/NONE/sales", key="one", json=body).status_code == 404
    assert api(seller).post(PATH, key="two", json={"sales": []}).status_code == 422
    assert api(seller).post(PATH, key="too", json={"sales": [{}] * 1001}).status_code == 422
    assert world(session) == before


def test_tills_are_made_by_managers(session: Session, api: Api) -> None:
    made = shop(session)
    manager = api(staff(session, "manager", locations=[made.store.id]))
    body = {"code": "T9", "name": "Counter", "location": made.store.code}
    answer = manager.post("/tills", key="one", json=body)
    assert (answer.status_code, answer.json["location"]["code"]) == (201, made.store.code)
    assert manager.post("/tills", key="two", json=body).status_code == 409
    assert manager.post("/tills", key="three", json=body | {"code": "a b"}).status_code == 422
    assert (
        manager.post("/tills", key="four", json=body | {"code": "T8", "location": made.other.code}).status_code == 404
    )
    assert api(made.associate).post("/tills", key="five", json=body | {"code": "T8"}).status_code == 403
    assert session.execute(text("SELECT count(*) FROM till")).scalar_one() == 1
