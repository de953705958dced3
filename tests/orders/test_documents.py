"""Invoices, receipts and return invoices of orders: when, once, to whom, and what they say."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from orders import audit
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests.factories import Actor, api_client, customer
from tests.factories.documents import NUMBER, issuer
from tests.factories.orders import CLIENT_SCOPES, Shop, events, pickup_body, ready_pickup, shop, spends

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
KINDS = ("invoice", "receipt", "return-invoice")


def sold(api: Api, made: Shop, *, key: str = "sale", **changes: Any) -> dict[str, Any]:
    """Three teas (1,980, 10 %) and three cakes (540, 8 %) over the counter to the customer, in cash."""
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 3}]
    body = pickup_body(made, method="cash") | {"method": "carry_out", "lines": lines}
    body |= {"customer_id": str(made.customer.id), **changes} | spends(made.customer, made.associate)
    answer = api(made.associate).post("/orders", key=key, json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def issue(api: Api, caller: Actor, order: dict[str, Any], kind: str, key: str = "", **body: Any) -> Any:
    mine = "/me" if caller.kind == "customer" else ""
    return api(caller).post(f"{mine}/orders/{order['reference']}/{kind}", key=key or str(new_id()), json=body)


def taxes(document: dict[str, Any]) -> list[tuple[int, bool, int, int, int]]:
    return [
        (tax["rate_bp"], tax["reduced"], *(tax[name]["amount_minor"] for name in ("taxable", "tax", "gross")))
        for tax in document["tax_lines"]
    ]


def amounts(document: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(line["kind"], line["quantity"], line["amount"]["amount_minor"]) for line in document["lines"]]


def give_back(api: Api, made: Shop, order: dict[str, Any], *units: int, key: str) -> None:
    """Units of each line come back over the counter and are paid back."""
    lines = [
        {"order_line_id": line["id"], "quantity": count}
        for line, count in zip(order["lines"], units, strict=False)
        if count
    ]
    asked = api(made.customer).post("/returns", key=key, json={"order": order["reference"], "lines": lines})
    assert asked.status_code == 201, asked.json
    path = f"/returns/{asked.json['reference']}"
    assert api(made.associate).post(f"{path}/receipt", key=f"{key}-r", json={"location": made.store.code}).status_code == 200  # fmt: skip
    outcomes = [
        {"return_line_id": line["id"], "outcomes": [{"condition": "sellable", "quantity": line["quantity"]}]}
        for line in asked.json["lines"]
    ]
    done = api(made.associate).post(f"{path}/inspection", key=f"{key}-i", json={"lines": outcomes})
    assert (done.status_code, done.json["state"]) == (200, "refunded"), done.json


def test_a_receipt_of_the_till(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    answer = issue(api, made.associate, order, "receipt")
    assert answer.status_code == 201, answer.json
    (found,) = answer.json["items"]
    assert (found["number"], found["qualified"], found["copy"], found["recipient"]) == (
        "RCT-00000001",
        True,
        False,
        None,
    )
    assert found["issuer"]["registration_number"] == NUMBER
    assert found["order_reference"] == order["reference"]
    assert (found["supplied_from"], found["place"]["name"]) == (order["placed_at"], "Shibuya")
    assert taxes(found) == [(1000, False, 5400, 540, 5940), (800, True, 1500, 120, 1620)]
    assert [line["reduced"] for line in found["lines"]] == [False, True]
    assert [(tender["tender"], tender["amount"]["amount_minor"]) for tender in found["tenders"]] == [("cash", 7560)]
    assert found["total"] == {"amount_minor": 7560, "currency": "JPY"}
    assert events(session, "DocumentIssued") == ["DocumentIssued"]


def test_an_invoice_has_a_recipient_and_the_receipts_figures(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    receipt = issue(api, made.associate, order, "receipt").json["items"][0]
    invoice = issue(api, made.associate, order, "invoice", recipient="株式会社青山").json["items"][0]
    assert (invoice["number"], invoice["recipient"]) == ("INV-00000001", "株式会社青山")
    for name in ("lines", "tax_lines", "total", "supplied_to"):
        assert invoice[name] == receipt[name]
    with unchanged():
        other = issue(api, made.associate, order, "invoice", recipient="株式会社赤坂")
        assert (other.status_code, other.json["code"], other.json["numbers"]) == (
            409,
            "already_issued",
            ["INV-00000001"],
        )


def test_issued_once_and_printed_again_as_a_copy(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    first = issue(api, made.associate, order, "invoice", key="one").json["items"][0]
    again = issue(api, made.associate, order, "invoice", key="one")
    assert (again.headers["Idempotent-Replayed"], again.json["items"][0]) == ("true", first)
    second = issue(api, made.associate, order, "invoice", key="two").json["items"][0]
    assert second == first | {"copy": True}
    path = f"/orders/{order['reference']}/invoice"
    assert api(made.associate).get(path).json["items"] == [first]  # while whoever issued it prints
    assert api(made.customer).get(f"/me{path}").json["items"] == [first | {"copy": True}]
    with clock.shifted(timedelta(minutes=11)):
        assert api(made.associate).get(path).json["items"] == [first | {"copy": True}]
    assert session.execute(text("SELECT count(*) FROM document")).scalar_one() == 1


def test_a_document_never_changes(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    first = issue(api, made.associate, order, "invoice").json["items"][0]
    session.execute(text("UPDATE issuer SET name = 'Another', registration_number = NULL"))
    session.execute(text("UPDATE order_line SET title = 'Renamed'"))
    assert api(made.associate).get(f"/orders/{order['reference']}/invoice").json["items"] == [first]
    for statement in ("UPDATE document SET number = 9", "DELETE FROM document", "UPDATE supply SET position = 2"):
        with pytest.raises(DBAPIError), session.begin_nested():
            session.execute(text(statement))


def test_numbers_run_per_kind_without_a_gap(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    issuer(session)
    orders = [sold(api, made, key=f"sale-{at}") for at in range(3)]
    numbers = [issue(api, made.associate, order, "receipt").json["items"][0]["number"] for order in orders]
    assert numbers == ["RCT-00000001", "RCT-00000002", "RCT-00000003"]
    with unchanged():  # a refusal gives no number away
        assert issue(api, made.associate, orders[0], "return-invoice").status_code == 409
    assert issue(api, made.associate, orders[2], "invoice").json["items"][0]["number"] == "INV-00000001"


def test_nothing_to_document(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made)).json
    with unchanged():
        for kind in KINDS:
            early = issue(api, made.customer, order, kind)
            assert (early.status_code, early.json["code"]) == (409, "nothing_to_document")
            assert issue(api, made.associate, order, kind).status_code == 409
    pickup = ready_pickup(api, made, order)
    done = api(made.associate).post(
        f"/pickups/{pickup}/collection", key="c", json={"identity": "passport", "tender": "cash"}
    )
    assert done.status_code == 200
    with unchanged():
        nobody = issue(api, made.customer, order, "invoice")
        assert (nobody.status_code, nobody.json["code"]) == (409, "issuer_missing")
    issuer(session)
    found = issue(api, made.customer, order, "invoice").json["items"][0]
    assert (found["recipient"], found["supplied_from"]) == (order["contact"]["name"], done.json["collected_at"])


def test_what_others_may_not(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    issue(api, made.associate, order, "invoice")
    stranger = customer(session, email="taro@example.com")
    reader = api_client(session, [*CLIENT_SCOPES, "orders.read"])
    with unchanged():
        for kind in KINDS:
            path = f"/orders/{order['reference']}/{kind}"
            assert issue(api, made.associate, order, kind, nobody="x").status_code == 422
            assert issue(api, made.customer, order, kind, nobody="x").status_code == 422
            for caller, status in ((made.stranger, 404), (reader, 403), (None, 401)):
                assert api(caller).post(path, key=str(new_id()), json={}).status_code == status
            assert api(made.stranger).get(path).status_code == 404
            assert api(made.customer).get(path).status_code == 403
            assert api(None).get(path).status_code == 401
            assert api(stranger).post(f"/me{path}", key=str(new_id()), json={}).status_code == 404
            assert api(stranger).get(f"/me{path}").status_code == 404
            assert api(made.associate).get(f"/me{path}").status_code == 403
            assert api(made.associate).post(f"/me{path}", key=str(new_id()), json={}).status_code == 403
        assert issue(api, made.associate, order, "invoice", recipient="").status_code == 422
        assert api(made.associate).post(f"/orders/{order['reference']}/invoice", json={}).status_code == 400


def test_without_a_number_or_in_another_currency_it_is_no_qualified_one(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session, registration_number=None)
    found = issue(api, made.associate, sold(api, made), "invoice").json["items"][0]
    assert (found["qualified"], found["issuer"]["registration_number"]) == (False, None)


def test_points_and_gift_cards_are_tenders_and_no_discount(session: Session, api: Api) -> None:
    made = shop(session, points=500)
    issuer(session)
    order = sold(api, made, points_to_spend=500)
    found = issue(api, made.associate, order, "receipt").json["items"][0]
    assert taxes(found) == [(1000, False, 5400, 540, 5940), (800, True, 1500, 120, 1620)]  # of the whole price
    assert [(tender["tender"], tender["amount"]["amount_minor"], tender["points"]) for tender in found["tenders"]] == [
        ("points", 500, 500),
        ("cash", 7060, None),
    ]


def test_discounts_stand_on_their_lines(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    # what a promotion of 10 % on the tea leaves behind: 594 off 5,940
    session.execute(
        text(
            "UPDATE order_line SET discount_minor = 594, total_minor = 5346, tax_minor = 486, subtotal_minor = 4860 "
            "WHERE tax_rate_bp = 1000"
        )
    )
    session.execute(text("UPDATE payment SET amount_minor = 6966, authorized_minor = 6966, captured_minor = 6966"))
    found = issue(api, made.associate, order, "receipt").json["items"][0]
    assert found["lines"][0]["discount"]["amount_minor"] == 594
    assert taxes(found) == [(1000, False, 4860, 486, 5346), (800, True, 1500, 120, 1620)]


def test_returns_in_parts_add_up_to_the_invoice(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    invoice = issue(api, made.associate, order, "invoice", recipient="株式会社青山").json["items"][0]
    give_back(api, made, order, 1, 2, key="b1")
    first = issue(api, made.associate, order, "return-invoice").json["items"]
    assert [(one["number"], one["copy"], one["recipient"], one["refers_to"]) for one in first] == [
        ("RTN-00000001", False, "株式会社青山", ["INV-00000001"])
    ]
    assert amounts(first[0]) == [("goods", 1, 1980), ("goods", 2, 1080)]
    assert taxes(first[0]) == [(1000, False, 1800, 180, 1980), (800, True, 1000, 80, 1080)]
    give_back(api, made, order, 0, 1, key="b2")
    give_back(api, made, order, 2, 0, key="b3")
    found = issue(api, made.customer, order, "return-invoice").json["items"]
    assert [one["copy"] for one in found] == [True, False, False]
    sums: dict[int, list[int]] = {}
    for rate, _, *figures in (tax for one in found for tax in taxes(one)):
        sums[rate] = [a + b for a, b in zip(sums.get(rate, [0, 0, 0]), figures, strict=True)]
    assert sums == {rate: figures for rate, _, *figures in taxes(invoice)}
    assert issue(api, made.associate, order, "return-invoice").json["items"] == [one | {"copy": True} for one in found]


def test_a_whole_refund_after_the_sale(session: Session, api: Api) -> None:
    made = shop(session, points=100)
    issuer(session)
    order = sold(api, made, points_to_spend=100)
    invoice = issue(api, made.associate, order, "invoice").json["items"][0]
    give_back(api, made, order, 1, 0, key="b1")
    manager = made.associate
    session.execute(text("UPDATE staff SET role = 'manager' WHERE id = :id"), {"id": manager.id})
    done = api(manager).post(f"/orders/{order['reference']}/refunds", key="all", json={"reason": "defect"})
    assert done.status_code == 201, done.json
    found = issue(api, manager, order, "return-invoice").json["items"]
    assert amounts(found[1]) == [("goods", 2, 3960), ("goods", 3, 1620)]
    assert sum(one["total"]["amount_minor"] for one in found) == invoice["total"]["amount_minor"]
    assert sum(one["tax"]["amount_minor"] for one in found) == invoice["tax"]["amount_minor"]


def test_what_was_called_off_before_is_on_no_document(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    issuer(session)
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made, quantity=3)).json
    off = api(made.customer).post(
        f"/orders/{order['reference']}/lines/{order['lines'][0]['id']}/cancellation",
        key="off",
        json={"quantity": 1, "reason": "x"},
    )
    assert off.status_code in (200, 201), off.json
    pickup = ready_pickup(api, made, order)
    body = {"identity": "passport", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup}/collection", key="c", json=body).status_code == 200
    found = issue(api, made.customer, order, "invoice").json["items"][0]
    assert amounts(found) == [("goods", 2, 3960)]
    with unchanged():
        assert issue(api, made.customer, order, "return-invoice").status_code == 409


def test_imported_history_is_documented_elsewhere(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    session.execute(text("UPDATE \"order\" SET kind = 'history'"))
    with unchanged():
        refused = issue(api, made.associate, order, "invoice")
        assert (refused.status_code, refused.json["code"]) == (409, "not_documented")


def test_new_goods_of_an_exchange_get_an_invoice_and_the_old_ones_a_return_invoice(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    invoice = issue(api, made.associate, order, "invoice").json["items"][0]
    lines = [{"order_line_id": order["lines"][0]["id"], "quantity": 1, "new_sku": made.cake.sku}]
    asked = api(made.associate).post("/exchanges", key="x", json={"order": order["reference"], "lines": lines})
    assert asked.status_code == 201, asked.json
    path = f"/returns/{asked.json['reference']}"
    assert api(made.associate).post(f"{path}/receipt", key="r", json={"location": made.store.code}).status_code == 200
    outcomes = [{"condition": "sellable", "quantity": 1}]
    body = {"lines": [{"return_line_id": asked.json["lines"][0]["id"], "outcomes": outcomes}], "over_the_counter": True}
    done = api(made.associate).post(f"{path}/inspection", key="i", json=body)
    assert (done.status_code, done.json["state"]) == (200, "exchanged"), done.json
    with clock.shifted(timedelta(hours=1)):
        both = issue(api, made.associate, order, "invoice").json["items"]
        assert [one["number"] for one in both] == ["INV-00000001", "INV-00000002"]
        assert both[0] == invoice | {"copy": True}
        assert (amounts(both[1]), both[1]["copy"]) == ([("goods", 1, 540)], False)
        (back,) = issue(api, made.associate, order, "return-invoice").json["items"]
    assert (amounts(back), taxes(back)) == ([("goods", 1, 1980)], [(1000, False, 1800, 180, 1980)])


def test_everybody_reads_what_was_issued(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    give_back(api, made, order, 1, 0, key="b")
    for kind in KINDS:
        path = f"/orders/{order['reference']}/{kind}"
        assert api(made.customer).get(f"/me{path}").json == {"items": []}
        mine = issue(api, made.customer, order, kind).json["items"]
        assert [one["copy"] for one in mine] == [False]
        assert api(made.customer).get(f"/me{path}").json["items"] == mine
        assert api(made.associate).get(path).json["items"] == [mine[0] | {"copy": True}]


def test_a_guests_invoice_needs_a_name(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    issuer(session)
    body = pickup_body(made, method="cash") | {"method": "carry_out"}
    order = api(made.associate).post("/orders", key="guest", json=body).json
    assert issue(api, made.associate, order, "receipt").status_code == 201  # a receipt names nobody
    with unchanged():
        refused = issue(api, made.associate, order, "invoice")
        assert (refused.status_code, refused.json["code"]) == (422, "recipient_needed")
        assert refused.json["errors"][0]["field"] == "recipient"
    named = issue(api, made.associate, order, "invoice", recipient="株式会社青山")
    assert named.json["items"][0]["recipient"] == "株式会社青山"
    assert issue(api, made.associate, order, "invoice").status_code == 201  # it is there: a copy


def test_the_audit_finds_a_missing_number_and_goods_that_never_left(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    issue(api, made.associate, order, "receipt")
    assert list(audit.divergences(session)) == []
    session.execute(text("UPDATE document_counter SET last = 3"))
    session.execute(
        text("UPDATE fulfillment_line SET collected = 2 WHERE order_line_id = :id"), {"id": order["lines"][0]["id"]}
    )
    found = [(one.ledger, one.key, one.stored, one.rebuilt) for one in audit.divergences(session)]
    assert ("document_counter", "shop receipt", "last 3", "1 documents, newest 1") in found
    assert ("supply", f"{order['reference']} {made.tea.sku}", "documented 3", "left 2") in found


def test_a_document_is_found_by_its_number(session: Session, api: Api) -> None:
    made = shop(session)
    issuer(session)
    order = sold(api, made)
    for kind in ("receipt", "invoice"):
        mine = issue(api, made.associate, order, kind).json["items"][0]
        for written in (mine["number"], mine["number"].lower(), f"{mine['number'][:3]}１"):
            assert api(made.associate).get(f"/documents/{written}").json == mine
    for number in ("INV-00000002", "RTN-1", "ABC-1", "INV", order["reference"]):
        assert api(made.associate).get(f"/documents/{number}").status_code == 404
    assert api(made.stranger).get("/documents/INV-1").status_code == 404
    assert api(made.customer).get("/documents/INV-1").status_code == 403
    assert api(None).get("/documents/INV-1").status_code == 401
