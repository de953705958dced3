"""Hanako reads the letter and opens its link on her phone: yes, no, too late, in her language."""

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import substitutes
from tests.factories import variant
from tests.factories.orders import receive, shop, world
from tests.factories.shortfalls import Api, key, picking


@pytest.fixture
def link(session: Session, api: Api) -> str:
    made = shop(session, units=3)
    green = variant(session, price_minor=1500, title="Green tea", title_ja="緑茶")
    receive(session, made.store, green, 5)
    picked = picking(api, made)
    counter = api(made.associate)
    counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(1))
    body = {"resolution": "substitute", "sku": green.sku}
    assert counter.post(f"/pickups/{picked.pickup_id}/shortfall-resolution", key=key(), json=body).status_code == 200
    proposal_id = session.execute(text("SELECT id FROM substitute_proposal")).scalar_one()
    return f"/substitutes/{substitutes.token_of(proposal_id)}"


def test_she_says_yes(app: Flask, link: str) -> None:
    phone = app.test_client()
    page = phone.get(link)
    assert page.status_code == 200
    assert "代替品でもよろしいでしょうか" in page.text
    assert "緑茶" in page.text
    assert "Content-Security-Policy" in page.headers
    said = phone.post(f"{link}/answer", data={"accept": "yes"})
    assert (said.status_code, said.headers["Location"]) == (303, link)
    assert "代替品をご注文に追加しました" in phone.get(link).text
    late = phone.post(f"{link}/answer", data={"accept": "no"})
    assert (late.status_code, "このご質問はすでに終了しています" in late.text or "settled already" in late.text) == (
        409,
        True,
    )


def test_she_says_no_in_english(app: Flask, session: Session, link: str) -> None:
    session.execute(text("UPDATE \"order\" SET locale = 'en'"))
    phone = app.test_client()
    assert "Will another article do?" in phone.get(link).text
    assert phone.post(f"{link}/answer", data={"accept": "no"}).status_code == 303
    assert "another way" in phone.get(link).text


def test_another_link_leads_nowhere(app: Flask, session: Session, link: str) -> None:
    before = world(session)
    phone = app.test_client()
    assert phone.get("/substitutes/none").status_code == 404
    assert phone.post(f"{link}/answer", data={"accept": "perhaps"}).status_code == 400
    assert phone.post("/substitutes/none/answer", data={"accept": "yes"}).status_code == 404
    assert world(session) == before
