"""Two records merged: the desk sees one person, whichever record a message, a note or an event was about."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from retail import merging
from retail.kernel import clock, db
from retail.queries import MergeFacts
from tests import factories
from tests.factories import Actor
from tests.support import shop_history

Api = Callable[..., Any]


@pytest.fixture
def agent(session: Session) -> Actor:
    return factories.staff(session, "agent")


@pytest.fixture
def web(session: Session) -> Actor:
    return factories.customer(session, email="hanako@example.com")


@pytest.fixture
def card(session: Session) -> Actor:
    return factories.customer(session, card="12345678", phone="+819012345678")


def merge(session: Session, gone: Actor, stays: Actor) -> MergeFacts:
    return merging.merge(session, gone=gone.id, stays=stays.id, reason="", actor="staff:x", now=clock.now())


def test_one_person_with_the_history_of_both_until_it_is_undone(
    session: Session, api: Api, agent: Actor, web: Actor, card: Actor
) -> None:
    for who, days in ((web, 1), (card, 2)):
        shop_history.past_orders(session, count=30, customer_id=who.id)
        with clock.shifted(timedelta(days=days)):
            note = {"channel": "phone", "direction": "inbound", "text": who.reference, "customer_id": str(who.id)}
            assert api(agent).post("/support/contacts", json=note, key=who.reference).status_code == 201

    def seen(**by: str) -> dict[str, Any]:
        with db.counting() as counted:
            answer = api(agent).get("/support/context", query_string=by)
        assert counted.statements == 6
        found: dict[str, Any] = answer.json
        return found

    apart = [seen(email="hanako@example.com"), seen(card="12345678")]
    assert [one["customer"]["id"] for one in apart] == [str(web.id), str(card.id)]
    made = merge(session, card, web)
    for by in ({"email": "hanako@example.com"}, {"card": "12345678"}, {"customer": card.reference}):
        one = seen(**by)
        assert one["customer"]["id"] == str(web.id)
        assert [known["kind"] for known in one["customer"]["identities"]] == ["email", "phone", "card"]
        assert [contact["text"] for contact in one["contacts"]][:2] == [card.reference, web.reference], "newest first"
        assert [len(one[name]) for name in ("messages", "contacts", "timeline")] == [20, 20, 50]
        assert {order["customer_id"] for order in one["orders"]["past"]} == {str(web.id), str(card.id)}
        assert len(one["orders"]["past"]) == 20
        assert {step["type"] for step in one["timeline"]} >= {"ContactNoted", "CustomersMerged"}
    merging.unmerge(session, merge_id=made.id, actor="staff:x", now=clock.now())
    again = [seen(email="hanako@example.com"), seen(card="12345678")]
    for before, after in zip(apart, again, strict=True):
        after["timeline"] = [one for one in after["timeline"] if not one["type"].startswith("Customers")]
        before["timeline"] = before["timeline"][: len(after["timeline"])]
        assert after == before


def test_a_note_about_an_order_stays_with_the_record_that_bought(
    session: Session, api: Api, agent: Actor, web: Actor, card: Actor
) -> None:
    order = shop_history.order(
        session, place=factories.location(session), variant=factories.variant(session), customer_id=card.id
    )
    note = {"channel": "phone", "direction": "inbound", "text": "late?", "order": order.reference}
    note |= {"customer_id": str(web.id)}
    refused = api(agent).post("/support/contacts", json=note, key="k1")
    assert (refused.status_code, refused.json["code"]) == (422, "contact_subject_mismatch")
    made = merge(session, card, web)
    assert api(agent).post("/support/contacts", json=note, key="k2").json["customer_id"] == str(card.id)

    def listed(who: Actor) -> list[str]:
        answer = api(agent).get("/support/contacts", query_string={"customer_id": str(who.id)})
        return [one["text"] for one in answer.json["items"]]

    assert (listed(web), listed(card)) == (["late?"], ["late?"])
    merging.unmerge(session, merge_id=made.id, actor="staff:x", now=clock.now())
    assert (listed(web), listed(card)) == ([], ["late?"])
