"""Cash drawers: from count to count, and every cash sale, refund, pay-in and pay-out between."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app import AUDITS
from tests.factories import Actor, api_client, staff
from tests.factories.orders import CLIENT_SCOPES, Shop, pickup_body, ready_pickup, shop, world
from tests.orders.test_till_upload import sale as told_sale

Api = Callable[..., Any]
DRAWER = "/tills/T1/drawer"


def till(session: Session, made: Shop, code: str = "T1", *, other: bool = False) -> Actor:
    """A till without a drawer, and its client."""
    place = made.other.id if other else made.store.id
    statement = "INSERT INTO till (id, code, location_id, created_by, created_at) VALUES (gen_random_uuid(), :code, :place, 'x', now())"
    session.execute(text(statement), {"code": code, "place": place})
    return api_client(session, [*CLIENT_SCOPES, "till.sell"], channel="store", location_id=place)


def sale(made: Shop, **changes: Any) -> dict[str, Any]:
    return pickup_body(made, method="cash") | {"method": "carry_out", "till": "T1"} | changes


def opened(api: Api, who: Actor, amount: int = 10_000, key: str = "open") -> dict[str, Any]:
    answer = api(who).post(DRAWER, key=key, json={"opening_minor": amount})
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def closed(api: Api, who: Actor, counted: int, key: str = "close") -> Any:
    return api(who).post(f"{DRAWER}/closing", key=key, json={"counted_minor": counted})


def amounts(drawer: dict[str, Any]) -> dict[str, Any]:
    """What a drawer shows, in minor units."""
    names = ("opening", "sales", "refunds", "paid_in", "paid_out", "expected", "counted", "difference")
    return {name: None if drawer[name] is None else drawer[name]["amount_minor"] for name in names}


def clean(session: Session) -> bool:
    session.flush()
    return [found for audit in AUDITS for found in audit(session)] == []


def unchanged(before: dict[str, Any], session: Session) -> bool:
    return world(session) == before


def test_from_count_to_count(session: Session, api: Api) -> None:
    """Sales, a pickup paid at the counter, a refund, a pay-in and a pay-out; the difference stays."""
    made = shop(session)
    seller = till(session, made)
    first = opened(api, seller)
    assert (first["till"], first["state"], first["opening"]) == (
        "T1",
        "open",
        {"amount_minor": 10_000, "currency": "JPY"},
    )
    order = api(seller).post("/orders", key="s1", json=sale(made)).json
    split = {"payments": [{"method": "cash", "amount_minor": 1000}, {"method": "card_terminal", "amount_minor": 980}]}
    body = sale(made) | split
    del body["payment"]
    assert api(seller).post("/orders", key="s2", json=body).status_code == 201
    waiting = api(made.customer).post("/orders", key="p", json=pickup_body(made, quantity=2)).json
    pickup_id = ready_pickup(api, made, waiting)
    hand = {"identity": "driving license", "tender": "cash", "till": "T1"}
    assert api(made.associate).post(f"/pickups/{pickup_id}/collection", key="h", json=hand).status_code == 200
    manager = staff(session, "manager", locations=[made.store.id])
    back = {"reason": "damaged", "till": "T1"}
    assert api(manager).post(f"/orders/{order['reference']}/refunds", key="r", json=back).status_code == 201
    moves = (
        {"kind": "pay_in", "amount_minor": 5000, "reason": "change"},
        {"kind": "pay_out", "amount_minor": 3000, "reason": "bank"},
    )
    for number, move in enumerate(moves):
        answer = api(made.associate).post(f"{DRAWER}/movements", key=f"m{number}", json=move)
        assert answer.status_code == 201, answer.json
    shown = api(made.associate).get(DRAWER).json
    expected = {
        "opening": 10_000, "sales": 1980 + 1000 + 3960, "refunds": 1980, "paid_in": 5000, "paid_out": 3000,
        "expected": 10_000 + 6940 - 1980 + 2000, "counted": None, "difference": None,
    }  # fmt: skip
    assert amounts(shown) == expected
    assert [(one["kind"], one["amount"]["amount_minor"], one["reason"]) for one in shown["movements"]] == [
        ("pay_in", 5000, "change"), ("pay_out", 3000, "bank"),
    ]  # fmt: skip
    answer = closed(api, made.associate, 16_900)
    assert answer.status_code == 200, answer.json
    assert amounts(answer.json) == expected | {"counted": 16_900, "difference": -60}
    assert (answer.json["closed_by"], answer.json["state"]) == (made.associate.actor, "closed")
    assert answer.json["closed_at"] is not None
    assert api(seller).get(DRAWER).status_code == 404
    assert api(seller).get("/tills/T1/drawers").json["items"] == [answer.json]
    assert clean(session)


def test_a_repeat_books_once(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    assert opened(api, seller) == opened(api, seller)
    for _ in range(2):
        assert api(seller).post("/orders", key="same", json=sale(made)).status_code == 201
        move = {"kind": "pay_in", "amount_minor": 5, "reason": "x"}
        assert api(seller).post(f"{DRAWER}/movements", key="m", json=move).status_code == 201
    assert amounts(api(seller).get(DRAWER).json)["expected"] == 11_985


def test_without_an_open_drawer_no_cash(session: Session, api: Api) -> None:
    """Sale, pickup, refund, movement and closing are refused, nothing is changed; a card at the till needs no drawer."""
    made = shop(session)
    seller = till(session, made)
    manager = staff(session, "manager", locations=[made.store.id])
    sold = api(seller).post("/orders", key="card", json=sale(made, payment={"method": "card_terminal"}))
    assert sold.status_code == 201, sold.json
    without = api(seller).post("/orders", key="no till", json={k: v for k, v in sale(made).items() if k != "till"}).json
    waiting = api(made.customer).post("/orders", key="p", json=pickup_body(made)).json
    pickup_id = ready_pickup(api, made, waiting)
    session.flush()
    before = world(session)
    hand = {"identity": "driving license", "tender": "cash", "till": "T1"}
    refused = [
        api(seller).post("/orders", key="1", json=sale(made)),
        api(made.associate).post(f"/pickups/{pickup_id}/collection", key="2", json=hand),
        api(manager).post(f"/orders/{without['reference']}/refunds", key="3", json={"reason": "x", "till": "T1"}),
        api(seller).post(f"{DRAWER}/movements", key="4", json={"kind": "pay_in", "amount_minor": 1, "reason": "x"}),
        closed(api, seller, 0),
    ]
    for answer in refused:
        assert (answer.status_code, answer.json["code"], answer.json["legal"]) == (409, "drawer_closed", ["drawer"])
    assert unchanged(before, session)


def test_a_refund_without_a_till_is_in_no_drawer(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    opened(api, seller)
    order = api(seller).post("/orders", key="s", json=sale(made)).json
    manager = staff(session, "manager", locations=[made.store.id])
    assert api(manager).post(f"/orders/{order['reference']}/refunds", key="r", json={"reason": "x"}).status_code == 201
    assert amounts(api(seller).get(DRAWER).json)["refunds"] == 0
    half = api(seller).post("/orders", key="s3", json=sale(made, lines=[{"sku": made.tea.sku, "quantity": 2}])).json
    part = {"reason": "x", "till": "T1", "lines": [{"order_line_id": half["lines"][0]["id"], "quantity": 1}]}
    answer = api(manager).post(f"/orders/{half['reference']}/refunds", key="part", json=part)
    assert answer.status_code == 201, answer.json
    assert amounts(api(seller).get(DRAWER).json)["refunds"] == 1980
    agent = staff(session, "agent")
    other = api(seller).post("/orders", key="s2", json=sale(made)).json
    before = world(session)
    answer = api(agent).post(f"/orders/{other['reference']}/refunds", key="a", json={"reason": "x", "till": "T1"})
    assert answer.status_code == 403, answer.json  # an agent on the phone gives no cash out of a drawer
    assert unchanged(before, session)


def test_one_session_at_a_time(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    opened(api, seller)
    before = world(session)
    answer = api(seller).post(DRAWER, key="again", json={"opening_minor": 1})
    assert (answer.status_code, answer.json["code"], answer.json["legal"]) == (
        409,
        "drawer_open",
        ["movement", "closing"],
    )
    assert unchanged(before, session)
    for number in range(3):
        if number:
            opened(api, seller, number, key=f"o{number}")
        assert closed(api, seller, number, key=f"c{number}").status_code == 200
    page = api(seller).get("/tills/T1/drawers?limit=2").json
    assert [one["counted"]["amount_minor"] for one in page["items"]] == [2, 1]
    rest = api(seller).get(f"/tills/T1/drawers?limit=2&cursor={page['next']}").json
    assert [one["difference"]["amount_minor"] for one in rest["items"]] == [-10_000]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (DRAWER, {"opening_minor": -1}),
        (DRAWER, {}),
        (f"{DRAWER}/movements", {"kind": "pay_in", "amount_minor": 0, "reason": "x"}),
        (f"{DRAWER}/movements", {"kind": "sale", "amount_minor": 1, "reason": "x"}),
        (f"{DRAWER}/movements", {"kind": "pay_out", "amount_minor": 1, "reason": " "}),
        (f"{DRAWER}/closing", {"counted_minor": "many"}),
        (f"{DRAWER}/closing", {"counted_minor": 1, "difference_minor": 0}),
    ],
)
def test_what_is_not_valid(session: Session, api: Api, path: str, body: dict[str, Any]) -> None:
    made = shop(session)
    seller = till(session, made)
    if path != DRAWER:
        opened(api, seller)
    before = world(session)
    assert api(seller).post(path, key="k", json=body).status_code == 422
    assert api(seller).get("/tills/T1/drawers?limit=x").status_code == 422
    assert unchanged(before, session)


def test_who_may(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    opened(api, seller)
    elsewhere = api_client(session, [*CLIENT_SCOPES, "till.sell"], channel="store", location_id=made.other.id)
    roaming = api_client(session, ["till.sell", "orders.place"])
    before = world(session)
    bodies: tuple[tuple[str, dict[str, Any]], ...] = (
        (DRAWER, {"opening_minor": 1}),
        (f"{DRAWER}/movements", {"kind": "pay_in", "amount_minor": 1, "reason": "x"}),
        (f"{DRAWER}/closing", {"counted_minor": 1}),
    )
    for caller, status in (
        (made.customer, 403),
        (made.web, 403),
        (roaming, 403),
        (elsewhere, 404),
        (made.stranger, 404),
    ):
        for path, body in bodies:
            assert api(caller).post(path, key="k", json=body).status_code == status, (caller, path)
        for path in (DRAWER, "/tills/T1/drawers"):
            assert api(caller).get(path).status_code == status, (caller, path)
    assert api(seller).get("/tills/NONE/drawer").status_code == 404
    assert unchanged(before, session)


def test_a_till_sells_only_what_leaves_at_its_store(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    till(session, made, "T2", other=True)
    opened(api, seller)
    both = staff(session, "associate", locations=[made.store.id, made.other.id])
    before = world(session)
    answer = api(both).post("/orders", key="1", json=sale(made, till="T2"))
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "other_store")
    answer = api(seller).post("/orders", key="2", json=pickup_body(made, customer_id=str(made.customer.id), till="T1"))
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "not_at_the_till")
    assert api(seller).post("/orders", key="3", json=sale(made, till="T2")).status_code == 404
    assert api(made.customer).post("/orders", key="4", json=pickup_body(made) | {"till": "T1"}).status_code == 403
    assert unchanged(before, session)


def test_a_drawer_of_another_currency(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    opened(api, seller)
    session.execute(text("UPDATE drawer SET currency = 'USD'"))
    before = world(session)
    answer = api(seller).post("/orders", key="1", json=sale(made))
    assert (answer.status_code, answer.json["code"]) == (409, "drawer_currency")
    assert unchanged(before, session)


def test_offline_sales_go_into_the_drawer_or_are_flagged(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)

    def told(number: int, **changes: Any) -> list[str]:
        body = {"sales": [told_sale(made, number, **changes)]}
        answer = api(seller).post("/tills/T1/sales", key=f"u{number}", json=body)
        return [flag["code"] for flag in answer.json["sales"][0]["flags"]]

    assert told(1) == ["no_open_drawer"]
    assert told(2, tenders=[{"method": "card_terminal", "amount_minor": 1980}]) == []
    opened(api, seller)
    assert told(3) == []
    assert told(3) == []
    assert amounts(api(seller).get(DRAWER).json)["sales"] == 1980
    assert clean(session)


def test_the_audit_names_a_drawer_that_does_not_add_up(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    opened(api, seller)
    closed(api, seller, 10_000)
    assert clean(session)
    session.execute(text("UPDATE drawer SET expected_minor = 9000, difference_minor = 1000"))
    (found,) = [one for audit in AUDITS for one in audit(session)]
    assert (found.ledger, found.stored, found.rebuilt) == ("drawer", "expected 9000", "entries 10000")


def test_the_database_holds_too(session: Session, api: Api) -> None:
    made = shop(session)
    opened(api, till(session, made))
    for statement in (
        "INSERT INTO drawer (id, till_id, currency, opening_minor, opened_by, opened_at) SELECT gen_random_uuid(), id, 'JPY', 0, 'x', now() FROM till",
        "UPDATE drawer SET closed_at = now()",
        "UPDATE drawer SET expected_minor = 1, counted_minor = 2, difference_minor = 5, closed_by = 'x', closed_at = now()",
        "INSERT INTO drawer_entry (id, drawer_id, kind, amount_minor, actor, at) SELECT gen_random_uuid(), id, 'sale', 1, 'x', now() FROM drawer",
    ):
        with pytest.raises(IntegrityError), session.begin_nested():
            session.execute(text(statement))
