"""Goodwill at the agent desk: why every point is there, giving within the cap, asking above it, and the second pair of eyes."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.orm import Session

from loyalty import ledger
from retail import limits
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests import factories
from tests.factories.orders import Shop, pickup_body, shop, world
from tests.journeys.console_client import Console

CAP = limits.GOODWILL_POINTS
DAY = timedelta(days=1)


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session, points=500)


@pytest.fixture
def agent(session: Session) -> Any:
    return factories.staff(session, "agent", name="Aiko", login="aiko")


def page_of(made: Shop) -> str:
    return f"/console/desk/customers/{made.customer.reference}"


def balance(session: Session, made: Shop) -> int:
    statement = sa.text("SELECT available FROM points_account WHERE customer_id = :id")
    return int(session.execute(statement, {"id": made.customer.id}).scalar_one())


def test_the_desk_says_why_every_point_is_there(app: Flask, api: Any, session: Session, made: Shop, agent: Any) -> None:
    order = api(made.customer).post("/orders", json=pickup_body(made, quantity=2, points_to_spend=100), key="o").json
    now, order_id = clock.now(), order["id"]
    ledger.earn(
        session,
        customer_id=made.customer.id,
        order_id=order_id,
        points=34,
        key="e",
        reason="pickup",
        actor="system",
        now=now,
        grants=[ledger.Grant(34, now + 14 * DAY, now + 379 * DAY)],
        reasons=[ledger.Reason(new_id(), "base", 0, 34, 3480)],
    )
    friend = factories.customer(session, name="Jiro Tanaka")
    sent = {"to": friend.reference, "points": 60, "message": "Enjoy"}
    assert api(made.customer).post("/me/points/transfers", json=sent, key="t").status_code == 201
    shown = Console(app, agent.token, locale="en").open(page_of(made))
    for words in (
        "Can be spent 340",
        "Later 34",
        "Put aside for orders 100",
        "340 of 500 are left",
        "runs out next",
        f"Order {order['reference']} 34",
        "can be spent from Wed, 15 Jul 2026",
        "Points on every purchase: 34 for ¥3,480 (1 per ¥100)",
        f"Jiro Tanaka {friend.reference}",
        "“Enjoy”",
        f"Put aside for an order {order['reference']} −100",
    ):
        assert words in shown.text, words
    japanese = Console(app, agent.token, locale="ja").open(page_of(made))
    assert "お買い物ポイント：￥3,480に対して34（￥100ごとに1）" in japanese.text


def test_within_the_cap_points_are_given_at_once_and_once(
    app: Flask, api: Any, session: Session, made: Shop, agent: Any
) -> None:
    order = api(made.customer).post("/orders", json=pickup_body(made), key="o").json
    console = Console(app, agent.token, locale="en")
    action = f"{page_of(made)}/goodwill"
    page = console.open(page_of(made))
    assert f"Up to {CAP:,} are given at once." in page.text
    filled = {"goodwill_points": "1,000", "goodwill_reason": "damaged", "goodwill_order": order["reference"]}
    for _ in range(2):  # a double click
        done = console.send(page, action, **filled, goodwill_note="The cup")
        assert done.notice == "The points are given."
    assert balance(session, made) == 500 + CAP
    assert f"Goodwill {order['reference']} +1,000 Damaged or faulty The cup" in done.text
    gift = session.execute(sa.text("SELECT order_id, asked_by, state FROM goodwill_gift")).one()
    assert (str(gift.order_id), gift.asked_by, gift.state) == (order["id"], agent.actor, "given")


def test_above_the_cap_somebody_else_decides(app: Flask, session: Session, made: Shop, agent: Any) -> None:
    console = Console(app, agent.token, locale="ja")
    action = f"{page_of(made)}/goodwill"
    asked = console.send(console.open(page_of(made)), action, goodwill_points="１５００", goodwill_note="お詫び")
    assert asked.notice.startswith("すぐに進呈できる上限を超えています。")
    assert "承認待ち：1,500" in asked.text
    assert balance(session, made) == 500
    assert console.open("/console/goodwill").status == 403
    assert "/console/goodwill" not in asked.html
    boss = factories.staff(session, "supervisor", name="Sora")
    deciding = Console(app, boss.token, locale="en")
    assert 'href="/console/goodwill"' in deciding.open("/console/").html
    page = deciding.open("/console/goodwill")
    for words in ("1,500", "Hanako Yamada", "Delivered or ready late", "お詫び", "Aiko", "1,500 in 24 hours"):
        assert words in page.text, words
    [form] = [form["action"] for form in page.forms if form["action"].endswith("/decision")]
    for _ in range(2):
        given = deciding.post(form, **page.filled(form), give="yes")
        assert given.notice == "The points are given."
    assert "Nothing waits for a decision." in given.text
    assert balance(session, made) == 2000
    before = world(session)
    late = deciding.post(form, **page.filled(form) | {"_key": "another"}, give="no")
    assert (late.status, late.message) == (409, "Somebody has decided about these points already.")
    assert world(session) == before


def test_who_asked_sees_it_and_does_not_decide(app: Flask, session: Session, made: Shop) -> None:
    boss = factories.staff(session, "supervisor", name="Sora")
    console = Console(app, boss.token, locale="en")
    console.send(console.open(page_of(made)), f"{page_of(made)}/goodwill", goodwill_points=str(CAP + 1))
    page = console.open("/console/goodwill")
    assert "You asked for these points: somebody else has to decide." in page.text
    assert [form for form in page.forms if form["action"].endswith("/decision")] == []
    gift_id = session.execute(sa.text("SELECT id FROM goodwill_gift")).scalar_one()
    csrf = console.open("/console/desk").form("/console/desk/search")["fields"]["_csrf"]
    before = world(session)
    refused = console.post(f"/console/goodwill/{gift_id}/decision", _csrf=csrf, _key="x", give="yes")
    assert (refused.status, refused.message) == (
        403,
        "You asked for these points: somebody else has to decide.",
    )
    assert world(session) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"goodwill_points": ""}, "Type a whole number."),
        ({"goodwill_points": "many"}, "Type a whole number."),
        ({"goodwill_points": "0"}, "One point or more."),
        ({"goodwill_points": "10", "goodwill_reason": "other"}, "Say in the note why the points are given."),
    ],
)
def test_a_refused_form_comes_back_with_what_was_typed(
    app: Flask, session: Session, made: Shop, agent: Any, changes: dict[str, str], words: str
) -> None:
    console = Console(app, agent.token, locale="en")
    action = f"{page_of(made)}/goodwill"
    page = console.open(page_of(made))
    before = world(session)
    again = console.send(page, action, **changes)
    assert again.status == 422
    assert words in again.text
    assert {name: again.form(action)["fields"][name] for name in changes} == changes
    assert again.form(f"{page_of(made)}/contacts")["fields"]["text"] == ""
    assert world(session) == before


def test_an_order_of_somebody_else_and_a_blocked_member_are_refused(
    app: Flask, session: Session, made: Shop, agent: Any
) -> None:
    console = Console(app, agent.token, locale="en")
    action = f"{page_of(made)}/goodwill"
    page = console.open(page_of(made))
    before = world(session)
    foreign = console.post(action, **page.filled(action, goodwill_points="10") | {"goodwill_order": "R-22222-22222"})
    assert foreign.status == 422
    assert world(session) == before
    session.execute(sa.text("UPDATE points_account SET state = 'blocked'"))
    refused = console.post(action, **page.filled(action, goodwill_points="10") | {"_key": "another"})
    assert (refused.status, refused.message) == (
        409,
        "This member's points are blocked: none can be given to her or by her.",
    )
    shown = console.open(page_of(made))
    assert "Her points are blocked" in shown.text
    assert action not in [form["action"] for form in shown.forms]
    assert session.execute(sa.text("SELECT count(*) FROM goodwill_gift")).scalar_one() == 0
