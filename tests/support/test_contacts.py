"""POST and GET /support/contacts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail.kernel import clock
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor
from tests.support import shop_history


@pytest.fixture
def agent(session: Session) -> Actor:
    return factories.staff(session, "agent", name="Aiko")


@pytest.fixture
def hanako(session: Session) -> Actor:
    return factories.customer(session, email="hanako@example.com")


def written(session: Session) -> tuple[int, int]:
    """How many contacts, how many events."""
    row = session.execute(sa.text("SELECT (SELECT count(*) FROM contact), (SELECT count(*) FROM event)")).one()
    return row[0], row[1]


def body(**changes: Any) -> dict[str, Any]:
    return {"channel": "phone", "direction": "inbound", "text": "  Asked when it is ready.\nCalls back. "} | changes


def test_a_noted_contact_is_read_by_the_next_agent(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor
) -> None:
    answer = api(agent).post("/support/contacts", json=body(customer_id=str(hanako.id)), key="k1")
    assert answer.status_code == 201
    assert answer.json == {
        "id": answer.json["id"],
        "customer_id": str(hanako.id),
        "order_id": None,
        "staff_id": str(agent.id),
        "channel": "phone",
        "direction": "inbound",
        "text": "Asked when it is ready.\nCalls back.",
        "at": "2026-07-01T03:00:00+00:00",
    }
    other = factories.staff(session, "agent", name="Ken")
    seen = api(other).get("/support/context", query_string={"email": "hanako@example.com"}).json
    assert [(c["text"], c["staff_name"]) for c in seen["contacts"]] == [
        ("Asked when it is ready.\nCalls back.", "Aiko")
    ]
    assert [(e["type"], e["actor"], e["data"]["channel"]) for e in seen["timeline"]] == [
        ("ContactNoted", agent.actor, "phone")
    ]


def test_noting_twice_with_one_key_notes_once(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor
) -> None:
    first = api(agent).post("/support/contacts", json=body(customer_id=str(hanako.id)), key="k1")
    again = api(agent).post("/support/contacts", json=body(customer_id=str(hanako.id)), key="k1")
    assert again.status_code == 201
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json == first.json
    assert written(session) == (1, 1)
    other = api(agent).post("/support/contacts", json=body(customer_id=str(hanako.id), text="Else"), key="k1")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert written(session) == (1, 1)


def test_about_an_order(session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor) -> None:
    place, variant = factories.location(session), factories.variant(session)
    hers = shop_history.order(session, place=place, variant=variant, customer_id=hanako.id)
    guests = shop_history.order(session, place=place, variant=variant, customer_id=None)
    noted = api(agent).post("/support/contacts", json=body(order=hers.reference.lower()), key="k1")
    assert (noted.status_code, noted.json["customer_id"], noted.json["order_id"]) == (201, str(hanako.id), str(hers.id))
    noted = api(agent).post("/support/contacts", json=body(order=str(guests.id)), key="k2")
    assert (noted.status_code, noted.json["customer_id"], noted.json["order_id"]) == (201, None, str(guests.id))
    seen = api(agent).get("/support/context", query_string={"order": guests.reference}).json
    assert [c["order_id"] for c in seen["contacts"]] == [str(guests.id)]
    assert [e["type"] for e in seen["timeline"]] == ["ContactNoted"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "contact_subject"),
        ({"customer_id": str(new_id())}, "contact_subject_unknown"),
        ({"order": "R-22222-22222"}, "contact_subject_unknown"),
        ({"channel": "fax", "customer_id": "HANAKO"}, "invalid"),
        ({"direction": "sideways", "customer_id": "HANAKO"}, "invalid"),
        ({"text": "", "customer_id": "HANAKO"}, "invalid"),
        ({"text": " \n\t ", "customer_id": "HANAKO"}, "invalid"),
        ({"text": "x" * 10_001, "customer_id": "HANAKO"}, "invalid"),
        ({"text": 3, "customer_id": "HANAKO"}, "invalid"),
        ({"customer_id": "nonsense"}, "invalid"),
        ({"customer_id": "HANAKO", "more": 1}, "invalid"),
    ],
)
def test_bad_contacts_change_nothing(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor, changes: dict[str, Any], code: str
) -> None:
    if changes.get("customer_id") == "HANAKO":
        changes = changes | {"customer_id": str(hanako.id)}
    answer = api(agent).post("/support/contacts", json=body(**changes), key="k1")
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert written(session) == (0, 0)


def test_anothers_order_is_refused(session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor) -> None:
    other = factories.customer(session)
    placed = shop_history.order(
        session, place=factories.location(session), variant=factories.variant(session), customer_id=other.id
    )
    sent = body(customer_id=str(hanako.id), order=placed.reference)
    answer = api(agent).post("/support/contacts", json=sent, key="k1")
    assert (answer.status_code, answer.json["code"]) == (422, "contact_subject_mismatch")
    assert written(session) == (0, 0)


def test_who_may(session: Session, api: Callable[..., Any], hanako: Actor) -> None:
    sent = body(customer_id=str(hanako.id))
    assert api().post("/support/contacts", json=sent, key="k1").status_code == 401
    for actor in (hanako, factories.staff(session, "manager"), factories.api_client(session, ["support.read"])):
        assert api(actor).post("/support/contacts", json=sent, key="k1").status_code == 403
    assert api(hanako).get("/support/contacts", query_string={"customer_id": str(hanako.id)}).status_code == 403
    agent = factories.staff(session, "agent")
    answer = api(agent).post("/support/contacts", json=sent)
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_missing")
    assert written(session) == (0, 0)


def test_the_list_goes_page_by_page(session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor) -> None:
    for number in range(5):
        with clock.shifted(timedelta(minutes=number // 2)):
            api(agent).post(
                "/support/contacts", json=body(customer_id=str(hanako.id), text=f"note {number}"), key=str(number)
            )
    texts: list[str] = []
    cursor = None
    for size in (2, 2, 1):
        query = {"customer_id": str(hanako.id), "limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api(agent).get("/support/contacts", query_string=query).json
        assert len(page["items"]) == size
        texts += [item["text"] for item in page["items"]]
        cursor = page["next"]
    assert cursor is None
    assert sorted(texts) == [f"note {number}" for number in range(5)]
    assert texts[0] == "note 4"
    assert api(agent).get("/support/contacts").json["code"] == "contact_subject"
    for bad in ("x", "W10"):
        query = {"customer_id": str(hanako.id), "cursor": bad}
        assert api(agent).get("/support/contacts", query_string=query).json["code"] == "cursor_invalid"
