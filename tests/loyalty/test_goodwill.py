"""Goodwill: at once within both caps, above them only when a second person agrees; refusals change nothing."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import goodwill, queries
from retail import limits
from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor
from tests.loyalty.ledger_facts import assert_clean, balances, customer_with, earn, last_entries, lots_of

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
DAY = timedelta(days=1)
CAP, IN_ALL = limits.GOODWILL_POINTS, limits.GOODWILL_POINTS_PER_CUSTOMER


@pytest.fixture
def agent(session: Session) -> Actor:
    return factories.staff(session, "agent", name="Aiko Sato")


@pytest.fixture
def boss(session: Session) -> Actor:
    return factories.staff(session, "supervisor", name="Sora Mori")


@pytest.fixture
def second(session: Session) -> Actor:
    """Another supervisor."""
    return factories.staff(session, "supervisor", name="Yui Abe")


def body(points: int = 100, reason: str = "late", **more: Any) -> dict[str, Any]:
    return {"points": points, "reason": reason, **more}


def offer(session: Session, who: UUID, points: int, now: datetime, actor: str = "staff:x") -> str:
    """The state of a gift that was offered."""
    gift_id = goodwill.offer(
        session, customer_id=who, points=points, reason="late", note="", order_id=None, actor=actor, now=now
    )
    state: str = session.execute(text("SELECT state FROM goodwill_gift WHERE id = :id"), {"id": gift_id}).scalar_one()
    return state


def events(session: Session) -> list[tuple[str, str | None]]:
    rows = session.execute(
        text("SELECT type, data->>'state' AS state FROM event WHERE type LIKE 'Goodwill%' ORDER BY id")
    )
    return [(row.type, row.state) for row in rows]


def block(session: Session, customer_id: UUID, state: str = "blocked") -> None:
    given = {"id": customer_id, "state": state}
    session.execute(text("UPDATE points_account SET state = :state WHERE customer_id = :id"), given)


def test_a_gift_within_the_caps_is_given_at_once(session: Session, now: datetime, api: Api, agent: Actor) -> None:
    who, order_id = factories.customer(session), new_id()
    sent = body(CAP, note="Two days late", order_id=str(order_id))
    answer = api(agent).post(f"/customers/{who.reference}/points/goodwill", json=sent, key="one")
    assert answer.status_code == 201, answer.json
    gift_id = answer.json["id"]
    assert answer.json == {
        "id": gift_id,
        "customer_id": str(who.id),
        "customer_reference": who.reference,
        "points": CAP,
        "reason": "late",
        "note": "Two days late",
        "order_id": str(order_id),
        "state": "given",
        "asked_by": agent.actor,
        "asked_by_name": "Aiko Sato",
        "asked_at": now.isoformat(),
        "asker_day_points": CAP,
        "decided_by": agent.actor,
        "decided_by_name": "Aiko Sato",
        "decided_at": now.isoformat(),
        "decision_note": "",
        "version": 1,
    }
    again = api(agent).post(f"/customers/{who.reference}/points/goodwill", json=sent, key="one")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    [lot] = lots_of(session, who.id)
    assert last_entries(session, who.id) == ("goodwill", [("goodwill", None, -CAP), ("member", lot, CAP)])
    source = session.execute(text("SELECT source, source_id FROM points_lot WHERE id = :id"), {"id": lot}).one()
    assert tuple(source) == ("goodwill", UUID(gift_id))
    assert queries.points_of(session, customer_id=who.id, now=now)["available"] == CAP
    assert events(session) == [("GoodwillDecided", "given")]
    assert_clean(session)


def test_above_the_cap_a_supervisor_decides(
    session: Session, now: datetime, api: Api, agent: Actor, boss: Actor, second: Actor, unchanged: Unchanged
) -> None:
    who, _ = customer_with(session, (10, now))
    asked = api(agent).post(f"/customers/{who.id}/points/goodwill", json=body(CAP + 1), key="one")
    assert (asked.status_code, asked.json["state"], asked.json["decided_by"]) == (201, "pending", None)
    assert balances(session, who.id) == (10, 0, 0)
    path = f"/points/goodwill/{asked.json['id']}/decision"
    with unchanged():
        assert api(agent).post(path, json={"give": True}, key="d").status_code == 403
        for wrong in ({}, {"give": "yes"}, {"give": True, "note": "x" * 501}):
            assert api(boss).post(path, json=wrong, key="w").status_code == 422, wrong
        unknown = api(boss).post(f"/points/goodwill/{new_id()}/decision", json={"give": True}, key="u")
        assert (unknown.status_code, unknown.json["code"]) == (404, "not_found")
    given = api(boss).post(path, json={"give": True, "note": "A good customer"}, key="two")
    assert given.status_code == 200, given.json
    told = {name: given.json[name] for name in ("state", "asked_by", "decided_by", "decided_by_name", "decision_note")}
    assert told == {
        "state": "given",
        "asked_by": agent.actor,
        "decided_by": boss.actor,
        "decided_by_name": "Sora Mori",
        "decision_note": "A good customer",
    }
    assert balances(session, who.id) == (10 + CAP + 1, 0, 0)
    with unchanged():
        for give in (True, False):
            twice = api(second).post(path, json={"give": give}, key=f"again-{give}")
            assert (twice.status_code, twice.json["code"], twice.json["state"]) == (409, "goodwill_settled", "given")
    assert events(session) == [("GoodwillAsked", None), ("GoodwillDecided", "given")]
    assert_clean(session)


def test_a_declined_gift_gives_nothing(session: Session, now: datetime, api: Api, agent: Actor, boss: Actor) -> None:
    who, _ = customer_with(session, (10, now))
    asked = api(agent).post(f"/customers/{who.id}/points/goodwill", json=body(5000), key="one").json
    declined = api(boss).post(
        f"/points/goodwill/{asked['id']}/decision", json={"give": False, "note": "Too much"}, key="two"
    )
    assert (declined.json["state"], declined.json["decision_note"]) == ("declined", "Too much")
    assert balances(session, who.id) == (10, 0, 0)
    assert events(session) == [("GoodwillAsked", None), ("GoodwillDecided", "declined")]


def test_a_supervisor_asks_too_and_does_not_decide_herself(
    session: Session, now: datetime, api: Api, boss: Actor, second: Actor, unchanged: Unchanged
) -> None:
    who, _ = customer_with(session, (10, now))
    asked = api(boss).post(f"/customers/{who.id}/points/goodwill", json=body(CAP + 1), key="one").json
    assert asked["state"] == "pending"
    path = f"/points/goodwill/{asked['id']}/decision"
    with unchanged():
        for give in (True, False):
            refused = api(boss).post(path, json={"give": give}, key=f"own-{give}")
            assert (refused.status_code, refused.json["code"]) == (403, "goodwill_own")
    assert api(second).post(path, json={"give": True}, key="other").json["state"] == "given"
    assert balances(session, who.id) == (10 + CAP + 1, 0, 0)


def test_the_members_cap_counts_what_everybody_gave_in_its_days(session: Session, now: datetime) -> None:
    who, other = factories.customer(session), factories.customer(session)
    days = limits.GOODWILL_DAYS
    assert offer(session, who.id, CAP, now - days * DAY) == "given"  # to the moment that long ago: it counts no more
    assert offer(session, who.id, CAP, now - (days - 1) * DAY, actor="staff:a") == "given"
    assert offer(session, who.id, CAP, now - 2 * DAY, actor="staff:b") == "given"
    assert offer(session, who.id, 1, now - 2 * DAY) == "pending"
    assert goodwill.left_for(session, customer_id=who.id, now=now) == IN_ALL - 2 * CAP == CAP
    assert offer(session, who.id, CAP, now, actor="staff:c") == "given"
    assert goodwill.left_for(session, customer_id=who.id, now=now) == 0
    assert offer(session, who.id, 1, now) == "pending"
    assert offer(session, other.id, 1, now) == "given"
    assert goodwill.left_for(session, customer_id=who.id, now=now + DAY) == CAP
    assert offer(session, who.id, CAP + 1, now + DAY) == "pending"
    assert offer(session, who.id, CAP, now + DAY) == "given"


def test_what_a_supervisor_gave_counts_and_what_was_declined_or_waits_does_not(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    for give in (False, True):
        gift_id = goodwill.offer(
            session,
            customer_id=who.id,
            points=IN_ALL - 100,
            reason="late",
            note="",
            order_id=None,
            actor="staff:a",
            now=now,
        )
        assert goodwill.left_for(session, customer_id=who.id, now=now) == CAP
        goodwill.decide(session, gift_id=gift_id, give=give, note="", actor="staff:b", now=now)
    assert goodwill.left_for(session, customer_id=who.id, now=now) == 100


def test_a_merged_record_shares_the_cap_of_its_survivor(
    session: Session, now: datetime, api: Api, agent: Actor
) -> None:
    gone, stays = factories.customer(session), factories.customer(session)
    offer(session, gone.id, CAP, now)
    offer(session, gone.id, CAP, now)
    given = {"stays": stays.id, "gone": gone.id}
    session.execute(text("UPDATE customer SET merged_into = :stays WHERE id = :gone"), given)
    block(session, gone.id, "merged")
    assert goodwill.left_for(session, customer_id=stays.id, now=now) == CAP
    answer = api(agent).post(f"/customers/{gone.reference}/points/goodwill", json=body(CAP), key="one").json
    assert (answer["state"], answer["customer_id"]) == ("given", str(stays.id))
    assert balances(session, stays.id) == (CAP, 0, 0)
    assert offer(session, stays.id, 1, now) == "pending"


def test_a_gift_that_waited_over_a_merge_reaches_the_survivor_as_the_merged_ones(
    session: Session, now: datetime
) -> None:
    gone, stays = factories.customer(session), factories.customer(session)
    gift_id = goodwill.offer(
        session, customer_id=gone.id, points=CAP + 1, reason="late", note="", order_id=None, actor="staff:a", now=now
    )
    given = {"stays": stays.id, "gone": gone.id}
    session.execute(text("UPDATE customer SET merged_into = :stays WHERE id = :gone"), given)
    block(session, gone.id, "merged")
    goodwill.decide(session, gift_id=gift_id, give=True, note="", actor="staff:b", now=now)
    lot = session.execute(text("SELECT customer_id, member_id, remaining FROM points_lot")).one()
    assert tuple(lot) == (stays.id, gone.id, CAP + 1)
    assert goodwill.view(session, gift_id=gift_id)["customer_reference"] == stays.reference
    assert_clean(session)


def test_a_blocked_member_is_given_nothing_and_what_waits_can_be_declined(
    session: Session, now: datetime, api: Api, agent: Actor, boss: Actor, unchanged: Unchanged
) -> None:
    who, _ = customer_with(session, (10, now))
    asked = api(agent).post(f"/customers/{who.id}/points/goodwill", json=body(CAP + 1), key="one").json
    path = f"/points/goodwill/{asked['id']}/decision"
    block(session, who.id)
    with unchanged():
        for points in (1, CAP + 1):
            refused = api(agent).post(f"/customers/{who.id}/points/goodwill", json=body(points), key=f"k{points}")
            assert (refused.status_code, refused.json["code"]) == (409, "points_account_blocked")
        refused = api(boss).post(path, json={"give": True}, key="give")
        assert (refused.status_code, refused.json["code"]) == (409, "points_account_blocked")
    assert api(boss).post(path, json={"give": False}, key="no").json["state"] == "declined"


def test_a_gift_does_not_pay_what_is_owed(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (10, now))
    session.execute(text("UPDATE points_account SET owed = 7 WHERE customer_id = :id"), {"id": who.id})
    offer(session, who.id, 100, now)
    assert balances(session, who.id) == (110, 0, 7)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"reason": "late"}, "points"),
        (body(0), "points"),
        (body(-5), "points"),
        (body(limits.POINTS_PER_EARNING + 1), "points"),
        ({"points": "100", "reason": "late"}, "points"),
        ({"points": 1.5, "reason": "late"}, "points"),
        ({"points": 1}, "reason"),
        (body(reason="because"), "reason"),
        (body(reason="other"), "note"),
        (body(reason="other", note="   "), "note"),
        (body(note="x" * 501), "note"),
        (body(order_id="R-1"), "order_id"),
        (body(customer="x"), "customer"),
    ],
)
def test_what_a_gift_must_say(
    session: Session, api: Api, agent: Actor, unchanged: Unchanged, sent: dict[str, Any], field: str
) -> None:
    who = factories.customer(session)
    with unchanged():
        refused = api(agent).post(f"/customers/{who.id}/points/goodwill", json=sent, key="one")
    assert (refused.status_code, [error["field"] for error in refused.json["errors"]]) == (422, [field])


def test_who_may_give(session: Session, api: Api, agent: Actor, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    path = f"/customers/{who.id}/points/goodwill"
    others = [factories.staff(session, role) for role in ("associate", "manager", "analyst")]
    may, may_not = (factories.api_client(session, [scope]) for scope in ("points.give", "points.read"))
    with unchanged():
        for other in (*others, who, may_not):
            assert api(other).post(path, json=body(), key="no").status_code == 403
        assert api().post(path, json=body(), key="no").status_code == 401
        missing = api(agent).post(path, json=body())
        assert (missing.status_code, missing.json["code"]) == (400, "idempotency_key_missing")
        nobody = api(agent).post("/customers/C-22222-22222/points/goodwill", json=body(), key="no")
        assert (nobody.status_code, nobody.json["code"]) == (404, "not_found")
    given = api(may).post(path, json=body(), key="yes").json
    assert (given["state"], given["asked_by"], given["asked_by_name"]) == ("given", may.actor, None)


def test_the_list_shows_whose_day_it_was(session: Session, now: datetime, api: Api, agent: Actor, boss: Actor) -> None:
    first, second = factories.customer(session), factories.customer(session)
    for number, (who, points, hours) in enumerate(
        [(first, 300, 30), (first, 200, 23), (second, CAP + 5, 2), (second, 40, 1)]
    ):
        with clock.shifted(timedelta(hours=-hours)):
            made = api(agent).post(f"/customers/{who.id}/points/goodwill", json=body(points), key=f"k{number}")
            assert made.status_code == 201
    by_boss = api(boss).post(f"/customers/{first.id}/points/goodwill", json=body(7), key="b")
    assert by_boss.status_code == 201
    seen = api(boss).get("/points/goodwill").json["items"]
    assert [(one["points"], one["asker_day_points"]) for one in seen] == [
        (7, 7),
        (40, 200 + CAP + 5 + 40),
        (CAP + 5, 200 + CAP + 5),
        (200, 500),
        (300, 300),
    ]
    own = api(agent).get("/points/goodwill").json["items"]
    assert [one["points"] for one in own] == [40, CAP + 5, 200, 300]
    waiting = api(boss).get("/points/goodwill?state=pending").json["items"]
    assert [one["points"] for one in waiting] == [CAP + 5]
    hers = api(boss).get(f"/points/goodwill?customer={first.reference}").json["items"]
    assert [one["points"] for one in hers] == [7, 200, 300]
    page = api(boss).get("/points/goodwill?limit=2").json
    assert [one["points"] for one in page["items"]] == [7, 40]
    rest = api(boss).get(f"/points/goodwill?limit=3&cursor={page['next']}").json
    assert ([one["points"] for one in rest["items"]], rest["next"]) == ([CAP + 5, 200, 300], None)
    with db.counting() as count:
        api(boss).get("/points/goodwill")
    assert count.statements == 2


def test_the_list_refuses_what_it_did_not_hand_out(session: Session, api: Api, boss: Actor) -> None:
    for query in ("state=lost", "limit=0", "cursor=made-up", "color=red"):
        assert api(boss).get(f"/points/goodwill?{query}").status_code == 422, query
    assert api(boss).get("/points/goodwill?customer=C-22222-22222").status_code == 404
    assert api(factories.staff(session, "associate")).get("/points/goodwill").status_code == 403
    assert api().get("/points/goodwill").status_code == 401


def test_what_was_given_can_be_spent_and_runs_out(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    offer(session, who.id, 100, now)
    earn(session, who.id, 50, now + DAY)
    seen = queries.points_of(session, customer_id=who.id, now=now + DAY)
    assert (seen["available"], seen["next_expiry"]) == (150, {"points": 100, "at": now + 365 * DAY})
