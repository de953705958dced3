"""Earning rules over the API: made, changed into versions, switched off, refused; and what held at which moment."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import rules
from loyalty.models import EarningRule
from loyalty.queries import rules as queries
from retail import limits
from retail.kernel import clock, db
from retail.kernel.errors import Stale
from tests import factories
from tests.factories import Actor
from tests.factories.orders import Shop, events, shop
from tests.races.interleaving import Other

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
HOUR = timedelta(hours=1)
DOUBLE = {"code": "double", "name": "Double points", "basis": "multiplier", "factor_bp": 20_000}
EXTRA = {
    "code": "extra",
    "name": "Extra",
    "basis": "amount",
    "points": 5,
    "per_minor": 1000,
    "currency": "JPY",
    "factor_bp": 0,
}


@pytest.fixture
def admin(session: Session) -> Actor:
    return factories.staff(session, "admin")


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def make(api: Api, admin: Actor, **facts: Any) -> dict[str, Any]:
    answer = api(admin).post("/earning-rules", json=DOUBLE | facts)
    assert answer.status_code == 201, answer.json["errors"]
    return dict(answer.json)


def test_a_rule_is_made_read_and_listed(session: Session, api: Api, admin: Actor, made: Shop, now: datetime) -> None:
    session.execute(
        text("UPDATE product SET category = 'Teas' WHERE id = (SELECT product_id FROM variant WHERE sku = :sku)"),
        {"sku": made.tea.sku},
    )
    found = make(
        api, admin, skus=[made.tea.sku], categories=["Teas"], channels=["web"], locations=[made.store.code], weekdays=[6, 7],
        from_on="2026-07-01", to_on="2026-07-31", birthday="month", cap_per_member=500, cap_days=30, pending_days=14, lot_days=90,
        name_ja="ポイント2倍",
    )  # fmt: skip
    assert (found["code"], found["version"], found["active"]) == ("double", 1, True)
    assert (found["from_at"], found["to_at"], found["actor"]) == (now.isoformat(), None, f"staff:{admin.id}")
    assert (found["skus"], found["categories"], found["locations"]) == ([made.tea.sku], ["Teas"], [made.store.code])
    assert (found["from_on"], found["weekdays"], found["cap_days"]) == ("2026-07-01", [6, 7], 30)
    read = api(made.associate).get("/earning-rules/double")
    assert (read.json, read.headers["ETag"]) == (found, '"1"')
    second = make(api, admin, **EXTRA)
    listed = api(made.associate).get("/earning-rules?limit=1").json
    assert [item["code"] for item in listed["items"]] == ["double"]
    rest = api(made.associate).get(f"/earning-rules?cursor={listed['next']}").json
    assert rest == {"items": [{name: value for name, value in second.items() if name != "versions"}], "next": None}
    assert events(session, "EarningRuleChanged") == ["EarningRuleChanged"] * 2


def test_a_change_makes_the_next_version_and_leaves_the_past_alone(
    session: Session, api: Api, admin: Actor, now: datetime
) -> None:
    make(api, admin, **EXTRA)
    with clock.shifted(HOUR):
        answer = api(admin).patch("/earning-rules/extra", json={"points": 7, "cap_per_order": 100}, if_match=1)
    assert answer.status_code == 200, answer.json
    changed = answer.json
    assert (changed["version"], changed["points"], changed["per_minor"]) == (2, 7, 1000)
    assert [(one["version"], one["points"], one["from_at"], one["to_at"]) for one in changed["versions"]] == [
        (2, 7, (now + HOUR).isoformat(), None),
        (1, 5, now.isoformat(), (now + HOUR).isoformat()),
    ]
    with clock.shifted(2 * HOUR):
        off = api(admin).patch("/earning-rules/extra", json={"active": False}, if_match=2)
    assert (off.json["version"], off.json["active"]) == (3, False)
    held = {
        hours: [(row["version"], row["active"]) for row in queries.rules_at(session, at=now + hours * HOUR)]
        for hours in (-1, 0, 1, 2)
    }
    assert held == {-1: [], 0: [(1, True)], 1: [(2, True)], 2: [(3, False)]}
    states = {
        active: [item["code"] for item in api(admin).get(f"/earning-rules?active={active}").json["items"]]
        for active in ("true", "false")
    }
    assert states == {"true": [], "false": ["extra"]}


def test_a_clock_that_is_behind_ends_no_version_before_it_began(
    session: Session, admin: Actor, api: Api, now: datetime
) -> None:
    make(api, admin, **EXTRA)
    assert rules.change(session, code="extra", version=1, changes={"points": 1}, actor="system", now=now - HOUR) == 2
    assert [(row["version"], row["from_at"]) for row in queries.rule_versions(session, code="extra")] == [
        (2, now),
        (1, now),
    ]


def test_who_may_not(api: Api, admin: Actor, made: Shop, unchanged: Unchanged) -> None:
    make(api, admin)
    with unchanged():
        for caller in (made.customer, made.web, None):
            status = 401 if caller is None else 403
            for path in ("/earning-rules", "/earning-rules/double"):
                assert api(caller).get(path).status_code == status
        for caller in (made.associate, made.customer):
            assert api(caller).post("/earning-rules", json=EXTRA).status_code == 403
            assert api(caller).patch("/earning-rules/double", json={"name": "X"}, if_match=1).status_code == 403


def test_a_code_is_one_rules(api: Api, admin: Actor, unchanged: Unchanged) -> None:
    make(api, admin)
    with unchanged():
        answer = api(admin).post("/earning-rules", json=DOUBLE)
    assert (answer.status_code, answer.json["code"]) == (409, "earning_rule_code_taken")


def test_stale_and_unknown(api: Api, admin: Actor, unchanged: Unchanged) -> None:
    make(api, admin)
    with unchanged():
        calling = api(admin)
        assert calling.patch("/earning-rules/double", json={"name": "X"}, if_match=2).status_code == 412
        assert calling.patch("/earning-rules/double", json={"name": "X"}).status_code == 428
        assert calling.patch("/earning-rules/other", json={"name": "X"}, if_match=1).status_code == 404
        assert calling.get("/earning-rules/other").status_code == 404
        assert calling.get("/earning-rules?active=maybe").status_code == 422
        assert calling.patch("/earning-rules/double", json={}, if_match=1).status_code == 422


@pytest.mark.parametrize(
    ("facts", "field", "code"),
    [
        ({"factor_bp": 10_000}, "factor_bp", "out_of_range"),
        ({"points": 1}, "points", "not_of_basis"),
        ({"basis": "amount"}, "points", "out_of_range"),
        (EXTRA | {"per_minor": 0}, "per_minor", "out_of_range"),
        (EXTRA | {"currency": None}, "currency", "required"),
        (EXTRA | {"currency": "USD"}, "currency", "no_program"),
        (EXTRA | {"referrer_points": 1}, "referrer_points", "not_of_basis"),
        ({"basis": "referral", "factor_bp": 0}, "points", "required"),
        ({"min_amount_minor": 1}, "currency", "required"),
        ({"from_on": "2026-07-02", "to_on": "2026-07-01"}, "to_on", "backwards"),
        ({"cap_days": 30}, "cap_days", "without_cap"),
        ({"skus": ["NO-SUCH"]}, "skus", "unknown"),
        ({"categories": ["No such"]}, "categories", "unknown"),
        ({"channels": ["no-such"]}, "channels", "unknown"),
        ({"locations": ["no-such"]}, "locations", "unknown"),
        ({"tiers": ["no-such"]}, "tiers", "unknown"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(
    api: Api, admin: Actor, unchanged: Unchanged, facts: dict[str, Any], field: str, code: str
) -> None:
    with unchanged():
        answer = api(admin).post("/earning-rules", json=DOUBLE | facts)
    assert (answer.status_code, answer.json["code"]) == (422, "earning_rule_invalid")
    assert (field, code) in [(error["field"], error["code"]) for error in answer.json["errors"]]


def test_everything_wrong_is_named_at_once_and_a_change_is_held_to_the_same(
    api: Api, admin: Actor, unchanged: Unchanged
) -> None:
    make(api, admin, **EXTRA)
    wrong = {"skus": ["A", "B"], "channels": ["c"], "locations": ["l"], "tiers": ["t"], "factor_bp": 3}
    with unchanged():
        answer = api(admin).patch("/earning-rules/extra", json=wrong, if_match=1)
    assert [(error["field"], error["detail"]) for error in answer.json["errors"]] == [
        ("factor_bp", "A rule by amount has no factor_bp"),
        ("skus", "A"),
        ("skus", "B"),
        ("channels", "c"),
        ("tiers", "t"),
        ("locations", "l"),
    ]


FRIENDS = {"code": "friends", "name": "Friends", "basis": "referral", "factor_bp": 0, "points": 300}


@pytest.mark.parametrize(
    "fields",
    [
        {"skus": ["SKU"]},
        {"categories": ["Teas"]},
        {"tiers": ["gold"]},
        {"first_purchase": True},
        {"birthday": "day"},
        {"stack_group": "one"},
        {"cap_per_order": 10},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_a_referral_does_not_ask_for_is_refused_with_it(
    session: Session, api: Api, admin: Actor, made: Shop, unchanged: Unchanged, fields: dict[str, Any]
) -> None:
    """Stored rules that were made with such conditions stay, and can be changed."""
    session.execute(text("UPDATE product SET category = 'Teas'"))
    session.execute(
        text("INSERT INTO tier (code, name, rank, threshold, updated_at) VALUES ('gold', 'Gold', 1, 1, now())")
    )
    fields = {name: [made.tea.sku] if name == "skus" else value for name, value in fields.items()}
    [name] = fields
    make(api, admin, **FRIENDS)
    with unchanged():
        refused = [
            api(admin).post("/earning-rules", json=FRIENDS | {"code": "more"} | fields),
            api(admin).patch("/earning-rules/friends", json=fields, if_match=1),
            api(admin).post("/earning-rules/preview", json={"rule": FRIENDS | {"code": "more"} | fields}),
        ]
    for answer in refused:
        assert (answer.status_code, answer.json["code"]) == (422, "earning_rule_invalid")
        assert [(error["field"], error["code"]) for error in answer.json["errors"]] == [(name, "not_of_basis")]
    session.execute(sa.update(EarningRule).values(fields))
    off = api(admin).patch("/earning-rules/friends", json={"active": False}, if_match=1)
    assert (off.status_code, off.json["version"], off.json[name]) == (200, 2, fields[name])


def test_a_referral_has_the_conditions_that_it_asks_for(api: Api, admin: Actor, made: Shop) -> None:
    found = make(
        api, admin, **FRIENDS, referrer_points=500, channels=["web"], locations=[made.store.code], weekdays=[1],
        from_on="2026-07-01", to_on="2026-07-31", currency="JPY", min_amount_minor=3000, priority=1, cap_per_member=900,
        cap_days=30, pending_days=14, lot_days=90,
    )  # fmt: skip
    assert (found["min_amount_minor"], found["weekdays"], found["cap_days"]) == (3000, [1], 30)


@pytest.mark.parametrize(
    "facts",
    [
        {"points": 1.5},
        {"points": "1"},
        {"points": -1},
        {"points": limits.POINTS_PER_EARNING + 1},
        {"per_minor": 99.5},
        {"per_minor": 10**15 + 1},
        {"cap_per_order": 0},
        {"cap_per_member": 2**63},
        {"cap_days": 0.5},
        {"weekdays": [8]},
        {"birthday": "year"},
        {"from_on": "2026-02-30"},
        {"pending_days": -1},
        {"lot_days": 0},
        {"basis": "other"},
        {"code": "tier:gold"},
        {"skus": ["A"] * (limits.NAMES_PER_RULE + 1)},
        {"colour": "red"},
    ],
)
def test_fractions_and_overflow_are_refused(
    api: Api, admin: Actor, unchanged: Unchanged, facts: dict[str, Any]
) -> None:
    with unchanged():
        answer = api(admin).post("/earning-rules", json=EXTRA | facts)
    assert answer.status_code == 422, answer.json


def test_no_more_rules_than_the_limit(
    api: Api, admin: Actor, unchanged: Unchanged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RULES", 1)
    make(api, admin)
    make(api, admin, code="asleep", active=False)
    with unchanged():
        answer = api(admin).post("/earning-rules", json=EXTRA)
        assert (answer.status_code, answer.json["code"]) == (409, "too_many_earning_rules")
        answer = api(admin).patch("/earning-rules/asleep", json={"active": True}, if_match=1)
        assert (answer.status_code, answer.json["code"]) == (409, "too_many_earning_rules")


@pytest.mark.committed
def test_of_two_who_change_one_rule_at_once_the_second_is_told(session: Session) -> None:
    moment = clock.now()
    facts: dict[str, Any] = {name: [] for name in ("skus", "categories", "channels", "locations", "weekdays", "tiers")}
    facts |= dict.fromkeys(("points", "referrer_points", "per_minor", "min_amount_minor"), 0)
    facts |= {
        "from_on": None,
        "to_on": None,
        "cap_days": None,
        "cap_per_member": None,
        "currency": None,
        "active": True,
    }
    with db.transaction() as first:
        rules.create(first, facts=facts | DOUBLE, actor="system", now=moment)

    def change(points: int) -> Callable[[Session], int]:
        changes = {"factor_bp": points}
        return lambda inside: rules.change(
            inside, code="double", version=1, changes=changes, actor="system", now=moment
        )

    with db.transaction() as first:
        assert change(30_000)(first) == 2
        other = Other(change(40_000))
        assert other.waits()
    with pytest.raises(Stale):
        other.result()
    assert [(row["version"], row["factor_bp"]) for row in queries.rule_versions(session, code="double")] == [
        (2, 30_000),
        (1, 20_000),
    ]
