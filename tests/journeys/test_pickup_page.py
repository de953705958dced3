"""Hanako opens the link of the ready mail: what waits where, her code, somebody else, later, and "I have arrived"."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import pickup_links, proofs
from retail.kernel import clock, outbox
from support import letters
from tests.factories.orders import Shop, events, pickup_body, ready_pickup, shop, world
from tests.factories.shortfalls import Api, key


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def waiting(api: Api, made: Shop) -> tuple[str, str]:
    """A pickup that is ready, and the path of its page."""
    order = api(made.customer).post("/orders", key=key(), json=pickup_body(made, quantity=2)).json
    pickup = ready_pickup(api, made, order)
    return pickup, f"/pickups/{pickup_links.token_of(UUID(pickup), 1)}"


def test_the_mail_leads_to_a_page_that_leaks_nothing(app: Flask, session: Session, api: Api, made: Shop) -> None:
    pickup, link = waiting(api, made)
    with clock.shifted(timedelta(minutes=1)):
        outbox.drain()
    row = session.execute(text("SELECT params, locale FROM message WHERE template = 'pickup_ready'")).one()
    letter = letters.compose(session, template="pickup_ready", locale=row.locale, params=row.params)
    assert letter is not None
    assert letter.link.endswith(link)
    assert letter.link not in letter.masked()
    page = app.test_client().get(link)
    assert page.status_code == 200
    assert 'lang="ja"' in page.text
    assert "準備ができました" in page.text
    code, _ = proofs.secrets_of(UUID(pickup), 1)
    for shown in (code, "<svg", "渋谷店", "2</span>", "10:00"):
        assert shown in page.text.replace(" ×", ""), shown
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "noindex" in page.headers["X-Robots-Tag"]
    assert "is ready and waits" in app.test_client().get(f"{link}?lang=en").text
    stored = session.execute(text("SELECT row_to_json(k)::text FROM pickup_link AS k")).scalar_one()
    assert link.rsplit("/", 1)[1] not in stored


def test_a_link_that_is_not_ours(app: Flask, session: Session, api: Api, made: Shop) -> None:
    _, link = waiting(api, made)
    before, phone = world(session), app.test_client()
    for other in ("/pickups/none", f"/pickups/{'0' * 40}", f"{link}0", f"{link[:-1]}"):
        page = phone.get(other)
        assert page.status_code == 404
        assert page.headers["Referrer-Policy"] == "no-referrer"
        for what in ("arrival", "extension", "proxies", f"proxies/{made.store.id}/revocation"):
            assert phone.post(f"{other}/{what}", data={"name": "Taro"}).status_code == 404
    assert phone.post(f"{link}/proxies/{made.store.id}/revocation").status_code == 404
    assert world(session) == before


def test_placed_or_moved_is_never_shown_as_ready(app: Flask, session: Session, api: Api, made: Shop) -> None:
    pickup, link = waiting(api, made)
    for state in ("pending", "allocated", "picking", "short"):
        session.execute(text("UPDATE fulfillment SET state = :state"), {"state": state})
        page = app.test_client().get(link).text
        assert "準備ができました" not in page
        assert "<svg" not in page
        assert proofs.secrets_of(UUID(pickup), 1)[0] not in page
        assert "まだ" in page


def test_she_names_somebody_and_revokes(app: Flask, session: Session, api: Api, made: Shop) -> None:
    pickup, link = waiting(api, made)
    phone = app.test_client()
    form = {"name": "Taro", "email": "taro@example.com"}
    for _ in range(2):  # an impatient hand
        assert phone.post(f"{link}/proxies", data=form).status_code == 303
    people = api(made.customer).get(f"/pickups/{pickup}/proxies").json["items"]
    assert [one["name"] for one in people] == ["Taro"]
    code = proofs.proxy_secrets_of(UUID(people[0]["id"]), 1)[0]
    assert code in phone.get(link).text
    actor = session.execute(text("SELECT actor FROM event WHERE type = 'PickupProxyNamed'")).scalar_one()
    assert actor == f"link:{pickup}"
    before = world(session)
    assert phone.post(f"{link}/proxies", data={"name": ""}).status_code == 422
    assert phone.post(f"{link}/proxies", data={"name": "Jiro", "email": "nobody"}).status_code == 422
    assert world(session) == before
    for _ in range(2):
        assert phone.post(f"{link}/proxies/{people[0]['id']}/revocation").status_code == 303
    assert code not in phone.get(link).text


def test_she_arrives_and_keeps_it_longer(app: Flask, session: Session, api: Api, made: Shop) -> None:
    pickup, link = waiting(api, made)
    phone = app.test_client()
    until = re.search(r'name="until" value="([^"]+)"', phone.get(link).text)
    assert until is not None
    for _ in range(2):
        assert phone.post(f"{link}/extension", data={"until": until[1]}).status_code == 303
    assert len(events(session, "PickupExtended")) == 1, "a second press finds it done"
    assert "お取り置きを延長する" not in phone.get(link).text
    for place in ("P3", "P3", "P4"):
        done = phone.post(f"{link}/arrival", data={"place": place, "vehicle": "white Yaris"})
        assert (done.status_code, done.headers["Location"]) == (303, f"{link}?done=arrival")
    assert api(made.associate).get(f"/pickups/{pickup}").json["arrival"]["place"] == "P4"
    body = {"identity": "driving license", "tender": "cash"}
    assert api(made.associate).post(f"/pickups/{pickup}/collection", key=key(), json=body).status_code == 200
    assert "商品をお持ちします" not in phone.get(f"{link}?done=arrival").text, "old news is no news"
    before = world(session)
    late = phone.post(f"{link}/arrival", data={"place": "P1"})
    assert late.status_code == 409
    assert "お渡ししました" in late.text
    assert world(session) == before


def test_another_contact_ends_the_link(app: Flask, session: Session, api: Api, made: Shop) -> None:
    pickup, link = waiting(api, made)
    order = api(made.associate).get(f"/pickups/{pickup}").json["reference"]
    changed = api(made.customer).put(f"/orders/{order}/contact", json={"email": "other@example.com"})
    assert changed.status_code == 200, changed.json
    assert app.test_client().get(link).status_code == 404
    assert app.test_client().get(f"/pickups/{pickup_links.token_of(UUID(pickup), 2)}").status_code == 200


def test_what_is_short_is_said(app: Flask, session: Session, api: Api, made: Shop) -> None:
    order = api(made.customer).post("/orders", key=key(), json=pickup_body(made, quantity=2)).json
    part = order["fulfillments"][0]
    counter = api(made.associate)
    counter.post(f"/pickups/{part['id']}/picking", key=key())
    missing = {"lines": [{"order_line_id": part["lines"][0]["order_line_id"], "quantity": 1}]}
    assert counter.post(f"/pickups/{part['id']}/short", key=key(), json=missing).status_code == 200
    assert counter.post(f"/pickups/{part['id']}/ready", key=key()).status_code == 200
    page = app.test_client().get(f"/pickups/{pickup_links.token_of(UUID(part['id']), 1)}").text
    assert "不足している商品" in page
    assert "お届けする方法を探しています" in page


def test_a_guest_has_a_page_too(app: Flask, session: Session, api: Api, made: Shop) -> None:
    contact = {"name": "Guest", "email": "guest@example.com"}
    order = api(made.web).post("/orders", key=key(), json=pickup_body(made, contact=contact)).json
    other, _ = waiting(api, made)
    pickup = ready_pickup(api, made, order)
    link, phone = f"/pickups/{pickup_links.token_of(UUID(pickup), 1)}", app.test_client()
    assert phone.post(f"{link}/proxies", data={"name": "Taro"}).status_code == 303
    assert phone.post(f"{link}/arrival").status_code == 303
    page = phone.get(link)
    assert "Taro" in page.text
    until = re.search(r'name="until" value="([^"]+)"', page.text)
    assert until is not None
    assert phone.post(f"{link}/extension", data={"until": until[1]}).status_code == 303
    named = api(made.customer).post(f"/pickups/{other}/proxies", key=key(), json={"name": "Jiro"}).json
    before = world(session)
    assert phone.post(f"{link}/proxies/{named['id']}/revocation").status_code == 404, "another pickup's"
    assert world(session) == before
