"""GET /support/context: who opens what, exact answers, and the number of statements whatever the history."""

from collections.abc import Callable
from typing import Any

import marshmallow as ma
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from retail.kernel import clock, db
from retail.kernel.ids import new_id
from support import context
from support.schemas import ContextSchema, Ready
from tests import factories
from tests.factories import Actor
from tests.support import shop_history


@pytest.fixture
def agent(session: Session) -> Actor:
    return factories.staff(session, "agent", name="Aiko")


@pytest.fixture
def hanako(session: Session) -> Actor:
    return factories.customer(session, email="hanako@example.com", phone="+819012345678", card="1234567890123")


@pytest.mark.parametrize("count", [0, 10, 1000])
def test_the_statements_do_not_grow_with_the_history(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor, count: int
) -> None:
    shop_history.past_orders(session, count=count, customer_id=hanako.id)
    with db.counting() as counted:
        answer = api(agent).get("/support/context", query_string={"email": "hanako@example.com"})
    assert answer.status_code == 200
    assert counted.statements == 6  # log-in, person, points, orders, returns, history
    body = answer.json
    assert len(body["orders"]["past"]) == min(count, 20)
    assert body["orders"]["more"] is (count > 20)
    assert [len(body[name]) for name in ("messages", "contacts", "timeline")] == [
        min(count, 20),
        min(count, 20),
        min(count, 50),
    ]
    assert body["more"] == {"messages": count > 20, "contacts": count > 20, "timeline": count > 50}
    if count:
        assert body["messages"][0]["subject"] == "Receipt 1000" if count == 1000 else "Receipt 10"
        assert body["contacts"][0]["text"] == "Call 1"


def test_a_pickup_code_costs_the_most_statements(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor
) -> None:
    placed = shop_history.order(
        session, place=factories.location(session), variant=factories.variant(session), customer_id=hanako.id
    )
    with db.counting() as counted:
        answer = api(agent).get("/support/context", query_string={"pickup_code": placed.code.lower()})
    assert answer.status_code == 200
    assert counted.statements == 8
    assert answer.json["order"]["reference"] == placed.reference
    assert answer.json["customer"]["reference"] == hanako.reference
    assert answer.json["found_by"] == {"kind": "pickup_code", "value": "", "assurance": None}


@pytest.mark.parametrize(
    "query",
    [
        {"email": "Hanako@EXAMPLE.com"},
        {"phone": "090-1234-5678"},
        {"phone": "０９０１２３４５６７８"},
        {"card": "1234 5678 90123"},
    ],
)
def test_any_spelling_of_an_identity_finds_her(
    api: Callable[..., Any], agent: Actor, hanako: Actor, query: dict[str, str]
) -> None:
    answer = api(agent).get("/support/context", query_string=query)
    assert answer.status_code == 200
    assert answer.json["customer"]["id"] == str(hanako.id)
    assert answer.json["found_by"]["assurance"] == "attested"
    assert answer.json["suggestions"] == []
    assert answer.json["points"] == {
        "available": 0,
        "pending": 0,
        "held": 0,
        "owed": 0,
        "state": "active",
        "lots_open": 0,
        "next_expiry": None,
    }
    assert [(i["kind"], i["value"], i["assurance"]) for i in answer.json["customer"]["identities"]] == [
        ("email", "hanako@example.com", "attested"),
        ("phone", "+819012345678", "attested"),
        ("card", "1234567890123", "attested"),
    ]


def test_a_claimed_identity_suggests_and_opens_nothing(session: Session, api: Callable[..., Any], agent: Actor) -> None:
    """FAILURES 19: somebody typed another's address into a form."""
    victim = factories.customer(session, email="victim@example.com", assurance="claimed", name="Victim")
    shop_history.past_orders(session, count=3, customer_id=victim.id)
    with db.counting() as counted:
        answer = api(agent).get("/support/context", query_string={"email": "victim@example.com"})
    assert answer.status_code == 200
    assert counted.statements == 2
    assert answer.json["suggestions"] == [
        {
            "customer_id": str(victim.id),
            "reference": victim.reference,
            "name": "Victim",
            "kind": "email",
            "assurance": "claimed",
        }
    ]
    assert answer.json["customer"] is None
    assert answer.json["points"] is None
    assert answer.json["orders"] == {"open": [], "past": [], "more": False}
    assert answer.json["messages"] == answer.json["contacts"] == answer.json["timeline"] == []


def test_a_guest_order_shows_itself_alone(session: Session, api: Callable[..., Any], agent: Actor) -> None:
    place, variant = factories.location(session), factories.variant(session)
    first = shop_history.order(session, place=place, variant=variant, customer_id=None, email="guest@example.com")
    shop_history.order(session, place=place, variant=variant, customer_id=None, email="guest@example.com")
    answer = api(agent).get("/support/context", query_string={"order": first.reference.lower().replace("-", " ")})
    assert answer.status_code == 200
    assert answer.json["customer"] is None
    assert [order["reference"] for order in answer.json["orders"]["open"]] == [first.reference]
    assert answer.json["orders"]["past"] == []
    assert answer.json["order"]["status"] == "ready"
    assert answer.json["order"]["fulfillments"][0]["state"] == "ready"


def test_open_and_past_orders_are_told_apart(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor
) -> None:
    place, variant = factories.location(session), factories.variant(session)
    made = {
        state: shop_history.order(session, place=place, variant=variant, customer_id=hanako.id, state=state)
        for state in ("allocated", "picking", "ready", "collected")
    }
    gone = shop_history.order(
        session, place=place, variant=variant, customer_id=hanako.id, state="cancelled", cancelled=True
    )
    body = api(agent).get("/support/context", query_string={"customer": hanako.reference}).json
    assert {o["reference"]: o["status"] for o in body["orders"]["open"]} == {
        made["allocated"].reference: "open",
        made["picking"].reference: "open",
        made["ready"].reference: "ready",
    }
    assert {o["reference"]: o["status"] for o in body["orders"]["past"]} == {
        made["collected"].reference: "completed",
        gone.reference: "cancelled",
    }


def test_a_merged_customer_leads_on(session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor) -> None:
    old = factories.customer(session, email="old@example.com")
    session.execute(sa.text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": hanako.id, "id": old.id})
    for query in ({"email": "old@example.com"}, {"customer": old.reference}, {"customer": str(old.id)}):
        assert api(agent).get("/support/context", query_string=query).json["customer"]["id"] == str(hanako.id)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({}, 422, "invalid"),
        ({"email": "a@example.com", "phone": "+819012345678"}, 422, "invalid"),
        ({"email": "not an address"}, 422, "identity_invalid"),
        ({"phone": "12"}, 422, "identity_invalid"),
        ({"pickup_code": "AAAAAA"}, 422, "invalid"),
        ({"customer": "C-22222-22222"}, 404, "context_not_found"),
        ({"customer": "C-1"}, 422, "invalid"),
        ({"email": "nobody@example.com"}, 404, "context_not_found"),
        ({"order": "R-22222-22222"}, 404, "context_not_found"),
        ({"order": str(new_id())}, 404, "context_not_found"),
        ({"name": "Hanako"}, 422, "invalid"),
        ({"email": "x" * 300}, 422, "invalid"),
        ({"email": "a\x00@example.com"}, 400, "bad_request"),
    ],
)
def test_bad_keys(api: Callable[..., Any], agent: Actor, query: dict[str, str], status: int, code: str) -> None:
    answer = api(agent).get("/support/context", query_string=query)
    assert (answer.status_code, answer.json["code"]) == (status, code)


def test_who_may_ask(session: Session, api: Callable[..., Any], hanako: Actor) -> None:
    query = {"email": "hanako@example.com"}
    assert api().get("/support/context", query_string=query).status_code == 401
    for actor in (hanako, factories.staff(session, "associate"), factories.staff(session, "analyst")):
        assert api(actor).get("/support/context", query_string=query).status_code == 403
    desk = factories.api_client(session, ["support.read"], channel="phone")
    assert api(desk).get("/support/context", query_string=query).status_code == 200


def _shape(schema: ma.Schema, value: Any, at: str = "") -> None:
    """The value has exactly the schema's fields, all the way down."""
    assert set(value) == set(schema.fields), at
    for name, field in schema.fields.items():
        inner = field.inner if isinstance(field, ma.fields.List) else field
        if isinstance(inner, Ready | ma.fields.Nested) and value[name] is not None:
            for item in value[name] if isinstance(field, ma.fields.List) else [value[name]]:
                _shape(inner.schema, item, f"{at}.{name}")


def test_what_is_passed_on_as_it_is_has_the_declared_shape(
    session: Session, api: Callable[..., Any], agent: Actor, hanako: Actor
) -> None:
    shop_history.past_orders(session, count=1, customer_id=hanako.id)
    shop_history.order(
        session, place=factories.location(session), variant=factories.variant(session), customer_id=hanako.id
    )
    factories.customer(session, email="claimed@example.com", assurance="claimed")
    opened = api(agent).get("/support/context", query_string={"email": "hanako@example.com"}).json
    suggested = api(agent).get("/support/context", query_string={"email": "claimed@example.com"}).json
    _shape(ContextSchema(), opened)
    _shape(ContextSchema(), suggested)
    at = opened["customer"]["created_at"]
    assert at == "2026-07-01T03:00:00+00:00"
    assert opened["orders"]["open"][0]["placed_at"] == at
    assert opened["orders"]["open"][0]["total"] == {"amount_minor": 3960, "currency": "JPY"}


@pytest.mark.parametrize(
    ("typed", "kinds"),
    [
        ("hanako@example.com", ["email"]),
        ("ｈａｎａｋｏ＠ｅｘａｍｐｌｅ．ｃｏｍ", ["email"]),
        ("090-1234-5678", ["phone", "card", "order"]),
        ("+81 90 1234 5678", ["phone", "order"]),
        ("TEA CARD 77", ["card", "order"]),
        ("536365", ["card", "order"]),
        ("online-retail:17850", ["order", "external"]),
        ("r-zzzzz-zzzzz", ["order"]),
        ("", []),
    ],
)
def test_the_one_box_knows_what_was_typed(app: Any, typed: str, kinds: list[str]) -> None:
    assert context.kinds_of(typed) == kinds


def test_the_one_box_knows_our_own_numbers(app: Any, session: Session, hanako: Actor) -> None:
    placed = shop_history.order(
        session, place=factories.location(session), variant=factories.variant(session), customer_id=hanako.id
    )
    for typed, kind in (
        (placed.reference.lower(), "order"),
        (str(placed.id), "order"),
        (hanako.reference, "customer"),
        (placed.code, "pickup_code"),
        (placed.token, "pickup_code"),
    ):
        assert context.kinds_of(typed)[0] == kind
        found = context.search(session, text=typed, now=clock.now())
        assert found["customer"]["id"] == hanako.id


def test_the_one_box_finds_nobody(app: Any, session: Session) -> None:
    for typed in ("", "***", "nobody@example.com", "R-22222-22222", "0312345678"):
        with pytest.raises(context.NobodyFound):
            context.search(session, text=typed, now=clock.now())
