"""Documents of what is sent: one for each time something left, the fee on the first, taxed where it went."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from orders import audit
from retail import setup
from retail.kernel import clock
from tests.factories import Actor, Place, staff
from tests.factories.documents import issuer
from tests.factories.orders import Shop, shop
from tests.factories.shipping import sends, ship_body, warehouse

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def scene(session: Session, api: Api) -> tuple[Shop, Place, Actor]:
    """Three teas and a cake can be sent from EAST for 550; who works there."""
    made = shop(session, points=90_000)
    issuer(session)
    east = warehouse(session, made, "EAST", tea=5, cake=5)
    sends(session, api, amount_minor=550)
    return made, east, staff(session, "associate", locations=[east.id])


def placed(api: Api, made: Shop, **changes: Any) -> dict[str, Any]:
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 1}]
    answer = api(made.customer).post(
        "/orders", key="p", json=ship_body(made, points_to_spend=90_000, lines=lines, **changes)
    )
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def packed(api: Api, clerk: Actor, order: dict[str, Any]) -> tuple[str, list[str]]:
    """Two teas in one parcel, a tea and the cake in another; the shipment and its parcels."""
    tea, cake = (line["id"] for line in order["lines"][:2])
    shipment = order["fulfillments"][0]["id"]
    assert api(clerk).post(f"/shipments/{shipment}/picking", key="pick").status_code == 200
    parcels = [
        {"lines": [{"order_line_id": tea, "quantity": 2}]},
        {"lines": [{"order_line_id": tea, "quantity": 1}, {"order_line_id": cake, "quantity": 1}]},
    ]
    done = api(clerk).post(f"/shipments/{shipment}/packing", key="pack", json={"parcels": parcels})
    assert done.status_code == 200, done.json
    return shipment, [parcel["id"] for parcel in done.json["parcels"]]


def leaves(api: Api, clerk: Actor, shipment: str, parcel: str) -> None:
    body = {"carrier": "yamato", "parcels": [{"parcel_id": parcel, "tracking": "1234-5678"}]}
    done = api(clerk).post(f"/shipments/{shipment}/dispatch", key=parcel, json=body)
    assert done.status_code == 200, done.json


def issue(api: Api, caller: Actor, order: dict[str, Any], kind: str, key: str) -> Any:
    mine = "/me" if caller.kind == "customer" else ""
    return api(caller).post(f"{mine}/orders/{order['reference']}/{kind}", key=key, json={})


def amounts(document: dict[str, Any]) -> list[tuple[str, int, int]]:
    return [(line["kind"], line["quantity"], line["amount"]["amount_minor"]) for line in document["lines"]]


def test_each_departure_has_its_own(
    session: Session, api: Api, scene: tuple[Shop, Place, Actor], unchanged: Unchanged
) -> None:
    made, _, clerk = scene
    order = placed(api, made)
    shipment, (first, second) = packed(api, clerk, order)
    with unchanged():
        assert issue(api, made.customer, order, "invoice", "early").json["code"] == "nothing_to_document"
    leaves(api, clerk, shipment, first)
    (one,) = issue(api, made.customer, order, "invoice", "i1").json["items"]
    assert amounts(one) == [("goods", 2, 3960), ("shipping", 1, 550)]
    with clock.shifted(timedelta(days=1)):
        leaves(api, clerk, shipment, second)
        found = issue(api, clerk, order, "invoice", "i2").json["items"]
    assert [(document["number"], document["copy"]) for document in found] == [
        ("INV-00000001", True),
        ("INV-00000002", False),
    ]
    assert amounts(found[1]) == [("goods", 1, 1980), ("goods", 1, 540)]
    assert [document["supplied_from"][:10] for document in found] == ["2026-07-01", "2026-07-02"]
    assert sum(document["total"]["amount_minor"] for document in found) == order["total"]["amount_minor"]
    receipts = issue(api, clerk, order, "receipt", "r").json["items"]
    assert [amounts(receipt) for receipt in receipts] == [amounts(document) for document in found]
    assert list(audit.divergences(session)) == []


def test_goods_sent_abroad_are_taxed_there(session: Session, api: Api, scene: tuple[Shop, Place, Actor]) -> None:
    """California: the tax comes on top, of the fee too; no Japanese qualified invoice."""
    made, _, clerk = scene
    since = date(2020, 1, 1)
    setup.ensure_tax_rates(session, region="US-CA", valid_from=since, rates_bp={"standard": 725, "reduced": 0})
    setup.ensure_tax_region(
        session, code="US-CA", zone="America/Los_Angeles", tax_inclusive=False, destinations=[("US", "CA")]
    )
    sends(session, api, amount_minor=2000, country="US")
    abroad = {"postal_code": "90012", "region": "CA", "city": "Los Angeles", "line1": "1 Main St", "country": "US"}
    order = placed(api, made, ship_to=abroad)
    assert (order["tax_inclusive"], order["tax"]["amount_minor"]) == (False, 576)  # 7.25 % of 3 x 1,980 + 2,000
    assert order["total"]["amount_minor"] == 3 * 1980 + 540 + 2000 + 576
    shipment, parcels = packed(api, clerk, order)
    for parcel in parcels:
        leaves(api, clerk, shipment, parcel)
    (invoice,) = issue(api, made.customer, order, "invoice", "i").json["items"]
    assert (invoice["qualified"], invoice["total"]) == (False, order["total"])
    assert [(tax["rate_bp"], tax["reduced"], tax["taxable"], tax["tax"]) for tax in invoice["tax_lines"]] == [
        (tax["rate_bp"], False, tax["taxable"], tax["tax"]) for tax in order["tax_lines"]
    ]


def test_an_address_with_other_taxes_is_refused(
    session: Session, api: Api, scene: tuple[Shop, Place, Actor], unchanged: Unchanged
) -> None:
    made, _, _ = scene
    for region, rate in (("US-CA", 725), ("US-NV", 685)):
        setup.ensure_tax_rates(
            session, region=region, valid_from=date(2020, 1, 1), rates_bp={"standard": rate, "reduced": 0}
        )
        setup.ensure_tax_region(
            session, code=region, zone="America/Los_Angeles", tax_inclusive=False, destinations=[("US", region[3:])]
        )
    sends(session, api, amount_minor=0, country="US")
    abroad = {"postal_code": "90012", "region": "CA", "city": "Los Angeles", "line1": "1 Main St", "country": "US"}
    order = placed(api, made, ship_to=abroad)
    path = f"/orders/{order['reference']}/address"
    with unchanged():
        moved = api(made.customer).put(path, json={"ship_to": abroad | {"region": "NV", "city": "Reno"}})
        assert (moved.status_code, moved.json["code"]) == (409, "not_changeable")
    near = api(made.customer).put(path, json={"ship_to": abroad | {"city": "San Diego"}})
    assert near.status_code == 200, near.json
    # what joins later is taxed there, too
    change = {"changes": [{"order_line_id": order["lines"][0]["id"], "sku": made.tea.sku, "quantity": 2}],
              "additions": [{"sku": made.tea.sku, "quantity": 1}]}  # fmt: skip
    changed = api(made.customer).post(f"/orders/{order['reference']}/goods-changes", key="g", json=change)
    assert changed.status_code == 200, changed.json
    assert changed.json["lines"][-1]["tax_rate_bp"] == 725
