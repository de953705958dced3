"""The agent desk: search, the customer seen whole, a note, a refund and a cancellation after their confirmation."""

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from orders import proofs
from tests import factories
from tests.factories.orders import Shop, pickup_body, shop, world
from tests.journeys.console_client import Console
from tests.support import shop_history


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session, points=500)


@pytest.fixture
def agent(session: Session) -> Any:
    return factories.staff(session, "agent", name="Aiko", login="aiko")


def place(api: Any, made: Shop, key: str = "k1", **body: Any) -> dict[str, Any]:
    answer = api(made.customer).post("/orders", json=pickup_body(made, quantity=2, **body), key=key)
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def hand_over(api: Any, made: Shop, order: dict[str, Any]) -> None:
    part = order["fulfillments"][0]["id"]
    clerk = api(made.associate)
    assert clerk.post(f"/pickups/{part}/picking", key=f"p{part}").status_code == 200
    assert clerk.post(f"/pickups/{part}/ready", key=f"r{part}").status_code == 200
    code, _ = proofs.secrets_of(UUID(part), 1)
    body = {"code": code, "tender": "cash"}
    assert clerk.post(f"/pickups/{part}/collection", json=body, key=f"c{part}").status_code == 200


def test_one_box_finds_her_by_anything(app: Flask, api: Any, session: Session, made: Shop, agent: Any) -> None:
    order = place(api, made)
    console = Console(app, agent.token, locale="en")
    desk = console.open("/console/desk")
    for typed in ("hanako@example.com", "090 1234 5678", order["reference"].lower(), made.customer.reference):
        found = console.send(desk, "/console/desk/search", q=typed)
        assert found.status == 200
        assert found.via is not None
        assert found.via.split("#")[0] == f"/console/desk/customers/{made.customer.reference}"
        for word in ("Hanako Yamada", "+819012345678", "attested", order["reference"], "In preparation", "¥3,960"):
            assert word in found.text
        assert "500" in found.text
    nobody = console.send(desk, "/console/desk/search", q="nobody@example.com")
    assert (nobody.status, nobody.message) == (404, "Nobody was found. Try another number or address.")
    assert nobody.form("/console/desk/search")["fields"]["q"] == "nobody@example.com"


def test_what_is_searched_for_stays_out_of_addresses(app: Flask, made: Shop, agent: Any) -> None:
    console = Console(app, agent.token, locale="en")
    found = console.send(console.open("/console/desk"), "/console/desk/search", q="hanako@example.com")
    assert found.via is not None
    assert "hanako" not in found.via


def test_a_claimed_address_suggests_and_shows_nothing(app: Flask, session: Session, agent: Any) -> None:
    victim = factories.customer(session, email="victim@example.com", assurance="claimed", name="Victim Person")
    shop_history.past_orders(session, count=1, customer_id=victim.id)
    console = Console(app, agent.token, locale="en")
    found = console.send(console.open("/console/desk"), "/console/desk/search", q="victim@example.com")
    assert found.via is None
    assert "Victim Person" in found.text
    assert "Nobody has proved" in found.text
    assert "Tea" not in found.text
    opened = console.open(f"/console/desk/customers/{victim.reference}")
    assert "claimed only" in opened.text


def test_a_guests_order_shows_itself_alone(app: Flask, session: Session, made: Shop, agent: Any) -> None:
    guest = shop_history.order(session, place=made.store, variant=made.tea, customer_id=None, name="Guest One")
    console = Console(app, agent.token, locale="en")
    for typed in (guest.reference, guest.code, guest.token):
        found = console.send(console.open("/console/desk"), "/console/desk/search", q=typed)
        assert found.via == f"/console/desk/orders/{guest.reference}"
        assert "only this order is shown" in found.text
    noted = console.send(found, f"/console/desk/orders/{guest.reference}/contacts", text="Will come late")
    assert noted.notice == "Noted."
    assert "Will come late" in noted.text


def test_a_note_is_there_for_the_next_agent(app: Flask, session: Session, made: Shop, agent: Any) -> None:
    console = Console(app, agent.token, locale="ja")
    page = console.open(f"/console/desk/customers/{made.customer.reference}")
    action = f"/console/desk/customers/{made.customer.reference}/contacts"
    for _ in range(2):  # a double click
        noted = console.send(page, action, text="<b>到着が遅れるとのこと</b>\n折り返し希望", channel="line")
        assert noted.notice == "記録しました。"
    assert "&lt;b&gt;到着が遅れるとのこと" in noted.html
    next_agent = Console(app, factories.staff(session, "agent").token, locale="en")
    seen = next_agent.open(f"/console/desk/customers/{made.customer.reference}")
    assert "LINE · Customer to us" in seen.text
    assert "Aiko" in seen.text
    assert session.execute(sa.text("SELECT count(*) FROM contact")).scalar_one() == 1


def test_an_empty_note_comes_back_with_what_was_chosen(app: Flask, session: Session, made: Shop, agent: Any) -> None:
    console = Console(app, agent.token, locale="ja")
    page = console.open(f"/console/desk/customers/{made.customer.reference}")
    action = f"/console/desk/customers/{made.customer.reference}/contacts"
    again = console.send(page, action, text="  ", channel="letter", direction="internal")
    assert (again.status, again.message) == (422, "印の付いた項目を確認してください。")
    assert again.form(action)["fields"] | {"_csrf": "", "_key": ""} == {
        "_csrf": "",
        "_key": "",
        "customer_id": str(made.customer.id),
        "text": "",
        "channel": "letter",
        "direction": "internal",
    }
    assert "入力してください。" in again.text
    assert session.execute(sa.text("SELECT count(*) FROM contact")).scalar_one() == 0


def test_a_refund_says_what_it_will_do_and_does_it_once(
    app: Flask, api: Any, session: Session, made: Shop, agent: Any
) -> None:
    order = place(api, made, points_to_spend=300)
    hand_over(api, made, order)
    console = Console(app, agent.token, locale="en")
    whole = console.open(f"/console/desk/customers/{made.customer.reference}")
    action = f"/console/desk/orders/{order['reference']}/refund"
    assert f'href="{action}"' in whole.html
    assert "/cancellation" not in whole.html
    confirm = console.open(action)
    for words in (
        "Cash: Goes back to the customer ¥3,660",
        "Points returned to the customer 300",
        "Points earned with",
    ):
        assert words in confirm.text
    assert session.execute(sa.text("SELECT count(*) FROM refund")).scalar_one() == 0
    for _ in range(2):
        done = console.send(confirm, action, reason="damaged", restock="yes")
        assert done.notice == "Refunded."
    row = session.execute(sa.text("SELECT amount_minor, points, reason, restock, state FROM refund")).one()
    assert tuple(row) == (3660, 300, "damaged", True, "done")
    assert "Refunded" in done.text
    again = console.open(action)
    assert "This cannot be done in the order's present state." in again.text
    before = world(session)
    stale = console.post(action, **confirm.filled(action) | {"_key": "another"})
    assert (stale.status, stale.message.split(".")[0]) == (412, "It has changed since you opened this page")
    assert world(session) == before


def test_a_cancellation_says_what_it_will_do(app: Flask, api: Any, session: Session, made: Shop, agent: Any) -> None:
    order = place(api, made, points_to_spend=300)
    console = Console(app, agent.token, locale="ja")
    action = f"/console/desk/orders/{order['reference']}/cancellation"
    confirm = console.open(action)
    for words in (
        "受け取り時のお支払い: 未払い（請求はなくなります） ￥3,660",
        "お客様へ戻すポイント 300",
        "商品を販売在庫に戻す",
    ):
        assert words in confirm.text
    for _ in range(2):
        done = console.send(confirm, action, reason="duplicate")
        assert done.notice == "キャンセルしました。"
    row = session.execute(sa.text('SELECT cancelled_at IS NOT NULL, cancel_reason FROM "order"')).one()
    assert tuple(row) == (True, "duplicate")
    available = session.execute(sa.text("SELECT available FROM points_account")).scalar_one()
    assert available == 500


def test_what_cannot_be_done_is_refused_and_changes_nothing(
    app: Flask, api: Any, session: Session, made: Shop, agent: Any
) -> None:
    waiting, collected = place(api, made), place(api, made, key="k2")
    hand_over(api, made, collected)
    console = Console(app, agent.token, locale="en")
    before = world(session)
    csrf = console.open("/console/desk").form("/console/desk/search")["fields"]["_csrf"]
    for order, action in ((waiting, "refund"), (collected, "cancellation")):
        path = f"/console/desk/orders/{order['reference']}/{action}"
        assert "This cannot be done" in console.open(path).text
        version = session.execute(
            sa.text('SELECT version FROM "order" WHERE id = :id'), {"id": order["id"]}
        ).scalar_one()
        sent = console.post(path, _csrf=csrf, _key=action, version=str(version))
        assert (sent.status, sent.message) == (409, "This cannot be done in the order's present state.")
    assert console.open("/console/desk/orders/R-22222-22222/refund").status == 404
    assert world(session) == before


def test_who_may(app: Flask, api: Any, session: Session, made: Shop) -> None:
    order = place(api, made)
    clerk = Console(app, made.associate.token, locale="en")
    for path in (
        "/console/desk",
        f"/console/desk/customers/{made.customer.reference}",
        f"/console/desk/orders/{order['reference']}/refund",
        f"/console/desk/orders/{order['reference']}/cancellation",
    ):
        assert clerk.open(path).status == 403, path
    before = world(session)
    csrf = clerk.open("/console/pickups").form("/console/pickups/find")["fields"]["_csrf"]
    for path in (f"orders/{order['reference']}/refund", f"orders/{order['reference']}/cancellation", "search"):
        assert clerk.post(f"/console/desk/{path}", _csrf=csrf, _key=path, version="1", q="x").status == 403
    assert world(session) == before
    here = factories.staff(session, "manager", locations=[made.store.id])
    there = factories.staff(session, "manager", locations=[made.other.id])
    path = f"/console/desk/orders/{order['reference']}/cancellation"
    assert Console(app, there.token).open(path).status == 404
    manager = Console(app, here.token, locale="en")
    done = manager.send(manager.open(path), path)
    assert done.via == f"/console/pickups/{order['fulfillments'][0]['id']}?done=cancellation"
    assert done.notice == "Cancelled."


def test_messages_and_timeline_are_shown(app: Flask, session: Session, made: Shop, agent: Any) -> None:
    shop_history.past_orders(session, count=30, customer_id=made.customer.id)
    shown = Console(app, agent.token, locale="en").open(f"/console/desk/customers/{made.customer.reference}")
    assert shown.html.count('<li class="card" id="o-') == 20
    assert "There are older orders." in shown.text
    assert "Receipt 30" in shown.text
    assert "Order placed" in shown.text
