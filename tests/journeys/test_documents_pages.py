"""Receipts and invoices as pages: issued and printed at the counter, opened by the customer's link; slips without prices."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.ids import new_id
from tests.factories.documents import NUMBER, issuer
from tests.factories.orders import Shop, pickup_body, shop, world
from tests.factories.shortfalls import Api
from tests.journeys.console_client import Console


@pytest.fixture
def made(session: Session) -> Shop:
    issuer(session)
    return shop(session)


@pytest.fixture
def order(api: Api, made: Shop) -> dict[str, Any]:
    """A tea and a cake, sold over the counter to the customer."""
    lines = [{"sku": made.tea.sku, "quantity": 1}, {"sku": made.cake.sku, "quantity": 1}]
    body = pickup_body(made, method="cash", customer_id=str(made.customer.id), lines=lines) | {"method": "carry_out"}
    answer = api(made.associate).post("/orders", key="sale", json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def test_the_clerk_issues_a_receipt_and_prints_it(app: Flask, made: Shop, order: dict[str, Any]) -> None:
    console = Console(app, made.associate.token, locale="ja")
    found = console.open(f"/console/documents?order={order['reference'].lower()}")
    assert "まだ発行されていません" in found.text
    printed = console.send(found, f"/console/documents/orders/{order['reference']}/receipt")
    assert printed.status == 200
    for said in (
        "領収書",
        "適格簡易請求書",
        f"登録番号 {NUMBER}",
        "株式会社青葉商店",
        "8 % ※",
        "※は軽減税率対象",
        "￥2,520",
    ):
        assert said in printed.text, said
    assert "再発行" not in printed.text
    assert 'class="roll"' in printed.html  # the receipt printer's paper
    again = console.send(found, f"/console/documents/orders/{order['reference']}/receipt")
    assert again.via == printed.via  # a double click: the same form
    listed = console.open(f"/console/documents?order={order['reference']}")
    assert "領収書 RCT-00000001" in listed.text
    assert console.open("/console/documents?order=rct-1").via == f"/console/documents?order={order['reference']}"
    assert console.open("/console/documents?order=RCT-2").message != ""


def test_an_invoice_has_a_recipient_and_others_see_a_copy(
    app: Flask, session: Session, made: Shop, order: dict[str, Any]
) -> None:
    console = Console(app, made.associate.token, locale="en")
    path = f"/console/documents/orders/{order['reference']}/invoice"
    page = console.open(f"/console/documents?order={order['reference']}")
    printed = console.send(page, path, recipient="Aoyama Ltd.")
    assert "To Aoyama Ltd." in printed.text
    assert "Aoba Stores, Ltd." in printed.text
    assert "Qualified invoice" in printed.text
    assert "Copy" not in printed.text
    fresh = console.open(f"/console/documents?order={order['reference']}")
    before = world(session)
    refused = console.send(fresh, path, recipient="Akasaka Ltd.")
    assert (refused.status, "another recipient" in refused.message) == (409, True)
    assert refused.form(path)["fields"]["recipient"] == "Akasaka Ltd."
    assert world(session) == before
    hana = Console(app, made.stranger.token, locale="en")
    assert hana.open(str(printed.via)).status == 404
    assert hana.open(f"/console/documents?order={order['reference']}").message != ""


def test_the_customer_opens_her_link(app: Flask, api: Api, made: Shop, order: dict[str, Any]) -> None:
    issued = api(made.customer).post(f"/me/orders/{order['reference']}/invoice", key="i", json={})
    assert issued.status_code == 201, issued.json
    link = urlsplit(issued.json["items"][0]["page_url"]).path
    phone = app.test_client()
    page = phone.get(link)
    assert (page.status_code, "請求書" in page.text, "再発行" in page.text) == (200, True, False)
    english = phone.get(f"{link}?lang=en&paper=receipt").text
    assert "Invoice" in english
    assert "¥2,520" in english
    assert "Content-Security-Policy" in page.headers
    for wrong in (link[:-1] + ("0" if link[-1] != "0" else "1"), f"/documents/{new_id()}/{link.split('/')[-1]}"):
        assert phone.get(wrong).status_code == 404
    with phone.get("/documents/static/documents.css") as sheet:
        assert (sheet.status_code, sheet.mimetype) == (200, "text/css")
    for_clerk = api(made.associate).get(f"/orders/{order['reference']}/invoice").json["items"][0]
    assert for_clerk["copy"] is True


def test_slips(app: Flask, api: Api, session: Session, made: Shop) -> None:
    placed = api(made.customer).post("/orders", key="p", json=pickup_body(made, quantity=2)).json
    part = placed["fulfillments"][0]["id"]
    console = Console(app, made.associate.token, locale="ja")
    slip = console.open(f"/console/documents/slips/{part}")
    assert (slip.status, "お渡し明細" in slip.text, "￥" in slip.text) == (200, True, False)
    assert console.open(f"/console/documents/delivery-notes/{part}").status == 404  # it is fetched
    address = '{"name": "山田花子", "postal_code": "150-0002", "city": "渋谷区", "line1": "1-2-3", "country": "JP"}'
    session.execute(text("UPDATE fulfillment SET method = 'ship' WHERE id = :id"), {"id": UUID(part)})
    session.execute(text('UPDATE "order" SET ship_to = CAST(:address AS jsonb)'), {"address": address})
    packing = console.open(f"/console/documents/slips/{part}")
    assert ("梱包明細" in packing.text, "山田花子 様" in packing.text, "￥" in packing.text) == (True, True, False)
    note = console.open(f"/console/documents/delivery-notes/{part}")
    assert ("納品書" in note.text, "￥1,980" in note.text) == (True, True)
    assert Console(app, made.stranger.token).open(f"/console/documents/slips/{part}").status == 404
    assert console.open(f"/console/documents/slips/{new_id()}").status == 404
