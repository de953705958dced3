"""/tier-program, /tiers, and the tier of a customer: what is refused and why, and that nothing changed then."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import jobs
from retail import limits
from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests.factories import Actor, customer, staff
from tests.loyalty.tier_facts import changes, program, spent, standing

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
DAY = timedelta(days=1)
PROGRAM = {"basis": "spend", "currency": "JPY", "window": "rolling", "grace_days": 30, "soft_landing": True}
GOLD = {"code": "gold", "name": "Gold", "name_ja": "ゴールド", "rank": 20, "threshold": 5000, "multiplier_bp": 15_000}


@pytest.fixture
def admin(session: Session) -> Actor:
    return staff(session, "admin")


def member(session: Session) -> Actor:
    who = customer(session)
    given = {"id": who.id, "at": clock.now()}
    session.execute(text("INSERT INTO points_account (customer_id, opened_at) VALUES (:id, :at)"), given)
    return who


def told(session: Session) -> list[Any]:
    rows = session.execute(text("SELECT data -> 'fields' FROM event WHERE type = 'TierProgramChanged' ORDER BY seq"))
    return list(rows.scalars())


def test_the_program_is_read_set_and_changed(session: Session, api: Api, admin: Actor) -> None:
    calling = api(admin)
    unset = calling.get("/tier-program")
    assert (unset.status_code, unset.json["version"]) == (200, 0)
    made = calling.put("/tier-program", json=PROGRAM, if_match=0)
    assert (made.status_code, made.headers["ETag"]) == (200, '"1"'), made.json
    assert made.json == PROGRAM | {"window_days": 365, "zone": "Asia/Tokyo", "version": 1}
    other = PROGRAM | {"window": "calendar", "zone": "Europe/London", "grace_days": 0, "soft_landing": False}
    changed = calling.put("/tier-program", json=other, if_match=1)
    assert changed.json == other | {"window_days": 365, "version": 2}
    assert calling.get("/tier-program").json == changed.json
    assert len(told(session)) == 2


def test_the_program_is_not_set_over_another(session: Session, api: Api, admin: Actor, unchanged: Unchanged) -> None:
    api(admin).put("/tier-program", json=PROGRAM, if_match=0)
    with unchanged():
        assert api(admin).put("/tier-program", json=PROGRAM, if_match=0).status_code == 412
        assert api(admin).put("/tier-program", json=PROGRAM, if_match=2).status_code == 412
        assert api(admin).put("/tier-program", json=PROGRAM).status_code == 428


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"basis": "visits"}, "basis"),
        ({"currency": "yen"}, "currency"),
        ({"window": "weekly"}, "window"),
        ({"window_days": 0}, "window_days"),
        ({"window_days": 3661}, "window_days"),
        ({"window_days": "365"}, "window_days"),
        ({"grace_days": -1}, "grace_days"),
        ({"soft_landing": "perhaps"}, "soft_landing"),
        ({"zone": "Asia/Edo"}, "zone"),
        ({"color": "red"}, "color"),
    ],
)
def test_a_program_that_is_none(
    api: Api, admin: Actor, unchanged: Unchanged, changes: dict[str, Any], field: str
) -> None:
    with unchanged():
        answer = api(admin).put("/tier-program", json=PROGRAM | changes, if_match=0)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_the_currency_stays_once_something_was_spent(
    session: Session, api: Api, admin: Actor, unchanged: Unchanged
) -> None:
    """Without a program spending is written down in yen already."""
    calling = api(admin)
    assert calling.put("/tier-program", json=PROGRAM | {"currency": "GBP"}, if_match=0).status_code == 200
    assert calling.put("/tier-program", json=PROGRAM, if_match=1).status_code == 200
    spent(session, member(session).id, 1000, clock.now())
    with unchanged():
        answer = calling.put("/tier-program", json=PROGRAM | {"currency": "GBP"}, if_match=2)
    assert (answer.status_code, answer.json["code"], answer.json["currency"]) == (409, "currency_fixed", "JPY")
    assert calling.put("/tier-program", json=PROGRAM | {"grace_days": 1}, if_match=2).status_code == 200


def test_tiers_are_made_read_listed_and_changed(session: Session, api: Api, admin: Actor) -> None:
    program(session, tiers={})
    calling = api(admin)
    gold = calling.post("/tiers", json=GOLD)
    assert (gold.status_code, gold.headers["ETag"]) == (201, '"1"'), gold.json
    assert gold.json == GOLD | {"free_shipping": False, "active": True, "version": 1}
    silver = calling.post("/tiers", json={"code": "silver", "name": "Silver", "rank": 10, "threshold": 1000}).json
    assert calling.get("/tiers").json == {"items": [silver, gold.json], "next": None}
    first = calling.get("/tiers?limit=1").json
    assert first["items"] == [silver]
    assert calling.get(f"/tiers?cursor={first['next']}").json == {"items": [gold.json], "next": None}
    changed = calling.patch("/tiers/gold", json={"threshold": 6000, "free_shipping": True}, if_match=1)
    assert changed.json == gold.json | {"threshold": 6000, "free_shipping": True, "version": 2}
    read = calling.get("/tiers/gold")
    assert (read.json, read.headers["ETag"]) == (changed.json, '"2"')
    assert told(session) == [["gold.created"], ["silver.created"], ["gold.free_shipping", "gold.threshold"]]


def test_what_changes_who_is_in_which_tier_is_followed_by_a_walk(session: Session, api: Api, admin: Actor) -> None:
    program(session, tiers={"silver": 1000})
    who = member(session)
    spent(session, who.id, 5000, clock.now())
    assert jobs.review_tiers() == 0
    calling = api(admin)
    assert calling.post("/tiers", json=GOLD).status_code == 201
    assert jobs.review_tiers() == 1
    assert changes(session, who.id) == [(None, "gold", "program", 5000)]
    calling.patch("/tiers/gold", json={"name": "Or", "free_shipping": True, "multiplier_bp": 20_000}, if_match=1)
    assert jobs.review_tiers() == 0
    calling.patch("/tiers/gold", json={"threshold": 5001}, if_match=2)
    assert jobs.review_tiers() == 1
    assert standing(session, who.id)[2] == clock.now()
    calling.put("/tier-program", json=PROGRAM | {"grace_days": 0}, if_match=1)
    assert jobs.review_tiers() == 1
    assert changes(session, who.id)[-1] == ("gold", "silver", "lapsed", 5000)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (GOLD | {"code": "g o l d"}, "code"),
        (GOLD | {"name": ""}, "name"),
        (GOLD | {"rank": 0}, "rank"),
        (GOLD | {"rank": 1001}, "rank"),
        (GOLD | {"threshold": 0}, "threshold"),
        (GOLD | {"threshold": 10**15 + 1}, "threshold"),
        (GOLD | {"multiplier_bp": 9999}, "multiplier_bp"),
        (GOLD | {"multiplier_bp": 100_001}, "multiplier_bp"),
        (GOLD | {"free_shipping": "sometimes"}, "free_shipping"),
        ({name: value for name, value in GOLD.items() if name != "threshold"}, "threshold"),
        (GOLD | {"threshold": 999}, "threshold"),
        (GOLD | {"threshold": 1000}, "threshold"),
        (GOLD | {"rank": 5}, "threshold"),
    ],
)
def test_a_tier_that_is_none(
    session: Session, api: Api, admin: Actor, unchanged: Unchanged, body: dict[str, Any], field: str
) -> None:
    program(session, tiers={"silver": 1000})
    with unchanged():
        answer = api(admin).post("/tiers", json=body)
    assert answer.status_code == 422, answer.json
    assert [error["field"] for error in answer.json["errors"]] == [field]


def test_every_tier_that_is_out_of_order_is_named(
    session: Session, api: Api, admin: Actor, unchanged: Unchanged
) -> None:
    program(session)  # silver 1000, gold 5000, platinum 20000
    with unchanged():
        answer = api(admin).patch("/tiers/silver", json={"threshold": 20_000}, if_match=1)
    assert (answer.status_code, answer.json["code"]) == (422, "tier_invalid")
    assert [error["tier"] for error in answer.json["errors"]] == ["gold", "platinum"]
    assert api(admin).patch("/tiers/gold", json={"active": False}, if_match=1).status_code == 200
    assert api(admin).patch("/tiers/silver", json={"threshold": 19_999}, if_match=1).status_code == 200
    with unchanged():
        answer = api(admin).patch("/tiers/gold", json={"active": True}, if_match=2)
    assert [error["tier"] for error in answer.json["errors"]] == ["silver"]


def test_codes_and_ranks_are_taken_once(session: Session, api: Api, admin: Actor, unchanged: Unchanged) -> None:
    program(session)
    calling = api(admin)
    with unchanged():
        twice = calling.post("/tiers", json=GOLD | {"threshold": 5001})
        assert (twice.status_code, twice.json["code"]) == (409, "tier_taken")
        assert [error["field"] for error in twice.json["errors"]] == ["code"]
        beside = calling.post("/tiers", json=GOLD | {"code": "ruby", "threshold": 5001})
        assert [(error["field"], error["detail"]) for error in beside.json["errors"]] == [("rank", "gold")]
        assert calling.patch("/tiers/silver", json={"rank": 20}, if_match=1).status_code == 409


def test_no_tier_without_a_program(api: Api, admin: Actor, session: Session, unchanged: Unchanged) -> None:
    who = member(session)
    with unchanged():
        answer = api(admin).post("/tiers", json=GOLD)
        assert (answer.status_code, answer.json["code"]) == (409, "no_tier_program")
        answer = api(admin).patch("/tiers/gold", json={"rank": 1}, if_match=1)
        assert (answer.status_code, answer.json["code"]) == (409, "no_tier_program")
        answer = api(admin).post(f"/customers/{who.id}/tier", key="one", json={"tier": "gold"})
        assert (answer.status_code, answer.json["code"]) == (409, "no_tier_program")
    assert api(admin).get("/tiers").json == {"items": [], "next": None}
    assert api(admin).get("/tiers/gold").status_code == 404
    nothing = api(who).get("/me/tier")
    assert (nothing.status_code, nothing.json["tier"], nothing.json["figure"]) == (200, None, 0)


def test_not_more_tiers_than_a_shop_has(session: Session, api: Api, admin: Actor, unchanged: Unchanged) -> None:
    program(session, tiers={f"t{number}": number for number in range(1, limits.TIERS + 1)})
    with unchanged():
        answer = api(admin).post("/tiers", json=GOLD | {"rank": 999})
        assert (answer.status_code, answer.json["code"]) == (422, "too_many_tiers")


def test_a_stale_or_empty_change_of_a_tier(session: Session, api: Api, admin: Actor, unchanged: Unchanged) -> None:
    program(session)
    calling = api(admin)
    with unchanged():
        assert calling.patch("/tiers/gold", json={"name": "Or"}, if_match=2).status_code == 412
        assert calling.patch("/tiers/gold", json={"name": "Or"}).status_code == 428
        assert calling.patch("/tiers/gold", json={}, if_match=1).status_code == 422
        assert calling.patch("/tiers/gold", json={"code": "or"}, if_match=1).status_code == 422
        assert calling.patch("/tiers/ruby", json={"name": "Or"}, if_match=1).status_code == 404


def test_a_tier_that_rules_name_is_not_switched_off(
    session: Session, api: Api, admin: Actor, unchanged: Unchanged
) -> None:
    program(session)
    session.execute(
        text(
            "INSERT INTO earning_rule (code, version, name, basis, points, tiers, from_at, actor) "
            "VALUES ('double', 1, 'Double', 'order', 5, '{silver,gold}', '2020-01-01Z', 'system')"
        )
    )
    with unchanged():
        answer = api(admin).patch("/tiers/gold", json={"active": False}, if_match=1)
        assert (answer.status_code, answer.json["code"], answer.json["rules"]) == (409, "tier_in_use", ["double"])
    session.execute(text("UPDATE earning_rule SET to_at = now()"))
    assert api(admin).patch("/tiers/gold", json={"active": False}, if_match=1).status_code == 200


def test_who_may_not(session: Session, api: Api, unchanged: Unchanged) -> None:
    program(session)
    who = member(session)
    supervisor, admin = api(staff(session, "supervisor")), api(staff(session, "admin"))
    with unchanged():
        for caller in (None, who):
            refused = {401} if caller is None else {403}
            for path in ("/tier-program", "/tiers", "/tiers/gold", f"/customers/{who.id}/tier"):
                assert {api(caller).get(path).status_code} == refused, path
        assert supervisor.put("/tier-program", json=PROGRAM, if_match=1).status_code == 403
        assert supervisor.post("/tiers", json=GOLD).status_code == 403
        assert supervisor.patch("/tiers/gold", json={"name": "Or"}, if_match=1).status_code == 403
        assert supervisor.post(f"/customers/{who.id}/tier", key="one", json={"tier": "gold"}).status_code == 403
        assert admin.get("/me/tier").status_code == 403
        assert api().get("/me/tier").status_code == 401
    assert supervisor.get("/tiers?cursor=WzFlOTlwMF0").status_code == 422
    assert supervisor.get("/tiers?cursor=W0luZmluaXR5XQ").status_code == 422  # [Infinity]


def test_a_member_sees_where_she_stands(session: Session, now: datetime, api: Api, admin: Actor) -> None:
    program(session)
    who = member(session)
    spent(session, who.id, 1200, now - 300 * DAY)
    spent(session, who.id, 300, now)
    jobs.review_tiers()
    with db.counting() as count:
        before = api(who).get("/me/tier").json
    assert count.statements == 4  # one of them logs in
    assert (before["tier"], before["next"]["code"], before["keep_until"]) == (None, "gold", None)
    session.execute(text("UPDATE tier_program SET walk_after = '00000000-0000-0000-0000-000000000000'"))
    jobs.review_tiers()
    mine = api(who).get("/me/tier").json
    assert mine["tier"] == {
        "code": "silver",
        "name": "Silver",
        "name_ja": None,
        "threshold": 1000,
        "multiplier_bp": 10_000,
        "free_shipping": False,
    }
    assert (mine["figure"], mine["basis"], mine["currency"]) == (1500, "spend", "JPY")
    assert mine["window"] == {
        "kind": "rolling",
        "days": 365,
        "counts_after": (now - 365 * DAY).isoformat(),
        "zone": "Asia/Tokyo",
    }
    assert (mine["next"]["code"], mine["next"]["missing"], mine["missing_to_keep"]) == ("gold", 3500, 0)
    assert (mine["since"], mine["below_since"]) == (now.isoformat(), None)
    assert mine["keep_until"] == (now + 95 * DAY).isoformat()  # 65 until the first purchase leaves, 30 of grace
    change = {"from_code": None, "to_code": "silver", "reason": "program", "figure": 1500, "at": now.isoformat()}
    assert mine["changes"] == [change]
    for name in (who.id, who.reference):
        seen = api(admin).get(f"/customers/{name}/tier").json
        assert seen == mine | {"changes": [change | {"actor": "system", "note": ""}]}
    with clock.shifted(70 * DAY):
        jobs.review_tiers()
        later = api(staff(session, "analyst")).get(f"/customers/{who.id}/tier").json
        assert (later["figure"], later["missing_to_keep"]) == (300, 700)
        assert later["keep_until"] == (now + 100 * DAY).isoformat()
    assert api(admin).get(f"/customers/{new_id()}/tier").status_code == 404


def test_somebody_who_never_earned_has_no_tier_and_all_to_do(session: Session, api: Api) -> None:
    program(session)
    seen = api(customer(session)).get("/me/tier").json
    assert (seen["tier"], seen["figure"], seen["changes"]) == (None, 0, [])
    assert (seen["next"]["code"], seen["next"]["missing"]) == ("silver", 1000)


def test_staff_give_a_tier_that_lasts_for_the_grace(session: Session, now: datetime, api: Api, admin: Actor) -> None:
    program(session)
    who = customer(session)
    body = {"tier": "gold", "note": "Her shop moved to us"}
    given = api(admin).post(f"/customers/{who.id}/tier", key="one", json=body)
    assert given.status_code == 200, given.json
    assert (given.json["tier"]["code"], given.json["keep_until"]) == ("gold", (now + 30 * DAY).isoformat())
    (change,) = given.json["changes"]
    assert (change["reason"], change["note"], change["actor"]) == ("staff", body["note"], admin.actor)
    again = api(admin).post(f"/customers/{who.id}/tier", key="one", json=body)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (given.json, "true")
    assert jobs.review_tiers() == 0
    with clock.shifted(30 * DAY):
        jobs.review_tiers()
    assert changes(session, who.id)[-1] == ("gold", "silver", "lapsed", 0)


def test_a_given_tier_is_kept_by_who_reaches_it(session: Session, now: datetime, api: Api, admin: Actor) -> None:
    program(session)
    who = member(session)
    api(admin).post(f"/customers/{who.id}/tier", key="one", json={"tier": "gold"})
    spent(session, who.id, 5000, now + DAY)
    with clock.shifted(30 * DAY):
        jobs.review_tiers()
    assert standing(session, who.id) == ("gold", now, None, now + 366 * DAY)
    out = api(admin).post(f"/customers/{who.id}/tier", key="two", json={"tier": None})
    assert (out.status_code, out.json["code"]) == (409, "tier_reached")
    assert standing(session, who.id) == ("gold", now, None, now + 366 * DAY)


def test_a_tier_by_hand_that_is_refused(
    session: Session, now: datetime, api: Api, admin: Actor, unchanged: Unchanged
) -> None:
    program(session)
    who = member(session)
    spent(session, who.id, 5000, now)
    path, calling = f"/customers/{who.id}/tier", api(admin)
    with unchanged():
        for number, (tier, status, code) in enumerate(
            [("silver", 409, "tier_reached"), (None, 409, "tier_reached"), ("ruby", 422, "tier_invalid")]
        ):
            answer = calling.post(path, key=f"k{number}", json={"tier": tier})
            assert (answer.status_code, answer.json["code"]) == (status, code)
        assert calling.post(path, key="k8", json={}).status_code == 422
        assert calling.post(path, json={"tier": "gold"}).status_code == 400
        assert calling.post(f"/customers/{new_id()}/tier", key="k9", json={"tier": "gold"}).status_code == 404
    reached = calling.post(path, key="k10", json={"tier": "gold"})
    assert (reached.json["since"], reached.json["below_since"]) == (now.isoformat(), None)
    with unchanged():
        answer = calling.post(path, key="k11", json={"tier": "gold"})
        assert (answer.status_code, answer.json["code"]) == (409, "tier_held")
    session.execute(text("UPDATE tier SET active = false WHERE code = 'platinum'"))
    with unchanged():
        assert calling.post(path, key="k12", json={"tier": "platinum"}).status_code == 422
