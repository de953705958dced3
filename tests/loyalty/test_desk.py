"""Lots with their dates, and why each entry exists: what an agent tells a member."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import goodwill, ledger, transfers
from loyalty.queries import desk
from retail.kernel import db
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, customer_with, earn

Api = Callable[..., Any]
DAY = timedelta(days=1)


def give(session: Session, who: Any, points: int, now: datetime, reason: str = "late", note: str = "") -> None:
    goodwill.offer(
        session, customer_id=who.id, points=points, reason=reason, note=note, order_id=None, actor=ACTOR, now=now
    )


def pass_on(session: Session, who: Any, to: Any, points: int, now: datetime, message: str = "") -> None:
    transfers.give(
        session, customer_id=who.id, to=to.reference, points=points, message=message, actor=who.actor, now=now
    )


def merge(session: Session, gone: Any, stays: Any, now: datetime) -> None:
    session.execute(
        text("UPDATE customer SET merged_into = :stays WHERE id = :gone"), {"stays": stays.id, "gone": gone.id}
    )
    ledger.merge(session, gone_id=gone.id, stays_id=stays.id, merge_id=new_id(), actor=ACTOR, now=now)


def test_lots_by_when_they_run_out_with_where_they_came_from(session: Session, now: datetime, api: Api) -> None:
    who, friend = factories.customer(session), factories.customer(session, name="Jiro Tanaka")
    order_id = new_id()
    earn(session, who.id, 200, now - 90 * DAY, order_id)
    earn(session, who.id, 7, now - 80 * DAY)
    give(session, who, 50, now - 70 * DAY, "damaged")
    earn(session, friend.id, 30, now - 60 * DAY)
    pass_on(session, friend, who, 20, now - DAY)
    grant = ledger.Grant(90, now + 10 * DAY, now + 400 * DAY)
    ledger.earn(
        session,
        customer_id=who.id,
        order_id=order_id,
        points=90,
        key="p",
        reason="pickup",
        actor=ACTOR,
        now=now,
        grants=[grant],
    )
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=150, actor=ACTOR, now=now)
    earn(session, who.id, 1000, now - 365 * DAY)  # ran out, the job has not come yet
    answer = api(who).get("/me/points/lots")
    assert answer.status_code == 200
    told = [
        {name: value for name, value in lot.items() if name not in ("id", "merged_reference")}
        for lot in answer.json["items"]
    ]

    def lot(points: int, source: str, at: datetime, **more: Any) -> dict[str, Any]:
        made = {
            "points": points,
            "earned": points,
            "source": source,
            "order_id": None,
            "reason": "",
            "from_name": None,
            "earned_at": at.isoformat(),
            "available_from": at.isoformat(),
            "expires_at": (at + 365 * DAY).isoformat(),
            "state": "open",
        }
        return made | more

    assert told == [
        lot(50, "order", now - 90 * DAY, earned=200, order_id=str(order_id)),
        lot(7, "grant", now - 80 * DAY, reason="test"),
        lot(50, "goodwill", now - 70 * DAY, reason="damaged"),
        lot(
            20,
            "transfer",
            now - 60 * DAY,
            from_name="Jiro Tanaka",
            earned_at=(now - DAY).isoformat(),
        ),
        lot(
            90,
            "order",
            now,
            order_id=str(order_id),
            available_from=(now + 10 * DAY).isoformat(),
            expires_at=(now + 400 * DAY).isoformat(),
            state="pending",
        ),
    ]
    for path in (f"/customers/{who.id}/points/lots", f"/customers/{who.reference}/points/lots"):
        assert api(factories.staff(session, "agent")).get(path).json == answer.json


def test_lots_are_pages(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, *[(points, now) for points in range(1, 6)])
    calling = api(who)
    seen: list[int] = []
    path = "/me/points/lots?limit=2"
    for _ in range(3):
        page = calling.get(path).json
        seen += [lot["points"] for lot in page["items"]]
        path = f"/me/points/lots?limit=2&cursor={page['next']}"
    assert (sorted(seen), page["next"]) == ([1, 2, 3, 4, 5], None)
    with db.counting() as count:
        calling.get("/me/points/lots")
    assert count.statements == 2


def test_who_may_see_lots(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (5, now))
    agent = api(factories.staff(session, "agent"))
    assert api().get("/me/points/lots").status_code == 401
    assert agent.get("/me/points/lots").status_code == 403
    assert api(who).get(f"/customers/{who.id}/points/lots").status_code == 403
    assert agent.get("/customers/C-22222-22222/points/lots").status_code == 404
    for query in ("limit=0", "cursor=made-up", "cursor=WyIyMDI2LTAxLTAxIiwgIngiXQ", "color=red"):
        assert api(who).get(f"/me/points/lots?{query}").status_code == 422, query


def test_a_merged_members_lots_say_whose_they_are(session: Session, now: datetime, api: Api) -> None:
    (gone, _), (stays, _) = customer_with(session, (5, now)), customer_with(session, (7, now + DAY))
    merge(session, gone, stays, now)
    seen = [(lot["points"], lot["merged_reference"]) for lot in api(stays).get("/me/points/lots").json["items"]]
    assert seen == [(5, gone.reference), (7, None)]
    agent = api(factories.staff(session, "agent"))
    assert len(agent.get(f"/customers/{gone.reference}/points/lots").json["items"]) == 2


def test_why_each_entry_exists(session: Session, now: datetime) -> None:
    who, friend = factories.customer(session), factories.customer(session, name="Jiro Tanaka")
    order_id, lines = new_id(), [new_id(), new_id()]
    reasons = [
        ledger.Reason(lines[0], "base", 0, 20, 2000),
        ledger.Reason(lines[1], "base", 0, 14, 1480),
        ledger.Reason(lines[1], "tea", 1, 5, 1),
    ]
    session.execute(
        text(
            "INSERT INTO earning_rule (code, version, name, name_ja, basis, points, from_at, actor)"
            " VALUES ('tea', 1, 'Tea days', 'お茶の日', 'unit', 5, :now, 'system')"
        ),
        {"now": now},
    )
    ledger.earn(
        session,
        customer_id=who.id,
        order_id=order_id,
        points=39,
        key="e",
        reason="pickup",
        actor=ACTOR,
        now=now,
        reasons=reasons,
    )
    give(session, who, 50, now, "damaged", "The cup was broken")
    pass_on(session, who, friend, 20, now, "For you")
    pass_on(session, friend, who, 3, now)
    gone, _ = customer_with(session, (5, now))
    merge(session, gone, who, now)
    with db.counting() as count:
        seen = desk.entries_why(session, customer_id=who.id, limit=20)
    assert count.statements == 1
    assert [(one["kind"], one["points"]) for one in seen] == [
        ("merge", 5),
        ("merge", -5),
        ("earn", 5),
        ("transfer", 3),
        ("transfer", -20),
        ("goodwill", 50),
        ("earn", 39),
    ]
    by_kind = {(one["kind"], one["points"]): one for one in seen}
    plain = dict.fromkeys(("name", "name_ja", "basis", "currency", "per_points", "per_minor", "factor_bp"))
    assert by_kind["earn", 39]["reasons"] == [
        plain | {"rule_code": "base", "rule_version": 0, "points": 34, "counted": 3480},
        {
            "rule_code": "tea",
            "rule_version": 1,
            "points": 5,
            "counted": 1,
            "name": "Tea days",
            "name_ja": "お茶の日",
            "basis": "unit",
            "currency": None,
            "per_points": 5,
            "per_minor": 0,
            "factor_bp": 0,
        },
    ]
    assert by_kind["earn", 39]["order_id"] == order_id
    assert by_kind["goodwill", 50]["gift"] == {"reason": "damaged", "note": "The cup was broken"}
    told = {"reference": friend.reference, "name": "Jiro Tanaka"}
    assert by_kind["transfer", -20]["transfer"] == told | {"message": "For you"}
    assert by_kind["transfer", 3]["transfer"] == told | {"message": ""}
    assert by_kind["merge", 5]["merged"] == {"reference": gone.reference, "name": gone.name}
    older = desk.entries_why(session, customer_id=who.id, before=seen[3]["seq"], limit=2)
    assert [one["points"] for one in older] == [-20, 50]
