"""GET /orders and /me/orders, and what others ask `orders.queries`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import queries
from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests.conftest import NOW
from tests.factories import api_client, customer, staff
from tests.factories.orders import Shop, pickup_body, ready_pickup, shop

Api = Callable[..., Any]


def place(api: Api, made: Shop, *, key: str, **changes: Any) -> dict[str, Any]:
    answer = api(made.customer).post("/orders", key=key, json=pickup_body(made, **changes))
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def past(session: Session, owner: UUID, *, days_ago: int, reference: str) -> UUID:
    """An imported order."""
    order_id = new_id()
    session.execute(
        text(
            """INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor,
                                    tax_minor, total_minor, tax_lines, placed_by, external_reference, placed_at)
               VALUES (:id, :reference, 'history', :owner, 'web', 'GBP', true, 255, 0, 255, '[]', 'system', '536365', :at)"""
        ),
        {"id": order_id, "reference": reference, "owner": owner, "at": NOW - timedelta(days=days_ago)},
    )
    return order_id


def test_a_list_in_pages(session: Session, api: Api) -> None:
    made = shop(session)
    placed = []
    for number in range(5):
        with clock.shifted(timedelta(minutes=number)):
            placed.append(place(api, made, key=str(number)))
    newest_first = placed[::-1]
    page = api(made.customer).get("/me/orders?limit=2").json
    assert page["items"] == newest_first[:2]
    with clock.shifted(timedelta(hours=1)):
        place(api, made, key="later")  # a list that grows meanwhile repeats and skips nothing
    page = api(made.customer).get(f"/me/orders?limit=2&cursor={page['next']}").json
    assert page["items"] == newest_first[2:4]
    page = api(made.customer).get(f"/me/orders?limit=2&cursor={page['next']}").json
    assert (page["items"], page["next"]) == (newest_first[4:], None)


def test_filters(session: Session, api: Api) -> None:
    made = shop(session)
    first = place(api, made, key="a")
    with clock.shifted(timedelta(days=1)):
        second = place(api, made, key="b")
    ready_pickup(api, made, first)
    old = past(session, made.customer.id, days_ago=400, reference="H-1")
    reader = api(staff(session, "agent"))

    def found(**query: str) -> list[str]:
        answer = reader.get("/orders", query_string=query)
        assert answer.status_code == 200, answer.json
        return [order["id"] for order in answer.json["items"]]

    everything = [second["id"], first["id"], str(old)]
    assert found() == everything
    assert found(customer_id=str(made.customer.id)) == everything
    assert found(customer_id=str(new_id())) == []
    assert found(status="ready") == [first["id"]]
    assert found(status="open") == [second["id"]]
    assert found(status="completed") == [str(old)]
    assert found(placed_from="2026-07-02T00:00:00Z") == [second["id"]]
    assert found(placed_to="2026-07-02T00:00:00+09:00") == [first["id"], str(old)]
    assert found(q=first["reference"].replace("-", " ").lower()) == [first["id"]]
    assert found(q="536365") == [str(old)]
    assert found(q="nothing") == []
    for query in ({"status": "lost"}, {"placed_from": "2026-07-02"}, {"limit": "x"}, {"cursor": "x"}, {"order": "1"}):
        assert reader.get("/orders", query_string=query).status_code == 422, query


def test_who_sees_which(session: Session, api: Api) -> None:
    made = shop(session)
    hers = place(api, made, key="a")
    body = pickup_body(made, contact={"email": "guest@example.com"})
    guests = api(made.web).post("/orders", key="b", json=body).json
    other = customer(session, name="Other")
    app = api_client(session, ["orders.place"], channel="app")

    def sees(caller: Any) -> set[str]:
        listed = {order["id"] for order in api(caller).get("/orders").json["items"]}
        one_by_one = {
            o["id"] for o in (hers, guests) if api(caller).get(f"/orders/{o['reference']}").status_code == 200
        }
        assert one_by_one == listed
        for order in (hers, guests):
            status = api(caller).get(f"/orders/{order['reference']}/timeline").status_code
            assert status == (200 if order["id"] in listed else 404)
        return listed

    assert sees(made.customer) == {hers["id"]}
    assert sees(other) == set()
    assert sees(made.web) == {guests["id"]}
    assert sees(app) == set()
    assert sees(made.associate) == sees(staff(session, "analyst")) == {hers["id"], guests["id"]}
    assert api(made.customer).get(f"/orders?customer_id={other.id}").json["items"] == []
    for path in ("/orders", f"/orders/{hers['id']}", f"/orders/{hers['id']}/timeline"):
        assert api().get(path).status_code == 401
        assert api(api_client(session, ["catalog.read"])).get(path).status_code == 403
    assert api(made.associate).get("/me/orders").status_code == 403
    assert api(other).get("/me/orders").json["items"] == []
    assert api(made.associate).get("/orders/R-00000-00000").status_code == 404


def test_an_order_by_any_spelling(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made, key="a")
    for spelled in (order["id"], order["reference"], order["reference"].replace("-", "").lower()):
        answer = api(made.customer).get(f"/orders/{spelled}")
        assert (answer.status_code, answer.json) == (200, order)
    version = answer.headers["ETag"]
    again = api(made.customer).get(f"/orders/{order['id']}", headers={"If-None-Match": version})
    assert again.status_code == 304


def test_the_timeline_in_pages(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made, key="a")
    ready_pickup(api, made, order)
    path = f"/orders/{order['id']}/timeline"
    page = api(made.associate).get(f"{path}?limit=2").json
    assert [step["type"] for step in page["items"]] == ["OrderPlaced", "PickupPicking"]
    assert page["items"][0]["actor"] == f"customer:{made.customer.id}"
    assert page["items"][0]["data"]["reference"] == order["reference"]
    rest = api(made.associate).get(f"{path}?limit=2&cursor={page['next']}").json
    assert ([step["type"] for step in rest["items"]], rest["next"]) == (["PickupReady"], None)


def test_a_customers_orders_in_one_statement(session: Session, api: Api) -> None:
    made = shop(session)
    open_order = place(api, made, key="a")
    with clock.shifted(timedelta(days=1)):
        done = place(api, made, key="b")
    pickup_id = ready_pickup(api, made, done)
    body = {"identity": "passport", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="c", json=body).status_code == 200
    old = past(session, made.customer.id, days_ago=100, reference="H-100")
    back = new_id()
    session.execute(
        text(
            """INSERT INTO "return" (id, reference, kind, order_id, customer_id, channel_code, state, currency, amount_minor,
                                     reason, requested_at)
               VALUES (:id, 'B-1', 'history', :order_id, :customer_id, 'web', 'refunded', 'GBP', 255, 'broken', :at)"""
        ),
        {"id": back, "order_id": old, "customer_id": made.customer.id, "at": NOW},
    )
    with db.counting() as count, db.reading() as reading:
        found = queries.orders_for_customer(reading, customer_id=made.customer.id, open_limit=10, past_limit=10)
    assert [str(order["id"]) for order in found] == [open_order["id"], done["id"], str(old)]
    assert [order["status"] for order in found] == ["open", "completed", "completed"]
    assert [len(order["returns"]) for order in found] == [0, 0, 1]
    assert found[2]["returns"][0]["amount"] == {"amount_minor": 255, "currency": "GBP"}
    assert found[2]["total"] == {"amount_minor": 255, "currency": "GBP"}
    assert count.statements <= 2  # one, and the savepoint of the tests
    listed = queries.returns_for_customer(session, customer_id=made.customer.id, limit=10)
    assert listed == found[2]["returns"]
    bounded = queries.orders_for_customer(session, customer_id=made.customer.id, open_limit=0, past_limit=1)
    assert [str(order["id"]) for order in bounded] == [done["id"]]


def test_nobody_is_found_by_nothing(session: Session) -> None:
    assert queries.order_dict(session, reference="R-00000-00000") is None
    assert queries.order_dict(session, order_id=new_id()) is None
    assert queries.orders_for_customer(session, customer_id=new_id(), open_limit=5, past_limit=5) == []
    assert queries.pickup_dict(session, fulfillment_id=new_id()) is None


@pytest.mark.parametrize("given", ["R-2", "no such thing", "%25", "ｒ２３４５６７８９ＡＢ", "%00", "%0a"])
def test_odd_references_are_just_not_there(session: Session, api: Api, given: str) -> None:
    assert api(staff(session, "agent")).get(f"/orders/{given}").status_code == 404


def test_search_by_whatever_people_say(session: Session, api: Api) -> None:
    made = shop(session)
    first = place(
        api, made, key="1", contact={"name": "山田花子", "phone": "03-1111-2222", "email": "Hana@Example.com"}
    )
    cake = {
        "lines": [{"sku": made.cake.sku, "quantity": 1}],
        "contact": {"name": "Taro_50%", "email": "taro@example.com"},
    }
    second = place(api, made, key="2", **cake)
    agent = api(staff(session, "agent"))
    for q, found in (
        (first["reference"], [first]),
        (first["reference"].lower().replace("-", " "), [first]),
        ("+81 3 1111 2222", [first]),
        ("０３－１１１１－２２２２", [first]),
        ("HANA@example.com", [first]),
        ("山田", [first]),
        (made.cake.sku, [second]),
        ("taro_5", [second]),
        ("taro%", []),
        ("花子", []),
        ("T", []),
        ("R-22222-22222", []),
        ("a\u0007b", []),
    ):
        answer = agent.get(f"/orders?q={quote(q)}")
        assert [one["reference"] for one in answer.json["items"]] == [one["reference"] for one in found], q
    assert api(customer(session)).get(f"/orders?q={quote('山田')}").json["items"] == [], "another's is not found"


def test_search_is_one_statement(session: Session, api: Api) -> None:
    made = shop(session)
    place(api, made, key="1")
    agent = api(staff(session, "agent"))
    agent.get("/orders?q=x")
    with db.counting() as count:
        agent.get(f"/orders?q={made.tea.sku}")
    assert count.statements == 2, "who asks, and what is found"


def test_guest_orders_are_taken_over_by_proof_alone(
    session: Session, api: Api, unchanged: Callable[[], AbstractContextManager[None]]
) -> None:
    made = shop(session)
    guest = {"contact": {"name": "Guest", "email": "guest@example.com", "phone": "090-9999-8888"}}
    order = api(made.web).post("/orders", key="g", json=pickup_body(made, **guest)).json
    assert order["customer_id"] is None
    merely = customer(session, email="guest@example.com", assurance="claimed")
    owner = customer(session, phone="+819099998888", assurance="attested")
    with unchanged():
        assert api(made.web).post("/me/orders/claims", key="c").status_code == 403
        assert api(owner).post("/me/orders/claims").status_code == 400, "without a key"
    assert api(merely).post("/me/orders/claims", key="c").json == {"references": []}
    assert api(owner).post("/me/orders/claims", key="c").json == {"references": [order["reference"]]}
    assert api(owner).post("/me/orders/claims", key="d").json == {"references": []}
    mine = api(owner).get("/me/orders").json["items"]
    assert [one["reference"] for one in mine] == [order["reference"]]
    assert "OrderClaimed" in [
        step["type"] for step in api(owner).get(f"/orders/{order['reference']}/timeline").json["items"]
    ]
